"""Figures within the page: its colours in both modes, ids of their own, text as text, nothing that loads or runs."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import fixtures
import numpy as np
import pytest
from fixtures import failed, floor, make
from hostile import HOSTILE
from PIL import Image

import equibench.report.pages
from equibench.record import files as record_files
from equibench.report.figures import style
from equibench.report.parts.drawn import figures
from equibench.report.parts.part import Whole
from equibench.report.sprites import sprite
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import load_cells, summarise

CSS = (Path(equibench.report.pages.__file__).parent / "templates" / "style.css").read_text()


def tokens(css):
    """The colours of the style sheet: of light pages, then of dark ones."""
    modes = re.findall(r":root \{(.*?)\}", css, re.S)[:2]
    found = [dict(re.findall(r"--(\w+): (#[0-9a-f]+)", mode)) for mode in modes]
    return [{name: longer(value) for name, value in mode.items()} for mode in found]


def longer(colour):
    return "#" + "".join(2 * c for c in colour[1:]) if len(colour) == 4 else colour


def contrast(one, two):
    """WCAG 2.1: of two colours in sRGB."""

    def luminance(colour):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def whole_of(records, folder, arrays=None):
    for one in records:
        record_files.write(one, folder, arrays)
    cells = load_cells([folder])
    sections = summarise(cells)
    return Whole(cells, sections, list(range(len(sections)))[:3], [])


@pytest.fixture(scope="module")
def section_figures(tmp_path_factory):
    records = [*fixtures.everything(2)[:8], floor("uniform", bits=8.0), floor("real data", fd=3.1)]
    return figures(whole_of(records, tmp_path_factory.mktemp("inline"))).context["charts"][0].of


def elements(chart):
    for cut in chart.cuts.values():
        yield from ElementTree.fromstring(f"<div>{cut}</div>").iter()


def test_exports_have_the_page_s_light_colours():
    light, _ = tokens(CSS)
    assert {name: light[name] for name in style.TOKENS} == style.TOKENS


def test_contrast_is_measured_as_the_standard_does():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_every_text_can_be_read_on_both_pages(section_figures):
    texts = [e for chart in section_figures.values() for e in elements(chart) if e.tag == "text"]
    names = {re.fullmatch(r"var\(--(\w+)\)", text.get("fill"))[1] for text in texts}
    assert {"gan", "vae", "flow", "diffusion", "ink", "soft"} <= names
    for mode in tokens(CSS):
        assert all(contrast(mode[name], mode["page"]) >= 4.5 for name in names)


def test_all_colours_are_tokens(section_figures):
    for chart in section_figures.values():
        for element in elements(chart):
            for key in ("fill", "stroke"):
                assert re.fullmatch(r"none|var\(--\w+\)|None", str(element.get(key))), element.attrib


def test_each_has_two_cuts_a_number_and_a_name(section_figures):
    drawn = {name: chart for name, chart in section_figures.items() if chart.cuts}
    assert list(drawn) == [
        "along-training", "quality-and-speed", "bits-per-dim", "memory", "discriminator", "curves",
    ]  # fmt: skip
    assert [chart.number for chart in section_figures.values()] == list(range(1, len(section_figures) + 1))
    for chart in drawn.values():
        for cut in chart.cuts.values():
            wide, phone = ElementTree.fromstring(f"<div>{cut}</div>")
            assert (wide.get("class"), phone.get("class"), wide.get("role")) == ("wide", "phone", "img")
            assert wide.get("aria-label") == phone.get("aria-label") == chart.picture.alt
            assert float(phone.get("width")) <= 358 < float(wide.get("width")) <= 1100
        assert [kind for kind, _ in chart.files] == ["PDF", "PNG", "SVG"]


def test_ids_are_unique_and_referred_to(section_figures):
    every = [element for chart in section_figures.values() for element in elements(chart)]
    ids = [element.get("id") for element in every if element.get("id")]
    assert len(set(ids)) == len(ids) > 10
    referred = {
        found for e in every for key in ("href", "clip-path") for found in re.findall(r"#([\w-]+)", e.get(key, ""))
    }
    assert referred == set(ids)
    assert all(e.get("href", "#").startswith("#") for e in every)
    assert not [e for e in every if e.tag in ("script", "style", "image", "foreignObject", "a") or e.get("style")]


@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_names_are_text(tmp_path):
    records = [make("vae", entrant=" ".join(HOSTILE[i::5]), key=f"{i:064x}") for i in range(5)]
    found = figures(_unfiled(records, tmp_path)).context["charts"][0].of
    for chart in found.values():
        tags = {element.tag for element in elements(chart)}
        assert tags <= {"div", "svg", "g", "defs", "path", "use", "text", "clipPath", "rect"}


def _unfiled(records, folder):
    cells = [FiledRecord(folder / f"{i}.json", one) for i, one in enumerate(records)]
    sections = summarise(cells)
    return Whole(cells, sections, list(range(len(sections)))[:3], [])


@pytest.mark.parametrize(
    ("records", "names"),
    [
        ([floor("uniform", bits=8.0)], ["bits-per-dim"]),
        ([failed("gan", 0, "crashed", "It broke.")], ["discriminator", "curves"]),
        ([make("vae", quality=None, likelihood=None, speed=None, memory=None, curve=None, along=[])], []),
        ([make("flow", along=[], curve=None)], ["quality-and-speed", "bits-per-dim", "memory"]),
    ],
    ids=["floor", "failed", "nothing", "older"],
)
def test_what_was_not_measured_has_no_figure(records, names, tmp_path):
    assert list(figures(_unfiled(records, tmp_path)).context["charts"][0].of) == names


def test_numbers_of_any_size_are_drawn(tmp_path):
    huge = make("gan", key="1" * 64, quality=make("gan").quality.model_copy(update={"value": 1e307}))
    tiny = make("vae", key="2" * 64, quality=make("vae").quality.model_copy(update={"value": 1e-90}))
    found = figures(_unfiled([huge, tiny, make("flow")], tmp_path)).context["charts"][0].of
    assert "nan" not in "".join(cut for chart in found.values() for cut in chart.cuts.values())


def test_samples_grow_from_the_same_noise_and_the_lowest_distance_is_marked(tmp_path):
    pictures = {f"p{i}": np.full((16, 1, 28, 28), 60 * i, np.uint8) for i in range(3)}
    records = []
    for family in ("gan", "diffusion"):
        one = make(family)
        points = [point.model_copy(update={"pictures": f"p{i}"}) for i, point in enumerate(one.along)]
        records.append(one.model_copy(update={"along": points}))
    found = figures(whole_of(records, tmp_path, pictures)).context["charts"][0].growth
    assert found.points == ["25 %", "50 %", "100 %"]
    lowest = {name: [cell.lowest for cell in cells] for name, _, cells in found.rows}
    assert lowest == {"GAN": [False] * 3, "diffusion": [True] * 3}
    assert found.rows[1][2][2].distance == "42.6"  # 1.5 x 28.4


def test_a_sprite_holds_each_pixel_once():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 7, 9), dtype=np.uint8)
    found = sprite(images, columns=2, rows=4, about=60)
    sheet = np.asarray(Image.open(io.BytesIO(found.content)))
    assert sheet.shape == (15, 19, 4)
    assert (found.width, found.height) == (57, 45)
    assert np.array_equal(sheet[8:15, 10:19, :3], images[3].transpose(1, 2, 0))
    assert not sheet[7].any()
    assert not sheet[:, 9].any()
