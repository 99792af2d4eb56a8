"""Results as tables, pictures, pages and traces."""
