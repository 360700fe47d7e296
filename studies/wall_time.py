"""Where a run's wall time goes: seconds of each part, by entrant, from the records in a folder.

    python -m studies.wall_time results/quick [--before results/earlier]

Of several seeds the mean, so that the sum is about what a run of one seed takes: what a run computes once for all, such
as features of the training images, its first cell alone has taken. Parts are those of the records' clocks (`Part` in
bench/record/schema.py), which add up to the wall time. `--before` puts another run's sums beside them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import click

from equibench.errors import UserError
from equibench.quantities.text import join
from equibench.record import find
from equibench.record.schema import Record
from equibench.summary.load import busy

WALL = "wall"
Seconds = dict[str, dict[str, float]]  # by entrant, then by part


def seconds(records: Sequence[Record]) -> Seconds:
    """The mean seconds of each part of each entrant's clock. Raises UserError where no record has a clock."""
    clocks: dict[str, list[dict[str, float]]] = defaultdict(list)
    for record in records:
        if record.clock:
            clocks[record.entrant].append(record.clock)
    if not clocks:
        raise UserError("none of these records has a clock; give the folder of a run")
    return {
        entrant: {part: fmean(one.get(part, 0.0) for one in found) for part in {key for one in found for key in one}}
        for entrant, found in clocks.items()
    }


def sums(found: Seconds) -> dict[str, float]:
    """Sums of each part over all entrants, the longest first; the wall time is the last."""
    total: dict[str, float] = defaultdict(float)
    for parts in found.values():
        for part, sec in parts.items():
            total[part] += sec
    return dict(sorted(total.items(), key=lambda one: (one[0] == WALL, -one[1])))


def table(found: Seconds, before: Mapping[str, float] | None = None) -> str:
    """Markdown: a line a part, a column an entrant, then the sum, its share, and the sum `before`."""
    total = sums(found)
    # what is no entrant takes a moment, and stands together
    few = [name for name, parts in found.items() if parts.get(WALL, 0.0) < 0.01 * total[WALL]]
    columns = [name for name in found if name not in few]
    names = [*columns, *(["all others"] if few else []), "sum", "share", *(["before"] if before is not None else [])]
    lines = [f"| Seconds | {' | '.join(names)} |", f"| :--- |{' ---: |' * len(names)}"]
    gone = [part for part in before or {} if part not in total]
    for part in [*(part for part in total if part != WALL), *gone, WALL]:
        cells = [f"{found[name].get(part, 0.0):.1f}" for name in columns]
        cells += [f"{sum(found[name].get(part, 0.0) for name in few):.1f}"] if few else []
        cells += [f"{total.get(part, 0.0):.1f}", f"{100 * total.get(part, 0.0) / total[WALL]:.1f} %"]
        cells += [f"{before.get(part, 0.0):.1f}"] if before is not None else []
        lines.append(f"| {part} | {' | '.join(cells)} |")
    return "\n".join(lines)


def warnings(records: Sequence[Record]) -> list[str]:
    """A sentence for each entrant beside which other work ran: its seconds are not to be trusted."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for record in records:
        reasons[record.entrant] += [block.name for block in record.timed if busy(record, block.name)]
    return [
        f"The machine was busy with other work beside {join(sorted(set(blocks)))} of {entrant}."
        for entrant, blocks in reasons.items()
        if blocks
    ]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--before", type=click.Path(path_type=Path), help="A folder of an earlier run.")
def main(folder: Path, before: Path | None) -> None:
    """Print where the wall time of the run in FOLDER went."""
    try:
        records = [record for _, record in find.read_all([folder])]
        earlier = sums(seconds([record for _, record in find.read_all([before])])) if before else None
        click.echo(table(seconds(records), earlier))
    except UserError as error:
        raise click.UsageError(str(error)) from None
    for sentence in warnings(records):
        click.echo(sentence)


if __name__ == "__main__":
    main()
