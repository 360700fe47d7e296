"""What labels tell: numbers by class, a classifier's view of samples, and what models know of classes."""
