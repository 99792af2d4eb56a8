"""A machine's Verilog under a name of its own, with all that its receiver needs to judge it."""
