"""A feature network by its name. Each has one preprocessing function.

All give the same function as their sources to float32 rounding (channels last, batch norms folded); bfloat16 does not,
and is another feature space by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from equibench.errors import UserError, nearest
from equibench.measure.features.efficientnet import efficientnet
from equibench.measure.features.extractor import Extractor
from equibench.measure.features.names import BFLOAT16, EXTRACTORS, OWN
from equibench.measure.features.own import function, torchscript
from equibench.measure.features.pixels import pixels
from equibench.measure.features.torch_fidelity import find_inception, of_torch_fidelity
from equibench.usercode import require_consent


def load_more(
    names: Sequence[str],
    device: torch.device,
    weights: Path | None = None,
    download: bool = False,
    allow_code: bool = False,
) -> tuple[Extractor, ...]:
    """Several extractors, as `load_extractor` gives each; `weights` are for those that are Inception. Raises
    UserError.
    """
    given = {"auto": weights, "inception-v3": weights}
    return tuple(
        load_extractor(name, device, given.get(name.removesuffix(BFLOAT16)), download, allow_code) for name in names
    )


def load_extractor(
    name: str,
    device: torch.device,
    weights: Path | None = None,
    download: bool = False,
    allow_code: bool = False,
) -> Extractor:
    """The extractor `name`: one of EXTRACTORS, with `+bf16` behind it for bfloat16, or the user's own, a TorchScript
    file or `module:function`. `auto` is Inception where its weights are at hand and EfficientNet-Lite0 otherwise.
    `weights` is a file for those that torch-fidelity builds, instead of torch's cache; `download` fetches what is not
    in the cache, but never changes what `auto` means. `allow_code`: files of a format that can run code may be opened;
    for `module:function` the name itself is consent.

    Raises UserError for an unknown name, for weights that are not there or are not the network's, and for code that may
    not run.
    """
    plain = name.removesuffix(BFLOAT16)
    if plain == "auto":
        plain = "inception-v3" if find_inception(weights) else "efficientnet-lite0"
    if weights is not None and (plain in ("efficientnet-lite0", "pixels") or plain not in EXTRACTORS):
        raise UserError(f"--inception-weights is for inception-v3, not for {plain}; leave one of the two out")
    if plain not in EXTRACTORS:
        if Path(plain).suffix in (".pt", ".pth"):
            if Path(plain).is_file():
                require_consent(f"{plain}, a TorchScript file,", allow_code)
            return torchscript(Path(plain), device, name.endswith(BFLOAT16))
        if ":" in plain:
            return function(plain, device, name.endswith(BFLOAT16))
        raise UserError(f"unknown extractor {name!r}{nearest(plain, EXTRACTORS)}, or give {OWN}")
    if plain == "pixels":
        if name.endswith(BFLOAT16):
            raise UserError(f"pixels are features without a network, which bfloat16 would run; leave {BFLOAT16} out")
        return pixels(device)
    if plain == "efficientnet-lite0":
        return efficientnet(device, name.endswith(BFLOAT16))
    return of_torch_fidelity(plain, device, weights, name.endswith(BFLOAT16), download, allow_code)
