"""Drawings of structures, formulas and sprites, against hand-made values."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from equibench.quantities.text import TIMES
from equibench.record.anatomy import ModelPart, Structure
from equibench.record.schema import Curve
from equibench.report import sprites
from equibench.report.diagrams import curves
from equibench.report.diagrams.blocks import Ends
from equibench.report.diagrams.lanes import MOST_PARTS, grouped, lanes_of
from equibench.report.diagrams.objectives import objective
from equibench.report.diagrams.overview import FamilyWay, overview
from equibench.report.diagrams.shares import bar
from equibench.report.diagrams.structure import drawn
from equibench_models import FAMILIES

HOSTILE = '<script>alert("x")</script>\x07'


def part(name, params=10, follows=(), samples=True, shape=(4, 7, 7), **more):
    return ModelPart(
        name=name, kind=more.pop("kind", name), params=params, follows=list(follows), samples=samples,
        input_shapes=[list(shape)], output_shapes=[list(shape)], **more,
    )  # fmt: skip


def autoencoder(levels=1):
    """An encoder, and a decoder whose layers each take in the encoder's output and noise."""
    parts = [part("encoder", 300, ["image"], samples=False), part("first", 100, ["noise"])]
    for i in range(levels):
        parts.append(part(f"posterior z{i}", 20, ["encoder"], samples=False))
        parts.append(part(f"layer z{i}", 80, [parts[-2].name, f"posterior z{i}", "noise"]))
    parts.append(part("pixels", 0, [parts[-1].name], trained=False))
    return Structure(parts=parts, noise_shapes=[[4, 7, 7]] * (levels + 1))


def flow():
    split = part("scale", 60, ["fill"])
    split = split.model_copy(update={"output_shapes": [[1, 14, 14]] * 4})
    return Structure(parts=[part("fill", 10, ["image"], samples=False), split, part("dense", 30, ["scale"])])


def names(parts):
    return [one.name for one in parts]


def texts(svg):
    return [found.text for found in ElementTree.fromstring(svg).iter() if found.tag.endswith("text")]


def test_what_reads_and_what_makes_stand_in_lanes():
    lanes = lanes_of(autoencoder())
    assert names(lanes.read) == ["encoder"]
    assert names(lanes.between) == ["posterior z0"]
    assert names(lanes.make) == ["first", "layer z0", "pixels"]
    lanes = lanes_of(flow())
    assert names(lanes.both) == ["fill", "scale", "dense"]
    assert lanes.make == lanes.read == ()


def test_a_judge_of_samples_reads_though_noise_leads_to_it():
    lanes = lanes_of(
        Structure(parts=[part("judge", 5, ["image", "maker"], samples=False), part("maker", 5, ["noise"])])
    )
    assert (names(lanes.read), names(lanes.make)) == (["judge"], ["maker"])


def test_shares_and_shapes_stand_under_the_blocks():
    found = texts(drawn(autoencoder(), "a", "Structure", Ends()))
    assert [text for text in found if text.endswith(" %")] == ["60.0 %", "20.0 %", "16.0 %", "4.0 %"]
    assert found.count(TIMES.join("477")) == 6  # four blocks, and twice under noise
    assert "READ, from the image: 64.0 % of the parameters" in found
    assert "MAKE, from the noise: 36.0 % of the parameters" in found


def test_a_part_that_is_not_trained_is_outlined_and_one_that_no_sample_needs_dashed():
    kinds = re.findall(r'<rect [^>]*rx="5" class="([^"]*)"', drawn(autoencoder(), "a", "Structure", Ends()))
    assert sorted(kinds) == ["fixed", "learned", "learned", "learned unsampled", "learned unsampled"]


@pytest.mark.parametrize("levels", [1, 2, 5, 14])
def test_any_number_of_levels_is_drawn_within_its_frame(levels):
    svg = drawn(autoencoder(levels), "a", "Structure", Ends(passes=3))
    width, height = (float(size) for size in re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())
    for x, y, w, h in re.findall(r'<(?:rect|image) x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"', svg):
        assert float(x) >= 0
        assert float(x) + float(w) <= width
        assert float(y) >= 0
        assert float(y) + float(h) <= height
    assert "3 passes for a sample" in texts(svg)


def test_blocks_of_a_row_do_not_overlap():
    svg = drawn(autoencoder(7), "a", "Structure", Ends())
    boxes = [
        tuple(map(float, box)) for box in re.findall(r'<rect x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"', svg)
    ]
    for i, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[i + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_many_parts_are_put_together_and_none_is_lost():
    found = grouped([part(f"block {i}", i + 1, kind="block") for i in range(30)])
    assert len(found) == MOST_PARTS
    assert sum(one.params for one in found) == 465
    assert sum(one.repeats for one in found) == 30
    unlike = grouped([part(f"p{i}", 10, kind=chr(97 + i)) for i in range(11)])
    assert sum(one.params for one in unlike) == 110
    assert any(one.kind == "a to c" or " to " in one.kind for one in unlike)


def test_parts_without_an_order_are_a_row_without_arrows():
    structure = Structure(parts=[ModelPart(name=f"own {i}", params=i + 1) for i in range(3)])
    svg = drawn(structure, "a", "Own", Ends())
    assert 'class="line' not in svg
    assert [text for text in texts(svg) if text.endswith("%")] == ["16.7 %", "33.3 %", "50.0 %"]


def test_texts_of_a_record_are_no_markup():
    structure = Structure(parts=[part(HOSTILE, 5, ["noise"]), part("b", 5, [HOSTILE])], noise_shapes=[[3]])
    for svg in (
        drawn(structure, "a", HOSTILE, Ends()),
        bar(structure, 20, "b", HOSTILE),
        overview([FamilyWay("other", HOSTILE, HOSTILE, None, 0, None, None, None)]),
    ):
        assert "<script" not in svg
        assert "\x07" not in svg
        ElementTree.fromstring(svg)


def test_the_bar_is_as_wide_as_the_parameters_in_the_frame_of_the_cap():
    structure = Structure(parts=[part("read", 100, samples=False), part("make", 300), part("fixed", 0, trained=False)])
    found = re.findall(r'x="(\S+)" y="1" width="(\S+)"', bar(structure, 800, "b", "Shares"))
    assert [tuple(map(float, one)) for one in found] == [(0, 412.5), (412.5, 137.5)]
    assert texts(bar(structure, 800, "b", "Shares")) == ["make: 75.0 %", "read: 25.0 %"]


def test_every_family_is_in_the_overview_and_any_number_of_them():
    ways = [FamilyWay(family, f"The {family}", "gist", None, 64, 1, None, None) for family in FAMILIES]
    for some in (
        ways,
        ways[:1],
        [*ways, FamilyWay("other", "Own with a very long name of a class", "gist", None, 0, None, None, None)],
    ):
        svg = overview(some)
        ElementTree.fromstring(svg)
        assert svg.count("<g ") == len(some)
        assert all(way.title.split()[1] in svg for way in some)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("config", [{}, {"latent": 37, "penalty": 3.0, "greatest": 9.6, "coarse_latents": 4}])
def test_formulas_are_well_formed_and_read_the_config(family, config):
    found = objective(family, config)
    for formula in (*(line for one in found.formulas for line in one.lines), *(symbol for symbol, _ in found.symbols)):
        ElementTree.fromstring(formula)
    meanings = " ".join(meaning for _, meaning in found.symbols)
    assert ("37 normal numbers" in meanings) == (family == "gan" and bool(config))
    assert ("from 9.60" in meanings) == (family == "diffusion" and bool(config))
    if family == "vae":
        last = 4 if config else 0
        assert f"<mn>{last}</mn></munderover>" in "".join(line for one in found.formulas for line in one.lines)


def test_a_family_of_a_user_s_own_has_no_formula():
    assert objective("mine:Mine", {}) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_sprites_hold_the_pixels_as_they_are(channels):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, channels, 5, 4), dtype=np.uint8)
    sprite = sprites.sheet(images)
    assert (sprite.width, sprite.height) == (3 * 5 - 1, 2 * 6 - 1)
    picture = Image.open(io.BytesIO(base64.b64decode(sprite.uri.partition(",")[2]))).convert("RGBA")
    pixels = np.asarray(picture)
    for row in range(2):
        for column in range(3):
            tile = pixels[row * 6 : row * 6 + 5, column * 5 : column * 5 + 4]
            assert (tile[..., :3] == images[row, column].transpose(1, 2, 0)).all()
            assert (tile[..., 3] == 255).all()
    assert (pixels[5, :, 3] == 0).all()


def test_noise_has_a_cell_a_number():
    sprite = sprites.noise([[2, 3, 3], [5]])
    picture = Image.open(io.BytesIO(base64.b64decode(sprite.uri.partition(",")[2]))).convert("RGBA")
    assert (np.asarray(picture)[..., 3] == 255).sum() == 23


def test_a_panel_has_a_line_a_seed_and_none_without_values():
    curve = Curve(updates=[1, 2, 3], flops=[1e9, 2e9, 3e9], train_sec=[1, 2, 3], losses={"loss": [3.0, 2.0, 1.0]})
    svg = curves.panel([curve, curve], "loss", "c", "GAN")
    assert svg.count('class="line curve"') == 2
    assert texts(svg)[:4] == ["Loss", "1.0", "2.0", "3.0"]
    assert curves.panel([curve], "other", "c", "GAN") is None
