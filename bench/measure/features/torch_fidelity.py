"""Inception-v3, CLIP and DINOv2, as torch-fidelity builds and feeds them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from equibench.cache import NOWHERE
from equibench.errors import UserError, first_line
from equibench.hashing import file_sha256
from equibench.measure.features.extractor import Extractor, make_extractor
from equibench.measure.features.names import CLIP, DINO, INCEPTION_FILE, KNOWN_SHA256, space_name
from equibench.measure.features.weights import read_weights
from equibench.usercode import require_consent

INCEPTION_NUMBERS = 23_900_000  # about as many as torch-fidelity's network holds
DINO_REPOSITORY = "facebookresearch/dinov2"
DINO_COMMIT = "7764ea0f912e53c92e82eb78a2a1631e92725fc8"
DINO_WEIGHTS = "https://dl.fbaipublicfiles.com/dinov2"


def find_inception(weights: Path | None = None) -> Path | None:
    """Where the Inception weights are: the given path, or torch's cache.

    Raises UserError if a path is given that is not a file.
    """
    if weights is not None:
        if not weights.is_file():
            raise UserError(f"no Inception weights at {weights}; give the path of {INCEPTION_FILE}")
        return weights
    cached = _checkpoints() / INCEPTION_FILE
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
    into which `download` fetches them where they are not there. What lies in the cache must have the published hash.
    Other weights, which only a given file may hold, make another feature space by name.

    DINOv2's network is code, which needs `allow_code`, as does a file of CLIP's format, TorchScript, unless it is the
    very one that torch-fidelity fetches.
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
    known = published_sha256(name)
    if weights is None and name not in CLIP and (sha256 := _sha256(found)) != known:
        other = "; to use it as it is, give it with --inception-weights" if name == "inception-v3" else ""
        raise UserError(
            f"{found} is not the file that is published (its sha256 begins with {sha256[:8]}, not {known[:8]}); delete "
            f"it and fetch it again with --download{other}"
        )
    if name in CLIP and _sha256(found) != known:
        require_consent(f"{found}, a TorchScript file,", allow_code)
    with warnings.catch_warnings(action="ignore"):  # torch means to drop TorchScript, in which CLIP comes, one day
        build = _inception if name == "inception-v3" else _clip if name in CLIP else _dino
        sha256, network, dims, side = build(name, found)
    network = network.eval().to(memory_format=torch.channels_last).to(device)

    def features(images: Tensor) -> Tensor:
        pooled: Tensor = network(images.expand(-1, 3, -1, -1).contiguous())[0]
        return pooled

    shown = space_name("Inception-v3" if name == "inception-v3" else name, sha256, known)
    resize = f"torch-fidelity: TF-1 bilinear (not antialiased) to {side}x{side}, grey repeated to RGB"
    return make_extractor(shown, sha256, resize, dims, features, device, bfloat16)


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); give a file that can be read") from None


def published_sha256(name: str) -> str:
    """The sha256 of the file that holds a network's published weights."""
    if name in CLIP:
        from torch_fidelity.feature_extractor_clip import MODEL_METADATA

        return str(MODEL_METADATA[name]["hash"])
    return KNOWN_SHA256[name]


def _find(name: str, weights: Path | None) -> Path | None:
    """The weights of Inception, CLIP or DINOv2: the given path, or where `_fetch` puts them."""
    if name == "inception-v3":
        return find_inception(weights)
    if weights is not None and name in DINO:
        raise UserError("DINOv2 is read from torch.hub's cache alone; leave its weights' path out")
    if weights is not None and weights.is_file():
        return weights
    there = _checkpoints() / _file_name(name)
    if name in CLIP and not there.is_file():  # torch-fidelity's name of a file, with another hash
        named = sorted(_checkpoints().glob(f"{name}-*.pt"))
        there = next((path for path in named if len(path.stem.removeprefix(f"{name}-")) == 64), there)
    return there if there.is_file() and (name in CLIP or _dino_code().is_dir()) else None


def _hub() -> Path:
    """torch's cache. Without a home torch takes a folder called `~` in the working one, which nobody gave."""
    folder = Path(torch.hub.get_dir())
    return NOWHERE if folder.parts[:1] == ("~",) else folder


def _checkpoints() -> Path:
    return _hub() / "checkpoints"


def _file_name(name: str) -> str:
    """The name that torch-fidelity gives the file in torch's cache."""
    if name == "inception-v3":
        return INCEPTION_FILE
    return f"{name}-{published_sha256(name)}.pt" if name in CLIP else f"{_dino_name(name)}_pretrain.pth"


def _fetch(name: str) -> None:
    """Put the weights into torch's cache. Raises UserError where they cannot be had or are not the ones."""
    if name == "inception-v3":
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3 as url
    elif name in CLIP:
        from torch_fidelity.feature_extractor_clip import MODEL_URLS

        url = MODEL_URLS[name]
    else:
        url = f"{DINO_WEIGHTS}/{_dino_name(name)}/{_file_name(name)}"
    target = _checkpoints() / _file_name(name)
    if NOWHERE in target.parents:
        raise UserError("torch has no cache without a home folder; set TORCH_HOME to a folder of yours")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file():
            torch.hub.download_url_to_file(url, str(target), published_sha256(name), progress=sys.stderr.isatty())
        if name in DINO:
            torch.hub.list(f"{DINO_REPOSITORY}:{DINO_COMMIT}", skip_validation=True, trust_repo=True, verbose=False)
    except (OSError, RuntimeError) as error:  # no network among them
        raise UserError(
            f"cannot fetch the weights of {name} ({first_line(error)}); copy them into torch's cache from another "
            "machine"
        ) from None


def _inception(name: str, weights: Path) -> tuple[str, nn.Module, int, int]:
    """The weights' sha256, torch-fidelity's network, its dimensions and the side it resizes to. torch-fidelity would
    unpickle whatever the file holds, code too: what it gets is a copy of the tensors alone.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    what = f"torch-fidelity's {name} weights"
    sha256, tensors = read_weights(weights, what, INCEPTION_NUMBERS)
    copy: Any = io.BytesIO()
    torch.save(tensors, copy)
    copy.seek(0)
    try:
        network: nn.Module = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=copy
        )
    except Exception as error:  # other names or shapes
        raise UserError(f"{weights} does not hold {what} ({_in_a_line(error)})") from None
    return sha256, _folded(network.eval()), 2048, 299


def _clip(name: str, weights: Path) -> tuple[str, nn.Module, int, int]:
    """Like `_inception`, for a file whose code may run."""
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

    try:
        clip: Any = FeatureExtractorCLIP(name, ["clip"], feature_extractor_weights_path=str(weights))
    except Exception as error:  # whatever torch raises for a file that is not these weights
        raise UserError(f"{weights} does not hold torch-fidelity's {name} weights ({_in_a_line(error)})") from None
    return file_sha256(weights), clip, clip.model.visual.output_dim, clip.resolution


def _dino(name: str, weights: Path) -> tuple[str, nn.Module, int, int]:
    """Like `_inception`: the network is built by Meta's code at one commit, and its weights are read as tensors, where
    that code would unpickle them and run whatever code they hold.
    """
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    os.environ["XFORMERS_DISABLED"] = "1"  # as torch-fidelity
    try:
        with contextlib.redirect_stdout(sys.stderr):
            model: Any = torch.hub.load(str(_dino_code()), _dino_name(name), source="local", pretrained=False)
    except Exception as error:  # anything may go wrong in another's code
        raise UserError(f"DINOv2's code in {_dino_code()} failed ({_in_a_line(error)}); fetch it again") from None
    what = f"{name}'s weights"
    sha256, tensors = read_weights(weights, what, sum(p.numel() for p in model.parameters()))
    try:
        model.load_state_dict(tensors)
    except Exception as error:
        raise UserError(f"{weights} does not hold {what} ({_in_a_line(error)})") from None
    network: Any = FeatureExtractorDinoV2.__new__(FeatureExtractorDinoV2)
    FeatureExtractorBase.__init__(network, name, ["dinov2"])
    network.feature_extractor_internal_dtype, network.model = torch.float32, model
    return sha256, network.requires_grad_(False), model.embed_dim, 224


def _dino_name(name: str) -> str:
    """Meta's name of a network."""
    return name.replace("-vit-", "_vit").replace("-14", "14")


def _dino_code() -> Path:
    """Where torch.hub keeps the repository at that commit."""
    return _hub() / f"{DINO_REPOSITORY.replace('/', '_')}_{DINO_COMMIT}"


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _folded(network: nn.Module) -> nn.Module:
    """Batch norms folded into the convolutions before them, where a module has them as `conv` and `bn`."""
    module: Any
    for module in network.modules():
        if isinstance(getattr(module, "bn", None), nn.BatchNorm2d):
            module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
    return network
