"""Hold a machine in gates to the model, and measure its activity."""
