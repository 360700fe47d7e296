"""The four families, one file each, behind one contract (models/contract.py)."""

from equibench_models.contract import About, Config, Model, Shape, Showing
from equibench_models.diffusion import Diffusion
from equibench_models.flow import Flow
from equibench_models.gan import GAN
from equibench_models.vae import VAE

__all__ = ["FAMILIES", "About", "Config", "Model", "Shape", "Showing"]

FAMILIES: dict[str, type[Model]] = {"gan": GAN, "vae": VAE, "flow": Flow, "diffusion": Diffusion}
