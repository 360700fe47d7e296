"""What changed between two runs stands in order: worst first."""

from __future__ import annotations

import fixtures
from fixtures import make

from equibench.summary import changes, sort
from equibench.summary.changes import change_sentences, worst_first
from equibench.summary.sections import FiledRecord


def sections_of(tmp_path):
    """gan becomes 30 % worse in distance, vae 30 % better, at half the budget; flow stays what it was."""
    half = fixtures.BUDGET.model_copy(update={"amount": 1e13})
    factors, records = {"gan": 1.3, "vae": 0.7, "flow": 1.0}, []
    for family, factor in factors.items():
        for seed in range(3):
            before, after = make(family, seed, budget=half), make(family, seed)
            quality = after.quality.model_copy(update={"value": after.quality.value * factor})
            records += [before, make(family, seed, quality=quality)]
    return sort.summarise([FiledRecord(tmp_path / f"{i}.json", one) for i, one in enumerate(records)])


def test_what_is_worse_stands_first(tmp_path):
    sections = sections_of(tmp_path)
    found = change_sentences(sections)
    assert found[0].startswith("From A to B, the GAN is worse in distance by 30 % (p = ")
    assert found[1].startswith("From A to B, the VAE is better in distance by 30 % (p = ")
    assert len(found) == 2
    every = changes.changes_between(*sections)
    ordered = worst_first(every)
    assert sorted(map(id, ordered)) == sorted(map(id, every))
    assert ordered[0].before.label == "gan"
    tested = [change.pair is not None for change in ordered]
    assert tested == sorted(tested, reverse=True)  # what no test decides stands behind
    assert change_sentences(sections[:1]) == []


def test_nothing_decided_is_said(tmp_path):
    half = fixtures.BUDGET.model_copy(update={"amount": 1e13})
    records = [make("gan", seed, budget=budget) for seed in range(3) for budget in (half, fixtures.BUDGET)]
    sections = sort.summarise([FiledRecord(tmp_path / f"{i}.json", one) for i, one in enumerate(records)])
    assert change_sentences(sections) == ["No test tells any number of one setting from the other's."]
