"""A normalizing flow: multi-scale coupling layers."""
