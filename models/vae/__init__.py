"""A variational autoencoder with a hierarchy of latents."""
