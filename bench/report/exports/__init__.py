"""Tables and numbers for other programs."""
