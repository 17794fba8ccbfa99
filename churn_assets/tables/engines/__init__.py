"""What reads, computes and writes tables: a class for each engine."""
