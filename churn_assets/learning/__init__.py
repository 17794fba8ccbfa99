"""How models are trained, judged, registered and applied."""
