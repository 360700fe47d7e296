"""The look of all figures, and figures as files.

Colours are the light values of the tokens of the page's style sheet, so that a page can put the tokens back in their
place. Colour and marker stand for the family, in every figure the same.
"""

from __future__ import annotations

import io
import re
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

# name of a token of the page -> its value on a light page
TOKENS = {
    "page": "#ffffff", "ink": "#1b1d20", "soft": "#5a6069", "line": "#dcdfe3", "bar": "#c9ced6",
    "gan": "#b84a00", "vae": "#0068a8", "flow": "#007a57", "diffusion": "#a3478a", "other": "#6b5b00",
}  # fmt: skip
PAGE, INK, SOFT, LINE, BAR, OTHER = (TOKENS[name] for name in ("page", "ink", "soft", "line", "bar", "other"))
FLOOR = SOFT
PALETTE = sns.color_palette("colorblind").as_hex()  # where colours are no families
COLOURS = {family: TOKENS[family] for family in FAMILIES if family in TOKENS}
MARKERS = dict(zip(FAMILIES, "^sDo", strict=False))
OTHER_MARKERS = "pXvhP*<>"
Kind = Literal["svg", "pdf", "png"]
KINDS: tuple[Kind, ...] = ("svg", "pdf", "png")
_NO_CHARACTER = re.compile("[\ufffe\uffff]")
DPI = 100  # of pictures made of pixels, so that a length in pixels is a hundredth of one in inches


@contextmanager
def style(size: float | None = None) -> Iterator[None]:
    """The look of all figures, with letters of `size` points where that is given. Text is never read as a formula, and
    the fixed salt gives an SVG's identifiers the same value every time.
    """
    look = sns.axes_style("whitegrid") | sns.plotting_context("notebook", font_scale=0.85)
    look |= {
        "figure.dpi": DPI,
        "svg.hashsalt": "equibench",
        "svg.fonttype": "path",
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "axes.titlelocation": "left",
    }
    look |= {"axes.spines.top": False, "axes.spines.right": False, "grid.color": LINE, "axes.edgecolor": SOFT}
    if size:
        look |= dict.fromkeys(("font.size", "axes.labelsize", "axes.titlesize", "xtick.labelsize"), size)
        look |= {"ytick.labelsize": size, "axes.spines.left": False, "axes.spines.bottom": False}
        look |= {"text.color": INK, "axes.labelcolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT}
        look |= {"axes.facecolor": "none", "grid.linewidth": 0.8}
    with mpl.rc_context(look):
        yield


def render(figure: Figure, kind: Kind, dpi: float = DPI) -> bytes:
    """The figure as a file: no date and no tool name in it, so that equal figures are equal bytes."""
    buffer = io.BytesIO()
    figure.set_dpi(dpi)  # as SVG and PDF leave their own behind
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
    """A text as figures show it: matplotlib leaves labels that begin with _ out of legends, and writes all into SVG,
    which holds neither control characters nor the two codes that stand for no character.
    """
    shown = _NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", visible(text))
    return f" {shown}" if shown.startswith("_") else shown


def colour_of(row: Row) -> str:
    return COLOURS.get(row.first.family or "", OTHER)


def marker_of(row: Row) -> str:
    """The family's marker; of a user's own family one of the others, by its name, the same in every figure."""
    family = row.first.family or row.label
    return MARKERS.get(family) or OTHER_MARKERS[sum(family.encode(errors="replace")) % len(OTHER_MARKERS)]


def look_of(row: Row) -> dict[str, Any]:
    return {"color": colour_of(row), "marker": marker_of(row), "linestyle": "none", "markeredgecolor": PAGE}
