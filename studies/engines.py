"""What the Ray engine adds to the time of a run: 20 cells of `smoke` by one worker on this machine, by each engine in
turn. `python -m studies.engines` on a quiet machine; the target is at most 5 %, start-up apart.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from equibench import suite
from equibench.data import sets
from equibench.engine import on_ray
from equibench.measure.features.load import load_extractor
from equibench.run.loop import run_cells
from equibench.run.session import Session

CELLS, ROUNDS = 20, 2


def session(out: Path) -> Session:
    """Twenty cells of `smoke`, and one before them, which starts what an engine starts once."""
    smoke = suite.load("smoke")
    entrants = len(smoke.entrant)
    chosen = suite.changed(smoke, seeds=list(range(-(-(CELLS + 1) // entrants))))
    cells = [cell for cell in suite.cells(chosen) if cell.entrant is not None][: CELLS + 1]
    data = sets.load(smoke.dataset)
    data = data.limited(smoke.train_images or len(data.train), smoke.test_images or len(data.test))
    device = torch.device("cpu")
    reload = partial(load_extractor, smoke.measure.extractor, device)
    return Session(chosen, data, device, reload(), out, reload=reload, wanted=tuple(cells))


def seconds(engine: str, out: Path) -> float:
    """The seconds of all cells but the first."""
    here, crew = session(out), None
    if engine == "ray":
        on_ray.connect(None)
        node = on_ray.node_of("cpu", torch.get_num_threads(), None, grows=False)
        crew = on_ray.RayCrew(dataclasses.replace(here), node, 1)
        here = crew.session
    begun_sec = 0.0
    for done in run_cells(here, lambda *_: None, crew=crew):
        assert not done.found
        begun_sec = begun_sec or time.monotonic()
    return time.monotonic() - begun_sec


def main() -> None:
    """Print the seconds of each engine, and what Ray adds."""
    taken: dict[str, list[float]] = {"local": [], "ray": []}
    for _ in range(ROUNDS):
        for engine, of in taken.items():
            with tempfile.TemporaryDirectory() as folder:
                of.append(seconds(engine, Path(folder)))
            print(f"{engine}: {of[-1]:.1f} s for {CELLS} cells", flush=True)
    local, ray = (statistics.median(of) for of in taken.values())
    print(f"Ray adds {ray / local - 1:+.1%} to the wall time of one worker.")


if __name__ == "__main__":
    main()
