"""Runs the cells of a suite: data -> train or load -> sample -> measure -> record. The only file that knows this
order, and the only broad `except`: a cell that fails is a record with a reason, and the others go on.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equibench import UserError
from equibench.data.sets import Dataset
from equibench.machine import device as machine
from equibench.machine import energy
from equibench.machine.clock import Clock
from equibench.measure.cost import memory
from equibench.measure.cost import speed as cost
from equibench.measure.features.extractor import Extractor
from equibench.measure.likelihood import annealing, bounds
from equibench.measure.likelihood import bits as likelihood
from equibench.measure.quality import metrics as quality
from equibench.measure.quality import reference
from equibench.record import schema as record
from equibench.record.schema import Likelihood, Quality, Record, Scalar, Status
from equibench.run import checkpoint, sweep
from equibench.run.plan import plan
from equibench.run.train import DivergedError, train
from equibench.suite import Cell, Suite
from equibench_models import FAMILIES, Model

PICTURES = 64  # samples kept for the report
NEIGHBOURS = (
    "The samples nearest to a training image, a row each, and beside each the nearest training images in features."
)
Tell = Callable[[str, float], None]  # (what is being done, share done)


class TimedOutError(Exception):
    """A cell took longer than its suite allows."""


@dataclass(frozen=True)
class Setting:
    """What all cells of one run share."""

    suite: Suite
    data: Dataset
    device: torch.device
    extractor: Extractor
    out: Path
    loaded: Path | None = None  # a checkpoint to measure instead of training

    @cached_property
    def matrix_products(self) -> record.MatrixProducts:
        """The machine's rate, measured once for all cells."""
        return machine.matrix_products(self.device)

    @cached_property
    def counter(self) -> energy.Counter | str:
        """Of energy, or why there is none."""
        return energy.counter(self.device)

    @cached_property
    def reference_features(self) -> NDArray[np.float32]:
        """Of the reference's images: computed once for all cells."""
        return reference.features_of(self._reference_images, self.extractor)

    @cached_property
    def reference(self) -> reference.Reference:
        """The test images as what samples are compared with: computed once for all cells."""
        return reference.of_features("test", self._reference_images, self.reference_features, self.extractor)

    @property
    def _reference_images(self) -> NDArray[np.uint8]:
        return self.data.test[: self.suite.measure.reference_images]

    def test_features(self, n: int) -> NDArray[np.float32]:
        """Those of n test images, of which most are the reference's."""
        chosen, there = quality.drawn(len(self.data.test), n), self.reference_features
        if len(there) == len(self.data.test):
            return there[chosen]
        return reference.features_of(self.data.test[chosen], self.extractor)

    def quality(self, features: NDArray[np.float32], options: Mapping[str, Scalar], whole: bool = True) -> Quality:
        """Sample quality by `features`: all metrics and intervals, or the Frechet distance alone."""
        measure, on_device = self.suite.measure, torch.from_numpy(features).to(self.extractor.device)
        if not whole:
            return quality.measure(on_device, self.reference, self.extractor, options=options)
        return quality.measure(
            on_device,
            self.reference,
            self.extractor,
            options=options,
            splits=measure.splits,
            resamples=measure.resamples,
            also=True,
        )


def run_cell(
    cell: Cell, setting: Setting, tell: Tell = lambda what, share: None, start_sec: float = 0.0
) -> tuple[Path, Record]:
    """The cell's record: the one that is there already, or a new one, written. `start_sec` is what it took to get here:
    the start of the program, or what follows the clock of the cell before. Raises UserError for a user's mistake; any
    other failure becomes the record's status.
    """
    path = record_path(cell, setting)
    if path.exists():
        return path, record.read(path)
    clock = Clock(synchronize=machine.synchronizer(setting.device), before={"start": start_sec})
    limit_sec = setting.suite.cell_limit_sec

    def tell_in_time(what: str, share: float) -> None:
        if limit_sec is not None and (taken_sec := clock.elapsed("start")) > limit_sec:
            raise TimedOutError(f"stopped in {what} after {taken_sec:.3g} s; the suite allows {limit_sec:g} s a cell")
        tell(what, share)

    parts: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    status: Status = "ok"
    reason: str | None = None
    try:
        if cell.entrant is None:
            _measure_floor(cell, setting, clock, parts)
        else:
            _measure_entrant(cell, setting, clock, parts, arrays, tell_in_time)
        if (spent := parts.get("spent")) and cell.budget and not setting.loaded:
            reason = record.budget_missed(cell.budget, spent)
            status = "budget missed" if reason else "ok"
    except UserError:
        raise
    except Exception as error:
        status, reason = _failure(error)
    finished = Record(
        key=_key(cell, setting),
        suite=setting.suite.name,
        entrant=cell.name,
        role="floor" if cell.entrant is None else "entrant",
        family=cell.entrant.family if cell.entrant else None,
        seed=cell.seed,
        status=status,
        reason=reason,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        data=setting.data.info(),
        budget=None if setting.loaded else cell.budget,
        clock=clock.seconds(),
        machine=machine.describe(setting.device),
        versions=machine.versions(),
        code=machine.code(),
        **parts,
    )
    return record.write(finished, setting.out, arrays), finished


def record_path(cell: Cell, setting: Setting) -> Path:
    return setting.out / record.filename(cell.name, cell.seed, _key(cell, setting))


def _key(cell: Cell, setting: Setting) -> str:
    weights = checkpoint.sha256(setting.loaded) if setting.loaded and cell.entrant else None
    return cell.key(setting.data.sha256, setting.extractor.info, machine.describe(setting.device).key, weights)


def _measure_floor(cell: Cell, setting: Setting, clock: Clock, parts: dict[str, Any]) -> None:
    measure = setting.suite.measure
    if cell.name == "real data":
        with clock.part("features"):
            train = reference.features_of(setting.data.train[: measure.samples], setting.extractor)
            _ = setting.reference_features  # computed on first use
        with clock.part("quality"):
            parts["quality"] = setting.quality(train, {})
    else:
        with clock.part("likelihood"):
            test = setting.data.test[: measure.likelihood_images]
            parts["likelihood"] = likelihood.floor(cell.name, setting.data.train, test)


def _measure_entrant(
    cell: Cell, setting: Setting, clock: Clock, parts: dict[str, Any], arrays: dict[str, NDArray[Any]], tell: Tell
) -> None:
    assert cell.entrant is not None
    measure, device, data = setting.suite.measure, setting.device, setting.data
    file = setting.loaded or record_path(cell, setting).with_suffix(".safetensors")
    if file.exists():  # given, or left by a run that was killed after training
        with clock.part("load"):
            model, provenance = checkpoint.load(file, device)
            if provenance.shape != data.shape:
                raise UserError(f"{file} is for images of shape {provenance.shape}, not {data.shape} of {data.name}")
    else:
        with clock.part("build"):
            planned = plan(cell, data.shape)
            torch.manual_seed(_seed(cell.seed, "init"))
            model = FAMILIES[cell.entrant.family].build(planned.config, data.shape).to(device)
            parts["config"] = _scalars(planned.config)
        with clock.part("matrix products"):
            products = setting.matrix_products
        assert cell.budget is not None
        with clock.part("train"):
            torch.manual_seed(_seed(cell.seed, "train"))
            spent, curve = train(
                model,
                data.train,
                cell.budget,
                batch_size=model.config.batch_size,
                flops_per_update=planned.flops_per_update,
                seed=_seed(cell.seed, "order"),
                device=device,
                progress=lambda share: tell("train", share),
                counter=setting.counter,
            )
        with clock.part("write"):
            provenance = checkpoint.Provenance(
                family=cell.entrant.family,
                config=planned.config,
                shape=data.shape,
                data_sha256=data.sha256,
                spent=spent,
                curve=curve,
                matrix_products=products,
            )
            checkpoint.save(file, model, provenance)
    parts |= {
        "config": _scalars(provenance.config),
        "spent": provenance.spent,
        "curve": provenance.curve,
        "matrix_products": provenance.matrix_products,
        "checkpoint": file.name,
        "weights_sha256": checkpoint.sha256(file),
    }
    options = cell.entrant.sampler

    def sampled(n: int, options: Mapping[str, Any], label: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        generator = torch.Generator(device).manual_seed(_seed(cell.seed, "sample"))
        tell(f"sample {label}".strip(), 0.0)
        with clock.part("sample"), machine.autocast(device):
            images = model.sample(n, generator, **options).cpu().numpy()
        with clock.part("features"):
            done = 0

            def count(n: int) -> None:
                nonlocal done
                done += n
                tell(f"features {label}".strip(), done / len(images))

            return images, setting.extractor(images, count)

    images, features = sampled(measure.samples, options, "")
    with clock.part("quality"):
        tell("quality", 0.0)
        parts["quality"] = setting.quality(features, options)
    if n := min(measure.memorization_images, len(data.train), len(data.test)):
        with clock.part("features"):
            known = data.train[quality.drawn(len(data.train), n)]
            theirs, held_out = reference.features_of(known, setting.extractor), setting.test_features(n)
        with clock.part("quality"):
            found, arrays["neighbours"] = quality.memorization(
                torch.from_numpy(features).to(device), images, known, theirs, held_out
            )
            parts["quality"] = parts["quality"].model_copy(update={"memorization": found})
    tell("likelihood", 0.0)
    with clock.part("likelihood"):
        parts["likelihood"], nats = _likelihood(model, setting, _seed(cell.seed, "likelihood"), tell)
    if nats is not None:
        arrays["nats"] = nats
        _more_likelihoods(model, setting, cell.seed, clock, parts, nats, tell)
    if measure.annealing and model.latent_dims:
        tell("annealing", 0.0)
        with clock.part("annealing"):
            parts["decoder_likelihood"] = annealing.measure(
                model, measure.annealing, data.test, device, _seed(cell.seed, "annealing"), partial(tell, "annealing")
            )
    tell("speed", 0.0)
    with clock.part("speed"):
        speed = parts["speed"] = cost.sampling_speed(
            model,
            options,
            device,
            batch_sizes=measure.speed_batch_sizes,
            limit_sec=measure.speed_limit_sec,
            latency_limit_sec=measure.latency_limit_sec,
            other_modes=measure.speed_modes,
            counter=setting.counter,
        )
    tell("memory", 0.0)
    with clock.part("memory"):
        parts["memory"] = memory.peak_memory(
            cell.entrant.family,
            provenance.config,
            data.shape,
            options,
            device,
            train_batch_size=measure.memory_batch_size,
            sample_batch_size=measure.memory_batch_size,
        )
    tell("portrait", 0.0)
    with clock.part("portrait"):
        arrays |= {"samples": images[:PICTURES], "real": data.test[:PICTURES]}
        parts["portrait"] = _portrait(model, setting, _seed(cell.seed, "portrait"), arrays)
    if measure.sampler_points:
        parts["sampler_points"] = sweep.sampler_points(
            model,
            options,
            measure,
            device,
            clock,
            headline=(features, speed),
            features_of=lambda n, options, label: sampled(n, options, f"({label})")[1],
            quality_of=partial(setting.quality, whole=False),
        )


def _likelihood(model: Model, setting: Setting, seed: int, tell: Tell) -> tuple[Likelihood, NDArray[np.float32] | None]:
    if model.likelihood == "none":
        return Likelihood(kind="none", bits_per_dim=None, reason=model.about.abilities["likelihood"]), None
    measure = setting.suite.measure
    nats = bounds.nats(
        model,
        setting.data.test[: measure.likelihood_images],
        torch.Generator(setting.device).manual_seed(seed),
        passes=measure.likelihood_passes,
        progress=partial(tell, "likelihood"),
    )
    bits, stderr = likelihood.summarize(nats, math.prod(setting.data.shape))
    found = Likelihood(
        kind=model.likelihood,
        bits_per_dim=bits,
        stderr_bits_per_dim=stderr,
        dequantization=model.dequantization,
        n_images=nats.shape[1],
        passes=len(nats),
        detail=dict(model.nats_detail),
    )
    return found, nats.mean(axis=0).astype(np.float32)


def _more_likelihoods(
    model: Model,
    setting: Setting,
    seed: int,
    clock: Clock,
    parts: dict[str, Any],
    nats: NDArray[np.float32],
    tell: Tell,
) -> None:
    measure, test = setting.suite.measure, setting.data.test
    with clock.part("more likelihoods"):
        parts["bounds"] = [
            bounds.measure(
                model,
                one,
                test[: len(nats)],
                nats,
                torch.Generator(setting.device).manual_seed(_seed(seed, one.name)),
                partial(tell, one.name),
            )
            for one in measure.bound
            if one.name in model.bounds
        ]
        strange = {}
        for kind in measure.out_of_distribution:
            images = bounds.out_of_distribution(kind, test[: measure.out_of_distribution_images], _seed(seed, kind))
            generator = torch.Generator(setting.device).manual_seed(_seed(seed, "likelihood"))
            found = bounds.nats(model, images, generator, progress=partial(tell, f"likelihood of {kind}"))
            strange[kind] = likelihood.summarize(found, math.prod(setting.data.shape))[0]
        parts["out_of_distribution_bits_per_dim"] = strange


def _portrait(model: Model, setting: Setting, seed: int, arrays: dict[str, NDArray[Any]]) -> record.Portrait:
    few = torch.from_numpy(setting.data.test[:PICTURES]).to(setting.device)
    with machine.autocast(setting.device):
        shown = model.show(few, torch.Generator(setting.device).manual_seed(seed))
    arrays |= {name: picture.cpu().numpy() for name, (_, picture) in shown.pictures.items()}
    return record.Portrait(
        title=model.about.title,
        concept=model.about.concept,
        structure=model.about.structure,
        differs=model.about.differs,
        abilities=dict(model.about.abilities),
        numbers=dict(shown.numbers),
        pictures={name: caption for name, (caption, _) in shown.pictures.items()}
        | ({"neighbours": NEIGHBOURS} if "neighbours" in arrays else {}),
    )


def _failure(error: Exception) -> tuple[Status, str]:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, DivergedError | bounds.NotFiniteError):
        return "diverged", text
    if isinstance(error, TimedOutError):
        return "timed out", text
    if machine.is_out_of_memory(error):
        return "out of memory", text
    return "crashed", f"{type(error).__name__}: {text}"


def _seed(seed: int, purpose: str) -> int:
    """A stream of its own for every purpose, the same for all entrants, so that they differ by what they are alone."""
    return int(record.digest([seed, purpose])[:15], 16)


def _scalars(config: Mapping[str, Any]) -> dict[str, Scalar]:
    return {key: value if isinstance(value, str | int | float | bool) else str(value) for key, value in config.items()}
