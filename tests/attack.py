"""Bad input by the thousand: an attack is a function that is tried on many inputs, a few hundred of all attacks in the
usual tests and several thousand in the slow ones. Whatever the input, it ends within 30 s and 4 GiB, without an error
or with a `UserError`, and no file is made, changed or removed but in the folder that it was given to write to.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, configuration, example, given, settings
from hypothesis.errors import HypothesisWarning
from hypothesis.strategies import SearchStrategy

from equibench.errors import UserError

LIMIT_SEC = 30  # by the clock, beside another process of tests
LIMIT_BYTES = 4 * 2**30  # on top of what the process has
GIVEN, OUT = "given", "out"  # what an attack reads, and the one folder that it may write to
_HOMES = {"HOME": "home", "XDG_CACHE_HOME": "home/.cache", "XDG_CONFIG_HOME": "home/.config", "TMPDIR": "tmp"}


class HangError(BaseException):
    """An input took longer than LIMIT_SEC; no `except Exception` of the code under attack takes it for an error."""


def attack(
    inputs: SearchStrategy[Any],
    write: Callable[[Any, Path], Any],
    few: int,
    many: int,
    found: Sequence[Any] = (),
) -> Callable[[Callable[[Any], Any]], Callable[..., None]]:
    """A test of the function below on `few` of the `inputs`, and as a slow one on `many`, the same ones each time;
    `found` are inputs that once went wrong. `write(input, folder)` puts an input where the function finds it, and gives
    what that is called with.
    """

    def decorate(body: Callable[[Any], Any]) -> Callable[..., None]:
        @pytest.mark.parametrize(
            "examples", [pytest.param(few, id="few"), pytest.param(many, id="many", marks=pytest.mark.slow)]
        )
        def test(examples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
            _settle(tmp_path, monkeypatch)

            def one(content: Any) -> None:
                judge(body, write, content, tmp_path)

            tried = given(inputs)(one)
            for content in found:
                tried = example(content)(tried)
            warnings.simplefilter("ignore", HypothesisWarning)  # of inputs that are long to show
            settings(
                max_examples=examples,
                derandomize=True,
                database=None,
                deadline=timedelta(seconds=LIMIT_SEC),
                suppress_health_check=list(HealthCheck),
            )(tried)()

        return test

    return decorate


def judge(body: Callable[[Any], Any], write: Callable[[Any, Path], Any], content: Any, top: Path) -> None:
    """One input. Raises what the function raises, but a UserError; HangError; AssertionError where files changed."""
    given_to = top / GIVEN
    given_to.mkdir()
    try:
        argument = write(content, given_to)
        before = _files(top)
        with warnings.catch_warnings(), _limits():
            warnings.simplefilter("ignore")  # remarks, and numpy's on numbers at the limits
            with contextlib.suppress(UserError):
                body(argument)
        assert _files(top) == before
    finally:
        shutil.rmtree(given_to)
        shutil.rmtree(top / OUT, ignore_errors=True)


def _settle(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home, a place for temporary files, and one to work in, whose files are watched."""
    for name, folder in _HOMES.items():
        (top / folder).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(name, str(top / folder))
    for name in ("home", "elsewhere"):
        (top / name).mkdir(exist_ok=True)
        (top / name / "kept.json").write_text("{}")
    monkeypatch.chdir(top / "elsewhere")
    monkeypatch.setattr(tempfile, "tempdir", str(top / "tmp"))
    configuration.set_hypothesis_home_dir(top.parent / "hypothesis")


def _files(top: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and folder under `top` but those that an attack may write: mode, size and time of change."""
    found = {}
    for at, folders, names in os.walk(top):
        if at == str(top) and OUT in folders:
            folders.remove(OUT)
        for name in (*folders, *names):
            status = os.lstat(path := os.path.join(at, name))
            found[path] = status.st_mode, status.st_size, status.st_mtime_ns
    return found


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise HangError

    before, (soft, hard) = signal.signal(signal.SIGALRM, stop), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + LIMIT_BYTES, hard))
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SEC)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
