"""Results as tables, plots, HTML pages, and traces."""
