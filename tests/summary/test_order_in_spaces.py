"""In how many feature spaces the order of entrants holds: the sentence by hand, with ties and with what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures import INCEPTION, LITE0, failed, floor, make

from equibench.cite.signature import signature
from equibench.quantities.identity import differs
from equibench.quantities.text import MISSING
from equibench.record.schema import InSpace
from equibench.report.tables.spaces import spaces
from equibench.summary.findings import findings
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise
from equibench.summary.spaces import of_spaces

DINO = LITE0.model_copy(update={"name": "DINOv2", "weights_sha256": "d1" * 32})
PIXELS = LITE0.model_copy(update={"name": "pixels", "weights_sha256": "b0" * 32})


def section_of(*records):
    (section,) = summarise([FiledRecord(Path(f"{i}.json"), one) for i, one in enumerate(records)])
    return section


def measured(like, seed, **values):
    """A record with a distance of its own in each space: `first` is the headline's."""
    record = make(like, seed)
    features = {"Inception": INCEPTION, "DINO": DINO, "pixels": PIXELS}

    def quality(value, **changes):
        return record.quality.model_copy(update={"value": value * (1 + 0.01 * seed), "stderr": 0.01 * value, **changes})

    there = [
        InSpace(name=features[name].name, quality=quality(value, features=features[name]))
        for name, value in values.items()
        if name != "first"
    ]
    # without the numbers of the entrant, which hold the quality too
    return make(like, seed, quality=quality(values["first"]), spaces=there, sampler_points=[], along=[])


def said(*entrants, seeds=3):
    found = of_spaces(
        section_of(*(measured(like, seed, **values) for like, values in entrants for seed in range(seeds)))
    )
    return found and " ".join([found.claim, *found.sentences])


GAN = ("gan", {"first": 10, "Inception": 20, "DINO": 300, "pixels": 1})
VAE = ("vae", {"first": 20, "Inception": 40, "DINO": 600, "pixels": 2})


def test_an_order_that_holds_everywhere():
    assert said(GAN, VAE) == "The order by EfficientNet-Lite0 holds in all 4 feature spaces."
    two = [(name, {"first": values["first"], "DINO": values["DINO"]}) for name, values in (GAN, VAE)]
    assert said(*two) == "The order by EfficientNet-Lite0 holds in both feature spaces."


def test_one_space_that_turns_it():
    turned = ("vae", {**VAE[1], "DINO": 30})
    assert said(GAN, turned) == (
        "The order by EfficientNet-Lite0 holds in 3 of 4 feature spaces: its own, Inception-v3 and pixels. By DINOv2 "
        "the VAE is ahead of the GAN, by EfficientNet-Lite0 behind."
    )


def test_one_space_that_does_not_tell():
    level = ("vae", {**VAE[1], "pixels": 1})
    assert said(GAN, level) == (
        "The order by EfficientNet-Lite0 holds in 3 of 4 feature spaces: its own, DINOv2 and Inception-v3. pixels does "
        "not tell the GAN and the VAE apart."
    ).replace("DINOv2 and Inception-v3", "Inception-v3 and DINOv2")


def test_an_order_that_holds_nowhere_else():
    assert said(GAN, ("vae", {"first": 20, "Inception": 2, "DINO": 3, "pixels": 0.1})).startswith(
        "The order by EfficientNet-Lite0 holds in 1 of 4 feature spaces, its own. By Inception-v3 the VAE is ahead of"
    )
    two = ("gan", {"first": 10, "DINO": 3}), ("vae", {"first": 20, "DINO": 1})
    assert said(*two).startswith("The order by EfficientNet-Lite0 does not hold in the other feature space. By DINOv2")


def test_a_tie_in_the_first_space_is_no_order():
    tie = ("flow", {**GAN[1]})
    assert said(GAN, tie) == (
        "No two entrants are told apart by EfficientNet-Lite0, so that there is no order to look for elsewhere."
    )
    assert said(GAN, tie, VAE) == (
        "The order by EfficientNet-Lite0 holds in all 4 feature spaces. EfficientNet-Lite0 itself does not tell the "
        "GAN and the flow apart, so that no order of theirs is looked for."
    )


def test_with_one_seed_it_is_of_the_trained_models():
    assert said(GAN, VAE, seeds=1) == (
        "Of these trained models: the order by EfficientNet-Lite0 holds in all 4 feature spaces."
    )
    assert said(GAN, ("flow", GAN[1]), seeds=1).startswith("Of these trained models: no two entrants are told apart")


def test_many_pairs_are_not_all_named():
    names = ["gan", "vae", "flow", "diffusion"]
    entrants = [(name, {"first": 10 + 10 * i, "DINO": 100 - 20 * i}) for i, name in enumerate(names)]
    words = said(*entrants)
    assert words.count("is ahead of") == 3
    assert "DINOv2 turns the order of 3 more pairs." in words
    level = said(*((name, {"first": 10 + 10 * i, "DINO": 100}) for i, name in enumerate(names)))
    assert level.endswith(
        "DINOv2 does not tell the GAN and the VAE, nor the GAN and the flow, nor the GAN and diffusion, nor 3 more "
        "pairs apart."
    )


def test_an_entrant_without_a_space_is_told():
    found = said(GAN, ("vae", {key: value for key, value in VAE[1].items() if key != "DINO"}))
    assert found == (
        "The order by EfficientNet-Lite0 holds in 3 of 4 feature spaces: its own, Inception-v3 and pixels. DINOv2 does "
        "not tell the GAN and the VAE apart. The VAE has no distance in DINOv2."
    )


def test_one_space_or_one_entrant_has_no_such_sentence():
    assert said(GAN) is None
    alone = section_of(make("gan"), make("vae"))
    assert of_spaces(alone) is None
    assert spaces(alone).lines == ()
    assert "spaces" not in [one.topic for one in findings(alone)]
    section = section_of(measured("gan", 0, **GAN[1]), failed("vae", 0, "diverged", "It was not a number."))
    assert of_spaces(section) is None


def test_the_table_has_a_column_a_space_and_says_why_a_number_is_missing():
    real = floor("real data", fd=3.0)
    real = real.model_copy(update={"spaces": [InSpace(name="pixels", quality=real.quality.model_copy(
        update={"features": PIXELS, "value": 0.25}))]})  # fmt: skip
    lame = measured("vae", 0, first=20, DINO=600).model_copy(update={"failures": {"spaces, pixels": "it broke"}})
    table = spaces(section_of(measured("gan", 0, first=10, DINO=300, pixels=1), lame, real))
    assert table.labels == (
        "Entrant", "Seed", "FD_5k (EfficientNet-Lite0) ↓", "FD_5k (DINOv2) ↓", "FD_5k (pixels) ↓",
    )  # fmt: skip
    assert [[entry.text for entry in line.entries][2:] for line in table.lines] == [
        ["10.00", "300.0", "1.000"], ["20.00", "600.0", f"{MISSING}¹"], ["3.000", f"{MISSING}²", "0.2500"],
    ]  # fmt: skip
    assert table.notes == ("it broke", "Not measured in this feature space.")
    assert table.lines[0].entries[3].source.path == "spaces.DINOv2.quality.value"


def test_a_signature_names_the_space():
    one = measured("gan", 0, first=10, DINO=300)
    path = "spaces.DINOv2.quality.value"
    assert "fx=DINOv2@d1d1d1d1" in signature([one], path).replace(":", "=").replace(" ", "")
    other = one.model_copy(update={"spaces": [InSpace(name="DINOv2", quality=one.spaces[0].quality.model_copy(
        update={"features": DINO.model_copy(update={"weights_sha256": "ee" * 32})}))]})  # fmt: skip
    assert differs(one, other, path).field == "fx"


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_headline_and_its_findings_are_those_of_one_space(seeds):
    records = [measured(like, seed, **values) for like, values in (GAN, VAE) for seed in range(seeds)]
    plain = [one.model_copy(update={"spaces": []}) for one in records]
    found, before = findings(section_of(*records)), findings(section_of(*plain))
    assert [one for one in found if one.topic != "spaces"] == before
