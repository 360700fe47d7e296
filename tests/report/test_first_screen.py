"""The first screen and the findings as the pages show them: words, pictures, tiles and the drawn comparisons."""

from __future__ import annotations

import base64
import io
import re
from html import unescape
from xml.etree import ElementTree

import fixtures
import numpy as np
import pytest
from fixtures import floor, make, save
from PIL import Image

from equibench.record import files as record_files
from equibench.report import write
from equibench.report.figures import draw, style
from equibench.report.parts.findings import DrawnScale, log_scale
from equibench.summary.ratios import Effect
from equibench.summary.ways_findings import Evidence


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    """Figures take most of a report's time, and none of them is looked at here."""
    monkeypatch.setattr(draw, "FIGURES", {})
    monkeypatch.setattr(style, "KINDS", ("png",))


def page_of(tmp_path, records, with_arrays=True):
    save(records, tmp_path / "records", with_arrays)
    write.write([tmp_path / "records"], tmp_path / "out")
    return (tmp_path / "out" / "index.html").read_text(), (tmp_path / "out" / "report.md").read_text()


def distances(page):
    """Those beside the samples, as they are shown."""
    return re.findall(r'<p class="distance"><span[^>]*><button type="button" class="num">([^<]*)</button></span>', page)


def test_both_pages_say_the_same(tmp_path):
    page, markdown = page_of(tmp_path, fixtures.everything())
    sentence = re.search(r'<h1 class="verdict">(.*?)</h1>', page)[1]
    assert sentence.startswith("Diffusion makes the best samples (FD_5k 29.0; the GAN, next, has 1.5 times that)")
    assert f"**{sentence}**" in markdown
    claims = re.findall(r"<h3>(.*?)</h3>\n<p>", page.split('id="short"')[1].split("</section>")[0])
    assert len(claims) > 6
    assert all(f"**{unescape(claim)}**" in markdown for claim in claims)
    assert page.count('<section class="tile"') == 4


def test_sprites_are_the_images_pixel_for_pixel(tmp_path):
    found = make("gan")
    arrays = fixtures.arrays(0)
    record_files.write(found, tmp_path / "records", arrays)
    write.write([tmp_path / "records"], tmp_path / "out")
    rows = (tmp_path / "out" / "index.html").read_text().split('class="sampled"')[1:]
    assert len(rows) == 2  # real images, and the entrant's
    for row, key in zip(rows, ("real", "samples"), strict=True):
        sources = re.findall(r'<img src="data:image/png;base64,([^"]+)" width="56" height="56" alt="">', row)
        for source, image in zip(sources, arrays[key][:7, 0], strict=True):
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("L")), image)
    assert "7 images: GAN, one pass" in rows[1]


def test_real_images_have_their_distance_at_the_number_of_every_setting(tmp_path):
    real = floor("real data", fd=3.1)
    at = real.quality.model_copy(update={"n_samples": 1500, "value": 7.25})
    real = real.model_copy(update={"real_data_at": [fixtures.schema.RealDataPoint(label="1500", quality=at)]})
    points = [
        one.model_copy(update={"quality": one.quality.model_copy(update={"n_samples": 1500})})
        for one in make("diffusion").sampler_points
    ]
    page, _ = page_of(tmp_path, [make("gan"), make("diffusion", sampler_points=points), real])
    assert "7.25" in distances(page)
    assert "FD_1500 beside them" in page


def test_ways_with_pictures_stand_under_the_usual_one(tmp_path):
    found = make("vae")
    how = {"decoding": "mean"}
    way = fixtures.schema.SamplerPoint(
        label="mean decoding",
        options=how,
        quality=found.quality.model_copy(update={"value": 55.5, "options": how}),
        images_per_sec=10.0,
        network_evaluations=1,
        flops_per_image=1.0,
        pictures="mean",
    )
    arrays = fixtures.arrays(3)
    mean = arrays["samples"][::-1].copy()
    record_files.write(make("vae", ways=[way]), tmp_path / "records", {**arrays, "mean": mean})
    write.write([tmp_path / "records"], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "7 images: the same, mean decoding" in page
    assert "55.5" in distances(page)


def test_without_pictures_the_tiles_stand_alone(tmp_path):
    page, _ = page_of(tmp_path, fixtures.everything(1), with_arrays=False)
    assert 'class="first alone"' in page
    assert 'class="strip"' not in page


def test_several_budgets_have_a_verdict_each_and_tiles_for_the_first(tmp_path):
    twice = fixtures.BUDGET.model_copy(update={"amount": 4e13})
    spent = make("gan").spent.model_copy(update={"flops": 3.99e13})
    second = [make(name, seed, budget=twice, spent=spent) for name in ("gan", "vae") for seed in range(3)]
    page, _ = page_of(tmp_path, [*fixtures.everything(), *second])
    assert (page.count('<h1 class="verdict">'), page.count('<p class="verdict">')) == (1, 1)
    assert page.count('<section class="tile"') == 4


def test_drawings_are_svg_and_need_no_style(tmp_path):
    page, _ = page_of(tmp_path, fixtures.everything())
    drawings = re.findall(r'<svg class="scale".*?</svg>', page)
    assert len(drawings) > 15
    assert all(ElementTree.fromstring(one).tag == "svg" for one in drawings)
    assert 'style="' not in page


def test_a_scale_is_logarithmic_and_holds_all():
    def ratio(value, low, high):
        return Evidence("a / b", Effect(value, True, low, high, 0.01), 0.01, "FD", True, ((), ()))

    scale = log_scale([ratio(4, 2, 8), ratio(1, 0.25, 16)])
    assert (scale.low, scale.high) == (0.25, 16)
    assert scale.place(2) == pytest.approx((scale.place(0.25) + scale.place(16)) / 2)
    assert scale.place(1e9) == scale.place(16)
    assert log_scale([ratio(float("inf"), 1, float("inf"))]).high == 1000
    own = DrawnScale(0, 2, is_log=False)
    assert own.place(1) == pytest.approx((own.place(0) + own.place(2)) / 2)
