"""The programs that simulate a design: the C++ compiler and Verilator, found and run."""
