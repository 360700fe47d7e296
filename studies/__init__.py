"""Experiments on the measurements themselves: each writes the page in docs/ that cites it."""
