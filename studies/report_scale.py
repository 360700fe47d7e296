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

import numpy as np

from equibench.hashing import digest
from equibench.record import files as record_files
from equibench.record.schema import Budget, Curve, DataInfo, Record, SamplerPoint

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fixtures import DATA, NUMBERS, floor, make

DATA_SETS, BUDGETS, SEEDS = 10, 25, 10
POINTS = 100  # of a curve
LIMIT_SEC, LIMIT_BYTES = 60, 2e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", type=int, default=BUDGETS, help="fewer make fewer records")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count = write(Path(folder) / "records", options.budgets)
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


def write(folder: Path, budgets: int) -> int:
    """Write the records; returns how many."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    cells = list(itertools.product(range(DATA_SETS), range(budgets), NUMBERS, range(SEEDS)))
    for data, budget, family, seed in cells:
        _write(folder, _entrant(data, 1e12 * 2 ** (budget / 3), family, seed, generator))
    floors = [(data, *kind) for data in range(DATA_SETS) for kind in (("uniform", 8.0), ("histogram", 4.9))]
    for data, name, bits in floors:
        plain = floor(name, bits=bits)
        _write(folder, plain.model_copy(update={"data": _data(data), "key": digest([data, name])}))
    return len(cells) + len(floors)


def _write(folder: Path, record: Record) -> None:
    """Like `record.files.write`, without its care for interrupted runs, which takes most of the time here."""
    name = record_files.filename(record.entrant, record.seed, record.key)
    (folder / name).write_text(json.dumps(record.model_dump(mode="json")))


def _entrant(data: int, flops: float, family: str, seed: int, generator: np.random.Generator) -> Record:
    plain = make(family, seed)
    assert plain.quality
    distance = float((plain.quality.value or 0) * (1e12 / flops) ** 0.2 * generator.normal(1, 0.05))
    quality = plain.quality.model_copy(update={"value": distance})
    points = [
        SamplerPoint(
            label=f"{steps} steps",
            options={"steps": steps},
            quality=quality.model_copy(update={"value": distance * (1 + 5 / steps), "options": {"steps": steps}}),
            images_per_sec=2000 / steps,
            network_evaluations=steps,
            flops_per_image=1e7 * steps,
        )
        for steps in (5, 10, 20)
    ]
    curve = Curve(
        updates=list(range(POINTS)),
        flops=np.linspace(0, flops, POINTS).tolist(),
        train_sec=np.linspace(0, 60, POINTS).tolist(),
        losses={name: generator.uniform(size=POINTS).tolist() for name in ("loss", "gradient_norm")},
    )
    budget = Budget(params=500_000, unit="flops", amount=flops)
    return plain.model_copy(
        update={
            "key": digest([data, flops, family, seed]),
            "data": _data(data),
            "budget": budget,
            "quality": quality,
            "sampler_points": points,
            "curve": curve,
        }
    )


def _data(data: int) -> DataInfo:
    return DATA.model_copy(update={"name": f"made-up-{data}", "sha256": digest(data)})


if __name__ == "__main__":
    main()
