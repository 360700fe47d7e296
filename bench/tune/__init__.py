"""Chooses the settings of every entrant of a suite by the same rule, on images held out of its training data."""
