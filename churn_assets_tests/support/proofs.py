"""How long the proofs are that also run by the million."""

import os

ARE_WHOLE = "WHOLE_PROOFS" in os.environ
"""As `make bench` sets it; `make test` runs the same code on far less."""
