"""The history of records: read, put in order, judged. A pure function of the records, and of a repository if given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from equibench.cite.names import path_called
from equibench.errors import UserError
from equibench.history.judged import Judged, judge
from equibench.history.order import Order, of_repository
from equibench.history.points import Measurement, Series, code_key, is_busy, series_of, usable
from equibench.quantities import glossary
from equibench.quantities.identity import look_up
from equibench.record import find
from equibench.record.schema import Record

LEAST_COMMIT_DIGITS = 4


@dataclass(frozen=True)
class History:
    """What was found, in the order in which it is shown."""

    judged: tuple[Judged, ...]
    order: Order
    left_out: tuple[str, ...]  # in words
    baseline: str = ""  # what a person called it


def history(
    results: Sequence[Path],
    numbers: Sequence[str] = (),
    *,
    baseline: str | None = None,
    repository: Path | None = None,
) -> History:
    """The history of the primary numbers, and of `numbers` by their names or paths, in the records at `results` and in
    their subfolders. `baseline` is a folder of records, or the beginning of a commit among them; `repository` a git
    repository whose order of commits counts.

    Raises UserError where there are no records, for a number that none has, and for what is not a baseline or a
    repository of these commits.
    """
    found = _read(results)
    cells, left_out = usable(found)
    if not cells:
        raise UserError("none of the records has a result and a date; name folders of finished runs")
    records = [cell.record for cell in cells]
    paths = dict.fromkeys([*glossary.PRIMARY, *(path_called(name, records, "this history") for name in numbers)])
    order = of_repository(repository, {code_key(one.code) for one in records}) if repository else Order()
    series = series_of(cells, list(paths), order.key)
    if not series:
        raise UserError("these records hold none of the primary numbers; ask for others with --number")
    against = _baseline(baseline, list(paths), order) if baseline else lambda one: ()
    if baseline and not any(against(one) for one in series):
        raise UserError(f"the baseline {baseline} has no number in common with these records; name another one")
    if many := sum(is_busy(one, path) for one in records for path in paths if look_up(one, path) is not None):
        left_out.append(f"timings that other work disturbed ({many})")
    return History(tuple(judge(series, against)), order, tuple(left_out), baseline or "")


def _read(results: Sequence[Path]) -> list[tuple[Path, Record]]:
    """Records of any protocols, subfolders included."""
    files = find.record_files(results, deep=True)
    found = [(file, one) for file in files if (one := find.read_if_record(file, results)) is not None]
    if not found:
        raise find.none_in(results)
    return found


def _baseline(named: str, paths: Sequence[str], order: Order) -> Callable[[Series], Sequence[Measurement]]:
    if Path(named).exists():
        cells, _ = usable(_read([Path(named)]))
        there = {(one.row, one.machine): one.points for one in series_of(cells, paths, order.key)}

        def of_folder(one: Series) -> Sequence[Measurement]:
            return [measured for point in there.get((one.row, one.machine), ()) for measured in point.measured]

        return of_folder
    if len(named) < LEAST_COMMIT_DIGITS:
        raise UserError(f"{named!r} is no folder of records, and too short for a commit; give more of it")

    def of_commit(one: Series) -> Sequence[Measurement]:
        points = [point for point in one.points if point.code.commit and point.code.commit.startswith(named)]
        if len({point.code.commit for point in points}) > 1:
            raise UserError(f"{named!r} begins several commits; give more of the one that is the baseline")
        return [measured for point in points for measured in point.measured]

    return of_commit
