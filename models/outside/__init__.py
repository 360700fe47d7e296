"""Generators that other tools saved, behind the contract of the families: they can be sampled, and not trained."""
