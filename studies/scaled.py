"""What the ladder of the suite `scaling` gave: writes docs/scaled.md from its records.

    equibench run scaling --seeds 0,1,2 --out FOLDER
    python -m studies.scaled [--records results/published/scaling] [--page FILE]

The sentences and the figure are those of the report on the records.
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import click

from equibench.errors import UserError
from equibench.quantities.metric import Metric
from equibench.quantities.text import join, number, over_seeds
from equibench.record import find
from equibench.record.paths import value_at
from equibench.summary.floors import real_distance
from equibench.summary.ladders import Ladder, Measure, Trend, ladders
from equibench.summary.scaling import ladder_sentences
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise

ROOT = Path(__file__).parent.parent
RECORDS, PAGE = ROOT / "results" / "published" / "scaling", ROOT / "docs" / "scaled.md"
FIGURE = "../reports/published/scaling/figures/scaling-1.svg"
TEXT = """# What the ladder gave

Written by `python -m studies.scaled` from the records in `{folder}`;
[scaling.md](scaling.md) says what the ladder is and how laws are fitted. The report on these records is in
`reports/published/scaling`. Each entrant was trained with seeds {seeds} at every budget, with PyTorch {torch} on
{threads} of {cores} cores ({machine}). Entries are means ± standard deviations over seeds.

![Distance and bits/dim against training FLOPs, with the fitted laws.]({figure})

{tables}
## The laws, and the order of the entrants

C is what was spent in training FLOPs. A floor describes these budgets, and is no estimate at infinite compute.
Exponents of laws with a floor and of laws without one are not comparable. Where no doubt of a law is named, the test of
lack of fit does not reject it.

{sentences}
"""


def cell(trend: Trend, amount: float, digits: int) -> str:
    """An entrant's number at one budget; empty where it has none."""
    records = next((rung.records for rung in trend.rungs if rung.amount == amount), ())
    return over_seeds((value_at(record, trend.measure.path) for record in records), digits)


def table(ladder: Ladder, measure: Measure) -> str:
    """A number of all entrants, budget by budget."""
    amounts = [section.budget.amount for section in ladder.sections if section.budget]
    digits = 3 if isinstance(measure.key, Metric) else 4
    lines = [
        f"## {measure.name}\n",
        f"| Entrant | {' | '.join(number(amount) for amount in amounts)} |",
        f"| :--- |{' ---: |' * len(amounts)}",
        *(f"| {' | '.join([one.name, *(cell(one, at, digits) for at in amounts)])} |" for one in ladder.of(measure)),
    ]
    real = real_distance(ladder.sections[-1], measure.key) if isinstance(measure.key, Metric) else None
    if real:
        lines += ["", f"Columns are budgets in training FLOPs. Real training images have {number(real.mean)}."]
    return "\n".join([*lines, ""])


def only_ladder(folder: Path) -> Ladder:
    """Raises UserError unless the records make exactly one ladder, whole with every seed."""
    found = ladders(summarise([FiledRecord(path, record) for path, record in find.read_all([folder])]))
    if len(found) != 1:
        raise UserError(f"the records make {len(found)} ladders; this page is about one: run the suite `scaling`")
    (ladder,) = found
    seeds = {record.seed for trend in ladder.series for record in trend.records}
    for trend in ladder.series:
        for rung in trend.rungs:
            if lacks := seeds - {record.seed for record in rung.records}:
                raise UserError(
                    f"{trend.label} lacks seed {join(map(str, sorted(lacks)))} at {number(rung.amount)} FLOPs; "
                    "run `equibench run scaling` to its end"
                )
    return ladder


def page(folder: Path) -> str:
    ladder = only_ladder(folder)
    first = ladder.series[0].records[0]
    assert first.machine is not None
    sentences = (
        textwrap.fill(one, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
        for one in ladder_sentences(ladder)
    )
    return TEXT.format(
        folder=os.path.relpath(folder, ROOT),
        seeds=join(map(str, sorted({record.seed for record in ladder.series[0].records}))),
        machine=first.machine.hardware,
        threads=first.machine.threads,
        cores=first.machine.cores,
        torch=first.versions["torch"],
        figure=FIGURE,
        tables="\n".join(table(ladder, measure) for measure in ladder.measures),
        sentences="\n".join(sentences),
    )


@click.command()
@click.option("--records", type=click.Path(path_type=Path, exists=True), default=RECORDS, help="Of the suite scaling.")
@click.option("--page", "file", type=click.Path(path_type=Path, dir_okay=False), default=PAGE, help="File to write.")
def main(records: Path, file: Path) -> None:
    file.write_text(page(records))


if __name__ == "__main__":
    main()
