"""Likelihoods: bits per dimension, bounds, floors."""
