"""What the tests support, as sentences, with the comparisons they rest on drawn on one scale a section."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from equibench.quantities.text import TIMES, number, p_words
from equibench.report.parts.part import PagePart, Whole
from equibench.report.tables.table import Entry, How, Origin
from equibench.summary.changes import change_sentences, differences
from equibench.summary.evidence import Evidence, TestedFinding
from equibench.summary.findings import findings as found_in
from equibench.summary.tiles import interval

WIDTH, EDGE, HEIGHT = 140.0, 6.0, 16
LETTER = 6.2  # width of a digit on the axis
MOST_COMPARISONS = 8  # comparisons beside a finding: all of them are in the table of pairs
FAR = 1e3  # a ratio beyond is drawn at the end of the scale
TICKS = (0.01, 0.1, 0.5, 1, 2, 5, 10, 50, 100, 1000)


@dataclass(frozen=True)
class DrawnScale:
    """From values to places in a drawing, between the least and the most."""

    low: float
    high: float
    is_log: bool

    def place(self, value: float) -> float:
        turn = math.log if self.is_log else float
        value = min(max(value, self.low), self.high)
        share = (turn(value) - turn(self.low)) / (turn(self.high) - turn(self.low))
        return EDGE + share * (WIDTH - 2 * EDGE)


@dataclass(frozen=True)
class ShownEvidence:
    """One comparison in words and drawn."""

    label: str
    drawing: Markup
    value: str
    interval: str
    p: str
    entry: Entry  # the number, with where it came from
    open: bool  # tested, and not decided


@dataclass(frozen=True)
class ShownFinding:
    """A finding with its comparisons; `more` is the number of those that are left to the table."""

    finding: TestedFinding
    shown: tuple[ShownEvidence, ...]
    more: int
    axis: Markup  # of differences, which have a scale of their own


@dataclass(frozen=True)
class SectionFindings:
    """All findings of a section, and the axis of their ratios."""

    findings: tuple[ShownFinding, ...]
    axis: Markup


def findings(whole: Whole) -> PagePart:
    return PagePart(
        {
            "findings": [_of_section(found_in(section)) for section in whole.detailed],
            "differences": differences(whole.sections),
            "changes": change_sentences(whole.sections),
        }
    )


def _of_section(found: Sequence[TestedFinding]) -> SectionFindings:
    ratios = [one for finding in found for one in finding.evidence[:MOST_COMPARISONS] if one.effect.is_ratio]
    scale = log_scale(ratios)
    axis = _axis(scale, [t for t in TICKS if scale.low <= t <= scale.high], TIMES) if ratios else Markup()
    return SectionFindings(tuple(_shown(finding, scale) for finding in found), axis)


def log_scale(ratios: Iterable[Evidence]) -> DrawnScale:
    """From the least to the most of the intervals, with 1 among them."""
    ends = [end for one in ratios for end in _ends(one)]
    clamped = [min(max(end, 1 / FAR), FAR) for end in ends if not math.isnan(end)]
    return DrawnScale(min([0.8, *clamped]), max([2.0, *clamped]), True)


def _ends(one: Evidence) -> list[float]:
    return [end for end in (one.effect.low, one.effect.value, one.effect.high) if end is not None]


def _shown(finding: TestedFinding, ratios: DrawnScale) -> ShownFinding:
    shown = finding.evidence[:MOST_COMPARISONS]
    ends = [end for one in shown if not one.effect.is_ratio for end in _ends(one) if math.isfinite(end)]
    width = max([0.0, *ends]) - min([0.0, *ends])
    own = DrawnScale(min([0.0, *ends]), max([0.0, *ends]), False) if width > 0 else DrawnScale(-1, 1, False)
    drawn = tuple(_one(one, ratios if one.effect.is_ratio else own) for one in shown)
    axis = _axis(own, sorted({own.low, 0.0, own.high}), "") if ends else Markup()
    return ShownFinding(finding, drawn, len(finding.evidence) - len(shown), axis)


def _one(one: Evidence, scale: DrawnScale) -> ShownEvidence:
    effect = one.effect
    value = f"{number(effect.value, 3)}{TIMES}" if effect.is_ratio else f"{effect.value:+.3f}"
    tested = one.p_holm is not None
    over = "over training seeds" if one.over_seeds else "of these trained models"
    p = f"{p_words(one.p_holm)}, {over}, {one.measure}" if one.p_holm is not None else f"not tested, {one.measure}"
    return ShownEvidence(
        one.label,
        _drawing(one, scale),
        value,
        interval(effect, 3 if effect.is_ratio else 2),
        p,
        _entry(one),
        tested and not one.decided,
    )


def _entry(one: Evidence) -> Entry:
    (mine, path), (theirs, other) = one.sides
    how: How = "ratio of geometric means" if one.effect.is_ratio else "difference of means"
    source = Origin(mine, path, how, theirs, "" if other == path else other)
    return Entry("", one.effect.value, more={"_low": one.effect.low, "_high": one.effect.high}, source=source)


def _drawing(one: Evidence, scale: DrawnScale) -> Markup:
    """Interval and value beside the line of no difference; the same is written beside it, so that it is hidden from
    readers of the screen.
    """
    effect, middle = one.effect, HEIGHT / 2
    none = scale.place(1.0 if effect.is_ratio else 0.0)
    parts = [_line("none", none, 0, HEIGHT)]
    if effect.low is not None and effect.high is not None:
        left, right = scale.place(effect.low), scale.place(effect.high)
        box = f'x="{left:.1f}" y="{middle - 2.5:.1f}" width="{max(right - left, 0.5):.1f}" height="5"'
        parts.append(f'<rect class="interval" {box}/>')
    parts.append(_line("value", scale.place(effect.value), middle - 5, middle + 5))
    return _svg(parts, HEIGHT)


def _axis(scale: DrawnScale, ticks: Sequence[float], unit: str) -> Markup:
    """The labels of a scale, without those that would touch the one before."""
    parts, last = [], -math.inf
    for tick in ticks:
        place = scale.place(tick)
        text = escape(f"{number(tick, 2) if tick % 1 else int(tick)}{unit}")
        anchor, share = ("start", 0.0) if place < 15 else ("end", 1.0) if place > WIDTH - 15 else ("middle", 0.5)
        left = place - share * LETTER * len(text)
        if left < last + LETTER:
            continue
        last = left + LETTER * len(text)
        parts.append(f'<text x="{place:.1f}" y="12" text-anchor="{anchor}">{text}</text>')
    return _svg(parts, HEIGHT)


def _line(kind: str, x: float, top: float, bottom: float) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def _svg(parts: Sequence[str], height: int) -> Markup:
    return Markup(
        f'<svg class="scale" viewBox="0 0 {WIDTH:.0f} {height}" width="{WIDTH:.0f}" height="{height}" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )
