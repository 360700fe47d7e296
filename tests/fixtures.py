"""Records and arrays as a run would leave them, made up but plausible, for the tests of the report side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from equibench.hashing import digest
from equibench.record import cost, schema
from equibench.record import files as record_files
from equibench.record.schema import Record

ROOT = Path(__file__).parent.parent
LITE0 = schema.FeatureInfo(name="EfficientNet-Lite0", weights_sha256="e1" * 32, preprocessing="resize 224", dims=1280)
INCEPTION = schema.FeatureInfo(name="Inception-v3", weights_sha256="f6" * 32, preprocessing="TF 2015", dims=2048)
DATA = schema.DataInfo(name="Fashion-MNIST", sha256="da" * 32, shape=(1, 28, 28), n_train=10_000, n_test=10_000)
BUDGET = schema.Budget(params=500_000, unit="flops", amount=2e13)
MACHINE = schema.Machine(
    key="c0ffee" * 8,
    device="cpu",
    processor="made-up processor",
    cores=8,
    threads=2,
    memory_bytes=16 * 2**30,
    precision="float32",
    system="Linux 6.1",
)
# family: FD, bits/dim, its kind, dequantization, images/s, NFE, peak MiB of training and of sampling, update FLOPs
NUMBERS: dict[str, tuple[float, float | None, str, str | None, float, int, int, int]] = {
    "gan": (41.2, None, "none", None, 2100.0, 1, 310, 140),
    "vae": (96.5, 3.41, "upper bound", "none", 2600.0, 1, 260, 130),
    "flow": (121.0, 2.97, "upper bound", "variational", 640.0, 1, 420, 210),
    "diffusion": (28.4, 3.12, "upper bound", "none", 24.0, 50, 390, 180),
}
LOSSES = {
    "gan": ("generator", "discriminator", "discriminator_accuracy"),
    "vae": ("reconstruction", "kl"),
    "flow": ("nats",),
    "diffusion": ("noise", "bound"),
}
PROSE = {
    "gan": ("Generative adversarial network", "Two networks play a game.", "Generator against discriminator."),
    "vae": (
        "Variational autoencoder",
        "Encode to a distribution, decode from it.",
        "Encoder and decoder, KL to a prior.",
    ),
    "flow": (
        "Normalizing flow",
        "An invertible map from noise to images.",
        "Affine coupling layers in several scales.",
    ),
    "diffusion": (
        "Diffusion model",
        "Learn to undo the adding of noise.",
        "A network that predicts noise, run many times.",
    ),
}


def equibench(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own; `options` are those of `subprocess.run`."""
    command = [sys.executable, "-m", "equibench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def make(like: str, seed: int = 0, /, **changes: Any) -> Record:
    """A record of the family `like`, with any field changed."""
    fd, bits, kind, dequantization, speed, nfe, train_mib, sample_mib = NUMBERS[like]
    shift = 1 + 0.02 * seed
    quality = schema.Quality(
        metric="FD",
        value=fd * shift,
        n_samples=5000,
        n_reference=10_000,
        reference="test",
        features=LITE0,
        stderr=0.8,
        interval=schema.Interval(low=fd * shift - 2, high=fd * shift + 2, level=0.95, method="halves"),
        halves=[fd + 3.0, fd + 1.5, fd + 1.25, fd + 2.75],
        corrected=fd * shift - 1.5,
        corrected_interval=schema.Interval(low=fd * shift - 3.5, high=fd * shift + 0.5, level=0.95, method="pivotal"),
        also=_also(fd),
        memorization=schema.Memorization(share_nearer_train=0.52, stderr=0.03, p=0.25, n_train=5000),
    )
    why = "A GAN samples without a density, so it has no likelihood." if bits is None else None
    fields: dict[str, Any] = {
        "key": digest([like, seed, {name: repr(value) for name, value in changes.items()}]),
        "suite": "quick",
        "entrant": like,
        "family": like,
        "seed": seed,
        "status": "ok",
        "created": "2025-01-01T00:00:00Z",
        "config": {"width": 32, "learning_rate": 2e-4},
        "weights_sha256": digest([like, seed, "weights"]),
        "data": DATA,
        "budget": BUDGET,
        "spent": schema.Spent(
            params=490_000,
            sampling_params=300_000,
            flops=1.998e13,
            flops_per_image=1e8,
            images=199_808,
            updates=1561,
            train_sec=200.0 + seed,
            compile_sec=12.5,
        ),
        "curve": _curve(like, seed),
        "quality": quality,
        "likelihood": schema.Likelihood(
            kind=kind,
            bits_per_dim=None if bits is None else bits + 0.01 * seed,
            stderr_bits_per_dim=None if bits is None else 0.004,
            reason=why,
            dequantization=dequantization,
            n_images=0 if bits is None else 10_000,
            passes=0 if bits is None else 1,
        ),
        "bounds": _bounds(bits + 0.01 * seed) if bits else [],
        "decoder_likelihood": _decoder() if like in ("gan", "vae") else None,
        "out_of_distribution_bits_per_dim": {"constant": 0.5, "noise": 11.0} if bits else {},
        "speed": cost.Speed(
            batch_size=256,
            repeats_sec=[256 / speed] * 5,
            images_per_sec=speed,
            latency_repeats_sec=[0.002 * nfe] * 5,
            latency_p50_sec=0.002 * nfe,
            latency_p90_sec=0.0025 * nfe,
            network_evaluations=nfe,
            flops_per_image=2e7 * nfe,
        ),
        "along": _along(quality, bits, seed),
        "sampler_points": _points(quality) if like == "diffusion" else [],
        "memory": cost.Memory(
            quantity="peak resident above import",
            train_peak_bytes=train_mib * 2**20,
            train_batch_size=128,
            sample_peak_bytes=sample_mib * 2**20,
            sample_batch_size=256,
        ),
        "portrait": _portrait(like),
        "clock": {"data": 1.5, "train": 200.0, "sample": 9.25, "measure": 30.0, "wall": 240.75},
        "machine": MACHINE,
        "versions": {"numpy": "2.0.0", "torch": "2.5.0"},
        "code": schema.Code(commit="abcdef0123456789", dirty=seed == 1, version="0.1.0"),
    }
    return Record(**fields | changes)


def floor(name: str, bits: float | None = None, fd: float | None = None) -> Record:
    """A reference row: bits per dimension or a distance that nobody trained for."""
    quality = fd and schema.Quality(
        metric="FD", value=fd, n_samples=5000, n_reference=10_000, reference="test", features=LITE0
    )
    likelihood = bits and schema.Likelihood(kind="exact", bits_per_dim=bits, dequantization="none", n_images=10_000)
    return make(
        "vae",
        key=digest(name),
        entrant=name,
        role="floor",
        family=None,
        budget=None,
        **dict.fromkeys(("spent", "curve", "speed", "memory", "portrait", "weights_sha256")),
        config={},
        bounds=[],
        decoder_likelihood=None,
        out_of_distribution_bits_per_dim={},
        quality=quality or None,
        likelihood=likelihood or None,
    )


def failed(family: str, seed: int, status: str, reason: str) -> Record:
    """A cell without a result."""
    nothing = dict.fromkeys(
        ("quality", "likelihood", "speed", "memory", "portrait", "weights_sha256", "decoder_likelihood")
    )
    nothing |= {"bounds": [], "out_of_distribution_bits_per_dim": {}}
    return make(family, seed, status=status, reason=reason, sampler_points=[], **nothing)


def everything(seeds: int = 3) -> list[Record]:
    """Four families in several seeds, floors, and two kinds of failure."""
    entrants = [make(family, seed) for family in NUMBERS for seed in range(seeds)]
    floors = [
        floor("uniform", bits=8.0),
        floor("global histogram", bits=5.06),
        floor("per-pixel histogram", bits=4.55),
        floor("3-neighbour table", bits=3.43),
        floor("real data (train against test)", fd=3.1),
    ]
    failures = [
        failed("gan", 8, "diverged", "The generator's loss was not a number at update 412."),
        failed("flow", 9, "out of memory", "A batch of 128 did not fit in 16 GiB."),
    ]
    return [*entrants, *floors, *failures]


def arrays(seed: int = 0, n: int = 36, shape: tuple[int, int, int] = (1, 28, 28)) -> dict[str, np.ndarray]:
    """Samples, real images and the pictures of a portrait: bright discs of random place and size."""
    generator = np.random.default_rng(seed)

    def discs(*lead: int) -> np.ndarray:
        y, x = np.mgrid[: shape[1], : shape[2]]
        where = generator.uniform(8, 20, (*lead, 2, 1, 1))
        radius = generator.uniform(3, 10, (*lead, 1, 1))
        inside = np.hypot(y - where[..., 0, :, :], x - where[..., 1, :, :]) < radius
        return np.repeat(
            (inside * generator.uniform(90, 255, (*lead, 1, 1))).astype(np.uint8)[..., None, :, :], shape[0], -3
        )

    return {"samples": discs(n), "real": discs(n), "interpolation": discs(3, 8)}


def save(records: list[Record], folder: Path, with_arrays: bool = True) -> Path:
    """Write records as a run would; those of entrants with arrays beside them."""
    for index, found in enumerate(records):
        pictured = with_arrays and found.portrait is not None
        record_files.write(found, folder, arrays(index) if pictured else None)
    return folder


def _also(fd: float) -> list[schema.SampleMetric]:
    counts = {"n_samples": 5000, "n_reference": 10_000}
    return [
        schema.SampleMetric(name="KD", value=fd / 100, stderr=0.004, higher_is_better=False, **counts),
        schema.SampleMetric(name="precision", value=0.61, stderr=0.007, higher_is_better=True, **counts),
        schema.SampleMetric(name="recall", value=0.35, higher_is_better=True, **counts),
        schema.SampleMetric(name="density", value=None, reason="It was too few.", higher_is_better=True, **counts),
    ]


def _points(quality: schema.Quality) -> list[schema.SamplerPoint]:
    """A speed knob: more steps, better samples."""
    return [
        schema.SamplerPoint(
            label=f"{steps} steps",
            options={"steps": steps},
            quality=quality.model_copy(update={"value": 25 + 400 / steps, "options": {"steps": steps}}),
            images_per_sec=1200 / steps,
            network_evaluations=steps,
            flops_per_image=2e7 * steps,
        )
        for steps in (5, 10, 25, 100)
    ]


def _along(quality: schema.Quality, bits: float | None, seed: int) -> list[schema.TrainingPoint]:
    """Distances that fall with the square root of what is spent, at 1,300 samples, to half above the headline's."""
    found = []
    for share in (0.25, 0.5, 1.0):
        fewer = {"value": 1.5 * (quality.value or 0.0) / share**0.5, "n_samples": 1300, "halves": [], "interval": None}
        fewer |= {"stderr": None, "corrected": None, "corrected_interval": None, "memorization": None}
        kind = "none" if bits is None else "upper bound"
        found.append(
            schema.TrainingPoint(
                label=f"{100 * share:g} %",
                share=share,
                updates=int(1561 * share),
                images=int(199_808 * share),
                flops=1.998e13 * share,
                train_sec=(200.0 + seed) * share,
                quality=quality.model_copy(update=fewer),
                likelihood=schema.Likelihood(
                    kind=kind,
                    bits_per_dim=bits and bits + 0.5 * (1 - share),
                    reason="It has no likelihood." if bits is None else None,
                    n_images=500 if bits else 0,
                    passes=1 if bits else 0,
                ),
            )
        )
    return found


def _bounds(bits: float) -> list[schema.BoundResult]:
    return [
        schema.BoundResult(
            name="importance weighting",
            about="-log of the mean of K weights",
            kind="upper bound",
            bits_per_dim=bits - 0.05,
            stderr_bits_per_dim=0.03,
            dequantization="none",
            n_images=64,
            passes=4,
            usual_bits_per_dim=bits + 0.001,
            stderr_of_difference_bits_per_dim=0.0021,
            curve={1: bits, 2: bits - 0.03, 4: bits - 0.05},
        )
    ]


def _decoder() -> schema.DecoderLikelihood:
    return schema.DecoderLikelihood(
        sigma=0.1,
        n_images=16,
        chains=8,
        temperatures=500,
        leapfrog_steps=10,
        acceptance=0.65,
        log_likelihood_nats=512.34,
        stderr_nats=12.3,
        simulated_lower_nats=600.5,
        simulated_upper_nats=602.25,
    )


def _curve(family: str, seed: int) -> schema.Curve:
    updates = list(range(50, 1561, 50))
    wave = np.random.default_rng(seed).normal(0, 0.01, len(updates))
    falling = 0.3 + np.exp(-np.arange(len(updates)) / 8) + wave
    return schema.Curve(
        updates=updates,
        flops=[1.28e10 * u for u in updates],
        train_sec=[0.128 * u for u in updates],
        losses={name: (falling / (1 + i)).tolist() for i, name in enumerate(LOSSES[family])},
    )


def _portrait(family: str) -> schema.Portrait:
    title, concept, structure = PROSE[family]
    return schema.Portrait(
        title=title,
        concept=concept,
        structure=structure,
        differs="It is none of the other three.",
        abilities={"likelihood": NUMBERS[family][2], "encodes": "no" if family == "gan" else "yes", "steps": "one"},
        numbers={"diversity": 0.5 + len(family) / 100, "reconstruction_mse": 0.0123},
        pictures={"interpolation": "From one image to another, a row a pair."},
    )
