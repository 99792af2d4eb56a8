"""One stage in gates for every kind of layer."""
