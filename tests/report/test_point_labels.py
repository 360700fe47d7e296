"""Names in figures lie at their points and over no other, few or many, short or long."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fixtures import NUMBERS, everything, floor, make
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation

from equibench.quantities.text import TIMES
from equibench.report.figures import draw, layout
from equibench.report.figures.labels import Label, place
from equibench.report.figures.layout import HALF, PAPER, PHONE, WIDE, short_names
from equibench.report.figures.style import style
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise


def section_of(records, tmp_path):
    (section,) = summarise([FiledRecord(tmp_path / f"{i}.json", record) for i, record in enumerate(records)])
    return section


def twelve():
    """Three entrants a family, with names that differ in their middle, all numbers near each other's."""
    records = []
    for i in range(12):
        one = make(list(NUMBERS)[i % 4], entrant=f"an entrant with a long name, number {i}, of a family")
        near = 1 + 0.03 * i
        quality = one.quality.model_copy(update={"value": one.quality.value * near})
        along = [
            p.model_copy(update={"quality": p.quality.model_copy(update={"value": p.quality.value * near})})
            for p in one.along
        ]
        records.append(one.model_copy(update={"quality": quality, "along": along, "key": f"{i:064x}"}))
    return [*records, floor("uniform", bits=8.0), floor("real data", fd=3.1)]


def overlaps(figure):
    """Pairs of texts of one panel whose boxes overlap by more than the width of a hair."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    found = []
    for axes in figure.axes:
        texts = [t for t in axes.texts if isinstance(t, Annotation) and t.get_text()]
        boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
        for (one, a), (two, b) in itertools.combinations(boxes, 2):
            if min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5:
                found.append((one, two))
    return found


@pytest.mark.parametrize("cut", [WIDE, HALF, PHONE, PAPER], ids=["wide", "half", "phone", "paper"])
@pytest.mark.parametrize("records", [everything, twelve], ids=["four", "twelve"])
@pytest.mark.parametrize("name", ["along-training", "quality-and-speed", "bits-per-dim", "memory"])
def test_names_do_not_overlap(name, records, cut, tmp_path):
    figure = draw.FIGURES[name][0](section_of(records(), tmp_path), cut)
    assert not overlaps(figure)


def test_an_overlap_would_be_seen():
    with style(12):
        figure, (axes,) = layout.sheet(PHONE, ["title"], 10, 1)
        layout.scale(axes, "x", [0, 1], log=False)
        for text in ("one name", "another name"):
            axes.annotate(text, (0.5, 0.5))
        assert overlaps(figure) == [("one name", "another name")]


def test_each_name_stays_near_where_there_is_room():
    points = [(x, y) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)]
    with style(12):
        figure, (axes,) = layout.sheet(WIDE, ["title"], 20, 1)
        layout.scale(axes, "x", [0, 1], log=False)
        layout.scale(axes, "y", [0, 1], log=False)
        texts = place(axes, [Label(f"p{i}", at, "#1b1d20", 12) for i, at in enumerate(points)])
    renderer = FigureCanvasAgg(figure).get_renderer()
    for text, at in zip(texts, points, strict=True):
        box, (x, y) = text.get_window_extent(renderer), axes.transData.transform(at)
        nearest = np.hypot(x - np.clip(x, box.x0, box.x1), y - np.clip(y, box.y0, box.y1))
        assert 3 < nearest < 10


def test_a_label_that_need_not_be_there_is_left_out_of_a_crowd():
    with style(12):
        _, (axes,) = layout.sheet(PHONE, ["title"], 8, 1)
        layout.scale(axes, "x", [0, 1], log=False)
        layout.scale(axes, "y", [0, 1], log=False)
        crowd = [Label(f"a name of some length {i}", (0.5, 0.5), "#1b1d20", 12, optional=True) for i in range(30)]
        assert 0 < len(place(axes, crowd)) < 30
        assert len(place(axes, [one._replace(optional=False) for one in crowd[:30]])) == 30


def test_short_names_stay_apart():
    names = [f"a name that is very much too long {i} for any figure at all" for i in range(12)]
    found = short_names([*names, "gan"], 22)
    assert found["gan"] == "gan"
    assert len(set(found.values())) == 13
    assert short_names([names[0]], 22) == {names[0]: "a name tha…ure at all"}
    assert len(set(short_names(["x" * 60, "x" * 61], 22).values())) == 2


@pytest.mark.parametrize(
    ("low", "high", "fewest"),
    [(1e-3, 1e9, 3), (12, 4000, 3), (50, 60, 2), (3.0, 3.0001, 1), (1e-90, 1e90, 2), (7e12, 7.1e12, 2)],
)
def test_ticks_are_few_and_within(low, high, fewest):
    with style(12):
        _, (axes,) = layout.sheet(PHONE, ["title"], 8, 1)
        layout.scale(axes, "y", [low, high], log=True)
    ticks = axes.yaxis.get_majorticklocs()
    bottom, top = axes.get_ylim()
    assert bottom < low <= high < top
    assert fewest <= len([x for x in ticks if bottom <= x <= top]) <= 9


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (2000, "2,000"),
        (0.05, "0.05"),
        (5e12, f"5{TIMES}10¹²"),
        (1e13, "10¹³"),
        (2.5e-5, f"2.5{TIMES}10⁻⁵"),
        (1.5, "1.5"),
    ],
)
def test_ticks_in_words(value, words):
    assert layout.plain(value) == words


@pytest.mark.parametrize(("sec", "words"), [(1e-4, "100 µs"), (0.02, "20 ms"), (50, "50 s"), (3e-8, "30 ns")])
def test_times_in_words(sec, words):
    assert layout.seconds(sec) == words
