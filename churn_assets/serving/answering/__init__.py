"""What a worker needs to answer by key or inputs, and nothing that imports more."""
