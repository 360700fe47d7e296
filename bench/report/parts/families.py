"""The families, one after the other, with what this run shows of each."""

from __future__ import annotations

from equibench.report.figures import images
from equibench.report.parts.part import PagePart, Whole
from equibench.summary.sort import portraits


def families(whole: Whole) -> PagePart:
    shown = portraits(whole.sections)
    pictured = [images.of_family(cell) for cell in shown]
    return PagePart(
        {"portraits": list(zip(shown, pictured, strict=True))},
        tuple(picture for pictures in pictured for picture, _ in pictures),
    )
