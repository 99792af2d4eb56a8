"""The machine in gates: Amaranth components, the pipeline and its verification."""
