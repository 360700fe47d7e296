"""Diffusion: a fixed forward process, and a learned reverse process."""
