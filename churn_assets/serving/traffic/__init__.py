"""Who answers: shadow, canary, A/B, ramp, and the guard that takes a Challenger back."""
