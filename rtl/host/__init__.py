"""The host link: a machine behind a serial port, and the program that talks to it."""
