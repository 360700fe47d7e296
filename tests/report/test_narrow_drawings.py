"""Drawings for a narrow screen hold what the wide ones hold, and fit it."""

import re
from xml.etree import ElementTree

import pytest
from test_diagrams import HOSTILE, autoencoder, flow, part, texts

from equibench.quantities.text import TIMES
from equibench.record.anatomy import Structure
from equibench.report.diagrams.blocks import Ends
from equibench.report.diagrams.narrow import WIDTH, narrow_overview, stacked
from equibench.report.diagrams.overview import FamilyWay

PHONE = 390 - 2 * 16  # of the page's margins


@pytest.mark.parametrize("structure", [autoencoder(), autoencoder(6), flow(), Structure(parts=[part("a"), part("b")])])
def test_every_part_stands_in_the_narrow_drawing_and_within_it(structure):
    svg = stacked(structure, "n", "Structure", Ends())
    drawing = ElementTree.fromstring(svg)
    assert float(drawing.get("width")) == WIDTH <= PHONE
    words = " ".join(texts(svg))
    for one in structure.parts:
        assert one.name.replace("z0", "z₀") in words or len(structure.parts) > 9
    shares = sum(float(share) for share in re.findall(r"([\d.]+) %   ", words))
    assert shares == pytest.approx(100, abs=0.5)
    for found in drawing.iter():
        if found.tag.endswith("rect"):
            assert 0 <= float(found.get("x")) <= float(found.get("x")) + float(found.get("width")) <= WIDTH
        if found.tag.endswith("text") and found.get("text-anchor") == "start":
            assert float(found.get("x")) + 6.4 * len(found.text) <= PHONE, found.text


def test_lanes_stand_below_each_other():
    words = texts(stacked(autoencoder(), "n", "Structure", Ends()))
    order = [words.index(one) for one in ("encoder", "posterior z₀", "first", "layer z₀", "pixels", "sample")]
    assert order == sorted(order)
    assert f"16.0 %   {TIMES.join('477')}" in words
    assert "takes in noise, too" in words


def test_the_narrow_overview_names_each_way_and_escapes():
    ways = [FamilyWay(family, HOSTILE, "x", None, 4, 10, None, None) for family in ("gan", "flow", "other")]
    svg = narrow_overview(ways)
    assert "<script>" not in svg
    found = texts(svg)
    assert ("discriminator" in found, found.count("couplings"), found.count("model")) == (True, 2, 1)
    assert found.count("4 numbers of noise; 10 passes for a sample") == 3
