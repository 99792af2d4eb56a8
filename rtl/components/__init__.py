"""What stages are made of: buffers, lanes, memories, programs, requantizers."""
