"""The report: a pure function of records. It reads no clock and no settings, so equal records give equal bytes."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure

from bench import (
    UserError,
    bound_tables,
    cost_tables,
    formatting,
    layout,
    per_cell,
    plots,
    quality_tables,
    record,
    tables,
)
from bench.sections import Cell, Section
from bench.summary import load_frame, portraits, summarise

FIGURES = {
    "quality-and-speed": (plots.quality_and_speed, "Distance to the test images against seconds and FLOPs per image."),
    "bits-per-dim": (plots.bits_per_dim, "Bits per dimension of each entrant, and the floors as dashed lines."),
    "memory": (plots.memory, "Peak memory of training and of sampling for each entrant."),
    "curves": (plots.curves, "Losses of each entrant against training FLOPs, one panel a loss."),
    "discriminator": (plots.discriminator, "Accuracy of the GAN's discriminator against training FLOPs."),
}


@dataclass(frozen=True)
class Picture:
    """A figure as a file: `name` is its path in the report's folder, `alt` says what it shows."""

    name: str
    content: bytes
    alt: str

    @property
    def uri(self) -> str:
        """The figure itself as an address, for a page that works without its folder."""
        kind = "svg+xml" if self.name.endswith(".svg") else "png"
        return f"data:image/{kind};base64,{base64.b64encode(self.content).decode()}"


def write(paths: list[Path], out: Path) -> list[Path]:
    """Write the report on the records in `paths` to the folder `out`; returns the files written, sorted.

    Raises UserError if there are no records, if they do not belong together, or if `out` cannot be written.
    """
    cells = [Cell(path, found) for path, found in record.read_all(paths)]
    written = []
    for name, content in sorted(_files(cells).items()):
        path = out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise UserError(f"cannot write the report to {out} ({error.strerror}); choose another --out") from None
        written.append(path)
    return written


def _files(cells: list[Cell]) -> dict[str, bytes]:
    """All files of the report by name."""
    sections = summarise(cells)
    figures = [_figures(section, f"-{i}" if len(sections) > 1 else "") for i, section in enumerate(sections, 1)]
    shown = portraits(sections)
    pictures = [_pictures(cell) for cell in shown]
    context: dict[str, Any] = {
        "sections": sections,
        "cells": cells,
        "colours": plots.COLOURS,
        "figures": figures,
        "portraits": list(zip(shown, pictures, strict=True)),
        "tables": {
            **{f.__name__: [f(section) for section in sections] for f in PER_SECTION},
            "abilities": tables.abilities(shown),
            "numbers": tables.numbers(shown),
            "provenance": per_cell.provenance(sections),
        },
        "overhead": [per_cell.overhead(section) for section in sections],
        "ranking": [tables.ranking(section) for section in sections],
        "machines": {cell.record.machine.key: cell.record.machine for cell in cells},
        "versions": _versions(cells),
        "commits": sorted({per_cell.commit(cell.record) for cell in cells}),
    }
    files = {"report.md": _page("report.md.j2", context), "index.html": _page("report.html.j2", context)}
    everything = [*(picture for found in figures for picture in found.values()), *(p for ps in pictures for p, _ in ps)]
    files |= {picture.name: picture.content for picture in everything}
    for name, found in context["tables"].items():
        content = layout.csv(found if isinstance(found, list) else [found])
        files[f"tables/{name}.csv"] = content.encode()
    files["tables/cells.csv"] = load_frame(cells).to_csv(index=False, lineterminator="\n").encode()
    return files


PER_SECTION = (
    tables.headline,
    quality_tables.quality,
    quality_tables.pairs,
    per_cell.likelihood,
    bound_tables.bounds,
    bound_tables.out_of_distribution,
    bound_tables.decoders,
    tables.samplers,
    cost_tables.speed,
    cost_tables.training,
    cost_tables.memory,
    per_cell.audit,
    per_cell.clock,
)


def _figures(section: Section, suffix: str) -> dict[str, Picture]:
    """The figures of one section by kind, without those that its records have nothing for."""
    found = {}
    samples = _samples(section)
    if samples:
        alt = "Real test images above those that each entrant generated."
        found["samples"] = Picture(f"figures/samples{suffix}.png", plots.render(samples, "png"), alt)
    for name, (draw, alt) in FIGURES.items():
        figure = draw(section)
        if figure:
            found[name] = Picture(f"figures/{name}{suffix}.svg", plots.render(figure, "svg"), alt)
    return found


def _samples(section: Section) -> Figure | None:
    """Samples of each entrant's first seed under real images; None where no record has any."""
    loaded = [(row, record.read_arrays(row.cells[0].path, row.first)) for row in section.ran]
    panels = [(row.label, _images(row.cells[0], arrays, "samples", 4)) for row, arrays in loaded if "samples" in arrays]
    real = [_images(row.cells[0], arrays, "real", 4) for row, arrays in loaded if "real" in arrays]
    panels = [("real test images", real[0]), *panels] if real and panels else panels
    return plots.samples(panels) if panels else None


def _pictures(cell: Cell) -> list[tuple[Picture, str]]:
    """The pictures of a family's portrait with their captions, without those whose arrays are gone."""
    arrays = record.read_arrays(cell.path, cell.record)
    portrait = cell.record.portrait
    found = []
    for key, caption in sorted(portrait.pictures.items()) if portrait else []:
        if key in arrays:
            name = re.sub(r"[^A-Za-z0-9]+", "-", f"{cell.record.family or cell.record.entrant}-{key}")
            content = plots.render(plots.strip(_images(cell, arrays, key, 5)), "png")
            found.append((Picture(f"figures/portrait-{name}.png", content, caption), caption))
    return found


def _images(cell: Cell, arrays: Mapping[str, np.ndarray], key: str, dimensions: int) -> np.ndarray:
    """An array of pictures. Raises UserError unless it is uint8, not empty, of 1 or 3 channels, with so many axes."""
    images = arrays[key]
    if images.dtype != np.uint8 or images.ndim != dimensions or not images.size or images.shape[-3] not in (1, 3):
        found = f"{images.dtype} {list(images.shape)}"
        raise UserError(f"the array {key!r} beside {cell.path} is {found}, not uint8 pictures; run its cell again")
    return images


def _versions(cells: list[Cell]) -> dict[str, list[str]]:
    """Versions of each package among the records."""
    names = sorted({name for cell in cells for name in cell.record.versions})
    return {n: sorted({c.record.versions[n] for c in cells if n in c.record.versions}) for n in names}


def _page(template: str, context: Mapping[str, Any]) -> bytes:
    """Fill one template. HTML is escaped by the engine, Markdown by the filters `text` and `table`."""
    html = template.endswith(".html.j2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "text": str if html else markdown,
        "table": markdown_table,
        "listed": formatting.join,
        "entrants": tables.entrants,
    }
    environment.filters |= {"number": formatting.number, "budget": formatting.budget_words}
    page = environment.get_template(template).render(context)
    return (re.sub(r"\n{3,}", "\n\n", page).strip() + "\n").encode()


def markdown(text: object) -> str:
    """Text from a record as plain Markdown on one line: nothing in it is read as markup."""
    plain = re.sub(r"([\\`*\[\]<>|~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", str(text).replace("&", "&amp;"))
    return " ".join(plain.split())


def markdown_table(table: layout.Table) -> str:
    """A table in GitHub's Markdown with its footnotes under it; floors in italics."""

    def shown(entry: layout.Entry, kind: str) -> str:
        text = markdown(entry.text) + (f" ({markdown(entry.detail)})" if entry.detail else "")
        mark = "**" if entry.strong else "*" if kind == "floor" and text else ""
        return f"{mark}{text}{mark}"

    rows = [[markdown(label) for label in table.labels], ["---:" if numeric else ":---" for numeric in table.numeric]]
    for line in table.lines:
        row = [shown(entry, line.kind) for entry in line.entries]
        rows.append([*row[:2], markdown(line.span), *row[3:]] if line.span else row)
    notes = [f"{formatting.superscript(i)} {markdown(note)}  " for i, note in enumerate(table.notes, 1)]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", *notes])
