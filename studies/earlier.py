"""What today's recipes are worth beside those of protocol 5: writes docs/earlier.md from published records.

    equibench run earlier --seeds 0,1,2 --out results/published/earlier
    python -m studies.earlier [--records results/published/quick] [--baseline results/published/earlier] [--page FILE]

Both sides are of one protocol and one budget. The comparison is that of `equibench check`, with every metric of samples
as a gate.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from equibench.judge.check import Check, Comparison, check
from equibench.judge.comparison import FAILING, JUDGED
from equibench.judge.gates import Gates
from equibench.judge.output import amount, label, percent
from equibench.quantities import glossary
from equibench.quantities.text import join, number
from equibench.record import find
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import stat_of
from equibench_models import FAMILIES

ROOT = Path(__file__).parent.parent
RECORDS, BASELINE = (ROOT / "results" / "published" / suite for suite in ("quick", "earlier"))
PAGE = ROOT / "docs" / "earlier.md"
ALSO = ("KD", "precision", "recall", "density", "coverage", "sliced Wasserstein")
COMPARED = ("quality", "likelihood")
COSTS = ("spent.updates", "memory.train_peak_bytes", "memory.sample_peak_bytes", "speed.flops_per_image")
TEXT = """# What the recipes gained over those of protocol 5

Written by `python -m studies.earlier`. The suite `earlier` has the four recipes of protocol 5 under the budget of
`quick`, and today's measuring. `equibench check` compares the records of `quick` (`{run}`: {run_machine})
with those of `earlier` (`{baseline}`: {baseline_machine}), three seeds each,
with every metric of samples as a gate.

{outcome}

| Entrant | Number | earlier | quick | better by | verdict |
| :--- | :--- | ---: | ---: | ---: | :--- |
{gates}
"Better by" is a share of the number of `earlier`; below zero it is a change for the worse.

## What it costs

The budget of both is one number of training FLOPs; what a recipe takes besides may have changed.

| Entrant | Number | earlier | quick | more by |
| :--- | :--- | ---: | ---: | ---: |
{costs}
Images a second and latencies are not compared, as the two sides are of different machines.
"""


def gate(line: Comparison) -> str:
    """A row of the table of gates."""
    assert line.worse_by is not None
    bound = line.number.split(".")[1] if line.number.startswith("bounds.") else ""
    sides = [amount(line, line.baseline), amount(line, line.run)]
    return row([line.row, label(line) + f" by {bound}" * bool(bound), *sides, percent(0 - line.worse_by), line.verdict])


def cost(name: str, path: str, before: list[Record], now: list[Record]) -> str:
    """A row of the table of what a recipe takes."""
    quantity = glossary.known(path)
    assert quantity is not None
    old, new = (stat_of([value_at(one, path) for one in side if one.entrant == name]) for side in (before, now))
    assert old is not None
    assert new is not None
    heading = quantity.heading().removesuffix(" ↓").removesuffix(" ↑")
    values = [number(one.mean / quantity.scale, 4) for one in (old, new)]
    return row([name, heading, *values, percent(new.mean / old.mean - 1)])


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def outcome(found: Check) -> str:
    failed = [f"{line.row} {label(line)}" for line in found.lines if line.verdict in FAILING]
    if failed:
        return f"**Worse than before: {join(failed)}.**"
    return "No entrant got worse in any of these numbers by more than noise and the tolerance explain."


def trained(folder: Path) -> list[Record]:
    return [record for _, record in find.read_all([folder]) if record.role == "entrant"]


def page(run: Path, baseline: Path) -> str:
    found = check([run], [baseline], gates=Gates().with_options(also=ALSO))
    gates = [
        line for line in found.lines if line.row in FAMILIES and line.category in COMPARED and line.verdict in JUDGED
    ]
    before, now = trained(baseline), trained(run)
    costs = [cost(name, path, before, now) for name in FAMILIES for path in COSTS]
    return TEXT.format(
        run=os.path.relpath(run, ROOT),
        baseline=os.path.relpath(baseline, ROOT),
        run_machine=now[0].machine.hardware,
        baseline_machine=before[0].machine.hardware,
        outcome=outcome(found),
        gates="".join(map(gate, sorted(gates, key=lambda line: list(FAMILIES).index(line.row)))),
        costs="".join(costs),
    )


@click.command()
@click.option("--records", type=click.Path(path_type=Path, exists=True), default=RECORDS, help="Of the suite quick.")
@click.option(
    "--baseline", type=click.Path(path_type=Path, exists=True), default=BASELINE, help="Of the suite earlier."
)
@click.option("--page", "file", type=click.Path(path_type=Path, dir_okay=False), default=PAGE, help="File to write.")
def main(records: Path, baseline: Path, file: Path) -> None:
    file.write_text(page(records, baseline))


if __name__ == "__main__":
    main()
