"""The look of all figures, and figures as files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from equibench.summary.sections import Row
from equibench.terminal import visible
from equibench_models import FAMILIES

PALETTE = sns.color_palette("colorblind").as_hex()
# Colours far apart under the common kinds of colour blindness; grey is left to floors.
COLOURS = dict(zip(FAMILIES, (PALETTE[i] for i in (3, 0, 2, 4, 1, 6, 8, 9)), strict=False))
MARKERS = dict(zip(FAMILIES, "^sDovphX", strict=False))
OTHER, FLOOR = PALETTE[5], "#5f6b7a"
Kind = Literal["svg", "pdf", "png"]
KINDS: tuple[Kind, ...] = ("svg", "pdf", "png")
DPI = 100  # of PNG, so that a length in pixels is a hundredth of one in inches


@contextmanager
def style() -> Iterator[None]:
    """The look of all figures; the fixed salt gives an SVG's identifiers the same value every time."""
    look = sns.axes_style("whitegrid") | sns.plotting_context("notebook", font_scale=0.85)
    look |= {
        "figure.dpi": DPI,
        "svg.hashsalt": "equibench",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "axes.titlelocation": "left",
    }
    look |= {"axes.spines.top": False, "axes.spines.right": False, "grid.color": "#e6e9ee", "axes.edgecolor": "#8a94a3"}
    with mpl.rc_context(look):
        yield


def render(figure: Figure, kind: Kind) -> bytes:
    """The figure as a file: no date and no tool name in it, so that equal figures are equal bytes."""
    buffer = io.BytesIO()
    figure.set_dpi(DPI)  # as SVG and PDF leave their own behind
    with style():  # not by savefig, which draws everything twice
        if kind == "svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
        elif kind == "pdf":
            nothing = {"CreationDate": None, "Creator": None, "Producer": None}
            FigureCanvasPdf(figure).print_pdf(buffer, metadata=nothing)
        else:
            FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    figure.set_layout_engine("none")  # laid out once, as it takes most of the time: the next kind looks the same
    return buffer.getvalue()


def drawn(text: str) -> str:
    """A text as figures show it as it is: matplotlib sets what stands between dollar signs as a formula, leaves labels
    that begin with _ out of legends, and writes all into SVG, which holds no control characters.
    """
    shown = visible(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def colour_of(row: Row) -> str:
    return str(COLOURS.get(row.first.family or "", OTHER))


def look_of(row: Row) -> dict[str, Any]:
    marker = MARKERS.get(row.first.family or "", "P")
    return {"color": colour_of(row), "marker": marker, "linestyle": "none", "markeredgecolor": "white"}
