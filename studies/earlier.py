"""What today's recipes gained over those of protocol 5: writes docs/earlier.md from published records.

    equibench run earlier --seeds 0,1,2 --out results/published/earlier
    python -m studies.earlier [--records results/published/scaling] [--baseline results/published/earlier] [--page FILE]

The ladder of the suite `scaling` has today's recipes at the budget of `earlier`, so that both sides can be of one
machine, one commit and one number of threads. `equibench check` judges every metric of samples, bits/dim and memory;
a gain is tested by Welch's test.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

import click

from equibench.errors import UserError
from equibench.judge.check import Check, Comparison, compare, of_invocations
from equibench.judge.comparison import JUDGED
from equibench.judge.gates import Gates
from equibench.judge.output import amount, label, percent
from equibench.quantities import glossary
from equibench.quantities.text import join, number, p_number
from equibench.record import find
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import stat_of, welch
from equibench_models import FAMILIES

ROOT = Path(__file__).parent.parent
RECORDS, BASELINE = (ROOT / "results" / "published" / suite for suite in ("scaling", "earlier"))
PAGE = ROOT / "docs" / "earlier.md"
ALSO = ("KD", "precision", "recall", "density", "coverage", "sliced Wasserstein")
NOT_COMPARED: dict[str, object] = {"speed": None, "sampler_points": [], "bounds": []}
COSTS = ("spent.updates", "memory.train_peak_bytes", "memory.sample_peak_bytes", "speed.flops_per_image")
TEXT = """# What today's recipes gained over those of protocol 5

Written by `python -m studies.earlier`. The suite `earlier` has the four recipes of protocol 5, with the parameters and
the training FLOPs of `quick`. Its records (`{baseline}`) stand beside those that the ladder has of
today's recipes at the same budget (`{run}`): same protocol, machine ({machine}),
number of threads ({threads}) and commit; seeds {seeds}.

{outcome}

The check has every metric of samples as a gate. That it finds no regression of a number means that the number is not
shown to be worse; of gains it says nothing. "Better by" is a share of the earlier number, and for bits/dim the
difference; below zero it is a change for the worse. Welch's test is two-sided, and without correction for the number of
tests.

| Entrant | Number | earlier | today | better by | p (Welch) |
| :--- | :--- | ---: | ---: | ---: | ---: |
{numbers}
## What changed besides

Both sides have the same budget of training FLOPs. The recipes differ in the number of updates that these pay for, in
memory (live tensors), and in the cost of sampling.

| Entrant | Number | earlier | today | change |
| :--- | :--- | ---: | ---: | ---: |
{costs}
Images a second are not compared: they were timed at other batch sizes, and two cells at a time.
"""


def number_row(line: Comparison) -> str:
    """One number of an entrant on both sides, and how much better it became: below zero it became worse."""
    before, now, worse = line.baseline, line.run, line.worse_by
    assert before is not None
    assert now is not None
    assert worse is not None
    gain = abs(now.mean - before.mean) * (-1 if worse > 0 else 1)
    better = f"{gain:.3f}" if line.category == "likelihood" else percent(gain / abs(before.mean))
    p = p_number(welch(before, now)) if min(before.n, now.n) > 1 else ""
    return row([line.row, label(line), amount(line, before), amount(line, now), better, p])


def cost_row(name: str, path: str, before: Sequence[Record], now: Sequence[Record]) -> str:
    """What a recipe takes on both sides; empty where either has no such number."""
    quantity = glossary.of(path)
    old, new = (stat_of([value_at(one, path) for one in side if one.entrant == name]) for side in (before, now))
    if old is None or new is None:
        return ""
    unit = f", {quantity.shown.unit}" if quantity.shown and quantity.shown.unit else ""
    values = [number(one.mean / quantity.scale, 4) for one in (old, new)]
    return row([name, f"{quantity.label}{unit}", *values, percent(new.mean / old.mean - 1)])


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def entrants(folder: Path, amounts: set[float] | None = None) -> list[Record]:
    """Of these budgets alone, where they are given. Raises UserError where there are none."""
    found = [(path, record) for path, record in find.read_all([folder]) if record.role == "entrant" and record.budget]
    kept = [(path, record) for path, record in found if amounts is None or record.budget.amount in amounts]  # type: ignore[union-attr]
    if not kept:
        raise UserError(f"{folder} has no records of the budget that is compared; run the suite `scaling` into it")
    return of_invocations(kept)


def page(run: Path, baseline: Path) -> str:
    """Raises UserError where the two sides are not of one machine and one commit."""
    before = entrants(baseline)
    now = entrants(run, {record.budget.amount for record in before if record.budget})
    for what, values in (
        ("machines", {one.machine.key for one in (*before, *now) if one.machine}),
        ("commits", {one.code.commit for one in (*before, *now)}),
    ):
        if len(values) > 1:
            raise UserError(f"{run} and {baseline} are of several {what}; make both anew, on one machine")
    # what the ladder does not measure, or at other batch sizes, would be called lost, or refused
    alike = [[one.model_copy(update=NOT_COMPARED) for one in side] for side in (before, now)]
    found = compare(*alike, gates=Gates().with_options(also=ALSO))
    machine = before[0].machine
    assert machine is not None
    lines = [one for one in found.lines if one.category in ("quality", "likelihood") and one.verdict in JUDGED]
    return TEXT.format(
        run=os.path.relpath(run, ROOT),
        baseline=os.path.relpath(baseline, ROOT),
        machine=machine.hardware,
        threads=machine.threads,
        seeds=join(map(str, sorted({one.seed for one in (*before, *now)}))),
        outcome=textwrap.fill(outcome(found), 120),
        numbers="".join(number_row(one) for name in FAMILIES for one in lines if one.row == name and one.run),
        costs="".join(cost_row(name, path, before, now) for name in FAMILIES for path in COSTS),
    )


def outcome(found: Check) -> str:
    """What the check failed for, in words."""
    failed = [*found.errors, *found.regressions]
    if not failed:
        return "`equibench check` finds no regression in these records."
    names = join(f"{label(line).partition(',')[0]} of {line.row}" for line in failed)
    if all(line.category == "memory" for line in failed):
        return (
            "`equibench check` finds regressions in memory alone, which was traded for the rest "
            f"({names}), and none in quality or bits/dim."
        )
    return f"**`equibench check` finds regressions: {names}.**"


@click.command()
@click.option("--records", type=click.Path(path_type=Path, exists=True), default=RECORDS, help="Of the suite scaling.")
@click.option(
    "--baseline", type=click.Path(path_type=Path, exists=True), default=BASELINE, help="Of the suite earlier."
)
@click.option("--page", "file", type=click.Path(path_type=Path, dir_okay=False), default=PAGE, help="File to write.")
def main(records: Path, baseline: Path, file: Path) -> None:
    file.write_text(page(records, baseline))


if __name__ == "__main__":
    main()
