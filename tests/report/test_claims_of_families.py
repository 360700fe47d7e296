"""Claims of the families' texts stand in these, and are cut where a run contradicts them."""

from __future__ import annotations

import pytest
from fixtures import make

from equibench.record.anatomy import ModelPart, Structure
from equibench.report.parts.claims import CLAIMS, contradicted, held
from equibench.report.parts.families import words_about
from equibench_models.about import ABOUT

PIXELS = 28 * 28


def structure(numbers, *samples):
    parts = [ModelPart(name=f"part {i}", params=1, samples=one) for i, one in enumerate(samples)]
    return Structure(parts=parts, noise_shapes=[[numbers]])


def record(family, numbers=PIXELS, **changes):
    return make(family).model_copy(update={"structure": structure(numbers, True, False), **changes})


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.family}: {claim.words}")
def test_every_claim_stands_in_its_family_s_text(claim):
    about = ABOUT[claim.family]
    assert f"{about.concept} {about.differs}".count(claim.words) == 1


@pytest.mark.parametrize(("family", "numbers", "changes", "cut"), [
    ("gan", 64, {}, ""),
    ("gan", PIXELS, {}, "Fewer random numbers than pixels"),
    ("flow", PIXELS, {}, ""),
    ("flow", 10, {}, "the noise has as many numbers as the image"),
    ("diffusion", 10, {}, "The noise is as large as the image"),
    ("vae", 10, {"structure": structure(10, True, True)}, "Two networks serve the two directions"),
])  # fmt: skip
def test_a_sentence_that_the_run_contradicts_is_cut(family, numbers, changes, cut):
    found = record(family, numbers, **changes)
    concept, differs = words_about(found, found.portrait)
    whole = f"{ABOUT[family].concept} {ABOUT[family].differs}"
    shown = f"{concept} {differs}"
    assert (shown == whole) == (not cut)
    if cut:
        assert cut not in shown
        assert 0 < len(whole) - len(shown) < 250  # the sentence alone


def test_likelihoods_passes_and_errors_are_compared():
    exact = make("flow").likelihood.model_copy(update={"kind": "exact"})
    assert [one.path for one in contradicted(make("flow", likelihood=exact))] == ["likelihood.kind"]
    once = make("diffusion").speed.model_copy(update={"network_evaluations": 1})
    assert [one.path for one in contradicted(make("diffusion", speed=once))] == ["speed.network_evaluations"]
    for error, wrong in ((1e-5, 0), (0.1, 2)):  # of a pixel from -1 to 1: a thousandth of a level, and 13 levels
        found = make("flow")
        portrait = found.portrait.model_copy(update={"numbers": {"inverse_max_abs_error": error}})
        assert len(contradicted(found.model_copy(update={"portrait": portrait}))) == wrong


def test_what_was_not_measured_contradicts_nothing():
    for family in ABOUT:
        bare = make(family, likelihood=None, speed=None, structure=None)
        assert contradicted(bare) == []
        assert held(ABOUT[family].differs, bare) == ABOUT[family].differs
