"""Many rows in, as many out: read in chunks, scored, and written in the same format."""
