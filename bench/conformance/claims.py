"""What the contract asks of any model, one check each: it holds, fails with the reason, or does not apply."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from equibench.errors import first_line
from equibench_models.contract import Model

FEW_IMAGES = 6  # images of a check
MANY_IMAGES = 24  # images that other labels have to change: after few updates they change few levels
UPDATES = 3  # layers that start at zero pass gradients on from the second or third
ROUNDED = 0.01  # share of values that another batch size may turn over


class ClaimResult(NamedTuple):
    """What became of one claim. `holds` is None where it does not apply, or cannot be told, which `why` says."""

    claim: str
    holds: bool | None
    why: str = ""


class _BrokenError(Exception):
    """A claim does not hold, for the reason that it says."""


class _NotApplicableError(Exception):
    """A claim is not one of this model's, for the reason that it says."""


Check = Callable[[Model], str]  # gives a remark, or nothing; raises one of the two


def found(claim: str, check: Callable[[], str]) -> ClaimResult:
    """What a check finds; an error that it meets is the entrant's, and why the claim fails."""
    try:
        return ClaimResult(claim, True, check())
    except _BrokenError as error:
        return ClaimResult(claim, False, str(error))
    except _NotApplicableError as error:
        return ClaimResult(claim, None, str(error))
    except (Exception, SystemExit) as error:  # of an entrant's own code
        return ClaimResult(claim, False, f"{type(error).__name__}: {first_line(error)}")


def of_model(model: Model, trains: bool) -> list[ClaimResult]:
    """What becomes of each claim of the contract. `trains`: it is updated first, as it is to be trained here."""
    updated = [found("an update takes images and changes every parameter", lambda: _updates(model))] if trains else []
    return [*updated, *(found(claim, partial(check, model)) for claim, check in CLAIMS.items())]


def images_for(model: Model, n: int = FEW_IMAGES) -> Tensor:
    """uint8 images `[n, C, H, W]` of random values."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, *model.shape), dtype=torch.uint8, generator=generator).to(_device(model))


def labels_for(model: Model, n: int = FEW_IMAGES) -> list[Tensor]:
    """int64 `[n]`, each class in turn; none for a model without classes."""
    return [torch.arange(n, device=_device(model)) % model.classes] if model.classes else []


def sampled(
    model: Model, n: int = FEW_IMAGES, seed: int = 0, batch_size: int = FEW_IMAGES, **options: object
) -> Tensor:
    """`n` samples from noise of a seed."""
    generator = torch.Generator(_device(model)).manual_seed(seed)
    return model.sample(n, generator, batch_size=batch_size, **options)


def _device(model: Model) -> torch.device:
    return next((one.device for one in model.parameters()), torch.device("cpu"))


def _updates(model: Model) -> str:
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in trained.items()}
    if not trained:
        raise _BrokenError("it has no parameter with requires_grad, so that there is nothing to train")
    for step in range(UPDATES):
        losses = model.update(images_for(model, 8), step / UPDATES, *labels_for(model, 8))
    if not isinstance(losses, dict) or not losses:
        raise _BrokenError(f"update gave {type(losses).__name__}, not a dictionary of losses")
    for name, value in losses.items():
        if not isinstance(value, Tensor) or value.ndim or not bool(value.isfinite()):
            raise _BrokenError(f"the loss {name} is {value!r:.60}, not one finite number as a tensor")
    if still := [name for name, p in trained.items() if torch.equal(p, before[name])]:
        raise _BrokenError(f"{UPDATES} updates left {', '.join(still[:3])} as it was; freeze it, or train it")
    return ""


def _gives_images(model: Model) -> str:
    given = sampled(model)
    if not isinstance(given, Tensor):
        raise _BrokenError(f"sample gave {type(given).__name__}, not a tensor")
    if given.dtype != torch.uint8:
        raise _BrokenError(f"sample gave {given.dtype}, not torch.uint8; scale to 0..255, round, and cast")
    if given.shape != (FEW_IMAGES, *model.shape):
        raise _BrokenError(f"sample gave {list(given.shape)} for {FEW_IMAGES} images of {list(model.shape)}")
    return ""


def _same_seed(model: Model) -> str:
    torch.manual_seed(1)
    one = sampled(model)
    torch.manual_seed(2)
    if not torch.equal(one, sampled(model)):
        raise _BrokenError(
            "two samples from one seed differ: it draws noise from elsewhere than the generator that it is given, or "
            "has layers in training mode, such as dropout"
        )
    return ""


def _noise_matters(model: Model) -> str:
    one, other = sampled(model), sampled(model, seed=1)
    if torch.equal(one, other):
        raise _BrokenError("another seed gives the same images: the noise is frozen, or not used")
    if len({image.numpy().tobytes() for image in one.cpu()}) == 1:
        raise _BrokenError(f"all {FEW_IMAGES} images of a batch are the same: one noise is used for all")
    return ""


def _labels_matter(model: Model) -> str:
    if not model.classes:
        raise _NotApplicableError("it has no classes")
    (labels,) = labels_for(model, MANY_IMAGES)
    one, other = (sampled(model, MANY_IMAGES, labels=(labels + i) % model.classes) for i in (0, 1))
    if torch.equal(one, other):
        raise _BrokenError("other labels with the same noise give the same images: the network does not read them")
    try:
        sampled(model, MANY_IMAGES, labels=torch.full_like(labels, model.classes))
    except ValueError:
        return f"{model.classes} classes"
    raise _BrokenError(f"it samples the label {model.classes}, and has classes 0 to {model.classes - 1}; refuse it")


def _batches(model: Model) -> str:
    whole = sampled(model)
    for batch_size in (1, 4):
        cut = sampled(model, batch_size=batch_size)
        share = float((cut.int() - whole.int()).abs().gt(1).float().mean())
        if share > ROUNDED:
            raise _BrokenError(
                f"batches of {batch_size} give other images ({share:.0%} of their values): draw the noise for all n "
                "before the first batch, and let no layer see the other images of its batch"
            )
    return ""


def _generator_alone(model: Model) -> str:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    sampled(model)
    if not torch.equal(torch.rand(2), expected):
        raise _BrokenError("sample moves torch's default random numbers, on which the next training would hang")
    return ""


def _options(model: Model) -> str:
    if not model.samplers:
        raise _NotApplicableError("it declares no other setting of its sampler")
    usual, passes = sampled(model), []
    for label, options in model.samplers.items():
        model.options_type.model_validate(options)
        other = sampled(model, **options)
        if other.shape != usual.shape or other.dtype != torch.uint8:
            raise _BrokenError(f"with {label} sample gives {other.dtype} {list(other.shape)}")
        if (count := model.network_evaluations(**options)) < 1:
            raise _BrokenError(f"with {label} network_evaluations gives {count}")
        passes.append(count)
    return f"{len(passes)} settings, of {min(passes)} to {max(passes)} passes"


def _parameters(model: Model) -> str:
    there = sum(p.numel() for p in model.parameters())
    needed = model.sampling_parameters()
    if there and not 0 < needed <= there:
        raise _BrokenError(f"sampling_parameters gives {needed:,}, and the model has {there:,}")
    return f"{needed:,} of {there:,}" if there else f"{needed:,}"


def _nats(model: Model) -> str:
    images = images_for(model)

    def once() -> Tensor:
        return model.nats(images, torch.Generator(_device(model)).manual_seed(0), *labels_for(model))

    if model.likelihood == "none":
        try:
            once()
        except NotImplementedError:
            raise _NotApplicableError("it declares no likelihood") from None
        raise _BrokenError("it declares no likelihood, and nats gives one; declare its kind")
    given = once()
    if given.shape != (FEW_IMAGES,) or not bool(given.isfinite().all()):
        raise _BrokenError(f"nats gave {list(given.shape)}, or values that are not finite, for {FEW_IMAGES} images")
    if not torch.equal(given, once()):
        raise _BrokenError("nats gives other values from the same seed: it draws from elsewhere than its generator")
    return model.likelihood


def _shown(model: Model) -> str:
    shown = model.show(images_for(model, 12), torch.Generator(_device(model)).manual_seed(0))
    for name, (caption, picture) in shown.pictures.items():
        if picture.dtype != torch.uint8 or picture.ndim != 5 or not caption:
            raise _BrokenError(f"the picture {name} is {picture.dtype} {list(picture.shape)}, or has no caption")
    return f"{len(shown.numbers)} numbers and {len(shown.pictures)} pictures"


CLAIMS: dict[str, Check] = {
    "samples are uint8 images of the shape": _gives_images,
    "the same seed gives the same bytes": _same_seed,
    "the noise matters": _noise_matters,
    "labels matter": _labels_matter,
    "the batch size changes nothing": _batches,
    "other random numbers are left alone": _generator_alone,
    "other settings of the sampler work": _options,
    "the parameters of sampling are counted": _parameters,
    "likelihoods are one an image, and repeat": _nats,
    "it shows its workings": _shown,
}
