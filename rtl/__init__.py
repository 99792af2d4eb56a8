"""The machine as hardware: Amaranth components, the pipeline, and its verification."""
