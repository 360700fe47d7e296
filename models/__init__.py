"""The families by name, one file or package each behind one contract (models/contract.py). Imports no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equibench_models.contract import Model

__all__ = ["FAMILIES", "LOADED", "family"]

# in the order of every table and figure
FAMILIES = {
    "gan": "equibench_models.gan:GAN",
    "vae": "equibench_models.vae.model:VAE",
    "flow": "equibench_models.flow.model:Flow",
    "diffusion": "equibench_models.diffusion.model:Diffusion",
}

# what other tools saved and cannot be trained here, by the kind of its file
LOADED = {
    "torchscript": "equibench_models.outside.scripted:Scripted",
    "torch.export": "equibench_models.outside.exported:Exported",
    "diffusers": "equibench_models.outside.pipeline:Pipeline",
}


def family(name: str) -> type[Model]:
    """The class of a family: a name of FAMILIES or LOADED, or one's own as `module:Class`, which is imported.

    Raises LookupError for a name that is neither, what importing raises, and TypeError for a class that does not keep
    the contract.
    """
    module, colon, attribute = (FAMILIES | LOADED).get(name, name).partition(":")
    if not colon:
        raise LookupError(f"unknown family {name!r}")
    found = getattr(importlib.import_module(module), attribute)
    from equibench_models.contract import Model  # brings torch, which takes a second

    if not (isinstance(found, type) and issubclass(found, Model)):
        raise TypeError(f"{name} is no subclass of equibench_models.contract.Model")
    return found
