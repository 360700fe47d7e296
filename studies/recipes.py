"""What each choice of the four recipes is worth: writes docs/recipes.md from the records of the suite beside this file.

    equibench run studies/recipes.toml --seeds 0,1,2 --out FOLDER
    python -m studies.recipes FOLDER

The choices were made on images that are no test images; the table shows on the test images what they came to. A variant
is the family's recipe with one choice taken back, or with something added that was not kept. A family may be run alone
(`--only`): the page keeps the tables of families that FOLDER has no record of.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from equibench import suite
from equibench.errors import UserError
from equibench.quantities.glossary import RECALL
from equibench.quantities.text import join, number, spread
from equibench.record import find
from equibench.record.paths import value_at
from equibench.record.schema import Record
from equibench.stats import Stat, welch
from equibench.suite import Entrant

PLAN, PAGE = Path(__file__).with_suffix(".toml"), Path(__file__).parent.parent / "docs" / "recipes.md"
COLUMNS = ("Variant", "What is other", "FD_5k", "The other way", "Recall", "Bits/dim", "Updates", "Train time, s")
OTHER_WAY = "the first of the ways to sample but the usual one"
# the digits of what the columns show: paths of a record
COMPARED = {"quality.value": 3, OTHER_WAY: 3, RECALL: 3, "likelihood.bits_per_dim": 4}
SPENT = {"spent.updates": 4, "spent.train_sec": 3}


@dataclass(frozen=True)
class Variant:
    """An entrant and its records, by seed."""

    entrant: Entrant
    records: Sequence[Record]

    def over_seeds(self, what: str) -> Stat | None:
        values = [_value(record, what) for record in self.records]
        return Stat(tuple(values)) if values and None not in values else None  # type: ignore[arg-type]


def _value(record: Record, what: str) -> float | None:
    if what == OTHER_WAY:
        return record.ways[0].quality.value if record.ways else None
    found: float | None = value_at(record, what)
    return found


def variants(records: Sequence[Record]) -> dict[str, list[Variant]]:
    """By family, the recipe first, for each family of the suite that has a record. Raises UserError where such a
    family's entrants do not all have one, or where none has.
    """
    families: dict[str, list[Variant]] = {}
    for entrant in suite.load(str(PLAN)).entrant:
        own = sorted((r for r in records if r.entrant == entrant.name), key=lambda record: record.seed)
        families.setdefault(entrant.family, []).append(Variant(entrant, own))
    begun = {family: found for family, found in families.items() if any(one.records for one in found)}
    missing = [one.entrant.name for found in (begun or families).values() for one in found if not one.records]
    if missing:
        raise UserError(f"no records of {', '.join(missing)}; run `equibench run {PLAN.name}` first")
    return begun


def line(variant: Variant, recipe: Variant) -> str:
    """A row of the table. Differences from the recipe that Welch's test tells over the seeds are bold."""
    cells = [variant.entrant.name, _settings(variant.entrant, recipe.entrant)]
    for what, digits in COMPARED.items():
        mine, usual = variant.over_seeds(what), recipe.over_seeds(what)
        if mine is None:
            cells.append("failed" if what == "quality.value" else "")
            continue
        text = spread(mine, digits=digits)
        told = variant is not recipe and usual and min(mine.n, usual.n) > 1
        cells.append(f"**{text}**" if told and usual and welch(mine, usual) < 0.05 else text)
    for what, digits in SPENT.items():
        spent = variant.over_seeds(what)
        cells.append(number(spent.mean, digits) if spent else "")
    return f"| {' | '.join(cells)} |"


def _settings(entrant: Entrant, recipe: Entrant) -> str:
    """What an entrant has in place of its family's recipe; what only the recipe names is the default again."""
    if entrant is recipe:
        return "the recipe"
    if not entrant.config and recipe.config:
        return "as it stood before it was tuned"
    lacking = [f"`{name}` by default" for name in recipe.config if name not in entrant.config]
    other = [
        f"`{name} = {json.dumps(value)}`" for name, value in entrant.config.items() if value != recipe.config.get(name)
    ]
    return ", ".join([*other, *lacking])


def section(family: str, found: Sequence[Variant]) -> str:
    """The table of one family, and what it was made with."""
    records = [record for one in found for record in one.records]
    machine, seeds = records[0].machine, sorted({record.seed for record in records})
    return "\n".join(
        [
            f"## {family}",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "| :--- | :--- |" + " ---: |" * (len(COLUMNS) - 2),
            *(line(variant, found[0]) for variant in found),
            "",
            f"Protocol {records[0].protocol}; seed{'s' * (len(seeds) > 1)} {join(map(str, seeds))}; "
            f"{machine.hardware}, {machine.threads} of {machine.cores} cores to a training; {machine.system}.",
        ]
    )


def page(records: Sequence[Record], before: str = "") -> str:
    """The page, with the sections of `before` where a family has no record."""
    kept = {part.partition("\n")[0]: f"## {part}".rstrip() for part in before.split("\n## ")[1:]}
    made = {family: section(family, found) for family, found in variants(records).items()}
    families = dict.fromkeys(entrant.family for entrant in suite.load(str(PLAN)).entrant)
    sections = [text for family in families if (text := made.get(family) or kept.get(family))]
    missing = [family for family in families if family not in made and family not in kept]
    return TEXT.format(tables="\n\n".join(sections), missing=f" Not run yet: {join(missing)}." if missing else "")


TEXT = """# What the recipes are made of, and what each choice is worth

`python -m studies.recipes` wrote this page from runs of `studies/recipes.toml`: the four recipes of the suite `quick`
under its budget, and variants of them with one choice taken back or something added that was not kept. All have the
same cap on parameters and the same budget of FLOPs, so that a choice that costs more an update gets fewer updates.
Numbers are means ± standard deviations over the seeds; a mean is bold where it differs from the recipe's by Welch's
test (p < 0.05, without correction for the number of tests). "The other way" is the distance of the VAE's mean decoding
and of the flow's lowered noise. Choices were made on images that are neither trained on nor tested on; nothing was
chosen by this table. Updates are exact; times are of a machine that did other work as well.{missing}

{tables}
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the run's records")
    options = parser.parse_args()
    found = [record for _, record in find.read_all([options.folder]) if record.role == "entrant"]
    PAGE.write_text(page(found, PAGE.read_text() if PAGE.is_file() else ""))
