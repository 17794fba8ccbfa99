"""What HTML pages share: their frame, style and pictures."""
