"""What HTML pages share: their frame, style, parts and pictures."""
