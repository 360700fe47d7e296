"""Cells as tasks of a Ray cluster: on each node a task has a lane do them, with the cores and GPU that it asked for.

Ray does a task again whose node is lost; what a cell's own code does never ends its task. A node that sees the run's
folder works there, and goes on from what a lost one kept; any other works in a folder of its own and gives the files
back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from equibench import atomic
from equibench.engine.lane import Calling, Errand, Lane, calling
from equibench.engine.local import VISIBLE
from equibench.engine.sent import cleared, files_of, laid_down, loading_from
from equibench.errors import UserError, first_line
from equibench.machine.device import resolve_device
from equibench.machine.device_lock import device_lock_of, forget_device_locks
from equibench.machine.provenance import describe_machine
from equibench.run.crew import Word
from equibench.run.session import Session
from equibench.run.status import UNFINISHED
from equibench.run.taking import writing
from equibench.run.weights import set_aside_unfit, weights_of
from equibench.suite import Cell

MOST_LOSSES = 3  # of nodes, before a cell is not tried again
STOP_SEC = 30.0  # for tasks that were asked to stop
LOOK_SEC = 0.5  # between two looks of a task at whether it should stop
MARK_AMOUNT = 0.001  # of a custom resource: it marks a node and is not used up
# read by libraries as they start, and set by Ray for its workers: the number of threads decides on the last digits
OF_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_WAIT_POLICY")
SUFFIXES = (".safetensors", ".npz", ".json")  # of a cell's files; the record, which says that it is done, comes last

_lane: tuple[tuple[str, ...], Lane] | None = None  # of a worker of Ray's: what it is for, and the lane


@dataclasses.dataclass(frozen=True)
class Node:
    """Which nodes a cell runs on, and how much of one it takes."""

    device: str  # "auto", "cpu" or "cuda"
    threads: int
    name: str | None = None  # a custom resource that they have

    @property
    def words(self) -> str:
        """What a node must have, to be read."""
        cores = "1 core" if self.threads == 1 else f"{self.threads} cores"
        return f"{cores}{' and a GPU' if self.device == 'cuda' else ''}{f', marked {self.name}' if self.name else ''}"

    def resources(self) -> dict[str, Any]:
        """What a task needs, as options for Ray."""
        marked = {self.name: MARK_AMOUNT} if self.name else {}
        return {"num_cpus": self.threads, "num_gpus": int(self.device == "cuda"), "resources": marked}


def connect(address: str | None) -> None:
    """Join the cluster, or start Ray on this machine alone; does nothing where this process has joined one. Raises
    UserError.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    # of a Ray that starts here: its tasks would let every other process go first, and what they time would be theirs
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError:
        raise UserError("--engine ray takes Ray; install it with `pip install 'equibench[cluster]'`") from None
    if ray.is_initialized():
        return
    own: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        # without an address Ray would join any cluster that was started on this machine
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # of many kinds: no such address, another version, a folder of too long a name
        where = f"the Ray cluster at {address} cannot be joined" if address else "Ray does not start on this machine"
        raise UserError(f"{where} ({type(error).__name__}: {first_line(error)})") from None


def node_of(device: str, threads: int, name: str | None, grows: bool) -> Node:
    """What a cell asks for. Raises UserError for a device that no task has, and where no node has what a
    cell asks for and the cluster never `grows`.
    """
    import ray

    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"--engine ray gives each cell a GPU of its own; give --device cuda, not {device}")
    there = ray.cluster_resources()
    node = Node(("cuda" if there.get("GPU") else "cpu") if device == "auto" else device, threads, name)
    asked = {"CPU": threads, "GPU": int(node.device == "cuda"), **({name: MARK_AMOUNT} if name else {})}
    fits = (all(one["Resources"].get(what, 0) >= many for what, many in asked.items()) for one in ray.nodes())
    if not grows and not any(fits):
        raise UserError(f"no node of the cluster has {node.words}; give fewer --threads, or other nodes")
    return node


class RayCrew:
    """A crew of tasks, at most `workers` at once, or as many as the cluster has places for. Waits for a first node, by
    which the session that it takes is that of a machine of this kind. Raises UserError.
    """

    def __init__(self, session: Session, node: Node, workers: int | None) -> None:
        import ray

        self.places = workers or 10**6
        self._do = ray.remote(_do).options(max_retries=MOST_LOSSES, **node.resources())
        asking = ray.remote(_machine).options(max_retries=MOST_LOSSES, **node.resources())
        try:
            key = ray.get(asking.remote(node.device, node.threads))
        except ray.exceptions.RayError as error:
            raise UserError(f"no node of the cluster answers ({first_line(error)})") from None
        self.session = dataclasses.replace(session, machine_key=key, device=torch.device(node.device))
        self._token = secrets.token_hex(8)
        self._mark = session.out.absolute() / UNFINISHED / f"shared-{session.invocation}"
        atomic.write(self._mark, self._token.encode())
        sent = dataclasses.replace(self.session, out=session.out.absolute())
        common = dataclasses.replace(calling(sent, "own"), threads=node.threads)
        variables: Mapping[str, str | None] = {name: os.environ.get(name) for name in OF_THREADS}
        self._common = ray.put((common, str(self._mark), self._token, variables))
        self._tasks: dict[Any, tuple[Cell, Path]] = {}

    def begin(self, cell: Cell, path: Path) -> None:
        kept = weights_of(path)
        with writing(kept):  # what a node trains in their place would not replace them here
            set_aside_unfit(kept, cell, self.session)
        files = {kept.name: kept.read_bytes()} if kept.exists() else {}
        task = self._do.remote(
            self._common,
            loading_from(cell, Path.absolute),
            self.session.identity(cell),
            path.name,
            files | files_of(cell, path.stem),
        )
        self._tasks[task] = cell, path

    def listen(self, sec: float) -> list[Word]:
        import ray

        ready, _ = ray.wait(list(self._tasks), timeout=sec)
        return [self._done(task) for task in ready]

    def doing(self, path: Path) -> tuple[str, float]:  # noqa: ARG002 (a task says nothing until it ends)
        return "on the cluster", 0.0

    def drop(self, path: Path) -> None:
        import ray

        for task in [task for task, (_, there) in self._tasks.items() if there == path]:
            ray.cancel(task)
            del self._tasks[task]

    def close(self) -> None:
        import ray

        for task in self._tasks:
            ray.cancel(task)
        if self._tasks:
            ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=STOP_SEC, fetch_local=False)
        self._tasks.clear()
        self._mark.unlink(missing_ok=True)
        forget_device_locks(self.session.invocation)

    def _done(self, task: Any) -> Word:
        import ray

        cell, path = self._tasks.pop(task)
        try:
            mistake, files = ray.get(task)
        except ray.exceptions.RayError as error:
            raise UserError(
                f"Ray has not done {cell.name} with seed {cell.seed} ({type(error).__name__}: {first_line(error)}); "
                "mend the cluster and run again: what was done is kept"
            ) from None
        if mistake:
            raise UserError(mistake)
        try:
            for name, content in files.items():
                atomic.write_once(path.with_name(name), content)
        except OSError as error:
            raise UserError(f"cannot write to {path.parent} ({error.strerror}); make room and run again") from None
        return Word(path, "done", 1.0, done=True)


def _machine(device: str, threads: int) -> str:
    """On a node: the key of its kind of machine, as a cell of so many threads has it."""
    torch.set_num_threads(threads)
    return describe_machine(resolve_device(device)).key


def _do(
    common: tuple[Calling, str, str, Mapping[str, str | None]],
    cell: Cell,
    identity: str,
    record: str,
    given: Mapping[str, bytes],
) -> tuple[str | None, dict[str, bytes]]:
    """On a node: do the cell. A mistake, or None and the files to bring back, none where the run's folder is here too.
    `given` are files that the cell starts from.
    """
    common_calling, mark, token, variables = common
    session = common_calling.session
    shared = _is_here(Path(mark), token)
    scratch = Path(tempfile.gettempdir()) / f"equibench-{session.invocation}"
    cell = laid_down(cell, given, scratch, Path(record).stem, shared)
    if not shared:
        session = dataclasses.replace(session, out=scratch)
    lane = _lane_for(dataclasses.replace(common_calling, session=session), variables, shared)
    try:
        lane.begin(Errand(cell, identity))
        said: dict[str, Any] = {}
        while not {"done", "mistake"} & said.keys():
            if lane.end.poll(LOOK_SEC):  # in between Ray can stop this task
                said = lane.hear()
    except KeyboardInterrupt:
        _stop_lane()
        raise
    if "mistake" in said:
        _stop_lane()
        cleared(scratch, Path(record).stem)
        return said["mistake"], {}
    if shared:
        cleared(scratch, Path(record).stem)
        return None, {}
    files = [path for suffix in SUFFIXES if (path := (scratch / record).with_suffix(suffix)).exists()]
    found = {path.name: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    shutil.rmtree(scratch / UNFINISHED / "cache", ignore_errors=True)
    with contextlib.suppress(OSError):  # another cell is being done
        (scratch / UNFINISHED).rmdir()
    cleared(scratch, Path(record).stem)
    return None, found


def _lane_for(common: Calling, variables: Mapping[str, str | None], shared: bool) -> Lane:
    """This worker's lane: the one that it has, if that is of the same run and data and sees the same device."""
    global _lane
    session = common.session
    visible = os.environ.get(VISIBLE, "") if session.device.type == "cuda" else ""
    what = session.invocation, session.suite.dataset, visible, str(shared)
    if _lane is None or _lane[0] != what:
        _stop_lane()
        device_lock = device_lock_of(session.invocation, visible or "cpu")
        environment = {**os.environ, **variables, VISIBLE: visible}
        there = {name: value for name, value in environment.items() if value is not None}
        session = dataclasses.replace(session, device_lock=device_lock)
        _lane = what, Lane(dataclasses.replace(common, session=session), there)
    return _lane[1]


def _stop_lane() -> None:
    global _lane
    if _lane is not None:
        _lane[1].ask_to_stop()
        _lane[1].stop()
        _lane = None


def _is_here(mark: Path, token: str) -> bool:
    """Whether this machine sees the run's folder, by a file with something in it that no other has."""
    try:
        return mark.read_text() == token
    except OSError:
        return False
