"""What sampling costs: speed and memory."""
