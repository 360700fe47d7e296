"""Runs the contract on an entrant, however it is given: by the name of a family, a class, a file, or in a suite."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from equibench.conformance.claims import FEW_IMAGES, ClaimResult, found, of_model
from equibench.conformance.mass import TINY, Mass, mass
from equibench.conformance.skeleton import class_name
from equibench.data.parts import Levels, batch_size
from equibench.data.source import Source, of_path
from equibench.errors import UserError
from equibench.hashing import image_digests
from equibench.hub import is_hub_id
from equibench.outside.command import written_by
from equibench.outside.kind import RUNS_CODE, kind_of
from equibench.run import checkpoint
from equibench.run.families import check_sides, resolve_family, validated
from equibench.run.labels import check_labels
from equibench.run.loaded import check_scheduler, saved_generator, saved_pipeline, unsaid
from equibench.suite import Entrant
from equibench.usercode import entry_point, require_consent
from equibench_models import FAMILIES
from equibench_models.contract import Model, Shape
from equibench_models.outside.generator import SavedGenerator

SHAPE = (1, 8, 8)
CLASSES = 3  # of an entrant that is told labels, where no data says how many, and most of which sums are taken
FEW_SAMPLES = 64  # that a command is asked for
SUM = "the probabilities of all images sum to what is claimed"


def named(text: str) -> Entrant:
    """The entrant that is named: a family, an installed entry point, `module:Class`, a path, or a name on the hub.

    Raises UserError.
    """
    if is_hub_id(text):
        return Entrant(name="entrant", load=text)
    if text in FAMILIES or (":" in text and not Path(text).exists()):
        try:
            return Entrant(name="entrant", family=text)
        except ValidationError:
            raise UserError(
                f"{text} names no class; give it as module:Class, such as mine:Mine, without a path or .py"
            ) from None
    if text.endswith(".py"):
        module = Path(text).stem
        example = f"{module}:{class_name(module)}"
        raise UserError(f"{text} is a file of Python; give the class in it as module:Class, such as {example}")
    if Path(text).exists():
        return Entrant(name="entrant", load=str(Path(text).absolute()))
    try:
        installed = entry_point(text)
    except ValueError as error:
        raise UserError(str(error)) from None
    if installed is None:
        raise UserError(
            f"{text} is no family, no installed entry point and no file; give one of these, or your class as "
            "module:Class"
        )
    return Entrant(name="entrant", family=installed)


def validate(entrant: Entrant, shape: Shape = SHAPE, *, allow_code: bool) -> list[ClaimResult]:
    """What becomes of each claim. A family is built with the entrant's config for images of `shape`, trained for a few
    updates and sampled; what is loaded has a shape of its own.

    Raises UserError for what cannot be opened at all, for a mistake in what is said of the entrant, and for code that
    may not run.
    """
    if entrant.command is not None:
        require_consent(f"the command {entrant.command!r}", allow_code)
        return _of_command(entrant.command)
    if entrant.load is None:
        family = resolve_family(entrant.family)
        told = {"config": {"classes": CLASSES, **entrant.config}} if entrant.labels else {}
        entrant = entrant.model_copy(update=told)
        check_labels(entrant, dict(family.config_type.model_fields))
        validated(family.config_type, entrant.config, entrant.name, "config key")
        validated(family.options_type, entrant.sampler, entrant.name, "sampler option")
        check_sides(entrant.family, shape)
        return _of_family(family, entrant.config, shape)
    path = Path(entrant.load)
    kind = kind_of(path)
    if kind == "samples":
        return _of_samples(of_path(path), str(path))
    if kind == "checkpoint":
        model, provenance = checkpoint.load(path, torch.device("cpu"), allow_code)
        checkpoint.check_finite(model, path)
        return [*of_model(model, trains=False), _summed(type(model), provenance.config)]
    if kind == "diffusers":
        pipeline = saved_pipeline(path)
        options = validated(pipeline.options_type, entrant.sampler, entrant.name, "sampler option")
        check_scheduler(pipeline, entrant.name, options)
        return of_model(pipeline, trains=False)
    if entrant.generator is None:
        raise UserError(unsaid(entrant))
    require_consent(f"{path}, {RUNS_CODE[kind]},", allow_code)
    made: list[SavedGenerator] = []

    def opened() -> str:
        model = saved_generator(entrant, TINY)
        given = model.network(torch.zeros(1, *model.config.noise))
        if given.ndim != 4:
            raise ValueError(f"it gives {list(given.shape)}, and not images [B, C, H, W]; let it shape them itself")
        made.append(saved_generator(entrant, (given.shape[1], given.shape[2], given.shape[3])))
        return f"images of {'x'.join(map(str, given.shape[1:]))}"

    first = found("it is opened, and takes noise of the declared shape", opened)
    if not made:
        return [first]
    return [first, _its_noise_alone(made[0]), _its_range(made[0]), *of_model(made[0], trains=False)]


def _its_noise_alone(model: SavedGenerator) -> ClaimResult:
    """Whether one noise gives one image, with other random numbers of torch and beside other noise."""

    def check() -> str:
        noise = torch.randn(FEW_IMAGES, *model.config.noise, generator=torch.Generator().manual_seed(0))
        given = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            given.append(model.images(noise))
        if not torch.equal(*given):
            raise ValueError(
                "one noise gives two images: save it in evaluation mode, where layers such as dropout draw nothing, "
                "and make all noise an input"
            )
        return ""

    return found("an image hangs on its noise alone", check)


def _its_range(model: SavedGenerator) -> ClaimResult:
    """Whether its darkest and brightest values are on both sides of the middle of what was declared. Images that are
    all bright are possible, so that no run refuses them.
    """

    def check() -> str:
        levels = model.sample(FEW_IMAGES, torch.Generator().manual_seed(0))
        low, high = int(levels.min()), int(levels.max())
        if low > 127 or high < 128:
            half, end = ("brighter", "low") if low > 127 else ("darker", "high")
            raise ValueError(
                f"all pixels are in the {half} half, from {low} to {high} of 255: if the network gives values of "
                f"another range than {model.config.low:g} to {model.config.high:g}, declare its {end}"
            )
        return f"pixels from {low} to {high} of 255"

    return found("its values are of the declared range", check)


def _of_family(family: type[Model], config: dict[str, Any], shape: Shape) -> list[ClaimResult]:
    made: list[Model] = []

    def build() -> str:
        torch.manual_seed(0)
        made.append(family.build(config, shape))
        return f"images of {'x'.join(map(str, shape))}"

    first = found("it is built from its config and a shape", build)
    if not made:
        return [first]
    return [first, *of_model(made[0], trains=True), _summed(family, config)]


def _summed(family: type[Model], config: dict[str, Any]) -> ClaimResult:
    """Whether probabilities sum as the family claims, for tiny images and random weights with the same config."""
    if family.likelihood in ("none", "estimate"):
        return ClaimResult(SUM, None, f"its likelihood is declared as {family.likelihood!r}, which claims no sum")
    try:
        torch.manual_seed(0)
        model = family.build(config, TINY)
    except Exception as error:  # of a family that is made for other sizes
        return ClaimResult(SUM, None, f"it cannot be built for images of 1x4x4 ({type(error).__name__})")
    try:
        labels = range(min(model.classes, CLASSES)) if model.classes else [None]
        totals = [mass(model, label=label) for label in labels]
    except Exception as error:  # of an entrant's own code
        return ClaimResult(SUM, False, f"{type(error).__name__}: {str(error)[:200]}")
    results = [_of_sum(family, total) for total in totals]  # of each label; the worst is said
    return next((one for worst in (False, None) for one in results if one.holds is worst), results[0])


def _of_sum(family: type[Model], total: Mass) -> ClaimResult:
    if not total.tells(family.likelihood):
        return ClaimResult(SUM, None, f"the sum is {total}, which is too uncertain to tell")
    claimed = "exactly 1" if family.likelihood == "exact" else "at most 1"
    return ClaimResult(SUM, total.keeps(family.likelihood), f"{total}, and {family.likelihood!r} claims {claimed}")


def _of_command(command: str) -> list[ClaimResult]:
    with tempfile.TemporaryDirectory() as folder:
        written: list[Source] = []

        def run(part: str, seed: int) -> Source:
            return of_path(written_by(command, Path(folder) / part, FEW_SAMPLES, seed))

        def writes() -> str:
            written.append(run("one", 0))
            if written[0].count != FEW_SAMPLES:
                raise ValueError(f"it was asked for {FEW_SAMPLES} images ({{n}}) and wrote {written[0].count}")
            return ""

        first = found("it writes as many samples as it is asked for", writes)
        if first.holds is False or not written:
            return [first]

        def repeats() -> str:
            if (written[0].whole() != run("again", 0).whole()).any():
                raise ValueError("two runs with one seed ({seed}) wrote other images")
            return ""

        def moves() -> str:
            if (written[0].whole() == run("other", 1).whole()).all():
                raise ValueError("another seed ({seed}) wrote the same images")
            return ""

        return [
            first,
            *_of_samples(written[0], "what it wrote"),
            found("the same seed gives the same images", repeats),
            found("the noise matters", moves),
        ]


def _of_samples(read: Source, name: str) -> list[ClaimResult]:
    def levels() -> str:
        seen = Levels()
        for images in read.batches(batch_size(read.shape)):
            seen.see(images)
        seen.check(name)
        return ""

    def differ() -> str:
        batches = read.batches(batch_size(read.shape))
        digests = [digest.tobytes() for images in batches for digest in image_digests(images)]
        copies = len(digests) - len(set(digests))
        if copies > len(digests) // 2:
            raise ValueError(f"{copies:,} of {len(digests):,} are copies of others")
        return f"{copies:,} copies"

    def lossless() -> str:
        if read.lossy:
            raise ValueError(f"{read.lossy}, were compressed with loss, which moves every distance; save PNG files")
        return ""

    shape = "x".join(map(str, read.shape))
    return [
        ClaimResult("they are read as images of one size", True, f"{read.count:,} images of {shape}"),
        found("their values are 8-bit levels", levels),
        found("they are not copies of one another", differ),
        found("they were saved without loss", lossless),
    ]
