"""What the families' texts claim: nothing that a run may contradict."""

import re

import pytest

from equibench_models import FAMILIES
from equibench_models.about import ABOUT

# how good, fast, certain or stable something is, and what no other family is: a run measures it
MEASURED = (
    r"sharp|blurr|smooth|grain|stable|fast(er|est)?|slow|quick|best|better|worse|worst|high quality|realistic|diverse|"
    r"cheap(er|est)? to (train|sample)|only family|the only|collapse|superior|always|never|large(r|st)? shapes"
)
# sentences with such a word that are true of the family as it is built, whatever a run gives
BY_CONSTRUCTION = {
    "A fast solver or the full chain samples.",  # the solver's usual name: fewer passes than the chain has steps
}


def sentences():
    for about in ABOUT.values():
        for text in (about.concept, about.structure, about.differs, *about.abilities.values()):
            yield from re.split(r"(?<=[.:;]) ", text)


def test_there_is_a_text_of_every_family():
    assert set(ABOUT) == set(FAMILIES)


@pytest.mark.parametrize("sentence", sorted(set(sentences())))
def test_no_sentence_claims_what_is_measured(sentence):
    if sentence not in BY_CONSTRUCTION:
        assert not re.search(rf"\b({MEASURED})\b", sentence, re.IGNORECASE), sentence


@pytest.mark.parametrize("claim", [
    "Samples are sharp and take one pass.",
    "Training is plain regression, as stable as the VAE's.",
    "The only family that encodes and generates at once.",
])  # fmt: skip
def test_the_search_finds_what_was_cut(claim):
    assert re.search(rf"\b({MEASURED})\b", claim, re.IGNORECASE)
