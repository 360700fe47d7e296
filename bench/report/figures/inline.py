"""A figure as markup within a page: SVG whose colours are the page's own, so that it is as dark or light as that."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from equibench.report.figures.layout import POINTS_PER_INCH
from equibench.report.figures.style import TOKENS, style

_COLOURS = {value: f"var(--{name})" for name, value in TOKENS.items()}
_KEPT = {  # of what styles say; all else is the page's, its font among it
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font-size",
    "font-weight", "text-anchor", "stroke-linejoin",
}  # fmt: skip
_DROPPED = {"metadata", "style", "title"}
_REFERENCE = re.compile(r"#([A-Za-z0-9_-]+)")
_LONG = re.compile(r"-?\d+\.\d{2,}")


def inline(figure: Figure, name: str, label: str, kind: str) -> Markup:
    """The figure as an `svg` element of the class `kind`, with `label` as its name for those who do not see it. `name`
    makes its ids unlike all others of the page. Text stays text; there is no style, script or address in it.
    """
    figure.set_dpi(POINTS_PER_INCH)
    figure.patch.set_visible(False)
    buffer = io.BytesIO()
    with style(), mpl.rc_context({"svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_svg(
            buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    figure.patch.set_visible(True)
    root = ElementTree.fromstring(buffer.getvalue())
    width, height = (figure.get_size_inches() * POINTS_PER_INCH).tolist()
    _clean(root)
    _rename(root, name)
    root.attrib.clear()
    root.attrib |= {
        "class": kind, "role": "img", "aria-label": label, "viewBox": f"0 0 {width:g} {height:g}",
        "width": f"{width:g}", "height": f"{height:g}",
    }  # fmt: skip
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _clean(element: ElementTree.Element) -> None:
    """Without namespaces, styles as attributes, lengths to a tenth, and no element that holds nothing."""
    element.tag = element.tag.rpartition("}")[2]
    if element.tag != "text":
        element.text = None
    element.tail = None
    for child in list(element):
        _clean(child)
        if child.tag in _DROPPED or (child.tag in ("g", "defs") and len(child) == 0):
            element.remove(child)
    said = dict(_styles(element.attrib.pop("style", "")))
    found = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    if element.tag == "text" and found.get("transform", "").startswith("rotate(-0 "):
        del found["transform"]
    element.attrib.clear()
    element.attrib |= {key: _LONG.sub(lambda n: f"{float(n[0]):.1f}", value) for key, value in found.items()}
    if "d" in found:
        element.set("d", " ".join(element.attrib["d"].split()))
    element.attrib |= {key: _COLOURS.get(value, value) for key, value in said.items() if key in _KEPT}


def _styles(text: str) -> Iterator[tuple[str, str]]:
    for one in text.split(";"):
        key, colon, value = one.partition(":")
        if colon:
            yield key.strip(), value.strip().lower()


def _rename(root: ElementTree.Element, name: str) -> None:
    """Ids that something refers to, as `name` with a number; all others go."""
    used: dict[str, str] = {}
    for element in root.iter():
        for key in ("href", "clip-path"):
            if key in element.attrib and (found := _REFERENCE.search(element.attrib[key])):
                used.setdefault(found[1], f"{name}-{len(used)}")
                element.set(key, element.attrib[key].replace(found[1], used[found[1]]))
    for element in root.iter():
        if (own := element.attrib.pop("id", None)) in used:
            element.set("id", used[str(own)])
