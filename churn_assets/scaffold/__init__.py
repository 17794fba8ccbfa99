"""HOW a new use case begins: a table is profiled, and its use case written."""
