"""Training spends its budget, says where its time went, and stops where a loss is not finite."""

import time

import pytest
import torch
from planned import planned

from equibench.record.budget import budget_missed
from equibench.record.schema import Budget
from equibench.run import train
from equibench.run.course import DivergedError
from equibench_models import FAMILIES
from equibench_models import family as load_family

CPU = torch.device("cpu")


class Slow:
    """A model that does nothing but let time pass."""

    def __init__(self, clock, sec):
        self.clock, self.sec = clock, sec

    def update(self, images, share):  # noqa: ARG002
        self.clock[0] += self.sec
        return {"loss": torch.ones(())}

    def parameters(self):
        return iter(())

    def sampling_parameters(self):
        return 0


def test_all_families_spend_the_same_flops(images):
    budget = Budget(params=100_000, unit="flops", amount=1e10)
    spent = {}
    for family in FAMILIES:
        plan = planned(family, budget, images)
        model = load_family(family).build(plan.config, images.shape)
        result, curve = train.train(model, images.train, plan.allowance, seed=0, device=CPU)
        assert budget_missed(budget, result) is None
        assert budget.amount - plan.allowance.flops_per_update < result.flops <= budget.amount
        assert curve.updates[-1] == result.updates == plan.allowance.updates
        spent[family] = result.flops
    assert max(spent.values()) / min(spent.values()) < 1.1  # within one update of each


@pytest.mark.parametrize(("unit", "amount", "updates"), [("updates", 3, 3), ("images", 30, 3), ("images", 24, 3)])
def test_other_units(images, unit, amount, updates):
    budget = Budget(params=100_000, unit=unit, amount=amount)
    plan = planned("vae", budget, images)
    assert plan.allowance.updates == updates


def test_seconds_are_not_overspent(images):
    clock = [0.0]
    allowance = train.Allowance(Budget(params=100_000, unit="sec", amount=1.0), 8, 1.0)
    watch = train.Watch(now=lambda: clock[0])
    spent, _ = train.train(Slow(clock, 0.3), images.train, allowance, seed=0, device=CPU, watch=watch)
    assert spent.updates == 3  # a fourth would end after 1.2 s
    assert spent.train_sec == pytest.approx(0.9)


def test_a_loss_that_is_not_finite_is_divergence(images):
    model = load_family("vae").build({"width": 8}, images.shape)
    with torch.no_grad():
        model.network.stem.weight.fill_(float("nan"))
    budget = Budget(params=1000, unit="updates", amount=2)
    with pytest.raises(DivergedError, match="bits_per_dim"):
        train.train(model, images.train, train.Allowance(budget, 8, 1.0), seed=0, device=CPU)


def test_parts_of_training_by_a_fake_clock(images):
    clock = [0.0]

    class Counter:
        quantity = "joules of a made-up counter"

        def joules(self):
            return 100 * clock[0]  # a hundred watts

    def report(share):  # noqa: ARG001
        clock[0] += 0.25

    spent, curve = train.train(
        Slow(clock, 2.0),
        images.train,
        train.Allowance(Budget(params=1, unit="updates", amount=4), 8, 3.0),
        seed=0,
        device=CPU,
        watch=train.Watch(report, Counter(), lambda: clock[0]),
    )
    assert spent.parts_sec == {"data": 0.0, "update": 8.0, "measurement": 1.0, "other": 0.0}
    assert spent.train_sec == 8.0  # the clock of the budget stops while losses are read
    assert curve.train_sec == [2.0, 4.0, 6.0, 8.0]
    assert (spent.energy.joules, spent.energy.images) == (900.0, 32)


def test_parts_of_a_real_training_sum_to_its_wall_time(images):
    model = load_family("vae").build({"width": 16}, images.shape)
    budget = Budget(params=100_000, unit="updates", amount=20)
    begin = time.perf_counter()
    spent, _ = train.train(model, images.train, train.Allowance(budget, 8, 1.0), seed=0, device=CPU)
    wall = time.perf_counter() - begin
    assert sum(spent.parts_sec.values()) == pytest.approx(wall, rel=0.02)
    assert spent.train_sec + spent.parts_sec["measurement"] == pytest.approx(sum(spent.parts_sec.values()))
    assert spent.parts_sec["update"] > 0.9 * wall
