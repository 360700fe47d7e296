"""Feature networks. A feature space is its name, the sha256 of its weights, and its preprocessing.

`FID` may be written for Inception-v3 alone; any other space gives `FD` under its own name (DESIGN, rule 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench import UserError, nearest
from equibench.record.schema import FeatureInfo

# torch-fidelity's name of the file that holds the TF-2015 Inception weights
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
CLIP = ("clip-vit-b-16", "clip-vit-b-32", "clip-vit-l-14", "clip-vit-l-14-336px")
DINO = ("dinov2-vit-s-14", "dinov2-vit-b-14", "dinov2-vit-l-14", "dinov2-vit-g-14")
EXTRACTORS = ("auto", "efficientnet-lite0", "inception-v3", *CLIP, *DINO)
ABOUT = {
    "auto": "inception-v3 where its weights are at hand, else efficientnet-lite0",
    "efficientnet-lite0": "packaged, ImageNet, 1280 dimensions; gives FD",
    "inception-v3": "torch-fidelity's, 2048 dimensions, from torch's cache or --download; the only one that gives FID",
    **dict.fromkeys((*CLIP, *DINO), "torch-fidelity's, from torch's cache or --download; gives FD"),
}
BFLOAT16 = "+bf16"  # behind a name: faster, and features of another feature space
OWN = "a TorchScript file (.pt, .pth) or module:function"
# Small batches keep the maps of a 112-pixel network in the processor's cache: twice the speed of batches of 100.
BATCH_SIZE = {"cpu": 20, "cuda": 500}


@dataclass(frozen=True)
class Extractor:
    """uint8 images `[N, C, H, W]`, C in 1, 3 -> features `[N, dims]` float32."""

    info: FeatureInfo
    metric: Literal["FD", "FID"]
    network: Callable[[Tensor], Tensor]  # preprocessing included
    device: torch.device
    bfloat16: bool = False

    def __call__(
        self, images: NDArray[np.uint8], progress: Callable[[int], None] = lambda n: None
    ) -> NDArray[np.float32]:
        """Features of all images; `progress` hears how many each batch had.

        Raises UserError where the network gives anything but finite `[N, dims]`.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be uint8 [N, 1 or 3, H, W], not {images.dtype} {list(images.shape)}")
        parts = []
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            for batch in torch.from_numpy(images).split(BATCH_SIZE[self.device.type]):
                found = self.network(batch.to(self.device, copy=True)).float()  # a network may write into its input
                if found.shape != (len(batch), self.info.dims):
                    raise UserError(
                        f"{self.info.name} gives {list(found.shape)} for {len(batch)} images of "
                        f"{images.shape[2]}x{images.shape[3]} pixels, not [{len(batch)}, {self.info.dims}]; it must "
                        "give one row an image, equally long for images of every size"
                    )
                if not found.isfinite().all():
                    raise UserError(f"{self.info.name} gives features that are NaN or infinite; check its numbers")
                parts.append(found.cpu().numpy())
                progress(len(batch))
        return np.concatenate(parts)


def load(name: str, device: torch.device, weights: Path | None = None, download: bool = False) -> Extractor:
    """The extractor `name`: one of EXTRACTORS, with `+bf16` behind it for bfloat16, or the user's own, a TorchScript
    file or `module:function`. `auto` is Inception where its weights are at hand and EfficientNet-Lite0 otherwise.
    `weights` is a file for those that torch-fidelity builds, instead of torch's cache; `download` fetches what is not
    in the cache, but never changes what `auto` means.

    Raises UserError for an unknown name, or for weights that are not there or are not the network's.
    """
    from equibench.measure.features import load as extractors

    plain = name.removesuffix(BFLOAT16)
    if plain == "auto":
        plain = "inception-v3" if find_inception(weights) else "efficientnet-lite0"
    if plain not in EXTRACTORS:
        if Path(plain).suffix in (".pt", ".pth"):
            return extractors.torchscript(Path(plain), device, name.endswith(BFLOAT16))
        if ":" in plain:
            return extractors.function(plain, device, name.endswith(BFLOAT16))
        raise UserError(f"unknown extractor {name!r}{nearest(plain, EXTRACTORS)}, or give {OWN}")
    if plain == "efficientnet-lite0":
        return extractors.efficientnet(device, name.endswith(BFLOAT16))
    return extractors.of_torch_fidelity(plain, device, weights, name.endswith(BFLOAT16), download)


def find_inception(weights: Path | None = None) -> Path | None:
    """Where the Inception weights are: the given path, or torch's cache if torch-fidelity can be imported.

    Raises UserError if a path is given that is not a file.
    """
    if weights is not None:
        if not weights.is_file():
            raise UserError(f"no Inception weights at {weights}; give the path of {INCEPTION_FILE}")
        return weights
    cached = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return cached if cached.is_file() and has_torch_fidelity() else None


def has_torch_fidelity() -> bool:
    import importlib.util

    return importlib.util.find_spec("torch_fidelity") is not None
