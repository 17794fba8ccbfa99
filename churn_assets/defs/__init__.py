"""What `dg scaffold defs` writes, and a deployment adds; empty here."""
