"""The two pages of a report."""
