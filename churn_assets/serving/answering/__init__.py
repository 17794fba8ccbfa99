"""What a worker needs to answer by key or by inputs, and nothing that trains."""
