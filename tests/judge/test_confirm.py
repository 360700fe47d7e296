"""Screen, then confirm: who trains fresh seeds, what these decide, and how often that is right."""

import numpy as np
import pytest
from fixtures import NUMBERS, everything, make
from judging import changed, draw, four, regressions, verdicts

from equibench.errors import UserError
from equibench.judge.check import compare
from equibench.judge.confirm import confirm, fresh_seeds, suspects, wider
from equibench.judge.gates import Gates
from equibench.summary.sort import rows

BASE, RUN = range(5), (9,)


def by(train, baseline, run, many=3, gates=Gates()):  # noqa: B008
    return confirm(compare(baseline, run, gates=gates), baseline, run, gates, compare, many, train)


def bare(records):
    """Quality alone, which four families have."""
    nothing = {"likelihood": None, "bounds": [], "speed": None, "memory": None}
    return [one.model_copy(update=nothing) for one in records]


class Trained:
    """Draws fresh seeds as the run's were, and notes for whom."""

    def __init__(self, rng, **faults):
        self.rng, self.faults, self.asked = rng, faults, []

    def __call__(self, row, seeds):
        name = next(iter(row.values())).entrant
        self.asked.append((name, tuple(seeds)))
        return bare(draw(self.rng, name, seeds, **self.faults.get(name, {})))


def worse(rng, seeds, **faults):
    return bare([one for name in NUMBERS for one in draw(rng, name, seeds, **faults.get(name, {}))])


def test_equal_code_seldom_fails_and_trains_little():
    rng = np.random.default_rng(0)
    train = Trained(rng)
    checks = [by(train, worse(rng, BASE), worse(rng, RUN)) for _ in range(100)]
    assert sum(check.failed for check in checks) <= 5  # of 1 to 2 %; 6 have a probability of 1.5 % at most
    assert 15 < len(train.asked) < 100  # of 400 entrants


@pytest.mark.parametrize(("fd", "least", "most"), [(1.1, 0.7, 0.98), (1.3, 0.95, 1)])
def test_a_fault_is_found_by_far_more_often_than_by_one_seed(fd, least, most):
    rng = np.random.default_rng(1)
    faults = {"vae": {"fd": fd}}
    train = Trained(rng, **faults)
    pairs = [(worse(rng, BASE), worse(rng, RUN, **faults)) for _ in range(60)]
    found = np.mean([("vae", "FD_5k") in regressions(by(train, *pair)) for pair in pairs])
    alone = np.mean([("vae", "FD_5k") in regressions(compare(*pair)) for pair in pairs])
    assert least <= found <= most
    assert found >= alone + 0.1 or alone > 0.9


def test_fresh_seeds_alone_decide():
    rng = np.random.default_rng(2)
    base, bad = worse(rng, BASE), worse(rng, RUN, gan={"fd": 2.0})
    assert regressions(compare(base, bad)) == {("gan", "FD_5k")}
    cleared = by(Trained(rng), base, bad)
    assert not cleared.failed
    (line,) = [line for line in cleared.lines if (line.row, line.number) == ("gan", "FD_5k")]
    assert line.sentence.endswith("; decided by fresh seeds 5, 6 and 7")
    assert line.run.n == 3
    assert any(note.startswith("gan had p = ") for note in cleared.notes)
    others = [(one.row, one.number) for one in compare(base, bad).lines if one.row != "gan"]
    assert [(one.row, one.number) for one in cleared.lines if one.row != "gan"] == others
    condemned = by(Trained(rng, gan={"fd": 2.0}), base, bad)
    assert regressions(condemned) == {("gan", "FD_5k")}
    assert "decided by fresh seeds" in condemned.regressions[0].sentence


def test_who_does_not_look_worse_trains_nothing():
    rng = np.random.default_rng(3)
    base = worse(rng, BASE)
    better = worse(rng, RUN, **{name: {"fd": 0.8} for name in NUMBERS})
    found = by(lambda *_: pytest.fail("it trained"), base, better)
    assert "none trained fresh seeds" in found.notes[-1]
    same = by(lambda *_: pytest.fail("it trained"), base, [one for one in base if one.seed == 0])
    assert set(verdicts(same).values()) == {"reproduced", "reported"} or not same.failed


def test_what_is_proved_is_not_asked_again():
    base = [one for one in everything() if one.status == "ok"]
    crashed = [
        one.model_copy(update={"status": "crashed", "reason": "it fell", "quality": None, "likelihood": None})
        if one.entrant == "flow"
        else one
        for one in base
        if one.seed == 0 or one.role == "floor"
    ]
    moved = [
        changed(one, quality={"value": one.quality.value * 2}) if one.entrant == "gan" else one for one in crashed
    ]  # of the same weights
    found = by(lambda *_: pytest.fail("it trained"), base, moved)
    said = verdicts(found)
    assert said["flow", "row"] == "regression"
    assert said["gan", "FD_5k"] == "measurement error"


def test_a_fresh_seed_that_fails_is_a_regression_of_its_row():
    rng = np.random.default_rng(4)

    def train(row, seeds):
        drawn = Trained(rng)(row, seeds)
        return [*drawn[1:], drawn[0].model_copy(update={"status": "diverged", "reason": "NaN", "quality": None})]

    found = by(train, worse(rng, BASE), worse(rng, RUN, vae={"fd": 2.0}))
    assert ("vae", "row") in regressions(found)


def test_seeds_are_those_that_neither_side_has():
    before, after = (
        rows(four(np.random.default_rng(5), (0, 1, 4)), ""),
        rows(draw(np.random.default_rng(5), "gan", (2, 6)), ""),
    )
    assert fresh_seeds(before, after, 3) == [3, 5, 7]


def test_an_entrant_with_two_budgets_is_refused_once_it_is_suspect():
    rng = np.random.default_rng(9)
    twice = make("gan").budget.model_copy(update={"amount": 4e13})

    def both(seeds, **faults):
        return [*worse(rng, seeds), *(one.model_copy(update={"budget": twice}) for one in worse(rng, seeds, **faults))]

    base = both(BASE)
    with pytest.raises(UserError, match="gan is there with several budgets or data sets"):
        by(Trained(rng), base, [one for one in both(RUN, gan={"fd": 2.0}) if one.entrant == "gan"], 3)


def test_what_was_loaded_is_no_suspect():
    rng = np.random.default_rng(6)
    sides = [
        [one.model_copy(update={"budget": None}) for one in worse(rng, seeds, gan={"fd": f})]
        for seeds, f in ((BASE, 1), (RUN, 2))
    ]
    assert not suspects(*(rows(side, "") for side in sides), Gates(), compare)


def test_a_suspect_by_its_likelihood_alone():
    rng = np.random.default_rng(7)
    base, run = draw(rng, "vae", BASE), draw(rng, "vae", RUN, bits=0.3)
    found = suspects(rows(base, ""), rows(run, ""), Gates(), compare)
    assert [str(key) for key in found] == ["vae"]


@pytest.mark.parametrize("gone", [(), ("likelihood", "speed", "memory")])
def test_error_rates_of_what_confirms_are_three_times_the_category_s(gone):
    rng = np.random.default_rng(8)
    base, run = (
        [one.model_copy(update=dict.fromkeys(gone) | {"bounds": []}) for one in four(rng, seeds)]
        for seeds in (BASE, RUN)
    )
    screen = compare(base, run)
    found = compare(base, run, gates=wider(Gates(), screen))
    alphas = {line.category: line.alpha for line in found.lines if line.alpha}
    assert alphas["quality"] == pytest.approx(0.06, rel=1e-6)
    if not gone:
        assert alphas["likelihood"] == pytest.approx(0.03, rel=1e-6)
