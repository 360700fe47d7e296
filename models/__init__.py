"""The four families, one file each, behind one contract (models/contract.py)."""

from models.contract import About, Config, Model, Shape, Showing
from models.diffusion import Diffusion
from models.flow import Flow
from models.gan import GAN
from models.vae import VAE

__all__ = ["FAMILIES", "About", "Config", "Model", "Shape", "Showing"]

FAMILIES: dict[str, type[Model]] = {"gan": GAN, "vae": VAE, "flow": Flow, "diffusion": Diffusion}
