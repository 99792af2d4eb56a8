"""The commands of the command line, one per file, and their shared code."""
