"""Which records of a baseline and of a run belong together, and what is refused because it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equibench.errors import UserError
from equibench.quantities.identity import MADE_BY, config_words, first_difference, identity
from equibench.quantities.text import budget_words, join
from equibench.record.schema import Record
from equibench.summary.codes import code_of
from equibench.summary.sections import failed
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


def refuse_other_data(key: RowKey, baseline: Mapping[int, Record], run: Mapping[int, Record]) -> None:
    hashes = {one.data.sha256 for side in (baseline, run) for one in side.values()}
    if len(hashes) > 1:
        raise UserError(
            f"{key}: {key.data} has other images than in the baseline ({join(sorted(h[:8] for h in hashes))}); use the "
            "baseline's data, or make a new baseline"
        )


def refuse_other_measurement(
    key: RowKey, path: str, name: str, baseline: Mapping[int, Record], run: Mapping[int, Record]
) -> None:
    """Raises UserError unless the records measure one thing. Other machines are skipped by `check`, not refused, and
    another config of the run is what may be judged; within one side no two configs are averaged.
    """
    base, here = ([identity(one, path) for one in side.values()] for side in (baseline, run))
    for fields, others, but, where in (
        (base[0], base[1:], ("machine",), "in one and {} in another of the baseline"),
        (here[0], here[1:], ("machine",), "in one and {} in another of the run"),
        (base[0], here[:1], ("machine", *MADE_BY), "in one and {} in another"),
    ):
        for other in others:
            if found := first_difference(fields, other, but):
                told = f"{found.one} {where.format(found.other)}"
                raise UserError(
                    f"{key}: {name} cannot be compared, as the {found.word} is {told}; run the baseline's suite, "
                    "or make a new baseline with `equibench baseline`"
                )


def refuse_mixed_settings(key: RowKey, row: Mapping[int, Record], whose: str) -> None:
    """Raises UserError where seeds of one side were trained with other settings: their mean is one of nothing."""
    known = [one for one in row.values() if one.config and not failed(one)]
    for other in known[1:]:
        one, another = config_words(known[0], other)
        if one or another:
            raise UserError(
                f"{key}: seeds {known[0].seed} and {other.seed} of {whose} differ in more than the seed ({one} and "
                f"{another}); compare them apart"
            )


def refuse_mixed_code(key: RowKey, run: Mapping[int, Record]) -> None:
    """Raises UserError where seeds of the run come from two versions of the code: they judge neither."""
    codes: dict[str, int] = {}
    for one in run.values():
        if one.code.sources_sha256:
            codes.setdefault(code_of(one), one.seed)
    if len(codes) > 1:
        told = join(f"{code[:8]} (seed {seed})" for code, seed in codes.items())
        raise UserError(
            f"{key}: the run's records come from {len(codes)} versions of the code, {told}; run all of its seeds with "
            "one, or check them apart"
        )


def _names(found: Rows) -> str:
    return ", ".join(f"{key} on {key.data}, {budget_words(key.budget)}" for key in list(found)[:2]) + (
        ", ..." if len(found) > 2 else ""
    )
