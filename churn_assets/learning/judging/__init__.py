"""How a Challenger is judged and becomes Champion."""
