"""Numbers of records at the limits of what they may be."""

import contextlib
import json
import warnings
from pathlib import Path

import pytest
from fixtures import make
from odd_records import PLACES, RECORDS, is_valid, put, tables_of

from equibench.errors import UserError
from equibench.judge import check, output
from equibench.quantities.text import TIMES, spread
from equibench.record.schema import Record
from equibench.stats import Stat
from equibench.summary.sections import FiledRecord


@pytest.mark.parametrize(
    ("values", "mean", "sd", "shown"),
    [
        ((1e308, 1.5e308), 1.25e308, 3.5355339059327e307, "∞ ± ∞"),
        ((1e300, 3e300), 2e300, 1.4142135623731e300, f"2.00{TIMES}10³⁰³ ± 1.41{TIMES}10³⁰³"),
    ],
)
def test_means_and_spreads_at_the_limits(values, mean, sd, shown):
    """Sums and squares leave the range of floats before they do, and a unit may."""
    found = Stat(values)
    assert (found.mean, found.sd) == (pytest.approx(mean), pytest.approx(sd, rel=1e-9))
    assert spread(found, unit=1e-3) == shown


def test_repeats_of_no_images_are_left_out():
    """Such a record divides by nothing."""
    one = make("vae")
    none = one.model_copy(update={"speed": one.speed.model_copy(update={"batch_size": 0})})
    assert check.compare([none], [none]).lines


VALUES = (0.0, 5e-324, 1.7976931348623157e308, -1e308, 0, -1)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(len(VALUES)), ids=map(str, VALUES))
def test_each_number_at_its_limits(turn):
    """Every number of a record in turn, with two of the values, on one side and on both, in the check of those that
    have it and the tables of all.
    """
    warnings.simplefilter("ignore")
    value = VALUES[turn]
    usual = [Record.model_validate(one) for one in RECORDS]
    for place in PLACES[turn % 3 :: 3]:
        trees = [put(one, place, value) for one in RECORDS]
        odd_ones = [Record.model_validate(tree) for tree in trees if is_valid(tree)]
        with_it = {one["entrant"] for one, tree in zip(RECORDS, trees, strict=True) if tree != one and is_valid(tree)}
        if not with_it:
            continue
        odd, plain = ([one for one in side if one.entrant in with_it] for side in (odd_ones, usual))
        for one, other in ((odd, plain), (plain, odd), (odd, odd)):
            with contextlib.suppress(UserError):
                found = check.compare(one, other)
                json.dumps(output.as_json(found), allow_nan=False)
                list(output.github_commands(found))
        with contextlib.suppress(UserError):
            tables_of([FiledRecord(Path(f"{i}.json"), one) for i, one in enumerate(odd_ones)])
