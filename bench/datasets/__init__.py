"""The data set that ships with equibench (README.md), and the reading of image files (read.py)."""
