"""How single predictions are answered."""
