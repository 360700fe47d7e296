"""What is told to a tracker: a run for each row of a report, with settings, numbers and what makes these citable."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from equibench.cite.citation import Citation, of_row
from equibench.errors import UserError
from equibench.hashing import digest
from equibench.quantities import glossary
from equibench.quantities.identity import kind_of, look_up
from equibench.quantities.text import budget_words, commit, join
from equibench.record.base import Scalar
from equibench.record.schema import Record
from equibench.stats import Stat
from equibench.summary.sections import Row, Section
from equibench.summary.sort import load_cells, summarise

HEADLINE = (*glossary.PRIMARY, "speed.latency_p50_sec", "speed.network_evaluations", "spent.params", "spent.flops",
            "spent.train_sec")  # fmt: skip


@dataclass(frozen=True)
class Number:
    """One number of a row, raw, in the unit of the records, with what makes it citable."""

    cited: Citation
    by_seed: dict[int, float]
    kind: str

    @property
    def name(self) -> str:
        return self.cited.metric

    @property
    def path(self) -> str:
        return self.cited.path

    @property
    def signature(self) -> str:
        return self.cited.signature

    @property
    def stat(self) -> Stat:
        """Over seeds."""
        return Stat(tuple(self.by_seed.values()))


@dataclass(frozen=True)
class TrackedRun:
    """One row of a report."""

    name: str
    records: tuple[Record, ...]
    numbers: tuple[Number, ...]

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def id(self) -> str:
        """The same for the same records and numbers, so that nothing is told twice."""
        return digest([[one.key for one in self.records], [[one.path, one.signature] for one in self.numbers]])

    @property
    def settings(self) -> dict[str, Scalar]:
        one = self.first
        sampler = one.quality.options if one.quality else {}
        return {
            "entrant": one.entrant,
            "family": one.family,
            "role": one.role,
            "suite": one.suite,
            "data": one.data.name,
            "data_sha256": one.data.sha256,
            "budget": budget_words(one.budget),
            "machine": f"{one.machine.processor}, {one.machine.device}",
            "machine_key": one.machine.key,
            "protocol": one.protocol,
            "code": join(dict.fromkeys(commit(record) for record in self.records)),
            "seeds": ", ".join(str(record.seed) for record in self.records),
            "records": " ".join(record.key for record in self.records),
            **{f"config.{plain(key)}": value for key, value in one.config.items()},
            **{f"sampler.{plain(key)}": value for key, value in sampler.items()},
        }

    @property
    def metrics(self) -> dict[str, float]:
        """Means by name; of several seeds also the standard deviation, and the number of each."""
        found: dict[str, float] = {}
        for one in self.numbers:
            found[plain(one.name)] = one.stat.mean
            if one.stat.sd is not None:
                found[f"{plain(one.name)}.sd"] = one.stat.sd
                found |= {f"{plain(one.name)}.seed{seed}": value for seed, value in one.by_seed.items()}
        return found

    @property
    def signatures(self) -> dict[str, str]:
        return {plain(one.name): one.signature for one in self.numbers}

    @property
    def begun(self) -> datetime | None:
        """When the first record was created, where that can be read."""
        try:
            found = min(datetime.fromisoformat(one.created) for one in self.records)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, TypeError):
            return None


def runs(results: Sequence[Path]) -> list[TrackedRun]:
    """A run for each row that has numbers, entrants and floors alike, of the records at `results`. Raises UserError
    where there are none, or where they do not belong together.
    """
    sections = summarise(load_cells(list(results)))
    found: dict[str, TrackedRun] = {}
    for section in sections:
        for row in (*section.ran, *section.references):
            if numbers := _numbers(row):
                name = (
                    f"{row.label}, {_where(section)}"
                    if len(sections) > 1 and row.first.role == "entrant"
                    else row.label
                )
                one = TrackedRun(name, tuple(cell.record for cell in row.cells), numbers)
                found.setdefault(one.id, one)
    if not found:
        raise UserError("none of the records has a number to tell; name the folder of a run that came to its end")
    return list(found.values())


def needed(module: str, what: str, extra: str) -> ModuleType:
    """A package that is installed only for those who ask for it. Raises UserError where it is not."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UserError(f"{what} is not installed here; `pip install 'equibench[{extra}]'` installs it") from None


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """These variables of the environment, and no warnings, while the block lasts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ |= values
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def plain(name: str) -> str:
    """A name as every tracker takes it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).strip(".")[:200] or "_"


def _numbers(row: Row) -> tuple[Number, ...]:
    found = []
    for path in HEADLINE:
        records = row.having(path)
        if records and (cited := of_row(records, path)):
            by_seed = {one.seed: value for one in records if (value := look_up(one, path)) is not None}
            found.append(Number(cited, by_seed, kind_of(records[0], path)))
    return tuple(found)


def _where(section: Section) -> str:
    return section.run.label or f"setting {section.letter}"
