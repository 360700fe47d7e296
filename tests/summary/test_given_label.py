"""A likelihood given the label is another thing than one that is given none."""

from fixtures import make

from equibench.quantities.metric import bits_kind, compared_kind
from equibench.summary.pairs import criteria
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise

BITS = "likelihood.bits_per_dim"


def told(family, seed, **changes):
    """A record whose likelihood is given the label."""
    found = make(family, seed)
    given = found.likelihood.model_copy(update={"given": "label"})
    return make(family, seed, entrant=f"{family}-told", key=f"{family}{seed}", likelihood=given, **changes)


def section(tmp_path, records):
    (found,) = summarise([FiledRecord(tmp_path / f"{i}.json", one) for i, one in enumerate(records)])
    return found


def test_a_bound_given_the_label_is_compared_with_its_like_alone(tmp_path):
    records = [make_one(family, seed) for make_one in (make, told) for family in ("vae", "flow") for seed in range(3)]
    found = [one for one in criteria(section(tmp_path, records)) if one.path == BITS]
    by_name = {one.name: sorted(row.label for row in one.rows) for one in found}
    assert by_name == {
        "Bits/dim (upper bound)": ["flow", "vae"],
        "Bits/dim (upper bound given the label)": ["flow-told", "vae-told"],
    }
    assert all(one.of_bounds for one in found)


def test_one_of_each_is_no_comparison(tmp_path):
    records = [one for seed in range(3) for one in (make("vae", seed), told("vae", seed))]
    found = [one for one in criteria(section(tmp_path, records)) if one.path == BITS]
    assert [len(one.rows) for one in found] == [1, 1]


def test_its_kind_is_said_in_words():
    likelihood = told("flow", 0).likelihood
    assert bits_kind(likelihood) == "upper bound, variational dequantization, given the label"
    assert compared_kind(likelihood) == "upper bound given the label"
    assert compared_kind(make("flow").likelihood) == "upper bound"
    assert bits_kind(make("gan").likelihood.model_copy(update={"given": "label"})) == "none"
