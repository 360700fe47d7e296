"""What one cell yielded: the only thing that measuring and reading share."""
