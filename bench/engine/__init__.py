"""Engines: who does the cells of a run, several at once on this machine or on the nodes of a cluster."""
