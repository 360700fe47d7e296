"""The page's part on what makes the distance: pictures at their own pixels, bars, words, and what is missing."""

from __future__ import annotations

import base64
import io
import re

import fixtures
import numpy as np
import pandas as pd
import pytest
from fixtures import failed, floor, make
from PIL import Image

from equibench.record import files as record_files
from equibench.record.anatomy import DistanceParts
from equibench.report import write
from equibench.report.figures import draw
from equibench.report.parts.distance import MOST_CLASSES, OPEN

KEYS = {
    "missed": "distance_missed",
    "farthest": "distance_farthest",
    "neighbours": "distance_samples_beside_real",
    "real_neighbours": "distance_real_beside_samples",
}
CLASSES = {
    "class_shares": {"bag": 0.62, "<b>coat</b>": 0.38},
    "real_shares": {"bag": 0.25, "<b>coat</b>": 0.75},
    "sample_shares": {"bag": 0.02, "<b>coat</b>": 0.98},
    "reached_shares": {"bag": 0.06, "<b>coat</b>": 0.81},
}


def pictures(seed=0, channels=1, missed=9):
    """Noise in which no two images are alike, and the keys of the arrays that hold some."""
    generator = np.random.default_rng(seed)
    shapes = {"missed": (missed,), "farthest": (12,), "neighbours": (6, 4), "real_neighbours": (6, 4)}
    arrays = {
        KEYS[kind]: generator.integers(0, 256, (*shape, channels, 28, 28), dtype=np.uint8)
        for kind, shape in shapes.items()
        if shape[0]
    }
    return arrays, {kind: key for kind, key in KEYS.items() if key in arrays}


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Writes records, each with the arrays given, and gives the part of the page and the folder of the report."""
    monkeypatch.setattr(draw, "FIGURES", {})

    def report(*cells):
        for found, arrays in cells:
            record_files.write(found, tmp_path / "records", arrays)
        write.write([tmp_path / "records"], tmp_path / "out")
        text = (tmp_path / "out" / "index.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
        part = re.search(r'<section id="distance">.*?</section>', text, re.DOTALL)
        assert ('href="#distance"' in text) == (part is not None)
        return part[0] if part else None, tmp_path / "out"

    return report


def whole(like="gan", seed=0, **options):
    arrays, keys = pictures(**options)
    return make(like, seed, portrait=None, distance_parts=DistanceParts(**CLASSES, **keys)), arrays


def images_in(part):
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(found))))
        for found in re.findall(r'src="data:image/png;base64,([^"]+)"', part)
    ]


def test_pictures_are_pixel_for_pixel_and_neighbours_stand_in_columns(page):
    found = whole()
    part, _ = page(found)
    missed, farthest, beside_real, beside_samples = images_in(part)
    for sheet, key, shown in ((missed, "missed", 6), (farthest, "farthest", 12)):  # of nine the one row that is whole
        assert sheet.shape[:2] == (shown // 6 * 29 - 1, 6 * 29 - 1)
        for i, image in enumerate(found[1][KEYS[key]][:shown]):
            y, x = i // 6 * 29, i % 6 * 29
            assert (sheet[y : y + 28, x : x + 28, 0] == image[0]).all()
    for sheet, key in ((beside_real, "neighbours"), (beside_samples, "real_neighbours")):
        rows = found[1][KEYS[key]]
        for i in range(6):
            for k in range(4):
                assert (sheet[29 * k : 29 * k + 28, 29 * i : 29 * i + 28, 0] == rows[i, k, 0]).all()


def test_words_bars_and_table_say_the_same(page):
    part, out = page(whole(), whole("vae"))
    assert "Class bag makes 62 % of the distance and has 25 % of the test images." in part
    assert "too few lie nearest to class bag (2 %, against 25 % of the test images)" in part
    assert "&lt;b&gt;coat&lt;/b&gt;" in part
    assert "<b>" not in part
    cells = re.findall(r'<td class="n"[^>]*data-path="([^"]+)"[^>]*><button[^>]*>(\d+)</button></td>', part)
    paths = [f"distance_parts.{share}.bag" for share in CLASSES]
    assert list(zip(paths, ["62", "25", "2", "6"], strict=True)) in [cells[i : i + 4] for i in range(0, len(cells), 4)]
    titles = re.findall(r'class="no">Table \d+\.</span> (\w+: shares by class, %\.)', part)
    assert titles == ["GAN: shares by class, %.", "VAE: shares by class, %."]
    widths = [float(width) for width in re.findall(r'<rect width="([\d.]+)"', part)][:6]
    # the longest bar is of the largest share, 98 %, and the order of classes is that of the records
    expected = {"bag": (62, 25, 2), "coat": (38, 75, 98)}
    first = "bag" if part.index('"row">bag') < part.index("&lt;b&gt;coat&lt;/b&gt;</th>") else "coat"
    order = [first, "coat" if first == "bag" else "bag"]
    assert widths == pytest.approx([share / 0.98 for name in order for share in expected[name]], abs=0.01)
    table = pd.read_csv(out / "tables" / "distance.csv").set_index(["entrant", "class"])
    assert table.loc[("vae", "bag"), "class_share"] == 0.62
    assert table.loc[("gan", "bag"), "reached_share"] == 0.06
    assert "Class bag makes 62 %" in (out / "report.md").read_text()


def test_entrants_without_the_fields_and_failed_ones_are_left_out(page):
    part, _ = page(whole(), (make("flow", portrait=None), None), (failed("vae", 1, "diverged", "It grew."), None))
    assert re.findall(r"<h3>(\w+)</h3>", part) == ["GAN"]
    assert "For comparison" not in part  # no floor was measured


def test_no_part_where_no_record_has_the_fields(page):
    part, out = page((make("gan", portrait=None), None))
    assert part is None
    assert "What makes the distance" not in (out / "report.md").read_text()


def test_data_without_labels_has_pictures_and_no_shares(page):
    arrays, keys = pictures()
    part, out = page((make("gan", portrait=None, distance_parts=DistanceParts(**keys)), arrays))
    assert len(images_in(part)) == 4
    assert "<table" not in part
    assert "class" not in re.sub(r"<[^>]+>", "", part)
    assert "What makes the distance" not in (out / "report.md").read_text()


def test_where_every_image_is_reached_the_page_says_so(page):
    part, _ = page(whole(missed=0))
    assert len(images_in(part)) == 3
    assert "A sample comes near every test image." in part


def test_lost_arrays_leave_the_shares(page):
    found, _ = whole()
    part, _ = page((found, None))
    assert "<img" not in part
    assert "Class bag makes 62 %" in part


def test_twelve_entrants_with_long_names_are_folded_beyond_the_first(page):
    cells = []
    for i in range(12):
        one, arrays = whole(seed=i)
        cells.append((one.model_copy(update={"entrant": f"gan-with-a-very-long-name-{i:02}", "seed": 0}), arrays))
    part, _ = page(*cells)
    assert part.count("<h3>gan") == OPEN
    assert part.count("<summary>gan") == 12 - OPEN


def test_of_very_many_classes_those_that_make_most_are_shown(page):
    names = [f"c{i:03}" for i in range(200)]
    shares = dict(zip(names, np.linspace(0.001, 0.009, 200).tolist(), strict=True))
    parts = DistanceParts(class_shares=shares, real_shares=dict.fromkeys(names, 0.005))
    part, out = page((make("gan", portrait=None, distance_parts=parts), None))
    assert re.findall(r'"row">(\w+)<', part) == names[-MOST_CLASSES:]
    assert "188 more are in the CSV" in part
    assert len(pd.read_csv(out / "tables" / "distance.csv")) == 200


def test_real_data_stand_in_the_table_below_entrants(page):
    floors = floor("real data", fd=3.1).model_copy(update={"distance_parts": DistanceParts(**CLASSES)})
    part, out = page(whole(), (floors, None))
    assert "For comparison: 5,000 real training images come near 6 % to 81 % of the test images of each class." in part
    assert "For comparison: 5,000" in (out / "report.md").read_text()
    assert pd.read_csv(out / "tables" / "distance.csv").entrant.tolist() == ["gan"] * 2 + ["real data"] * 2


def test_shares_stand_beside_those_of_real_images(page):
    of_real = {**CLASSES, "class_shares": {"bag": 0.31, "<b>coat</b>": 0.69}}
    floors = floor("real data", fd=3.1).model_copy(update={"distance_parts": DistanceParts(**of_real)})
    part, _ = page(whole(), (floors, None))
    heads = re.findall(r'<th scope="col"[^>]*>(\w+)</th>', part)
    assert heads == ["Class", "Distance", "Real", "Images", "Samples", "Reached"]
    cells = re.findall(r'<td class="n"[^>]*data-path="[^"]*\.bag"[^>]*><button[^>]*>(\d+)</button></td>', part)
    assert cells == ["62", "31", "25", "2", "6"]


def test_the_part_is_the_same_in_every_report_of_the_made_up_records(page):
    """Records as of before, of all kinds: nothing to show, and nothing that fails."""
    part, _ = page(*((found, None) for found in fixtures.everything()))
    assert part is None
