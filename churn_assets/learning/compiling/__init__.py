"""How a fitted model is compiled for serving, and how what was compiled answers."""
