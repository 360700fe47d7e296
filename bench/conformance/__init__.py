"""Whether an entrant keeps the contract of the families, its claims included, and a skeleton that keeps it."""
