"""Self-test: every path of a device, tried on the user's own machine in two minutes."""
