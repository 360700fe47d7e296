"""The report: a pure function of records. It reads no clock and no settings, so equal records give equal bytes.

A page is for people: of very many settings it shows the headline of each, and tables and figures of the first
`DETAILED`. CSV and JSON hold every number of all.
"""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure

from equibench import atomic
from equibench.errors import UserError
from equibench.quantities.text import commit
from equibench.report.exports import latex, raw
from equibench.report.figures import draw as figures
from equibench.report.figures import images as pictures
from equibench.report.figures import style
from equibench.report.figures.images import Picture
from equibench.report.pages import fill
from equibench.report.tables.along import along, to_target
from equibench.report.tables.audit import audit, clock, overhead, provenance
from equibench.report.tables.cost import memory, speed, training
from equibench.report.tables.differences import comparison, noise, pairs
from equibench.report.tables.families import abilities, numbers
from equibench.report.tables.headline import headline
from equibench.report.tables.likelihood import bounds, decoders, likelihood, out_of_distribution
from equibench.report.tables.quality import quality, samplers
from equibench.report.tables.scaling import tables as tables_of_ladders
from equibench.report.tables.table import Table
from equibench.summary.along import order_sentences
from equibench.summary.changes import differences
from equibench.summary.frame import load_frame
from equibench.summary.ladders import Ladder, ladders
from equibench.summary.pairs import sentences
from equibench.summary.scaling import ladder_sentences
from equibench.summary.sections import FiledRecord, Section
from equibench.summary.sort import load_cells, portraits, summarise

T = TypeVar("T")
PAGE, TABLES = "index.html", "tables.json"
DETAILED = 3  # sections with figures and all tables in the pages
PER_SECTION: tuple[Callable[[Section], Table], ...] = (
    headline,
    quality,
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
        with (out / TABLES).open("rb") if (out / TABLES).is_file() else io.BytesIO() as stream:
            if stream.read(len(raw.BEGIN)) == raw.BEGIN:
                return
        taken = next((out / name for name in sorted(names) if os.path.lexists(out / name)), None)
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
    found += [[comparison(sections)], [abilities(shown)], [numbers(shown)], [provenance(sections)]]
    return {tables[0].name: tables for tables in found} | tables_of_ladders(climbed)


def _files(cells: list[FiledRecord]) -> dict[str, bytes]:
    """All files of the report by name."""
    sections = summarise(cells)
    detailed = sections[:DETAILED]
    several = len(sections) > 1
    climbed = ladders(sections)
    found = all_tables(sections, climbed)
    drawn = [_figures(figures.FIGURES, s, f"-{s.letter.lower()}" if several else "") for s in detailed]
    of_ladders = [_figures(figures.OF_LADDERS, ladder, f"-{i}") for i, ladder in enumerate(climbed[:DETAILED], 1)]
    shown = portraits(sections)
    pictured = [pictures.of_family(cell) for cell in shown]
    context: dict[str, Any] = {
        "sections": sections,
        "detailed": detailed,
        "cells": cells,
        "colours": style.COLOURS,
        "figures": drawn,
        "portraits": list(zip(shown, pictured, strict=True)),
        "tables": found,
        "overhead": [overhead(section) for section in detailed],
        "findings": [[*sentences(section), *order_sentences(section)] for section in sections],
        "differences": differences(sections),
        "ladders": [(one, ladder_sentences(one), d) for one, d in zip(climbed, of_ladders, strict=False)],
        "machines": {cell.record.machine.key: cell.record.machine for cell in cells},
        "versions": _versions(cells),
        "commits": sorted({commit(cell.record) for cell in cells}),
    }
    files = {"report.md": fill.fill("report.md.j2", context), PAGE: fill.fill("report.html.j2", context)}
    for picture in [
        *(p for by_name in [*drawn, *of_ladders] for p in by_name.values()),
        *(p for ps in pictured for p, _ in ps),
    ]:
        files |= picture.files
    files |= _exports(found, detailed)
    files[TABLES] = raw.as_json(found, sections)
    files["tables/cells.csv"] = raw.csv_of(load_frame(cells)).encode()
    return files


def _exports(found: dict[str, list[Table]], detailed: list[Section]) -> dict[str, bytes]:
    """Each table as CSV; those that the pages show as LaTeX, and their numbers as macros."""
    files, typeset = {}, []
    for name, of_sections in found.items():
        files[f"tables/{name}.csv"] = raw.as_csv(of_sections).encode()
        per_section = len(of_sections) > 1
        for i, table in enumerate(of_sections[: len(detailed)] if per_section else of_sections):
            letter = detailed[i].letter if per_section else ""
            if table.lines and len(table.lines) <= fill.LINES:
                about = f"{name}, {detailed[i].data.name}" if letter else name
                end = f"-{letter.lower()}" if letter else ""
                files[f"tables/{name}{end}.tex"] = latex.tabular(table, about).encode()
                typeset.append((table, letter))
    files["numbers.tex"] = latex.numbers(typeset).encode()
    return files


def _figures(of: Mapping[str, tuple[Callable[[T], Figure | None], str]], one: T, suffix: str) -> dict[str, Picture]:
    """The figures of one section, or one ladder, by name, without those that its records have nothing for."""
    found = {}
    for name, (draw, alt) in of.items():
        figure = draw(one)
        if figure:
            path = f"figures/{name}{suffix}"
            kinds = {kind: style.render(figure, kind) for kind in style.KINDS}
            page: style.Kind = "png" if name == "samples" else "svg"  # pixels as they are
            others = {f"{path}.{kind}": content for kind, content in kinds.items() if kind != page}
            found[name] = Picture(f"{path}.{page}", kinds[page], alt, others)
    return found


def _versions(cells: list[FiledRecord]) -> dict[str, list[str]]:
    """Versions of each package among the records."""
    names = sorted({name for cell in cells for name in cell.record.versions})
    return {n: sorted({c.record.versions[n] for c in cells if n in c.record.versions}) for n in names}
