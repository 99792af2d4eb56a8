"""What every room may use: errors, arguments, and files read from and written for a user."""
