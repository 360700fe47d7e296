"""Time of training by a few updates: how a rate is made of them, and what is not tried."""

from __future__ import annotations

import pytest
import torch

from equibench import suite
from equibench.run import pace, plan
from equibench.suite import Cell

SHAPE = (1, 28, 28)
CPU = torch.device("cpu")


def planned(family="vae", **changes):
    smoke = suite.load("smoke")
    (entrant,) = [one for one in smoke.entrant if one.family == family]
    entrant = entrant.model_copy(update=changes)
    return plan.plan(Cell(smoke, entrant.name, 0, entrant, smoke.budget[0]), SHAPE)


@pytest.fixture
def timed(monkeypatch):
    """Calls of the stopwatch, each of which says that five updates took these seconds."""
    calls = []

    def repeat(update, synchronize, **limits):  # noqa: ARG001
        update()
        calls.append(limits)
        return [0.010, 0.012, 0.011, 0.010, 0.007]

    monkeypatch.setattr(pace, "repeat", repeat)
    return calls


def test_the_rate_is_flops_over_the_mean_update_and_is_timed_once_for_each_batch_size(timed):
    found, one = pace.Pace(SHAPE, CPU, 1e12), planned()
    state = torch.get_rng_state()
    assert found(one) == pytest.approx(one.allowance.flops_per_update / 0.010)
    assert torch.equal(torch.get_rng_state(), state)
    assert found(planned(config={**one.config, "learning_rate": 1e-4})) == found(one)
    assert len(timed) == 1
    other = planned(config={"vector": 8, "prior_hidden": 8, "mixed": 1, "batch_size": 8})
    assert found(other) == pytest.approx(other.allowance.flops_per_update / 0.010)
    assert len(timed) == 2
    assert found.measuring(other) == pytest.approx((found(other) * 1e12) ** 0.5)


def test_whole_cycles_are_averaged_where_updates_differ(timed, monkeypatch):
    from equibench_models import family

    monkeypatch.setattr(family("vae"), "cycle", 2)
    one = planned()
    assert pace.Pace(SHAPE, CPU, 1e12)(one) == pytest.approx(one.allowance.flops_per_update / 0.01075)  # of four
    assert len(timed) == 1


def test_long_updates_and_a_user_s_own_code_are_not_tried(timed):
    one = planned()
    slow = one.allowance.flops_per_update / 0.6  # FLOP/s at which an update takes longer than LONGEST_SEC
    assert pace.Pace(SHAPE, CPU, slow)(one) == slow
    own = plan.Plan(
        Cell(one.cell.suite, "own", 0, one.cell.entrant.model_copy(update={"family": "mine:Model"}), one.cell.budget),
        one.config, one.params, one.allowance, one.state_bytes,
    )  # fmt: skip
    assert pace.Pace(SHAPE, CPU, 1e12)(own) == 1e12
    assert timed == []


@pytest.mark.parametrize("family", ["gan", "vae", "flow", "diffusion"])
def test_each_family_is_timed_with_and_without_labels(family):
    for labels in ({}, {"classes": 3}):
        one = planned(family, config={**planned(family).config, **labels})
        assert 0 < pace.Pace(SHAPE, CPU, 1e13)(one) < 1e13
