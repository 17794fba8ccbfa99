"""Pages for who looks a customer up, and for who reads what can be asked."""
