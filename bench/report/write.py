"""The report: a pure function of records. It reads no clock and no settings, so equal records give equal bytes.

A page is for people: of many settings it shows the headline of each, and tables and figures of `DETAILED`, the first
and the last among them. CSV and JSON hold every number of all.
"""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from equibench import atomic
from equibench.errors import UserError
from equibench.quantities.text import commit
from equibench.report.exports import latex, raw
from equibench.report.exports.latex_headline import WIDTHS, headline_tabular
from equibench.report.figures import style
from equibench.report.pages import fill
from equibench.report.parts.distance import distance
from equibench.report.parts.drawn import figures
from equibench.report.parts.families import families
from equibench.report.parts.findings import findings
from equibench.report.parts.first import first
from equibench.report.parts.part import PagePart, Whole
from equibench.report.tables.along import along, to_target
from equibench.report.tables.audit import audit, clock, overhead, provenance
from equibench.report.tables.cost import memory, speed, training
from equibench.report.tables.differences import comparison, noise, pairs
from equibench.report.tables.distance import distance as distance_by_class
from equibench.report.tables.families import abilities, numbers, side_by_side
from equibench.report.tables.headline import headline
from equibench.report.tables.labels import by_class, classifiers, probes
from equibench.report.tables.likelihood import bounds, decoders, likelihood, out_of_distribution
from equibench.report.tables.quality import quality, samplers
from equibench.report.tables.scaling import tables as tables_of_ladders
from equibench.report.tables.spaces import spaces
from equibench.report.tables.table import Table
from equibench.summary.frame import load_frame
from equibench.summary.ladders import Ladder, ladders
from equibench.summary.sections import FiledRecord, Section
from equibench.summary.sort import load_cells, portraits, summarise

PAGE, TABLES = "index.html", "tables.json"
DETAILED = 3  # sections with figures and all tables in the pages
PER_SECTION: tuple[Callable[[Section], Table], ...] = (
    headline,
    quality,
    spaces,
    distance_by_class,
    by_class,
    classifiers,
    probes,
    noise,
    pairs,
    likelihood,
    bounds,
    out_of_distribution,
    decoders,
    samplers,
    speed,
    training,
    along,
    to_target,
    memory,
    audit,
    clock,
)
PARTS: tuple[Callable[[Whole], PagePart], ...] = (first, findings, figures, families, distance)


def write(paths: list[Path], out: Path) -> list[Path]:
    """Write the report on the records in `paths` to the folder `out`; returns the files written, sorted.

    Raises UserError if there are no records, if they do not belong together, or if `out` cannot be written, is where
    they lie, or holds files of the report's names that no report wrote.
    """
    # Ten thousand records are millions of objects that stay: to search them for cycles takes a third of the time.
    collects = gc.isenabled()
    gc.disable()
    try:
        cells = load_cells(paths)
        _refuse_source(out, paths, cells)
        files = _files(cells)
        _refuse_foreign(out, files)
    finally:
        if collects:
            gc.enable()
    # the tables first, by which a report that was stopped half way is known as one; the page as the last that is whole
    for name in sorted(files, key=lambda name: (name != TABLES, name == PAGE, name)):
        try:
            atomic.write(out / name, files[name])
        except OSError as error:
            raise UserError(f"cannot write the report to {out} ({error.strerror}); choose another --out") from None
    return sorted(out / name for name in files)


def _refuse_foreign(out: Path, names: Iterable[str]) -> None:
    """Raises UserError where a file would be replaced in a folder that holds no report."""
    try:
        taken = next((out / name for name in sorted(names) if os.path.lexists(out / name)), None)
        # read after that look: the tables of another call that writes to the folder are there before its other files
        with (out / TABLES).open("rb") if (out / TABLES).is_file() else io.BytesIO() as stream:
            if stream.read(len(raw.BEGIN)) == raw.BEGIN:
                return
    except OSError as error:
        raise UserError(f"cannot write the report to {out} ({error.strerror}); choose another --out") from None
    if taken:
        raise UserError(f"{taken} is there already and is of no report; choose an empty folder as --out")


def _refuse_source(out: Path, paths: list[Path], cells: list[FiledRecord]) -> None:
    """Raises UserError for a folder that records are read from: the report's own files would lie among them."""
    for folder in {path for path in paths if path.is_dir()} | {cell.path.parent for cell in cells}:
        if out.exists() and out.samefile(folder):
            raise UserError(f"{out} is where the records lie; choose another --out, such as {out / 'report'}")


def all_tables(sections: list[Section], climbed: list[Ladder]) -> dict[str, list[Table]]:
    """Every table of a report by name: one a section, or one alone; those of ladders of budgets where there are any."""
    shown = portraits(sections)
    found = [[of_section(section) for section in sections] for of_section in PER_SECTION]
    found += [
        [comparison(sections)],
        [side_by_side(shown, sections)],
        [abilities(shown)],
        [numbers(shown, sections)],
        [provenance(sections)],
    ]
    return {tables[0].name: tables for tables in found} | tables_of_ladders(climbed)


def _files(cells: list[FiledRecord]) -> dict[str, bytes]:
    """All files of the report by name."""
    sections = summarise(cells)
    whole = Whole(cells, sections, _detailed_places(len(sections)), ladders(sections))
    found = all_tables(sections, whole.ladders)
    context: dict[str, Any] = {
        "sections": sections,
        "detailed": whole.detailed,
        "places": whole.places,
        "cells": cells,
        "colours": style.COLOURS,
        "tables": found,
        "overhead": [overhead(section) for section in whole.detailed],
        "machines": {cell.record.machine.key: cell.record.machine for cell in cells},
        "versions": _versions(cells),
        "commits": sorted({commit(cell.record) for cell in cells}),
    }
    files: dict[str, bytes] = {}
    for part in (of_whole(whole) for of_whole in PARTS):
        context |= part.context
        for picture in part.pictures:
            files |= picture.files
    files |= {"report.md": fill.fill("report.md.j2", context), PAGE: fill.fill("report.html.j2", context)}
    files |= _exports(found, whole)
    files[TABLES] = raw.as_json(found, sections)
    files["tables/cells.csv"] = raw.csv_of(load_frame(cells)).encode()
    return files


def _detailed_places(n: int) -> list[int]:
    """The places, of n, of the sections with figures and all tables: the first, the last, and evenly between."""
    if n <= DETAILED:
        return list(range(n))
    return [i * (n - 1) // (DETAILED - 1) for i in range(DETAILED)]


def _exports(found: dict[str, list[Table]], whole: Whole) -> dict[str, bytes]:
    """Each table as CSV; those that the pages show as LaTeX, and their numbers as macros."""
    files, typeset = {}, []
    for name, of_sections in found.items():
        files[f"tables/{name}.csv"] = raw.as_csv(of_sections).encode()
        per_section = len(of_sections) > 1
        for place in whole.places if per_section else range(len(of_sections)):
            table, section = of_sections[place], whole.sections[place] if per_section else None
            letter = section.letter if section else ""
            if table.lines and len(table.lines) <= fill.LINES:
                about = f"{name}, {section.data.name}" if section else name
                end = f"-{letter.lower()}" if letter else ""
                files[f"tables/{name}{end}.tex"] = latex.tabular(table, about).encode()
                typeset.append((table, letter))
                if name == "headline":
                    fitting = {width: headline_tabular(table, about, width) for width in WIDTHS}
                    files |= {f"tables/headline-{w}{end}.tex": text.encode() for w, text in fitting.items()}
    files["numbers.tex"] = latex.numbers(typeset).encode()
    return files


def _versions(cells: list[FiledRecord]) -> dict[str, list[str]]:
    """Versions of each package among the records."""
    names = sorted({name for cell in cells for name in cell.record.versions})
    return {n: sorted({c.record.versions[n] for c in cells if n in c.record.versions}) for n in names}
