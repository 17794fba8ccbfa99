"""What a server needs for each key: how it is written, given out and fetched."""
