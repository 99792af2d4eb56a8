"""What is computed, and what an action costs."""
