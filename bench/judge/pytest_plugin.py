"""Pytest plugin: a project's own tests assert on what was recorded.

    def test_vae(equibench_record):
        assert equibench_record("vae").bits_per_dim < 3.5

    @pytest.mark.equibench(entrant="vae", metric="bits_per_dim", below=3.5)
    def test_vae_is_good_enough(): ...

    def test_nothing_is_worse(equibench_check):
        equibench_check(not_worse_than="5%")

The folder of records is `--equibench-results` or the ini option `equibench_results`; `equibench_check` compares it with
`equibench_baseline`, by the gates file `equibench_gates`, both options in the same two ways. Nothing of equibench is
imported until a test asks for it, so that other projects' runs do not pay for the plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from equibench.cite.recorded import Recorded
    from equibench.judge.check import Check

T = TypeVar("T")
BOUNDS = ("below", "above")
PLACES = {
    "results": "equibench records that tests assert on: a folder, subfolders included, or one record",
    "baseline": "a folder of equibench records that `equibench_check` compares with the folder of results",
    "gates": "a gates file of equibench: tolerances, error rates, priors",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, what in PLACES.items():
        parser.getgroup("equibench").addoption(f"--equibench-{name}", metavar="PATH", help=what)
        parser.addini(f"equibench_{name}", what)


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


@pytest.fixture
def equibench_check(request: pytest.FixtureRequest) -> Callable[..., Check]:
    """`equibench_check(not_worse_than=None, allow_vanished=False)`: what `equibench check` says of the results against
    the baseline; the test fails where it does, with every line that fails. `not_worse_than` as on the command line.
    """

    def checked(*, not_worse_than: str | None = None, allow_vanished: bool = False) -> Check:
        from equibench.judge import check, gatesfile
        from equibench.judge.margins import margins
        from equibench.judge.output import fails, told
        from equibench.terminal import visible

        results, baseline, gates = (_place(request.config, name) for name in PLACES)
        if results is None or baseline is None:
            pytest.fail(
                "set equibench_results and equibench_baseline in the pytest configuration, or pass --equibench-results "
                "and --equibench-baseline", pytrace=False,
            )  # fmt: skip
        found = _or_fail(
            lambda: check.check(
                [results],
                [baseline],
                allow_vanished=allow_vanished,
                gates=gatesfile.read(gates),
                not_worse_than=margins([not_worse_than] if not_worse_than else []),
            )
        )
        if found.failed:
            lines = [visible(told(line)) for line in found.lines if fails(line)]
            pytest.fail("\n".join(["equibench: something is worse than the baseline", *lines]), pytrace=False)
        return found

    return checked


def _open(config: pytest.Config) -> Callable[[str], Recorded]:
    def recorded(entrant: str) -> Recorded:
        from equibench.cite.recorded import Recorded

        here = _place(config, "results")
        if here is None:
            pytest.fail("set equibench_results in the pytest configuration, or pass --equibench-results", pytrace=False)
        return _or_fail(lambda: Recorded.read(entrant, here))

    return recorded


def _place(config: pytest.Config, name: str) -> Path | None:
    """The path that an option or the configuration gives; relative ones are the project's."""
    given = config.getoption(f"--equibench-{name}") or config.getini(f"equibench_{name}")
    if not given:
        return None
    where = Path(config.rootpath / given)  # an absolute one stays as it is
    return where.relative_to(Path.cwd()) if where.is_relative_to(Path.cwd()) else where


def _or_fail(found: Callable[[], T]) -> T:
    """A mistake is one sentence here too."""
    from equibench.errors import UserError

    try:
        return found()
    except UserError as error:
        from equibench.terminal import visible

        sentence = f"equibench: {visible(str(error))}"
    pytest.fail(sentence, pytrace=False)
