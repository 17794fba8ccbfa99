"""Stand-in."""


def generate(rows, seed):
    raise ValueError("not yet")
