"""How a live model is watched: drift, performance, incidents, and what is done about them."""
