"""Feature networks, each with its identity."""
