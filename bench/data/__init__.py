"""Images in: named data sets with fixed splits and a hash, and the readers of files."""
