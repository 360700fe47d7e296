"""Signatures: written, parsed, and leading back to their numbers."""

import hashlib
import re
import statistics

import pytest
from fixtures import floor, make

from equibench.cite.printed import parse
from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.quantities.identity import look_up, name_of, path_of
from equibench.record import cost, schema

PATHS = (
    "quality.value",
    "quality.corrected",
    "quality.also.KD",
    "quality.also.recall",
    "quality.memorization.share_nearer_train",
    "likelihood.bits_per_dim",
    "bounds.importance weighting.bits_per_dim",
    "out_of_distribution_bits_per_dim.noise",
    "speed.images_per_sec",
    "speed.latency_p50_sec",
    "memory.train_peak_bytes",
    "spent.flops",
    "spent.train_sec",
    "sampler_points.25 steps.quality.value",
    "sampler_points.25 steps.images_per_sec",
    "clock.wall",
)


def test_a_whole_signature_by_hand():
    one = make("gan", key="0123456789abcdef")  # FD 41.2, its interval 39.2 to 43.2
    config = hashlib.sha256(b'["gan",{"learning_rate":0.0002,"width":32}]').hexdigest()[:8]
    assert signature([one], "quality.value") == (
        "FD_5k=41.2±2.0|entrant:gan|n:5000|ref:Fashion-MNIST-test,10000|fx:EfficientNet-Lite0@e1e1e1e1|prep:fd4b80ba"
        f"|sampler:default|eval:sampling+float32|data:Fashion-MNIST@{one.data.sha256[:8]}|budget:2e13flops,0.5M"
        f"|config:{config}|train:float32|seeds:0|pm:95ci-samples|by:halves|p:{one.protocol}"
        "|v:0.1.0+abcdef01|code:unknown|sig:2|rec:01234567"
    )


def test_only_signs_that_print_leaves_alone_stand_in_it():
    odd = make("gan", entrant="a--b +c~é`%=|\n\\_{x}", data=make("gan").data.model_copy(update={"name": "ﬁ, (1)"}))
    for path in PATHS:
        text = signature([odd], path)
        assert text is None or re.fullmatch(r"(?:[A-Za-z0-9._,:@/()+=|±%]|-(?!-))+", text), text
    assert parse(signature([odd], "quality.value")).fields["entrant"] == odd.entrant
    assert parse(signature([odd], "quality.value")).fields["data"].startswith("ﬁ, (1)@")


def test_seeds_may_be_fastest_at_other_batch_sizes_of_those_tried():
    sweep = [cost.SpeedPoint(batch_size=size) for size in (64, 128)]
    one, two = (make("vae", seed) for seed in (0, 1))
    one, two = (
        each.model_copy(update={"speed": each.speed.model_copy(update={"batch_size": size, "sweep": sweep})})
        for each, size in ((one, 64), (two, 128))
    )
    assert parse(signature([one, two], "speed.images_per_sec")).fields["batch"] == "64,128"
    with pytest.raises(UserError, match=r"differ in batch \(64,128, 64,128,256\)"):
        signature(
            [one, make("vae", 2).model_copy(update={"speed": two.speed.model_copy(update={"batch_size": 256})})],
            "speed.images_per_sec",
        )


def test_seeds_with_and_without_a_known_feature_network_are_not_one_number():
    known, unknown = make("vae", 0), make("vae", 1)
    unknown = unknown.model_copy(update={"quality": unknown.quality.model_copy(update={"features": None})})
    with pytest.raises(UserError, match=r"differ in fx \(EfficientNet-Lite0@e1e1e1e1, none\)"):
        signature([known, unknown], "quality.value")
    known, unknown = (one.model_copy(update={"seed": 1 - one.seed}) for one in (known, unknown))
    with pytest.raises(UserError, match=r"differ in fx \(none, EfficientNet-Lite0@e1e1e1e1\)"):
        signature([known, unknown], "quality.value")


def test_seeds_are_a_mean_and_a_deviation_in_the_order_of_the_seeds():
    three = [make("vae", seed) for seed in (2, 0, 1)]
    found = parse(signature(three, "likelihood.bits_per_dim"))
    assert found.value == pytest.approx(statistics.mean([3.41, 3.42, 3.43]))
    assert found.spread == pytest.approx(0.01)
    assert found.seeds == [0, 1, 2]
    assert found.keys == [r.key[:8] for r in sorted(three, key=lambda r: r.seed)]
    assert found.fields["pm"] == "sd-seeds"
    assert found.fields["kind"] == "upper bound"
    assert found.fields["v"] == "0.1.0+abcdef01,0.1.0+abcdef01.dirty"  # the record of seed 1 says it was changed


@pytest.mark.parametrize("path", PATHS)
def test_it_leads_back_to_the_number(path):
    one = make("diffusion")
    text = signature([one], path)
    found = parse(text)
    assert found.path == path
    assert found.value == pytest.approx(look_up(one, path), rel=5e-3)
    assert signature([one], path) == text
    assert path_of(name_of(one, path)) == path
    assert ("machine" in found.fields) == any(word in path for word in ("speed", "memory", "_sec", "clock"))


def test_what_was_not_measured_has_none():
    assert signature([make("gan")], "likelihood.bits_per_dim") is None
    assert signature([floor("uniform", bits=8.0)], "quality.value") is None
    assert signature([make("gan")], "quality.also.density") is None
    assert signature([], "quality.value") is None


def test_one_seed_without_an_error_has_no_spread_and_equal_seeds_have_none_between_them():
    found = parse(signature([make("gan")], "spent.flops"))
    assert found.spread is None
    assert "pm" not in found.fields
    assert parse(signature([make("gan"), make("gan", 1)], "spent.flops")).spread == 0


def test_what_separates_the_parts_is_escaped():
    odd = make("gan", entrant="a|b=c%d\n e", data=schema.DataInfo(**make("gan").data.model_dump() | {"name": "x|y"}))
    found = parse(signature([odd], "quality.value"))
    assert found.fields["entrant"] == "a|b=c%d\n e"
    assert found.fields["ref"].startswith("x|y-test")


@pytest.mark.parametrize(
    "text", ["", "FD_5k", "FD_5k=|seeds:0|rec:a", "FD_5k=1±x|seeds:0|rec:a", "=1|seeds:0|rec:a", "F=1|seeds:a|rec:a"]
)
def test_a_broken_signature_is_one_sentence(text):
    with pytest.raises(UserError, match="not a whole signature"):
        parse(text)
