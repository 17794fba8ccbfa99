"""How a call comes in, who may make it, and how it is refused."""
