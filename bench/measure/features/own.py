"""A user's own feature network: a TorchScript file, or a function by `module:function`."""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equibench.errors import UserError, first_line, last_line
from equibench.hashing import file_sha256
from equibench.measure.features.extractor import Extractor, make_extractor
from equibench.measure.features.probe import probe_sha256
from equibench.usercode import import_name

PROBE_IMAGES = 4


def torchscript(path: Path, device: torch.device, bfloat16: bool = False) -> Extractor:
    """The user's own network: a TorchScript module, uint8 images `[N, 3, H, W]` -> features `[N, d]`."""
    if not path.is_file():
        raise UserError(f"there is no extractor file {path}; give a TorchScript module saved with torch.jit.save")
    sha256 = file_sha256(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # torch means to drop TorchScript one day
            network = torch.jit.load(str(path), map_location=device).eval()
    except Exception as error:  # whatever torch raises for a file that is none
        raise UserError(f"{path} is no TorchScript module ({first_line(error)}); save it with torch.jit.save") from None
    return _own(path.name, sha256, network, device, bfloat16)


def function(name: str, device: torch.device, bfloat16: bool = False) -> Extractor:
    """The user's own function `module:function`, uint8 images `[N, 3, H, W]` on the device -> features `[N, d]`.

    Its identity is the hash of its module's source, and of its features of fixed images, which tell its weights.
    """
    call = import_name(name)
    try:
        source = inspect.getsource(inspect.getmodule(call) or call).encode()
    except (OSError, TypeError) as error:
        raise UserError(f"the extractor {name} has no source to tell it by ({error}); write it in a file") from None
    return _own(name, hashlib.sha256(source).hexdigest(), call, device, bfloat16)


def _own(name: str, identity: str, network: Callable[[Tensor], Any], device: torch.device, bfloat16: bool) -> Extractor:
    """A user's network, tried on fixed images: its features must be `[N, d]`, of each image alone and the same each
    time, and enter its identity.
    """

    def features(images: Tensor) -> Tensor:
        try:
            found: Tensor = network(images.expand(-1, 3, -1, -1).contiguous())
            if not isinstance(found, Tensor) or found.ndim != 2 or not found.is_floating_point():
                raise ValueError(f"it gives {getattr(found, 'dtype', type(found))} {list(getattr(found, 'shape', []))}")
        except Exception as error:  # anything may go wrong in another's code
            shape = [len(images), 3, *images.shape[2:]]
            raise UserError(
                f"the extractor {name} failed on uint8 {shape} ({last_line(error)}); it must return floats [N, d]"
            ) from None
        return found

    drawn = np.random.default_rng(0).integers(0, 256, (PROBE_IMAGES, 3, 32, 32), dtype=np.uint8)
    fixed = torch.from_numpy(drawn).to(device)
    with torch.inference_mode():
        probe, again = features(fixed.clone()).double(), features(fixed.clone()).double()
        alone = torch.cat([features(image[None].clone()) for image in fixed]).double()
    if alone.shape != probe.shape or not all(torch.allclose(probe, x, rtol=1e-3, atol=1e-5) for x in (again, alone)):
        raise UserError(
            f"features of the extractor {name} change from call to call or with the batch; switch it to evaluation "
            "(module.eval()), and return one row an image"
        )
    # the weights of a function are known by what it does alone
    identity = hashlib.sha256(f"{identity} {probe_sha256(features, device)}".encode()).hexdigest()
    return make_extractor(
        name, identity, "the extractor's own, grey repeated to RGB", probe.shape[1], features, device, bfloat16
    )
