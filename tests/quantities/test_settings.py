"""Two settings that can give two values never share a signature: every field of a suite is changed, one at a time, and
what changes with it is measured.
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from fixtures import LITE0, make
from pydantic import BaseModel

from equibench import suite
from equibench.cite.printed import parse
from equibench.cite.signature import signature
from equibench.data.sets import Dataset
from equibench.errors import UserError
from equibench.machine import reference
from equibench.machine.device import native_precision
from equibench.machine.load import LoadMeter
from equibench.measure.cost import speed as speed_of
from equibench.measure.features.extractor import Extractor
from equibench.quantities import glossary
from equibench.quantities.identity import look_up
from equibench.quantities.numbers import numbers
from equibench.record.cost import MatrixProducts, Memory, ModeSpeed
from equibench.record.json_schema import _models
from equibench.record.schema import FeatureInfo, Record
from equibench.record.surroundings import Numerics
from equibench.run import arithmetic
from equibench.run.cell import run_here
from equibench.run.families import resolve_family, settings_of
from equibench.run.labels import labelled
from equibench.run.session import Session
from equibench.suite import Cell, Suite

CPU = torch.device("cpu")
OWN_PRECISION = str(native_precision(CPU)).removeprefix("torch.")
PRODUCTS = MatrixProducts(precision=OWN_PRECISION, flops_per_sec={512: 1e11})
TRAIN, TEST = np.random.default_rng(0).integers(0, 256, (2, 120, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(120) % 3
VAE, DIFFUSION = "vae", "diffusion"
SMALL = {one.name: one.config for one in suite.load("smoke").entrant}
BASE = suite.changed(
    suite.load("smoke"),
    train_images=100,
    test_images=110,
    budget=[{"params": 30_000, "unit": "updates", "amount": 8}],
    entrant=[
        {"name": VAE, "family": VAE, "config": SMALL[VAE] | {"batch_size": 8}, "sampler": {}},
        {
            "name": DIFFUSION,
            "family": DIFFUSION,
            "config": SMALL[DIFFUSION] | {"batch_size": 8, "chain_steps": 20},
            "sampler": {"steps": 3},
        },
    ],
    measure={
        **suite.load("smoke").measure.model_dump(),
        "reference_images": 100,
        "memorization_images": 90,
        "speed_batch_sizes": [2, 4],
        "sweep_evaluations": 3,
        "by_class": {"train_images": 100},
        "probes": {"train_images": 100, "test_images": 100},
    },
)
# every field of a suite by its place, with another value for it, and the entrant to see it on
CHOSEN = settings_of(resolve_family(VAE), BASE.entrant[0].config, BASE.entrant[0].sampler)
TUNED = {"trials": 20, "full_runs": 12, "flops": 1e9, "study": "smoke/vae", "chosen": CHOSEN}
OTHER_PRECISION = "bf16" if native_precision(CPU) is torch.float32 else "fp32"
MOVE: dict[str, tuple[Any, str]] = {
    "precision": (OTHER_PRECISION, VAE),
    "compile": (True, VAE),
    "entrant.0.precision": (OTHER_PRECISION, VAE),
    "entrant.0.compile": (True, VAE),
    "dataset": ("others", VAE),
    "train_images": (101, VAE),
    "test_images": (95, VAE),
    "seeds": ([1], VAE),
    "budget.0.params": (40_000, VAE),
    "budget.0.unit": ("images", VAE),
    "budget.0.amount": (9, VAE),
    "entrant.0.name": ("other", VAE),
    "entrant.0.family": ("flow", VAE),
    "entrant.0.config": (SMALL[VAE] | {"batch_size": 8, "learning_rate": 0.0021}, VAE),
    "entrant.1.sampler": ({"steps": 2}, DIFFUSION),
    "entrant.0.labels": (True, VAE),
    "measure.samples": (33, VAE),
    "measure.reference_images": (99, VAE),
    "measure.extractor": ("other", VAE),
    "measure.splits": (3, VAE),
    "measure.resamples": (3, VAE),
    "measure.memorization_images": (80, VAE),
    "measure.sweep_samples": (17, DIFFUSION),
    "measure.along.samples": (23, VAE),
    "measure.along.likelihood_images": (19, VAE),
    "measure.likelihood_images": (99, VAE),
    "measure.likelihood_passes": (2, VAE),
    "measure.out_of_distribution_images": (11, VAE),
    "measure.speed_batch_sizes": ([2, 8], VAE),
    "measure.speed_limit_sec": (0.3, VAE),
    "measure.latency_limit_sec": (0.3, VAE),
    "measure.memory_batch_size": (17, VAE),
    "measure.by_class.train_images": (90, VAE),
    "measure.probes.train_images": (90, VAE),
    "measure.probes.test_images": (90, VAE),
    "measure.bound.0.images": (5, VAE),
    "measure.bound.0.passes": (8, VAE),
    "measure.annealing.images": (3, VAE),
    "measure.annealing.chains": (3, VAE),
    "measure.annealing.temperatures": (5, VAE),
    "measure.annealing.leapfrog_steps": (2, VAE),
    "measure.annealing.sigma": (0.11, VAE),
}
# what may move nothing in a run of few updates: a name, and here a compiler that generates no code
STILL = {"entrant.0.name", "compile", "entrant.0.compile"}
# what decides on which numbers there are, or on nothing of a cell; time parts of the clock apart
KEEP: dict[str, tuple[Any, str]] = {
    "name": ("other", VAE),
    "about": ("other", VAE),
    "entrant.0.tuned": (TUNED, VAE),
    "cuda_graph": (True, VAE),  # where there is no GPU
    "entrant.0.cuda_graph": (True, VAE),
    "cell_limit_sec": (1e6, VAE),
    "checkpoint_sec": (1e6, VAE),
    "measure.sampler_points": (False, VAE),
    "measure.more_extractors": (["pixels"], VAE),
    "measure.along.points": (1, VAE),
    "measure.noise_samples": (9, VAE),  # for `check`, which compares them image by image
    "measure.sweep_evaluations": (2, DIFFUSION),
    "measure.out_of_distribution": (["noise"], VAE),
    "measure.speed_modes": (["compile"], VAE),
    "measure.bound.2.check_steps": (True, DIFFUSION),
    "measure.bound.0.name": ("full chain", VAE),
}
# of entrants that are loaded, which the hash of what they load tells apart (tests/run/test_loaded.py)
NOT_TRAINED = {"entrant.load", "entrant.command", "entrant.generator"}
# what a suite takes over from another, which is all there once it is read (tests/test_extends.py), and further data, on
# which its cells are others (tests/cli/test_several_datasets.py)
TAKEN_OVER = {"extends", "without", "more_datasets"}
# whose fields are looked at
LISTS = {
    "budget",
    "entrant",
    "measure",
    "measure.along",
    "measure.bound",
    "measure.annealing",
    "measure.by_class",
    "measure.probes",
}


def fields_of(model, place=""):
    """Places of all fields of a suite."""
    for name, field in model.model_fields.items():
        at = f"{place}{name}"
        if at in LISTS:
            (inner,) = [one for one in _models(model) if one is not model and one.__name__ in str(field.annotation)][:1]
            yield from fields_of(inner, f"{at}.")
        else:
            yield at


def test_every_field_of_a_suite_is_among_those_that_are_tried():
    tried = {".".join(step for step in place.split(".") if not step.isdigit()) for place in (*MOVE, *KEEP)}
    assert tried == set(fields_of(Suite)) - NOT_TRAINED - TAKEN_OVER


def put(value: Any, place: str, new: Any) -> Any:
    """The value with another one at a place."""
    step, _, rest = place.partition(".")
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, list):
        return [put(item, rest, new) if str(i) == step else item for i, item in enumerate(value)]
    return {**value, step: put(value[step], rest, new) if rest else new}


def toy(name):
    def features(images):
        return images.float().flatten(1)[:, ::16] / (255 if name == "smoke" else 128)

    info = FeatureInfo(name=name, weights_sha256="0" * 64, preprocessing="none", dims=4)
    return Extractor(info, "FD", features, CPU)


def fake_memory(family, config, shape, options, device, *, train_batch_size, sample_batch_size, **_):  # noqa: ARG001
    """Bytes as the settings move them."""
    steps = options.get("steps", 0)
    return Memory(
        quantity="counted",
        train_peak_bytes=1000 * config["batch_size"] + train_batch_size,
        train_batch_size=train_batch_size,
        sample_peak_bytes=1000 * steps + sample_batch_size,
        sample_batch_size=sample_batch_size,
        options=dict(options),
    )


def fake_mode(mode, family, config, shape, options, device, *, batch_size, limit_sec, **_):  # noqa: ARG001
    return ModeSpeed(mode=mode, batch_size=batch_size, images_per_sec=batch_size * limit_sec)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Runs an entrant of a suite, once for each suite; timings are what their settings make them."""
    kept: dict[str, Record] = {}
    weights: dict[str, bytes] = {}

    def sampler(model, options, device, n):  # noqa: ARG001
        return n * (1 + 0.01 * options.get("steps", 0)), n

    def repeats(call, device, warmup, times, limit_sec):  # noqa: ARG001
        return [call[0] * (1 + limit_sec), call[0] * (2 + limit_sec)]

    def throughput(model, options, device, batch_size, limit_sec, counter=None):  # noqa: ARG001
        taken = repeats(sampler(model, options, device, batch_size), device, 0, 0, limit_sec)
        rate = batch_size**1.5 / statistics.median(taken)
        return speed_of.SpeedPoint(batch_size=batch_size, repeats_sec=taken, images_per_sec=rate), speed_of.Energy()

    def run(chosen: Suite, place: str, name: str) -> Record:
        images = (TRAIN[::-1].copy(), TEST) if chosen.dataset == "others" else (TRAIN, TEST)
        data = Dataset("toys", *images, LABELS, LABELS).limited(chosen.train_images, chosen.test_images)
        chosen = labelled(chosen, data)
        entrant = chosen.entrant[0 if name == VAE else 1]
        cell = Cell(chosen, entrant.name, chosen.seeds[0], entrant, chosen.budget[0])
        network = toy("other" if chosen.measure.extractor == "other" else "smoke")
        out = tmp_path_factory.mktemp("out")
        here = Session(
            chosen, data, CPU, network, out, known_products=PRODUCTS, peak_memory=fake_memory, mode_speed=fake_mode
        )
        if place.startswith("measure") and name in weights:  # trained alike
            here.path(cell).with_suffix(".safetensors").write_bytes(weights[name])
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("XDG_CACHE_HOME", str(out))
            for part in (sampler, repeats):
                patched.setattr(speed_of, f"_{part.__name__}", part)
            patched.setattr(speed_of, "throughput", throughput)
            patched.setitem(reference.SIZES, "cpu", reference.WorkSize(1, 4, 4, 1, 1))  # no number here is timed
            patched.setattr(arithmetic, "compiled", partial(arithmetic.compiled, backend="eager"))
            patched.setattr(LoadMeter, "lengthen", LoadMeter.look)  # no number here is of the machine's load
            _, record = run_here(cell, here)
        assert record.status in ("ok", "budget missed"), record.reason
        if not place:
            weights[name] = here.path(cell).with_suffix(".safetensors").read_bytes()
        return record

    def of(place: str, new: Any, name: str) -> Record:
        if not place:
            if name not in kept:
                kept[name] = run(BASE, "", name)
            return kept[name]
        of("", None, name)
        chosen = put(BASE, place, new)
        if place == "entrant.0.family":  # which reads a config of its own
            chosen = put(chosen, "entrant.0.config", SMALL[new] | {"batch_size": 8})
        return run(suite.changed(Suite.model_validate(chosen)), place, name)

    return of


def said(one: Record, path: str) -> dict[str, str]:
    """What a signature says but for the value and the key of the record, which is another for any other suite."""
    text = signature([one], path)
    assert text is not None
    return {key: value for key, value in parse(text).fields.items() if key != "rec"}


def compared(one: Record, other: Record):
    """Numbers of both: path, whether the value is another one, and whether the signature is."""
    for path in sorted(set(numbers(one)) & set(numbers(other))):
        known = glossary.known(path)
        own_time = ("spent.train_sec", "spent.compile", "spent.parts", "clock.", "matrix_products")
        if known and (path.startswith(own_time) or known.path == "along.*.train_sec"):
            continue  # other at every run
        yield path, look_up(one, path) != look_up(other, path), said(one, path) != said(other, path)


@pytest.mark.slow
@pytest.mark.parametrize("place", MOVE)
def test_what_moves_a_number_moves_its_signature(measured, place):
    new, name = MOVE[place]
    base, other = measured("", None, name), measured(place, new, name)
    found = list(compared(base, other))
    assert [path for path, moved, _ in found if moved] or place in STILL
    shared = [path for path, moved, apart in found if moved and not apart]
    assert not shared
    assert said(base, "clock.wall") != said(other, "clock.wall")


@pytest.mark.slow
@pytest.mark.parametrize("place", KEEP)
def test_what_moves_no_number_moves_no_signature(measured, place):
    new, name = KEEP[place]
    base, other = measured("", None, name), measured(place, new, name)
    found = list(compared(base, other))
    assert len(found) > 30
    assert not [path for path, moved, _ in found if moved]
    assert not [path for path, _, apart in found if apart]


FEW = make("vae")


def changed(part: str, **fields: Any) -> Record:
    return make("vae", **{part: getattr(FEW, part).model_copy(update=fields)})


def budgeted(**fields: Any) -> Record:
    return changed("budget", **fields)


def featured(**fields: Any) -> Record:
    return changed("quality", features=LITE0.model_copy(update=fields))


def detailed(**detail: Any) -> Record:
    return changed("likelihood", detail=detail)


def sampled(part: str, **options: Any) -> Record:
    return changed(part, options=options)


def loaded(digits: str) -> Record:
    return make("vae", budget=None, weights_sha256=digits * 32)


AT = {
    "quality": "quality.value",
    "likelihood": glossary.BITS,
    "speed": "speed.images_per_sec",
    "memory": "memory.sample_peak_bytes",
}
NUMERICS = Numerics(threads=2, training="float32", sampling="float32", features="float32", likelihood="float32")
# fields of a record that say with which arithmetic it was made -> the numbers that they move
ARITHMETIC: dict[str, tuple[Any, str]] = {
    "training": ("bfloat16", "quality likelihood speed memory"),
    "sampling": ("bfloat16", "quality speed memory"),
    "features": ("bfloat16", "quality"),
    "likelihood": ("bfloat16", "likelihood"),
    "matmul_precision": ("high", "quality likelihood speed memory"),
    "tf32": (True, "quality likelihood speed memory"),
    "compilation": ("inductor, default", "quality likelihood speed memory"),
    "environment": ({"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}, "quality likelihood speed memory"),
    # these round otherwise at most
    "threads": (1, ""),
    "interop_threads": (1, ""),
    "deterministic": (True, ""),
    "cudnn_benchmark": (True, ""),
}


@pytest.mark.parametrize("field", Numerics.model_fields)
def test_the_arithmetic_of_training_and_of_measuring_is_in_a_signature(field):
    new, moves = ARITHMETIC[field]
    one = FEW.model_copy(update={"numerics": NUMERICS})
    other = FEW.model_copy(update={"numerics": NUMERICS.model_copy(update={field: new})})
    assert [part for part, path in AT.items() if said(one, path) != said(other, path)] == moves.split()


QUALITY, BITS = AT["quality"], AT["likelihood"]
WEIGHTED = "bounds.importance weighting"
SETTINGS = {
    "weights 64 against 8": (
        FEW,
        make("vae", bounds=[FEW.bounds[0].model_copy(update={"passes": 8})]),
        f"{WEIGHTED}.bits_per_dim",
    ),
    "chain": (detailed(chain_steps=1000), detailed(chain_steps=100), BITS),
    "passes": (FEW, changed("likelihood", passes=2), BITS),
    "usual passes": (FEW, changed("likelihood", passes=2), f"{WEIGHTED}.usual_bits_per_dim"),
    "dequantization": (FEW, changed("likelihood", dequantization="uniform"), BITS),
    "precision of the machine alone": (FEW, changed("machine", precision="bfloat16"), BITS),
    "learning rate": (FEW, make("vae", config={"width": 32, "learning_rate": 3e-4}), QUALITY),
    "family": (FEW, make("vae", family="gan"), QUALITY),
    "temperatures": (FEW, changed("decoder_likelihood", temperatures=100), "decoder_likelihood.log_likelihood_nats"),
    "probe": (FEW, featured(probe_sha256="ab" * 32), QUALITY),
    "preprocessing": (FEW, featured(preprocessing="96"), QUALITY),
    "training images of the test of copies": (
        FEW,
        changed("quality", memorization=FEW.quality.memorization.model_copy(update={"n_train": 9})),
        "quality.memorization.share_nearer_train",
    ),
    "training set beside the same test set": (FEW, changed("data", sha256="ab" * 32), QUALITY),
    "lossy": (FEW, changed("data", lossy="JPEG"), QUALITY),
    "a budget in its eighth digit": (FEW, budgeted(amount=2.0000001e13), QUALITY),
    "a cap in its last digit": (FEW, budgeted(params=500_001), QUALITY),
    "a large cap in its last digit": (budgeted(params=35_000_001), budgeted(params=35_000_002), QUALITY),
    "options that read alike": (sampled("quality", a="1, b 2"), sampled("quality", a=1, b=2), QUALITY),
    "options of another kind": (sampled("quality", a="True"), sampled("quality", a=True), QUALITY),
    "sampler of the memory": (sampled("memory", steps=1), sampled("memory", steps=2), AT["memory"]),
    "checkpoint": (loaded("ab"), loaded("cd"), QUALITY),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_other_settings_are_other_signatures_and_no_mean(case):
    one, other, path = SETTINGS[case]
    assert said(one, path) != said(other, path)
    with pytest.raises(UserError, match=r"records of vae differ in .*; cite them apart"):
        signature([one, other.model_copy(update={"seed": 1})], path)


def test_a_mean_over_other_learning_rates_is_refused_by_their_names():
    """As `cite` gave one mean "over seeds"."""
    other = make("vae", 1, config={"width": 32, "learning_rate": 3e-4})
    with pytest.raises(UserError, match=r"differ in config \(learning_rate 0.0002, learning_rate 0.0003\), as seed 0"):
        signature([FEW, other, make("vae", 2)], "quality.value")
