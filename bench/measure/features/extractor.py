"""Feature networks. A feature space is its name, the sha256 of its weights, its preprocessing, and its features of a
few fixed images.

`FID` may be written for Inception-v3 alone; any other space gives `FD` under its own name (protocol, rule 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equibench.errors import UserError
from equibench.measure.features.probe import probe_sha256
from equibench.record.schema import FeatureInfo
from equibench_models.cores import of_each

# Small batches keep the maps of a 112-pixel network in the processor's cache: twice the speed of batches of 100.
BATCH_SIZE = {"cpu": 20, "cuda": 500}


class FeaturesError(UserError):
    """Features of these images are no numbers: of a model's samples that is the model's failure, not the network's."""


@dataclass(frozen=True)
class Extractor:
    """uint8 images `[N, C, H, W]`, C in 1, 3 -> features `[N, dims]` float32."""

    info: FeatureInfo
    metric: Literal["FD", "FID"]
    network: Callable[[Tensor], Tensor]  # preprocessing included
    device: torch.device
    bfloat16: bool = False
    side_by_side: bool = False  # on a processor a batch each core: its operators are small, and it may be called so

    def __call__(
        self, images: NDArray[np.uint8], progress: Callable[[int], None] = lambda n: None
    ) -> NDArray[np.float32]:
        """Features of all images; `progress` hears how many each batch had.

        Raises UserError where the network gives anything but finite `[N, dims]`.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be uint8 [N, 1 or 3, H, W], not {images.dtype} {list(images.shape)}")
        batches = torch.from_numpy(images).split(BATCH_SIZE[self.device.type])
        at_once = torch.get_num_threads() if self.side_by_side and self.device.type == "cpu" else 1
        return np.concatenate(of_each(self._features, batches, at_once, lambda found: progress(len(found))))

    def _features(self, batch: Tensor) -> NDArray[np.float32]:
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            found = self.network(batch.to(self.device, copy=True)).float()  # a network may write into its input
        if found.shape != (len(batch), self.info.dims):
            raise UserError(
                f"{self.info.name} gives {list(found.shape)} for {len(batch)} images of "
                f"{batch.shape[2]}x{batch.shape[3]} pixels, not [{len(batch)}, {self.info.dims}]; it must "
                "give one row an image, equally long for images of every size"
            )
        if not found.isfinite().all():
            raise FeaturesError(f"{self.info.name} gives features that are NaN or infinite; check its numbers")
        return found.cpu().numpy()


def make_extractor(
    name: str,
    weights_sha256: str,
    preprocessing: str,
    dims: int,
    features: Callable[[Tensor], Tensor],
    device: torch.device,
    bfloat16: bool,
    side_by_side: bool = False,
) -> Extractor:
    """An extractor whose name and preprocessing say its precision, and whose features of fixed images say what it does.
    `features`: uint8 images `[N, C, H, W]`, C in 1, 3, on `device` -> `[N, dims]`.
    """
    precision = "bfloat16" if bfloat16 else "float32"
    info = FeatureInfo(
        name=f"{name} bf16" if bfloat16 else name,
        weights_sha256=weights_sha256,
        preprocessing=f"{preprocessing}, {precision}",
        dims=dims,
        probe_sha256=probe_sha256(features, device),
    )
    return Extractor(info, "FID" if info.name == "Inception-v3" else "FD", features, device, bfloat16, side_by_side)
