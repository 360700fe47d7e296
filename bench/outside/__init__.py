"""What other tools made: which kind of thing a file or folder is, and samples that are there or that are written."""
