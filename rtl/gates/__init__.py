"""The machine at gate level: netlist, switching activity, power, and timing."""
