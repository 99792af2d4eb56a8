"""The machine in a standard-cell library: netlist, switching, power, timing."""
