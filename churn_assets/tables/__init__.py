"""How tables are read, checked, transformed and written."""
