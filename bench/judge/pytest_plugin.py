"""Pytest plugin: a project's own tests assert on what was recorded.

    def test_vae(equibench_record):
        assert equibench_record("vae").bits_per_dim < 3.5

    @pytest.mark.equibench(entrant="vae", metric="bits_per_dim", below=3.5)
    def test_vae_is_good_enough(): ...

The folder of records is `--equibench-results` or the ini option `equibench_results`. Nothing of equibench is imported
until a test asks for it, so that other projects' runs do not pay for the plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from equibench.cite.recorded import Recorded

T = TypeVar("T")
BOUNDS = ("below", "above")


def pytest_addoption(parser: pytest.Parser) -> None:
    what = "equibench records that tests assert on: a folder, subfolders included, or one record"
    parser.getgroup("equibench").addoption("--equibench-results", metavar="PATH", help=what)
    parser.addini("equibench_results", what)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "equibench(entrant, metric, below, above): the test fails unless the recorded number is within these bounds",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Hold the thresholds of the test's markers before its body runs."""
    for mark in item.iter_markers("equibench"):
        wrong = set(mark.kwargs) - {"entrant", "metric", *BOUNDS}
        if mark.args or wrong or not {"entrant", "metric"} <= set(mark.kwargs) or not set(BOUNDS) & set(mark.kwargs):
            pytest.fail(
                "write @pytest.mark.equibench(entrant=..., metric=..., below=...), or above=..., or both", pytrace=False
            )
        entrant, metric = mark.kwargs["entrant"], mark.kwargs["metric"]
        value = _or_fail(partial(_open(item.config)(entrant).number, metric))
        if not value < mark.kwargs.get("below", float("inf")) or not value > mark.kwargs.get("above", float("-inf")):
            bounds = " and ".join(f"{name} {mark.kwargs[name]}" for name in BOUNDS if name in mark.kwargs)
            pytest.fail(f"equibench: {metric} of {entrant} is {value:.6g}, which is not {bounds}", pytrace=False)


@pytest.fixture
def equibench_record(request: pytest.FixtureRequest) -> Callable[[str], Recorded]:
    """`equibench_record(entrant)`: its numbers as attributes, means over seeds, by the names that `equibench cite`
    takes; `number(name)` takes dotted paths too, and `records` are the records themselves.
    """
    return _open(request.config)


def _open(config: pytest.Config) -> Callable[[str], Recorded]:
    def recorded(entrant: str) -> Recorded:
        from equibench.cite.recorded import Recorded

        folder = config.getoption("--equibench-results") or config.getini("equibench_results")
        if not folder:
            pytest.fail("set equibench_results in the pytest configuration, or pass --equibench-results", pytrace=False)
        where = config.rootpath / folder  # an absolute one stays as it is
        here = where.relative_to(Path.cwd()) if where.is_relative_to(Path.cwd()) else where
        return _or_fail(lambda: Recorded.read(entrant, here))

    return recorded


def _or_fail(found: Callable[[], T]) -> T:
    """A mistake is one sentence here too."""
    from equibench.errors import UserError

    try:
        return found()
    except UserError as error:
        from equibench.terminal import visible

        sentence = f"equibench: {visible(str(error))}"
    pytest.fail(sentence, pytrace=False)
