"""HOW a new use case is begun: a table profiled, and its use case written."""
