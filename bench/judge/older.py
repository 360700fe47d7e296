"""Noise of baselines that were replaced: the spread of each number of each row, kept beside the baseline.

A spread within one code says what the noise is, whatever the mean was. A baseline that is replaced leaves its spreads
to the next one in a small JSON file, so that the noise is known better with every update. The last
`MOST_BASELINES` count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from equibench.errors import UserError, first_line
from equibench.hashing import digest
from equibench.judge.gates import Gates
from equibench.judge.rule import Spread
from equibench.judge.values import Row, by_invocation, measured, references, sample_of, stat_of_row, together
from equibench.quantities.glossary import COMPARED, of
from equibench.quantities.identity import MADE_BY, identity
from equibench.record.base import Strict
from equibench.record.schema import Record
from equibench.summary.sections import failed
from equibench.summary.sort import RowKey, Rows, rows
from equibench.validation import explain

NAME = "equibench-noise.json"  # beside the records of a baseline
MOST_BASELINES = 5  # of older baselines: the code that they came from grows unlike today's
FORM = 1


class OlderSpread(Strict):
    """The spread of one number of one row of a baseline, on the scale of its test."""

    row: str  # hash of entrant, data and budget
    entrant: str
    number: str  # its path
    measured: str  # hash of how it was measured: another reference, machine or sampler has another noise
    scale: str
    sd: float = Field(ge=0)
    df: int = Field(ge=1)
    draws: list[str]  # hashes of what it is over, trainings or invocations, so that none counts twice


class OlderBaseline(Strict):
    """What one baseline left."""

    created: str  # of its newest record
    spreads: list[OlderSpread]


class OlderNoise(Strict):
    """The file: baselines that were replaced, the oldest first."""

    form: int = Field(FORM, ge=1)
    baselines: list[OlderBaseline] = []

    def of(self, key: RowKey, path: str, scale: str, records: Sequence[Record]) -> Spread:
        """The spread of a number in all older baselines that measured it as these records did, and that share none of
        its draws with them or with a later baseline.
        """
        wanted = row_id(key), path, how_measured(records[0], path), scale
        seen, spreads, since = draws_of(records, path), [], ""
        for baseline in reversed(self.baselines[-MOST_BASELINES:]):
            for spread in baseline.spreads:
                alike = (spread.row, spread.number, spread.measured, spread.scale) == wanted
                if alike and not seen & set(spread.draws):
                    seen |= set(spread.draws)
                    spreads.append(Spread(spread.sd, spread.df))
                    since = baseline.created[:10]
        words = f"{len(spreads)} older baseline{'s' * (len(spreads) != 1)} since {since}"
        return together(spreads, words if spreads else "")


def read(folders: Sequence[Path]) -> OlderNoise:
    """What older baselines left in these folders; nothing where there is no such file. Raises UserError for one that
    cannot be read.
    """
    found: list[OlderBaseline] = []
    for folder in folders:
        path = folder / NAME
        if not folder.is_dir() or not path.is_file():
            continue
        try:
            found += OlderNoise.model_validate_json(path.read_bytes()).baselines
        except ValidationError as error:
            raise UserError(f"{path}: {explain(error, OlderNoise)}; bring back the file, or remove it") from None
        except (OSError, RecursionError) as error:
            raise UserError(f"cannot read {path} ({first_line(error)}); bring back the file, or remove it") from None
    return OlderNoise(baselines=sorted(found, key=lambda baseline: baseline.created))


def with_replaced(older: OlderNoise, replaced: Sequence[Record], new: Sequence[Record]) -> bytes | None:
    """The content of the file once the records `replaced` make way for `new`; None where there is nothing to keep."""
    kept = [*older.baselines]
    if replaced and (spreads := spreads_of(rows(replaced, "the baseline"), rows(new, "the run"))):
        kept.append(OlderBaseline(created=max(one.created for one in replaced), spreads=spreads))
    if not kept:
        return None
    content = OlderNoise(baselines=kept[-MOST_BASELINES:]).model_dump(mode="json")
    return (json.dumps(content, indent=1) + "\n").encode()


def spreads_of(found: Rows, new: Rows) -> list[OlderSpread]:
    """The spread of every number that a check compares, without those that have a draw in common with the new rows."""
    return [
        spread
        for key, row in found.items()
        if key.role == "entrant"
        for spread in _of_row(key, row)
        if not draws_of(new.get(key, {}).values(), spread.number) & set(spread.draws)
    ]


def draws_of(records: Iterable[Record], path: str) -> set[str]:
    """What a number's values were drawn by: trainings, told by their weights, as one that was reproduced is no other
    draw; of a speed or a memory invocations.
    """
    if by_invocation(of(path)):
        return {digest([one.invocation or one.created]) for one in records}
    return {digest([one.key, one.weights_sha256 or one.created]) for one in records}


def _of_row(key: RowKey, row: Row) -> Iterable[OlderSpread]:
    paths = [quantity.path for quantity in COMPARED if quantity.category != "cost"]
    bounds = [f"bounds.{bound.name}.bits_per_dim" for one in row.values() if not failed(one) for bound in one.bounds]
    for path in dict.fromkeys([*paths, *bounds]):
        has = measured(path, row)
        alike = {how_measured(one, path) for one in has.values()}
        if len(alike) != 1:
            continue
        limits = Gates().limits(key.entrant, path)
        mean = stat_of_row(path, has).mean
        spread = sample_of(of(path), path, has, limits, mean, references(path, [has])).spread
        if spread.df:
            yield OlderSpread(
                row=row_id(key), entrant=key.entrant, number=path, measured=alike.pop(), scale=limits.scale,
                sd=float(spread.sd), df=int(spread.df), draws=sorted(draws_of(has.values(), path)),
            )  # fmt: skip


def row_id(key: RowKey) -> str:
    return digest([key.entrant, key.data, key.budget.model_dump() if key.budget else None])


def how_measured(one: Record, path: str) -> str:
    """All that must be equal for two spreads of a number to be of one noise."""
    return digest({field: value for field, value in identity(one, path).items() if field not in MADE_BY})
