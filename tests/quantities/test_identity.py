"""What makes two numbers incomparable, and paths into a record."""

import itertools
import re

import pytest
from fixtures import BUDGET, ROOT, make

from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.quantities.identity import FIELDS, look_up


def test_whatever_makes_numbers_incomparable_makes_signatures_differ():
    one = make("gan")
    q = one.quality
    others = [
        one,
        one.model_copy(update={"protocol": "0"}),
        one.model_copy(update={"budget": BUDGET.model_copy(update={"amount": 3e13})}),
        *(
            one.model_copy(update={"quality": q.model_copy(update=change)})
            for change in (
                {"n_samples": 2500},
                {"reference": "train"},
                {"reference_sha256": "ab" * 32},
                {"features": q.features.model_copy(update={"weights_sha256": "77" * 32})},
                {"features": q.features.model_copy(update={"name": "another"})},
                {"options": {"steps": 4}},
            )
        ),
    ]
    texts = [signature([r], "quality.value") for r in others]
    assert len(set(texts)) == len(texts)
    for a, b in itertools.pairwise(others[2:]):
        with pytest.raises(UserError, match="differ in"):
            signature([a, b], "quality.value")


def test_the_page_on_signatures_names_every_field():
    page = (ROOT / "docs" / "signatures.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted({*FIELDS, "seeds", "pm", "p", "v", "code", "sig", "rec"})


def test_members_of_lists_go_by_names_that_may_hold_dots():
    one = make("diffusion")
    points = [
        point.model_copy(update={"label": label, "images_per_sec": speed})
        for point, label, speed in zip(
            one.sampler_points, ("temperature 0", "temperature 0.75"), (1.0, 2.0), strict=False
        )
    ]
    one = one.model_copy(update={"sampler_points": points})
    assert look_up(one, "sampler_points.temperature 0.images_per_sec") == 1
    assert look_up(one, "sampler_points.temperature 0.75.images_per_sec") == 2
    assert look_up(one, "sampler_points.temperature 1.images_per_sec") is None


@pytest.mark.parametrize("path", ["quality.vlaue", "quality.metric", "quality", "nothing"])
def test_an_unknown_path_is_one_sentence(path):
    with pytest.raises(UserError, match=r"did you mean 'value'|not a number|unknown 'nothing'"):
        signature([make("gan")], path)
