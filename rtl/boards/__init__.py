"""FPGA boards: their resources, and bitstreams for them."""
