"""Shared by all packages: errors, argument validation, and the user's files."""
