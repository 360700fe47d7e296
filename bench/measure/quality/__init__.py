"""Sample quality: distances between sets of features."""
