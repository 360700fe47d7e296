"""An SVG drawing as a page holds it: shapes with classes, which the style gives colours of both modes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from equibench.terminal import visible

Point = tuple[float, float]
HEAD = 7  # length of an arrow's head


def safe(text: object) -> Markup:
    """Text from a record as it may stand in markup, without control characters."""
    return escape(visible(str(text)))


class Drawing:
    """Shapes in the order in which they are drawn, in pixels from the upper left corner."""

    def __init__(self) -> None:
        self.shapes: list[str] = []

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> None:
        self.shapes.append(f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{safe(text)}</text>')

    def rect(self, x: float, y: float, width: float, height: float, kind: str, radius: float = 5) -> None:
        self.shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" class="{kind}"/>'
        )

    def circle(self, x: float, y: float, radius: float, kind: str) -> None:
        self.shapes.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" class="{kind}"/>')

    def image(self, x: float, y: float, width: float, height: float, uri: str) -> None:
        """`uri` is one of `sprites`, which holds no text of a record."""
        self.shapes.append(
            f'<image x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" href="{safe(uri)}" '
            'preserveAspectRatio="none"/>'
        )

    def line(self, points: Sequence[Point], kind: str = "make", *, head: bool = True) -> None:
        """A line through the points, by default with an arrow's head at its end; `kind` is "make" or "read"."""
        *_, (x0, y0), (x1, y1) = points
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        dx, dy = (x1 - x0) / length * HEAD, (y1 - y0) / length * HEAD
        ends = [*points[:-1], (x1 - dx, y1 - dy) if head else (x1, y1)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in ends)
        self.shapes.append(f'<path d="M{path}" class="line {kind}"/>')
        if head:
            left, right = (x1 - dx - dy * 0.45, y1 - dy + dx * 0.45), (x1 - dx + dy * 0.45, y1 - dy - dx * 0.45)
            tip = "L".join(f"{x:.1f} {y:.1f}" for x, y in ((x1, y1), left, right))
            self.shapes.append(f'<path d="M{tip}Z" class="head {kind}"/>')

    def svg(self, width: float, height: float, name: str, title: str, about: str, kind: str = "") -> Markup:
        """The drawing; `name` is unlike every other's in the page, and `title` and `about` say what is seen."""
        called = safe(name)
        return Markup(
            f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" class="drawing {kind}" '
            f'role="img" aria-labelledby="{called}-title {called}-about"><title id="{called}-title">{safe(title)}'
            f'</title><desc id="{called}-about">{safe(about)}</desc>{"".join(self.shapes)}</svg>'
        )
