"""Published results beside what the simulator gives: the studies of `pilaster reproduce`."""
