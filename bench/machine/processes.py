"""Processes for work that may crash, hang or run out of memory: started by a fork server, which has imported torch once
for all of them, and gone with everything they started as soon as nobody waits for them.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil

from equibench.errors import UserError

# torch's optimisers import its compiler on first use, which takes seconds
PRELOAD = ["equibench.measure.cost.memory", "equibench.run.worker", "torch._dynamo"]
GONE_SEC = 5.0  # how long the system may take to end what was killed
SETTLE_SEC = 0.2  # for the system to say that a process has ended
_KILLED_FIRST = "800"  # of 1000: where memory runs out, a process of ours goes before what waits for it
_PARENT_DEATH_SIGNAL, _SUBREAPER = 1, 36  # of prctl(2)
_LONGEST_FOLDER = 60  # bytes: an address of a socket has some 107, of which multiprocessing adds up to 40


def available() -> bool:
    """Whether this system has a fork server at all: Linux and macOS do."""
    return "forkserver" in multiprocessing.get_all_start_methods()


def warm_up() -> None:
    """Start the fork server, which imports what its processes need while this one goes on.

    Raises UserError where the system does not give it.
    """
    with _reported(), _short_paths(), _safe_path():
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
        forkserver.ensure_running()


def start(target: Callable[..., None], arguments: tuple[Any, ...]) -> ForkServerProcess:
    """A process in which `target(*arguments)` runs; it should call `settle` first.

    Raises UserError where the system does not give one.
    """
    warm_up()
    with _reported():
        try:
            return _started(target, arguments)
        except (ConnectionError, EOFError):  # the fork server was killed just now: another is started in its place
            time.sleep(SETTLE_SEC)
            warm_up()
            return _started(target, arguments)


def _started(target: Callable[..., None], arguments: tuple[Any, ...]) -> ForkServerProcess:
    process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments)
    process.start()
    return process


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """What fails in here as a process is started is said in a sentence: the fork server was killed, or no process or
    file is to be had.
    """
    try:
        yield
    except (OSError, EOFError) as error:
        raise UserError(
            f"this system starts no further process ({error or 'the fork server has ended'}); free memory, files and "
            "processes and run again: what was done is kept"
        ) from None


def server_pid() -> int | None:
    """The fork server's, while it is running."""
    pid = _server_pid()
    with contextlib.suppress(psutil.Error):  # one that was killed stays on the list until it is asked how it ended
        return pid if pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else None
    return None


def settle(output: Path | None = None) -> None:
    """In a started process: end when the one that asked for it ends, be killed first where memory runs out, be deaf to
    Ctrl-C, and write what it prints, and where it crashed, to the file `output`.
    """
    server: Any = forkserver._forkserver
    alive = getattr(server, "_forkserver_alive_fd", None)
    if alive is not None:  # held open, it would keep the fork server alive, whose end is the signal to end
        os.close(alive)
        server._forkserver_alive_fd = None
    _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None and connection.wait([parent.sentinel], 0):
        os._exit(1)  # it ended before this one was bound to it
    with contextlib.suppress(OSError):
        os.setsid()  # a group of its own, that can be killed as a whole
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILLED_FIRST)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if output is not None:
        with contextlib.suppress(OSError):
            there = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            sys.stdout.flush()
            os.dup2(there, 1)
            os.dup2(there, 2)
            faulthandler.enable(there)


def end_with(program: int) -> None:
    """In a process that the program with this number started from its main thread: end when that does."""
    _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != program:
        os._exit(1)  # it ended before this one was bound to it


def adopt_orphans() -> None:
    """Processes whose parent ends become children of this one, where it is told of their end and can end them."""
    _prctl(_SUBREAPER, 1)


def children() -> set[int]:
    """The processes that this one has now, for `end`."""
    return {child.pid for child in psutil.Process().children()}


def end(process: ForkServerProcess, before: set[int]) -> None:
    """Kill `process` and all that it started, in whatever group or session, and what else the fork server runs; what
    was among the children of this process `before` stays.
    """
    server = server_pid()
    doomed = _tree(process.pid) if process.pid is not None else []
    if server is not None:
        doomed += [one for child in _children(server) for one in [child, *_tree(child.pid)]]
    if process.pid is not None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    _kill(doomed)
    process.join(GONE_SEC)
    kept = before | {_server_pid()}  # also where it was killed: multiprocessing will ask how it ended
    for orphan in [child for child in _children(os.getpid()) if child.pid not in kept and not _is_ours(child.pid)]:
        _kill([*_tree(orphan.pid), orphan])
        with contextlib.suppress(OSError):
            os.waitpid(orphan.pid, 0 if orphan.status() == psutil.STATUS_ZOMBIE else os.WNOHANG)


def stop(process: ForkServerProcess) -> None:
    """Kill `process` and all that it started, such as a compiler's helpers."""
    _kill(_tree(process.pid) if process.pid is not None else [])
    process.kill()
    process.join()


def end_all() -> None:
    """Kill what was started and is still there: an interruption may come between a start and what waits for its end,
    and Python does not end before such a process does.
    """
    for one in multiprocessing.active_children():
        if isinstance(one, ForkServerProcess):
            _kill(_tree(one.pid) if one.pid is not None else [])
            one.kill()


def out_of_memory_kills() -> int:
    """How many processes the system has killed for want of memory: in this control group, or else on this machine."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for file in (
                Path(f"/sys/fs/cgroup{path}/memory.events"),
                Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control"),
                Path("/sys/fs/cgroup/memory/memory.oom_control"),
            ):
                if (not controllers or "memory" in controllers) and (found := _field(file, "oom_kill")) is not None:
                    return found
    return _field(Path("/proc/vmstat"), "oom_kill") or 0


def ending(code: int | None, kills_before: int) -> tuple[bool, str]:
    """Whether a process ended for want of memory, and how it ended, as a clause. `code` is its exit code, negative for
    a signal; `kills_before` is what `out_of_memory_kills` gave before it began.
    """
    if code == -signal.SIGKILL and out_of_memory_kills() > kills_before:
        return True, "the system killed the process, as memory had run out"
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return False, f"the process was ended by signal {-code} ({name})"
        return False, f"the process was ended by signal {-code}"
    return False, f"the process ended without a result, with code {code}"


def _server_pid() -> int | None:
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    return pid


def _field(file: Path, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return None


def _is_ours(pid: int) -> bool:
    """Whether it is one of multiprocessing's own helpers, such as its tracker of resources."""
    tracker = getattr(multiprocessing.resource_tracker._resource_tracker, "_pid", None)  # type: ignore[attr-defined]
    return pid == tracker


def _children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        found: list[psutil.Process] = psutil.Process(pid).children()
        return found
    return []


def _tree(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        return found
    return []


def _kill(processes: list[psutil.Process]) -> None:
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()


def _prctl(option: int, value: int) -> None:
    """Ask the kernel for something that only Linux has."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


@contextlib.contextmanager
def _short_paths() -> Iterator[None]:
    """multiprocessing's own folder in a place whose name a socket's address has room for."""
    here = multiprocessing.process.current_process()
    config: dict[str, Any] = here._config  # type: ignore[attr-defined]
    if config.get("tempdir") is None and len(os.fsencode(tempfile.gettempdir())) > _LONGEST_FOLDER:
        for place in ("/tmp", "/var/tmp", "/dev/shm"):
            with contextlib.suppress(OSError):
                folder = tempfile.mkdtemp(prefix="eb-", dir=place)
                multiprocessing.util.Finalize(None, _remove, args=(folder,), exitpriority=-100)
                config["tempdir"] = folder
                break
    yield


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _safe_path() -> Iterator[None]:
    """A fork server that starts in here does not look for modules in the working folder, where a user's own may have
    the names of Python's; its children have the path of this process all the same.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before
