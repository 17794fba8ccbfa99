"""How a Challenger is fitted: candidates, search, calibration, threshold."""
