"""Studies of `pilaster reproduce`, which compare published results with the simulator."""
