"""What keeps a table from being read: its damage, and what its place refuses."""
