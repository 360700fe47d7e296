"""Inception-v3, CLIP and DINOv2, as torch-fidelity builds and feeds them."""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from equibench.errors import UserError, first_line
from equibench.hashing import file_sha256
from equibench.measure.features.extractor import Extractor, make_extractor
from equibench.measure.features.names import CLIP, DINO, INCEPTION_FILE
from equibench.usercode import require_consent


def find_inception(weights: Path | None = None) -> Path | None:
    """Where the Inception weights are: the given path, or torch's cache.

    Raises UserError if a path is given that is not a file.
    """
    if weights is not None:
        if not weights.is_file():
            raise UserError(f"no Inception weights at {weights}; give the path of {INCEPTION_FILE}")
        return weights
    cached = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    return cached if cached.is_file() else None


def of_torch_fidelity(
    name: str,
    device: torch.device,
    weights: Path | None,
    bfloat16: bool = False,
    download: bool = False,
    allow_code: bool = False,
) -> Extractor:
    """Inception-v3, CLIP or DINOv2 as torch-fidelity builds and feeds them; weights from `weights` or torch's cache,
    into which `download` fetches them where they are not there. DINOv2's network is code, which needs `allow_code`, as
    does a file of CLIP's format, TorchScript, unless it is the very one that torch-fidelity fetches.
    """
    if name in DINO:
        require_consent(f"{name}, whose network is code from torch's cache,", allow_code)
    found = _find(name, weights)
    if found is None and download:
        _fetch(name)
        found = _find(name, weights)
    if found is None:
        inception = f"; or put {INCEPTION_FILE} there, or give it with --inception-weights"
        raise UserError(
            f"no weights of {name} in torch's cache; fetch them with --download, on a machine with a network"
            f"{inception if name == 'inception-v3' else ''}"
        )
    if name in CLIP and file_sha256(found) != _clip_sha256(name):
        require_consent(f"{found}, a TorchScript file,", allow_code)
    try:
        network, dims, side = _build(name, found)
    except Exception as error:  # whatever torch raises for a file that is not these weights
        raise UserError(f"{found} does not hold torch-fidelity's {name} weights ({first_line(error)})") from None
    network = network.eval().to(memory_format=torch.channels_last).to(device)

    def features(images: Tensor) -> Tensor:
        pooled: Tensor = network(images.expand(-1, 3, -1, -1).contiguous())[0]
        return pooled

    shown = "Inception-v3" if name == "inception-v3" else name
    resize = f"torch-fidelity: TF-1 bilinear (not antialiased) to {side}x{side}, grey repeated to RGB"
    return make_extractor(shown, file_sha256(found), resize, dims, features, device, bfloat16)


def _find(name: str, weights: Path | None) -> Path | None:
    """The weights of Inception, CLIP or DINOv2: the given path, or where torch-fidelity's download puts them."""
    if name == "inception-v3":
        return find_inception(weights)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if name in CLIP:
        if weights is not None and weights.is_file():
            return weights
        named = sorted(folder.glob(f"{name}-*.pt"))
        found = [path for path in named if len(path.stem.removeprefix(f"{name}-")) == 64]  # name-sha256.pt
    else:
        if weights is not None:
            raise UserError("DINOv2 is read from torch.hub's cache alone; leave its weights' path out")
        code = Path(torch.hub.get_dir()) / "facebookresearch_dinov2_main"
        pattern = f"{name.replace('-vit-', '_vit').replace('-14', '14')}_pretrain.pth"
        found = sorted(folder.glob(pattern)) if code.is_dir() else []
    return found[0] if found else None


def _fetch(name: str) -> None:
    """Put the weights into torch's cache. Raises UserError where they cannot be had or are not the ones."""
    try:
        if name == "inception-v3":  # torch-fidelity does not check what it gets; the file's name holds its hash
            from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

            target = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
            target.parent.mkdir(parents=True, exist_ok=True)
            prefix = target.stem.rpartition("-")[2]
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(target), prefix, progress=sys.stderr.isatty())
        else:
            _build(name, None)
    except (OSError, RuntimeError) as error:  # no network among them
        raise UserError(
            f"cannot fetch the weights of {name} ({first_line(error)}); copy them into torch's cache from another "
            "machine"
        ) from None


def _build(name: str, weights: Path | None) -> tuple[nn.Module, int, int]:
    """torch-fidelity's network, its dimensions and the side it resizes to. Without `weights` it fetches its own."""
    given = None if weights is None else str(weights)
    with warnings.catch_warnings(action="ignore"):  # torch means to drop TorchScript, in which CLIP comes, one day
        if name == "inception-v3":
            assert weights is not None
            return _folded(_inception(weights).eval()), 2048, 299
        if name in CLIP:
            from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

            clip: Any = FeatureExtractorCLIP(name, ["clip"], feature_extractor_weights_path=given)
            return clip, clip.model.visual.output_dim, clip.resolution
        from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

        dino: Any = FeatureExtractorDinoV2(name, ["dinov2"])
        return dino, dino.model.embed_dim, 224


def _inception(weights: Path) -> nn.Module:
    """torch-fidelity's network. It would unpickle whatever the file holds, code too: what it gets is a copy of the
    tensors alone.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    tensors = torch.load(weights, map_location="cpu", weights_only=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / INCEPTION_FILE
        torch.save(tensors, copy)
        network: nn.Module = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(copy)
        )
    return network


def _clip_sha256(name: str) -> str:
    """Of the file that torch-fidelity fetches."""
    from torch_fidelity.feature_extractor_clip import MODEL_METADATA

    return str(MODEL_METADATA[name]["hash"])


def _folded(network: nn.Module) -> nn.Module:
    """Batch norms folded into the convolutions before them, where a module has them as `conv` and `bn`."""
    module: Any
    for module in network.modules():
        if isinstance(getattr(module, "bn", None), nn.BatchNorm2d):
            module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
    return network
