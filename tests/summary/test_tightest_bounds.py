"""The bound that two sides are compared by."""

import pytest
from fixtures import make

from equibench.quantities.glossary import BITS
from equibench.quantities.identity import look_up
from equibench.record.schema import BoundResult
from equibench.report.tables.likelihood import bounds as table_of_bounds
from equibench.summary.bounds import bound_words, tightest_common
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise


def bound(name, gain, stderr=0.001, passes=64, n_images=64, kind="upper bound"):
    return BoundResult(
        name=name,
        about="",
        kind=kind,
        bits_per_dim=3.0 + gain,
        usual_bits_per_dim=3.0,
        stderr_of_difference_bits_per_dim=stderr,
        n_images=n_images,
        passes=passes,
    )


def side(*bounds, seeds=1, like="vae"):
    return [make(like, seed, bounds=list(bounds)) for seed in range(seeds)]


WEIGHTED, CONTINUOUS = bound("importance weighting", -0.05), bound("continuous time", -0.08)
PATH = "bounds.importance weighting.bits_per_dim"


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        (side(WEIGHTED), side(WEIGHTED), PATH),
        (side(WEIGHTED, CONTINUOUS), side(WEIGHTED), PATH),  # what one side alone has is for no comparison
        (side(WEIGHTED, CONTINUOUS), side(CONTINUOUS, WEIGHTED), "bounds.continuous time.bits_per_dim"),
        (side(WEIGHTED), side(), BITS),
        (side(WEIGHTED), side(bound("importance weighting", -0.05, passes=8)), BITS),  # another K is another bound
        (side(WEIGHTED), side(bound("importance weighting", -0.05, n_images=32)), BITS),
        (side(bound("importance weighting", 0.02)), side(bound("importance weighting", 0.01)), BITS),  # looser
        (side(bound("importance weighting", -0.05, stderr=0.1)), side(WEIGHTED), BITS),  # by less than its error
        (side(bound("importance weighting", -0.5, kind="estimate")), side(WEIGHTED), BITS),
        (side(WEIGHTED, seeds=3), side(WEIGHTED, seeds=3), PATH),
        (side(WEIGHTED, seeds=3), [*side(WEIGHTED), *side()], BITS),  # a seed of one side lacks it
        (side(WEIGHTED), [], BITS),
    ],
)
def test_the_tightest_bound_that_was_measured_for_both(one, other, path):
    assert tightest_common(one, other) == path
    assert tightest_common(other, one) == path


def test_an_exact_likelihood_needs_no_bound():
    exact = make("flow").likelihood.model_copy(update={"kind": "exact"})
    one = [make("flow", likelihood=exact, bounds=[WEIGHTED])]
    assert tightest_common(one, one) == BITS
    assert tightest_common(one, side(WEIGHTED)) == BITS


def test_a_bound_is_called_by_what_it_is():
    (vae,) = side(WEIGHTED)
    assert bound_words(vae, BITS) == "upper bound"
    assert bound_words(vae, PATH) == "upper bound by importance weighting, K = 64, on 64 images"
    assert bound_words(make("gan"), BITS) == "none"
    assert not bound_words(make("gan", likelihood=None), BITS)


def test_two_bounds_of_one_name_are_two_numbers(tmp_path):
    """Of K = 64 and K = 8 in one suite the report showed one, twice."""
    one = make("vae", bounds=[WEIGHTED, bound("importance weighting", -0.02, passes=8)])
    assert look_up(one, PATH) == pytest.approx(2.95)
    assert look_up(one, "bounds.importance weighting (2).bits_per_dim") == pytest.approx(2.98)
    assert look_up(one, "bounds.importance weighting (2).passes") == 8
    (section,) = summarise([FiledRecord(tmp_path / "one.json", one)])
    table = table_of_bounds(section)
    column = table.names.index("bits_per_dim")
    assert [line.entries[column].raw for line in table.lines] == pytest.approx([2.95, 2.98])
