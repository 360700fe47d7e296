"""Kills runs at random moments and lets them go on: does any value differ from those of a run that nothing disturbed?
Writes docs/kills.md.

    python -m studies.kills --kills 60

Each life of a run ends by a signal after a random time: SIGKILL of the program alone, of the program and all that it
started, SIGTERM, or Ctrl-C. What it left is gone on from until the suite is finished, then compared, and begun anew.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
PAGE, SUITE = ROOT / "docs" / "kills.md", Path(__file__).with_name("kills.toml")
WAYS = ("SIGKILL", "SIGKILL to all", "SIGTERM", "SIGINT")
LONGEST_LIFE_SEC = 25.0
# fields whose numbers are times, or are of the machine: no two runs have them alike
OF_TIME = {
    "created", "clock", "train_sec", "parts_sec", "energy", "speed", "memory", "matrix_products", "images_per_sec",
    "code", "arrays_sha256", "content_sha256", "timed", "invocation", "attempts",
}  # fmt: skip

INTRODUCTION = """# Runs that are killed

`python -m studies.kills --kills {kills}` wrote this page. The suite `studies/kills.toml` trains the four families and
measures them; trainings are kept every half second. A run of it is ended by a signal after a random time, of up to
{longest:.0f} s, and started again with the same command, until it is finished; then its records, samples and weights
are compared with those of a run that nothing disturbed, and it begins anew in an empty folder.

{many} signals over {finished} finished runs, {values:,} values compared (all of a record but times, speeds and memory,
and every array and weight): **{different} differ**. Files left unfinished beside the records: {partial}.

| what was going on | {ways} |
| :--- | {dashes} |
{rows}

Of the time of training, what keeping it takes: {share:.2%} at most in these runs, which keep it 120 times as often as
by default.
"""


def main(kills: int, seed: int) -> None:
    """Writes the page; exits with 1 where a value differs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell starts in the background
    generator = random.Random(seed)
    counts: Counter[tuple[str, str]] = Counter()
    finished = values = told = 0
    different: list[str] = []
    partial: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        whole, cut = Path(temporary, "whole"), Path(temporary, "cut")
        start(whole).communicate()
        while sum(counts.values()) < kills or cut.exists():
            run = start(cut)
            done = sum(counts.values()) >= kills or not ended(run, generator, cut, counts)
            if done:
                run.communicate()
                if run.returncode:
                    different.append(f"a run ended with {run.returncode}")
                compared, differing = compare(whole, cut)
                values, finished, different = values + compared, finished + 1, different + differing
                partial += [file.name for file in cut.rglob("*.partial")]
                shutil.rmtree(cut)
            print(f"{sum(counts.values())} kills, {finished} finished, {len(different)} differ", flush=True)
            for line in different[told:]:
                print(line, flush=True)
            told = len(different)
        share = max(map(cost, whole.glob("*.json")))
    rows = [
        f"| {phase} | " + " | ".join(str(counts[phase, way]) for way in WAYS) + " |"
        for phase in sorted({phase for phase, _ in counts})
    ]
    PAGE.write_text(
        INTRODUCTION.format(
            kills=kills, longest=LONGEST_LIFE_SEC, many=sum(counts.values()), finished=finished, values=values,
            different=len(different) or "none", partial=", ".join(partial) or "none", ways=" | ".join(WAYS),
            dashes=" | ".join("---:" for _ in WAYS), rows="\n".join(rows), share=share,
        )
    )  # fmt: skip
    sys.exit(bool(different or partial))


def start(out: Path) -> subprocess.Popen[bytes]:
    """A run of the suite into `out`, in a group of its own, as of a terminal."""
    command = [sys.executable, "-m", "equibench", "run", str(SUITE), "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)


def ended(run: subprocess.Popen[bytes], generator: random.Random, out: Path, counts: Counter[tuple[str, str]]) -> bool:
    """Whether the run was ended by a signal, after a random time, before it was finished."""
    try:
        run.wait(generator.uniform(0.5, LONGEST_LIFE_SEC))
        return False
    except subprocess.TimeoutExpired:
        pass
    way = generator.choice(WAYS)
    counts[phase(out), way] += 1
    family = psutil.Process(run.pid).children(recursive=True)
    if way == "SIGKILL to all":
        for one in [psutil.Process(run.pid), *family]:
            with_no_error(one)
    else:
        run.send_signal(signal.Signals[way.split()[0]])
    run.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, f"{way} left processes: {alive}"
    return True


def with_no_error(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:
        return


def phase(out: Path) -> str:
    """What the run was doing, by what it had kept of the cell that it last worked on."""
    beats = sorted(out.glob(".cells/*/beat-*"), key=lambda file: file.stat().st_mtime)
    if not beats:
        return "between cells"
    cell = beats[-1].parent
    done = json.loads((cell / "progress.json").read_bytes())["done"] if (cell / "progress.json").exists() else []
    if done:
        return f"measuring, {done[-1].replace('_', ' ')} done"
    return "training" if (cell / "training").exists() else "start, or first stage"


def compare(whole: Path, cut: Path) -> tuple[int, list[str]]:
    """How many values were compared, and which differ."""
    import numpy as np
    from safetensors.numpy import load_file

    compared, different = 0, []
    names = sorted(file.name for file in whole.iterdir() if file.is_file())
    others = sorted(file.name for file in cut.iterdir() if file.is_file())
    if names != others:
        different.append(f"other files: {sorted(set(names) ^ set(others))}")
    for name in names:
        if not (cut / name).exists():
            continue
        if name.endswith(".json"):
            one, other = (dict(flat(json.loads((folder / name).read_bytes()))) for folder in (whole, cut))
            compared += len(one)
            different += [
                f"{name}: {key} is {other.get(key)!r}, not {one.get(key)!r}"
                for key in one.keys() | other.keys()
                if one.get(key) != other.get(key)
            ]
            continue
        read = load_file if name.endswith(".safetensors") else np.load
        one, other = (dict(read(folder / name)) for folder in (whole, cut))
        compared += sum(array.size for array in one.values())
        different += [f"{name}: {key}" for key in one if one[key].tobytes() != other[key].tobytes()]
    return compared, different


def flat(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """A record's values by their paths, those of time left out."""
    if isinstance(value, dict):
        return [pair for key, item in value.items() if key not in OF_TIME for pair in flat(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [pair for number, item in enumerate(value) for pair in flat(item, f"{path}[{number}]")]
    return [(path, value)]


def cost(record: Path) -> float:
    """The share of a training's time that keeping it took."""
    spent = json.loads(record.read_bytes())["spent"]
    return spent["parts_sec"].get("checkpoint", 0.0) / spent["train_sec"] if spent else 0.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.kills, options.seed)
