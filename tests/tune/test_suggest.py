"""The settings of the next trial are a function of the trials before it."""

import importlib.metadata

import pytest

from equibench.errors import UserError
from equibench.record.study import Domain, Search
from equibench.tune import suggest
from equibench.tune.suggest import Told, suggestion

RANGES = {
    "rate": Domain(low=1e-4, high=1e-1, log=True),
    "share": Domain(low=0.0, high=1.0),
    "blocks": Domain(low=1, high=9),
    "batch": Domain(choices=[4, 8, 16]),
}
SEARCH = Search(startup_trials=5)


def loss(values):
    return abs(values["share"] - 0.7) + (values["batch"] != 8) + 0.1 * abs(values["blocks"] - 4)


def found(many, told=()):
    told = list(told)
    while len(told) < many:
        values = suggestion(RANGES, told, len(told), SEARCH)
        told.append(Told(values, loss(values)))
    return told


def test_a_study_that_was_stopped_gives_what_one_in_a_piece_does():
    whole = found(12)
    for stopped in (0, 1, 6, 11):
        assert found(12, whole[:stopped]) == whole


def test_the_order_of_settings_in_a_file_is_no_matter():
    whole = found(7)
    turned = dict(reversed(RANGES.items()))
    for many in (0, 7):
        assert suggestion(turned, whole[:many], many, SEARCH) == suggestion(RANGES, whole[:many], many, SEARCH)


def test_trials_differ_and_lie_in_their_ranges():
    values = [one.values for one in found(10)]
    assert len({str(one) for one in values}) == 10
    for one in values:
        assert all(suggest.within(RANGES[name], value) for name, value in one.items())
        assert {name: type(value) for name, value in one.items()} == {
            "rate": float, "share": float, "blocks": int, "batch": int,
        }  # fmt: skip
        assert float(f"{one['rate']:.3g}") == one["rate"]


def test_later_trials_lie_nearer_to_the_best_than_those_at_random():
    values = found(30)
    assert sum(one.value for one in values[-10:]) < 0.6 * sum(one.value for one in values[:5]) * 2


def test_another_seed_gives_others_and_what_is_told_matters():
    whole = found(8)
    assert suggestion(RANGES, whole, 8, SEARCH) != suggestion(RANGES, whole, 8, SEARCH.model_copy(update={"seed": 1}))
    turned = [one._replace(value=-one.value) for one in whole]
    assert suggestion(RANGES, whole, 8, SEARCH) != suggestion(RANGES, turned, 8, SEARCH)


def test_what_lies_outside_is_not_told():
    """As the entrant as it stands may."""
    whole = found(8)
    outside = Told({**whole[0].values, "batch": 5}, 0.0)
    assert suggestion(RANGES, [outside, *whole], 8, SEARCH) == suggestion(RANGES, whole, 8, SEARCH)


def test_a_number_keeps_few_digits_and_stays_within():
    narrow = {"rate": Domain(low=0.0012345, high=0.0012346)}
    value = suggestion(narrow, [], 0, SEARCH)["rate"]
    assert 0.0012345 <= value <= 0.0012346


def test_without_optuna_a_sentence_says_what_to_install(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(suggest.importlib.metadata, "version", missing)
    with pytest.raises(UserError, match=r"pip install 'equibench\[tune\]'"):
        suggestion(RANGES, [], 0, SEARCH)
