"""Does a report on 10,000 records stay within 60 seconds and 2 GB? Makes them up, and measures one.

    python -m studies.report_scale

Ten data sets, 25 budgets, four entrants, ten seeds, each with training curves of 100 points and three sampler settings;
the floors of each data set besides. The report runs in a fresh process, whose time and peak memory are printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from equibench.hashing import digest
from equibench.record import files as record_files
from equibench.record.schema import FeatureInfo, Machine, Record

DATA_SETS, BUDGETS, SEEDS = 10, 25, 10
ENTRANTS = {"gan": 400.0, "vae": 1100.0, "flow": 940.0, "diffusion": 700.0}  # family: about its distance
POINTS = 100  # of a curve
LIMIT_SEC, LIMIT_BYTES = 60, 2e9
LITE0 = FeatureInfo(name="EfficientNet-Lite0", weights_sha256="e1" * 32, preprocessing="resize 224", dims=1280)
MACHINE = Machine(
    key="c0ffee" * 8,
    device="cpu",
    processor="made-up processor",
    cores=2,
    threads=2,
    memory_bytes=16 * 2**30,
    precision="float32",
    system="Linux",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", type=int, default=BUDGETS, help="fewer make fewer records")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count = make(Path(folder) / "records", options.budgets)
        seconds, busy, peak, size = measure(Path(folder) / "records", Path(folder) / "out")
    print(
        f"{count:,} records: {seconds:.1f} s ({busy:.1f} s of the processor), {peak / 1e9:.2f} GB at the peak, "
        f"the page {size / 1e6:.1f} MB"
    )
    if seconds > LIMIT_SEC or peak > LIMIT_BYTES:
        sys.exit(f"the limits are {LIMIT_SEC} s and {LIMIT_BYTES / 1e9:g} GB")


def measure(records: Path, out: Path) -> tuple[float, float, int, int]:
    """Wall and processor seconds and peak resident bytes of a report in its own process, and the size of its page."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "equibench", "report", records, "--out", out], check=True)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = used.ru_maxrss * 1024  # Linux counts in KiB
    return seconds, used.ru_utime + used.ru_stime, peak, (out / "index.html").stat().st_size


def make(folder: Path, budgets: int) -> int:
    """Write the records; returns how many."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    cells = list(itertools.product(range(DATA_SETS), range(budgets), ENTRANTS, range(SEEDS)))
    for data, budget, entrant, seed in cells:
        _write(folder, _entrant(data, 1e12 * 2 ** (budget / 3), entrant, seed, generator))
    kinds = (("uniform", 8.0), ("histogram", 4.9))
    floors = [_floor(data, *kind) for data in range(DATA_SETS) for kind in kinds]
    for floor in floors:
        _write(folder, floor)
    return len(cells) + len(floors)


def _write(folder: Path, content: dict[str, Any]) -> None:
    """As `record.write` does, without its care for interrupted runs, which takes most of the time here."""
    name = record_files.filename(content["entrant"], content["seed"], content["key"])
    text = json.dumps(Record.model_validate(content).model_dump(mode="json"))
    (folder / name).write_text(text)


def _entrant(data: int, flops: float, entrant: str, seed: int, generator: np.random.Generator) -> dict[str, Any]:
    distance = ENTRANTS[entrant] * (1e12 / flops) ** 0.2 * generator.normal(1, 0.05)
    metric = {"metric": "FD", "n_samples": 5000, "n_reference": 10_000, "reference": "test", "features": LITE0}
    interval = {"low": distance - 9, "high": distance + 9, "level": 0.95, "method": "halves"}
    counts = {"n_samples": 5000, "n_reference": 10_000}
    also = [
        {"name": name, "value": generator.uniform(), "stderr": 0.01, "higher_is_better": name != "KD", **counts}
        for name in ("KD", "precision", "recall", "density", "coverage")
    ]
    points = [
        {
            "label": f"{steps} steps",
            "options": {"steps": steps},
            "quality": {**metric, "value": distance * (1 + 5 / steps), "options": {"steps": steps}},
            "images_per_sec": 2000 / steps,
            "network_evaluations": steps,
            "flops_per_image": 1e7 * steps,
        }
        for steps in (5, 10, 20)
    ]
    bits = None if entrant == "gan" else 3.2 + generator.normal(0, 0.02)
    likelihood = {
        "kind": "upper bound" if bits else "none",
        "bits_per_dim": bits,
        "stderr_bits_per_dim": 0.01 if bits else None,
        "reason": None if bits else "no density",
        "n_images": 10_000,
    }
    repeats = generator.uniform(0.1, 0.11, 10).tolist()
    speed = {"batch_size": 64, "repeats_sec": repeats, "images_per_sec": 640.0, "latency_repeats_sec": repeats}
    speed |= {"latency_p50_sec": 0.1, "latency_p90_sec": 0.11, "network_evaluations": 1, "flops_per_image": 1e7}
    memory = {"quantity": "peak resident above import", "train_peak_bytes": 10**8, "train_batch_size": 64}
    memory |= {"sample_peak_bytes": 10**7, "sample_batch_size": 64}
    spent = {"params": 490_000, "sampling_params": 300_000, "flops": 0.99 * flops, "flops_per_image": 1e8}
    spent |= {"images": int(flops / 1e8), "updates": int(flops / 6.4e9) + 1, "train_sec": 60.0}
    curve = {
        "updates": list(range(POINTS)),
        "flops": np.linspace(0, flops, POINTS).tolist(),
        "train_sec": np.linspace(0, 60, POINTS).tolist(),
        "losses": {name: generator.uniform(size=POINTS).tolist() for name in ("loss", "gradient_norm")},
    }
    measured = {"quality": {**metric, "value": distance, "interval": interval, "also": also, "stderr": 4.0}}
    measured |= {"likelihood": likelihood, "speed": speed, "memory": memory, "spent": spent, "curve": curve}
    budget = {"params": 500_000, "unit": "flops", "amount": flops}
    key = digest([data, flops, entrant, seed])
    own = {"entrant": entrant, "family": entrant, "seed": seed, "config": {"width": 32}, "sampler_points": points}
    return {**_common(data, key), **own, "budget": budget, **measured}


def _floor(data: int, name: str, bits: float) -> dict[str, Any]:
    likelihood = {"kind": "exact", "bits_per_dim": bits, "n_images": 10_000}
    own = {"entrant": name, "role": "floor", "seed": 0, "likelihood": likelihood}
    return {**_common(data, digest([data, name])), **own}


def _common(data: int, key: str) -> dict[str, Any]:
    about = {"name": f"made-up-{data}", "sha256": digest(data), "shape": (1, 28, 28)}
    return {
        "key": key,
        "suite": "scale",
        "status": "ok",
        "created": "2025-01-01T00:00:00Z",
        "data": {**about, "n_train": 10_000, "n_test": 10_000},
        "clock": {"train": 60.0, "sample": 5.0, "measure": 20.0, "wall": 85.0},
        "machine": MACHINE,
        "versions": {"numpy": "2.0.0", "torch": "2.5.0"},
        "code": {"commit": "abcdef0123456789", "dirty": False, "version": "0.1.0"},
    }


if __name__ == "__main__":
    main()
