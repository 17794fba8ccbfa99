"""C libraries of other packages, called without the packages."""
