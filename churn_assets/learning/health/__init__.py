"""Whether tables, models and histories are whole, and what of them can be made whole again."""
