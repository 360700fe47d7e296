"""Several cells at once on this machine, each with a device of its own, or with its share of the processor's cores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from multiprocessing.connection import wait
from pathlib import Path

import torch

from equibench.engine.lane import Errand, Lane, calling
from equibench.errors import UserError
from equibench.machine.cores import usable_cores
from equibench.machine.device_lock import forget_device_locks
from equibench.run.crew import Word
from equibench.run.session import Session
from equibench.suite import Cell

VISIBLE = "CUDA_VISIBLE_DEVICES"


class LaneCrew:
    """A crew of `workers` lanes, each started with its first cell. Raises UserError where this machine has not the
    cores or devices for them.
    """

    def __init__(self, session: Session, workers: int) -> None:
        self.places = workers
        self._environments = _environments(session.device, workers)
        self._session = session
        self._calling = calling(session, "own" if session.device.type == "cuda" else "cpu")
        self._lanes: dict[int, Lane] = {}
        self._at: dict[int, Path] = {}  # the cell that each lane does
        self._doing: dict[Path, tuple[str, float]] = {}

    def begin(self, cell: Cell, path: Path) -> None:
        place = next(one for one in range(self.places) if one not in self._at)
        if place not in self._lanes:
            self._lanes[place] = Lane(self._calling, self._environments[place])
        self._lanes[place].begin(Errand(cell, self._session.identity(cell)))
        self._at[place], self._doing[path] = path, ("start", 0.0)

    def listen(self, sec: float) -> list[Word]:
        ends = {self._lanes[place].end: place for place in self._at}
        return [self._word(ends[end]) for end in wait(list(ends), sec) if end in ends]

    def doing(self, path: Path) -> tuple[str, float]:
        return self._doing[path]

    def drop(self, path: Path) -> None:
        (place,) = (one for one, there in self._at.items() if there == path)
        del self._at[place]
        lane = self._lanes.pop(place)
        lane.ask_to_stop()
        lane.stop()

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.ask_to_stop()
        for lane in self._lanes.values():
            lane.stop()
        self._lanes.clear()
        forget_device_locks(self._session.invocation)

    def _word(self, place: int) -> Word:
        path, said = self._at[place], self._lanes[place].hear()
        if "mistake" in said:
            raise UserError(said["mistake"])
        if "done" in said:
            del self._at[place]
            return Word(Path(said["done"]), "done", 1.0, done=True)
        self._doing[path] = said["doing"], said["share"]
        return Word(path, *self._doing[path])


def _environments(device: torch.device, workers: int) -> list[Mapping[str, str]]:
    """The environment variables of each lane; on GPUs each lane sees one of them. Raises UserError."""
    if device.type == "cuda":
        seen = os.environ.get(VISIBLE) or ",".join(map(str, range(torch.cuda.device_count())))
        devices = seen.split(",")
        if device.index is not None:
            raise UserError(f"--device {device} is one GPU, and {workers} workers take one each; give --device cuda")
        if workers > len(devices):
            raise UserError(f"{workers} workers take as many GPUs, and there are {len(devices)}; give fewer --workers")
        return [{**os.environ, VISIBLE: one} for one in devices[:workers]]
    cores, threads = usable_cores(), torch.get_num_threads()
    if workers * threads > cores:
        raise UserError(
            f"{workers} workers of {threads} threads each take {workers * threads} cores, and there are {cores}; give "
            "fewer --workers or --threads"
        )
    return [dict(os.environ)] * workers
