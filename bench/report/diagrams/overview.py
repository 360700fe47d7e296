"""All families in one drawing: what stands between an image and noise, and whether a way leads back."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from equibench.quantities.text import amount
from equibench.report.diagrams.svg import Drawing, safe
from equibench.report.sprites import Sprite

WIDTH, ROW, TOP = 1100, 108, 28
LEFT, RIGHT = 250, 870  # of what stands between the two ends
SIDE = 44  # of an image


class FamilyWay(NamedTuple):
    """A family's row. `chain` are pictures from noise to a sample, where it has them."""

    family: str
    title: str
    gist: str
    noise: Sprite | None
    numbers: int  # of noise a sample starts from; 0 where nothing is known
    passes: float | None
    real: Sprite | None
    sample: Sprite | None
    chain: Sequence[Sprite] = ()


def overview(ways: Sequence[FamilyWay]) -> Markup:
    """A row a family."""
    drawing = Drawing()
    drawing.text(206, 14, "IMAGE", "lane")
    drawing.text((LEFT + RIGHT) / 2, 14, "dashed: from image to noise; solid: from noise to image", "small")
    drawing.text(920, 14, "NOISE", "lane")
    groups = []
    for i, way in enumerate(ways):
        row = _row(way, TOP + ROW * i)
        groups.append(f'<g class="of-{safe(way.family)}">{"".join(row.shapes)}</g>')
    drawing.shapes += groups
    height = TOP + ROW * len(ways)
    about = "; ".join(f"{way.title}: {way.gist}" for way in ways)
    return drawing.svg(WIDTH, height, "ways", "From image to noise and back, a row a family", about, "overview")


def _row(way: FamilyWay, top: float) -> Drawing:
    drawing, upper, lower = Drawing(), top + 29, top + 80
    drawing.line([(0, top), (WIDTH, top)], "rule", head=False)
    # the names may be long: of a user's own family it is the class's
    for j, line in enumerate(textwrap.wrap(way.title, 17, max_lines=4, placeholder=" …")):
        drawing.text(0, top + 28 + 20 * j, line, "name", "start")
    for y, sprite in ((upper, way.real), (lower, way.sample)):
        if sprite:
            drawing.image(206 - SIDE / 2, y - SIDE / 2, SIDE, SIDE, sprite.uri)
        else:
            drawing.rect(206 - SIDE / 2, y - SIDE / 2, SIDE, SIDE, "fixed", 2)
    _BETWEEN.get(way.family, _other)(drawing, way, upper, lower)
    middle = (upper + lower) / 2
    if way.noise:
        size = 20 if way.numbers < 200 else 44
        drawing.image(920 - size / 2, middle - size / 2, size, size, way.noise.uri)
    if way.numbers:
        drawing.text(960, middle - 2, f"{amount(way.numbers)} numbers", "strong", "start")
    if way.passes is not None:
        passes = f"{amount(way.passes)} pass{'es' if way.passes != 1 else ''} for a sample"
        drawing.text(960, middle + 15, passes, "", "start")
    return drawing


def _gan(drawing: Drawing, _way: FamilyWay, upper: float, lower: float) -> None:
    drawing.line([(230, upper), (470, upper)], "read")
    drawing.line([(230, lower - 10), (LEFT + 10, lower - 10), (LEFT + 10, upper + 14), (470, upper + 14)], "read")
    _block(drawing, 470, upper, 190, 38, "discriminator", sampled=False)
    drawing.line([(660, upper), (706, upper)], "read")
    drawing.text(714, upper + 4, "real or made? The path ends here.", "small", "start")
    drawing.line([(890, lower), (660, lower)])
    _block(drawing, 470, lower, 190, 38, "generator")
    drawing.line([(470, lower), (230, lower)])


def _vae(drawing: Drawing, _way: FamilyWay, upper: float, lower: float) -> None:
    drawing.line([(230, upper), (470, upper)], "read")
    _block(drawing, 470, upper, 190, 38, "encoder", sampled=False)
    drawing.line([(660, upper), (890, upper)], "read")
    drawing.text(775, upper - 8, "a distribution", "small")
    drawing.line([(890, lower), (660, lower)])
    _block(drawing, 470, lower, 190, 38, "decoder")
    drawing.line([(470, lower), (230, lower)])
    drawing.text(350, lower - 8, "a distribution", "small")


def _flow(drawing: Drawing, _way: FamilyWay, upper: float, lower: float) -> None:
    n, width = 4, 110
    step = (RIGHT - LEFT) / n
    edges = [230.0] + [LEFT + step * (i + 0.5) for i in range(n)] + [890.0]
    for i in range(n + 1):
        left = edges[i] + (width / 2 if i else 0)
        right = edges[i + 1] - (width / 2 if i < n else 0)
        drawing.line([(left, upper), (right, upper)], "read")
        drawing.line([(right, lower), (left, lower)])
    for x in edges[1:-1]:
        _block(drawing, x - width / 2, (upper + lower) / 2, width, lower - upper + 34, "couplings")


def _diffusion(drawing: Drawing, way: FamilyWay, upper: float, lower: float) -> None:
    n = 4
    step = (RIGHT - LEFT) / n
    places = [206.0, *(LEFT + step * (i + 0.5) for i in range(n)), 912.0]
    for i in range(n + 1):
        left, right = places[i] + 24, places[i + 1] - 24
        middle = (left + right) / 2
        drawing.line([(left, upper), (right, upper)], "read")
        drawing.circle(middle, upper, 11, "fixed unsampled")
        drawing.text(middle, upper + 4, "+")
        drawing.line([(right, lower), (left, lower)])
        drawing.circle(middle, lower, 11, "learned")
    for i, x in enumerate(places[1:-1]):
        for y, chain in ((upper, way.chain[:n]), (lower, way.chain[n : 2 * n])):
            if i < len(chain):
                drawing.image(x - SIDE / 2, y - SIDE / 2, SIDE, SIDE, chain[i].uri)
            else:
                drawing.rect(x - SIDE / 2, y - SIDE / 2, SIDE, SIDE, "fixed", 2)


def _other(drawing: Drawing, _way: FamilyWay, _upper: float, lower: float) -> None:
    drawing.line([(890, lower), (660, lower)])
    _block(drawing, 470, lower, 190, 38, "model")
    drawing.line([(470, lower), (230, lower)])


def _block(
    drawing: Drawing, x: float, y: float, width: float, height: float, label: str, *, sampled: bool = True
) -> None:
    drawing.rect(x, y - height / 2, width, height, "learned" if sampled else "learned unsampled")
    drawing.text(x + width / 2, y + 4, label, "on" if sampled else "")


_BETWEEN: Mapping[str, Callable[[Drawing, FamilyWay, float, float], None]] = {
    "gan": _gan,
    "vae": _vae,
    "flow": _flow,
    "diffusion": _diffusion,
}
