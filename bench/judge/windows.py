"""Windows of a gates file: where a number of fixed weights has to lie, as the measurement alone can move it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from equibench.judge.comparison import Comparison, Verdict
from equibench.judge.gates import Window
from equibench.judge.values import measured, stat_of_row
from equibench.quantities.glossary import of
from equibench.quantities.identity import name_of
from equibench.quantities.text import number
from equibench.stats import Stat
from equibench.summary.sort import Rows


def window_lines(windows: Sequence[Window], run: Rows) -> list[Comparison]:
    """A line for each record of a window's weights; one that says so where the run has none."""
    lines = []
    for window in windows:
        category = of(window.number).category
        found = [
            one
            for key, row in run.items()
            if key.entrant == window.entrant
            for one in measured(window.number, row).values()
            if (one.weights_sha256 or "").startswith(window.weights_sha256)
        ]
        if not found:
            sentence = f"the run has no record of the weights {window.weights_sha256[:8]} that the window is of"
            lines.append(Comparison(window.entrant, window.number, "skipped", sentence, category=category))
        for one in found:
            stat = Stat(stat_of_row(window.number, {one.seed: one}).values)
            low = -math.inf if window.low is None else window.low
            high = math.inf if window.high is None else window.high
            inside = low <= stat.mean <= high
            sentence = f"the window of its weights is {_range(window)}"
            if not inside:
                sentence = f"{number(stat.mean, 6)}, where {sentence}: the measurement changed, not the model"
            verdict: Verdict = "passed" if inside else "measurement error"
            name = name_of(one, window.number)
            lines.append(Comparison(window.entrant, name, verdict, sentence, run=stat, category=category))
    return lines


def _range(window: Window) -> str:
    if window.low is None:
        return f"at most {window.high:g}"
    return f"at least {window.low:g}" if window.high is None else f"{window.low:g} to {window.high:g}"
