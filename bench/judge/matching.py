"""Which records of a baseline and of a run belong together, and what is refused because it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equibench.errors import UserError
from equibench.quantities.identity import MADE_BY, differs, look_up
from equibench.quantities.text import budget_words, join
from equibench.record.schema import Record
from equibench.summary.sort import RowKey, Rows, rows


def matched(baseline: Sequence[Record], run: Sequence[Record]) -> tuple[Rows, Rows]:
    """Rows of both. Raises UserError for two protocols, or where no row is in both."""
    if baseline[0].protocol != run[0].protocol:
        raise UserError(
            f"the baseline has protocol {baseline[0].protocol} and the run {run[0].protocol}, whose numbers cannot be "
            "compared; make a new baseline with `equibench baseline`"
        )
    before, after = rows(baseline, "the baseline"), rows(run, "the run")
    if not set(before) & set(after):
        raise UserError(
            f"the run ({_names(after)}) and the baseline ({_names(before)}) have no entrant with the same data and "
            "budget in common; run the baseline's suite, or make a new baseline with `equibench baseline`"
        )
    return before, after


def exactly_equal(path: str, baseline: Mapping[int, Record], run: Mapping[int, Record]) -> list[int]:
    """Seeds that both have, if each gave the same weights and the same number on the same machine; else none."""
    shared = sorted(set(baseline) & set(run))
    same = all(
        a.machine.key == b.machine.key
        and a.weights_sha256 is not None
        and a.weights_sha256 == b.weights_sha256
        and look_up(a, path) == look_up(b, path)
        for a, b in ((baseline[seed], run[seed]) for seed in shared)
    )
    return shared if same else []


def refuse_other_data(key: RowKey, baseline: Mapping[int, Record], run: Mapping[int, Record]) -> None:
    hashes = {one.data.sha256 for side in (baseline, run) for one in side.values()}
    if len(hashes) > 1:
        raise UserError(
            f"{key}: {key.data} has other images than in the baseline ({join(sorted(h[:8] for h in hashes))}); use the "
            "baseline's data, or make a new baseline"
        )


def refuse_other_measurement(key: RowKey, path: str, name: str, records: Sequence[Record]) -> None:
    """Raises UserError unless the records measure one thing. Other machines are skipped by `check`, not refused."""
    first, *others = records
    for other in others:
        if found := differs(first, other, path, but=("machine", *MADE_BY)):
            raise UserError(
                f"{key}: {name} cannot be compared, as the {found.word} is {found.one} in one and {found.other} in "
                "another; run the baseline's suite, or make a new baseline with `equibench baseline`"
            )


def _names(found: Rows) -> str:
    return ", ".join(f"{key} on {key.data}, {budget_words(key.budget)}" for key in list(found)[:2]) + (
        ", ..." if len(found) > 2 else ""
    )
