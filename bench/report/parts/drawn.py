"""The figures of each section and of each ladder of budgets: as files, and as the page has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup

from equibench.report.figures import draw, style
from equibench.report.figures.growth import Band, Growth, bands, growth
from equibench.report.figures.images import Picture
from equibench.report.figures.inline import inline
from equibench.report.figures.layout import PHONE
from equibench.report.parts.part import PagePart, Whole
from equibench.summary.scaling import ladder_sentences
from equibench.summary.sections import Section

T = TypeVar("T")
SHARP = 200  # dots per inch of charts as PNG


@dataclass(frozen=True)
class NumberedFigure:
    """A figure of the page: `cuts` are its pieces by name, each wide and for a phone; `csv` names the table of its
    numbers.
    """

    number: int
    picture: Picture
    cuts: Mapping[str, Markup]
    csv: str | None

    @property
    def anchor(self) -> str:
        return f"figure-{self.number}"

    @property
    def files(self) -> list[tuple[str, str]]:
        """Kind and path of each file of it."""
        return [(name.rpartition(".")[2].upper(), name) for name in sorted(self.picture.files)]


@dataclass(frozen=True)
class SectionFigures:
    """All that the page draws of one section."""

    of: Mapping[str, NumberedFigure]
    growth: Growth | None
    bands: Sequence[Band]
    seeds: bool  # whether any entrant was trained more than once


def figures(whole: Whole) -> PagePart:
    """Files of every figure, and what the page draws itself."""
    several = len(whole.sections) > 1
    numbers = iter(range(1, 1_000_000))
    shown = whole.ladders[: len(whole.detailed)]
    of_ladders = [_files(draw.OF_LADDERS, ladder, f"-{i}") for i, ladder in enumerate(shown, 1)]
    ladder_charts = [
        _numbered("scaling", one, files["scaling"], next(numbers)) if "scaling" in files else None
        for one, files in zip(shown, of_ladders, strict=True)
    ]
    of_sections, charts = [], []
    for section in whole.detailed:
        files = _files(draw.FIGURES, section, f"-{section.letter.lower()}" if several else "")
        of_sections.append(files)
        charts.append(_of_section(section, files, numbers))
    return PagePart(
        {
            "figures": of_sections,
            "charts": charts,
            "ladders": [(one, ladder_sentences(one), d) for one, d in zip(shown, of_ladders, strict=True)],
            "ladder_charts": ladder_charts,
        },
        tuple(picture for by_name in [*of_sections, *of_ladders] for picture in by_name.values()),
    )


def _of_section(section: Section, files: Mapping[str, Picture], numbers: Iterator[int]) -> SectionFigures:
    found = {name: _numbered(name, section, files[name], next(numbers)) for name in draw.IN_ORDER if name in files}
    return SectionFigures(
        found,
        growth(section) if "along-training" in found else None,
        bands(section) if "samples" in found else [],
        any(len(row.cells) > 1 for row in section.ran),
    )


def _numbered(name: str, one: T, picture: Picture, number: int) -> NumberedFigure:
    """The figure on the page: each piece in both cuts, side by side, of which a style sheet shows one."""
    cuts = {}
    for place, (drawing, wide) in enumerate(draw.ON_PAGE.get(name, ())):
        pair = [(kind, drawing(one, cut)) for kind, cut in (("wide", wide), ("phone", PHONE))]
        ids = f"f{number}-{place}"
        shown = [inline(figure, f"{ids}-{kind}", picture.alt, kind) for kind, figure in pair if figure]
        if shown:
            cuts[drawing.__name__] = Markup("").join(shown)
    return NumberedFigure(number, picture, cuts, draw.TABLES.get(name))


def _files(of: Mapping[str, draw.Drawn[T]], one: T, suffix: str) -> dict[str, Picture]:
    """The figures of one section, or one ladder, by name, without those that its records have nothing for."""
    found = {}
    for name, (drawing, alt) in of.items():
        figure = drawing(one)
        if figure:
            path = f"figures/{name}{suffix}"
            pixels = name == "samples"  # which are shown as they are
            dpi = style.DPI if pixels else SHARP
            kinds = {kind: style.render(figure, kind, dpi) for kind in style.KINDS}
            page: style.Kind = "png" if pixels else "svg"
            others = {f"{path}.{kind}": content for kind, content in kinds.items() if kind != page}
            found[name] = Picture(f"{path}.{page}", kinds[page], alt, others)
    return found
