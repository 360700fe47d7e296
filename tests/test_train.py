"""Budgets are kept, equal and audited; the clock's parts sum."""

import time

import pytest
import torch

from equibench import UserError, suite
from equibench.data import sets as data
from equibench.machine.clock import Clock, repeat
from equibench.record.schema import Budget, budget_missed
from equibench.run import plan, sizing, train
from equibench.suite import Cell, Entrant
from equibench_models import FAMILIES

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images():
    return data.load("fashion-mnist-10k").limited(200, 100)


def planned(family, budget, images, **config):
    entrant = Entrant(name=family, family=family, config={"batch_size": 8, **config})
    return plan.plan(Cell(suite.load("smoke"), family, 0, entrant, budget), images.shape)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cap", [120_000, 500_000, 5_000_000])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_width_meets_the_cap(family, cap, shape):
    width = sizing.fit_width(FAMILIES[family], {}, shape, Budget(params=cap, amount=1))
    count = sizing.parameters(FAMILIES[family], {"width": width}, shape)
    assert 0.95 * cap <= count <= cap
    if cap == 120_000:
        built = FAMILIES[family].build({"width": width}, shape)
        assert sum(p.numel() for p in built.parameters() if p.requires_grad) == count


def test_all_families_spend_the_same_flops(images):
    budget = Budget(params=60_000, unit="flops", amount=3e10)
    spent = {}
    for family in FAMILIES:
        plan = planned(family, budget, images)
        model = FAMILIES[family].build(plan.config, images.shape)
        result, curve = train.train(
            model, images.train, budget, batch_size=8, flops_per_update=plan.flops_per_update, seed=0, device=CPU
        )
        assert budget_missed(budget, result) is None
        assert budget.amount - plan.flops_per_update < result.flops <= budget.amount
        assert curve.updates[-1] == result.updates == plan.updates
        spent[family] = result.flops
    assert max(spent.values()) / min(spent.values()) < 1.1  # within one update of each


@pytest.mark.parametrize(("unit", "amount", "updates"), [("updates", 3, 3), ("images", 30, 3), ("images", 24, 3)])
def test_other_units(images, unit, amount, updates):
    budget = Budget(params=60_000, unit=unit, amount=amount)
    plan = planned("vae", budget, images)
    assert plan.updates == updates


def test_seconds_are_not_overspent(images):
    budget = Budget(params=60_000, unit="sec", amount=1.0)
    model = FAMILIES["vae"].build({"width": 16}, images.shape)
    spent, _ = train.train(model, images.train, budget, batch_size=8, flops_per_update=1.0, seed=0, device=CPU)
    assert spent.updates > 1
    assert spent.train_sec <= 1.2  # the last update may be slower than the average


def test_a_budget_below_one_update_is_refused(images):
    with pytest.raises(UserError, match="too small for one update"):
        planned("gan", Budget(params=60_000, unit="flops", amount=10), images)
    with pytest.raises(UserError, match="too small for GAN"):
        planned("gan", Budget(params=100, amount=1e12), images)


@pytest.mark.parametrize(
    ("entrant", "sentence"),
    [
        ({"config": {"widht": 8}}, "did you mean 'width'"),
        ({"config": {"width": 2}}, "width"),
        ({"sampler": {"step": 3}}, "did you mean 'steps'"),
    ],
)
def test_bad_entrants_are_refused(images, entrant, sentence):
    cell = Cell(
        suite.load("smoke"),
        "x",
        0,
        Entrant(name="x", family="diffusion", **entrant),
        Budget(params=60_000, unit="updates", amount=3),
    )
    with pytest.raises(UserError, match=sentence):
        plan.plan(cell, images.shape)


def test_missed_budgets_are_named():
    spent = {"params": 96, "sampling_params": 1, "flops_per_image": 1, "images": 5, "updates": 1, "train_sec": 1}
    budget = Budget(params=100, amount=10)
    record = train.Spent(flops=10, **spent)
    assert budget_missed(budget, record) is None
    assert "parameters" in budget_missed(budget, record.model_copy(update={"params": 94}))
    assert "parameters" in budget_missed(budget, record.model_copy(update={"params": 101}))
    assert "flops" in budget_missed(budget, record.model_copy(update={"flops": 11.0}))


def test_a_loss_that_is_not_finite_is_divergence(images):
    model = FAMILIES["vae"].build({"width": 8}, images.shape)
    with torch.no_grad():
        model.network.stem.weight.fill_(float("nan"))
    budget = Budget(params=1000, unit="updates", amount=2)
    with pytest.raises(train.DivergedError, match="bits_per_dim"):
        train.train(model, images.train, budget, batch_size=8, flops_per_update=1.0, seed=0, device=CPU)


def test_clock_parts_sum_to_the_wall_time():
    ticks = iter([0.0, 1.0, 4.0, 6.0, 7.5, 10.0])
    clock = Clock(now=lambda: next(ticks))
    with clock.part("train"):
        pass
    with clock.part("sample"):
        pass
    assert clock.seconds() == {"train": 3.0, "sample": 1.5, "other": 5.5, "wall": 10.0}


def test_clock_goes_on_from_what_was_before():
    ticks = iter([10.0, 11.0, 13.0, 14.0, 15.0])
    clock = Clock(now=lambda: next(ticks), before={"start": 4.0})
    with clock.part("train"):
        pass
    assert clock.elapsed("start") == 4.0
    assert clock.seconds() == {"start": 4.0, "train": 2.0, "other": 3.0, "wall": 9.0}


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
        Budget(params=1, unit="updates", amount=4),
        batch_size=8,
        flops_per_update=3.0,
        seed=0,
        device=CPU,
        progress=report,
        counter=Counter(),
        now=lambda: clock[0],
    )
    assert spent.parts_sec == {"data": 0.0, "update": 8.0, "measurement": 1.0, "other": 0.0}
    assert spent.train_sec == 8.0  # the clock of the budget stops while losses are read
    assert curve.train_sec == [2.0, 4.0, 6.0, 8.0]
    assert (spent.energy.joules, spent.energy.images) == (900.0, 32)


def test_parts_of_a_real_training_sum_to_its_wall_time(images):
    model = FAMILIES["vae"].build({"width": 16}, images.shape)
    budget = Budget(params=60_000, unit="updates", amount=20)
    begin = time.perf_counter()
    spent, _ = train.train(model, images.train, budget, batch_size=8, flops_per_update=1.0, seed=0, device=CPU)
    wall = time.perf_counter() - begin
    assert sum(spent.parts_sec.values()) == pytest.approx(wall, rel=0.02)
    assert spent.train_sec + spent.parts_sec["measurement"] == pytest.approx(sum(spent.parts_sec.values()))
    assert spent.parts_sec["update"] > 0.9 * wall


def test_clock_parts_do_not_nest():
    clock = Clock()
    with clock.part("a"), pytest.raises(RuntimeError, match="inside"), clock.part("b"):
        pass


def test_repeat_drops_the_warm_up_and_stops_at_the_limit():
    now = [0.0]
    costs = iter([100.0, 1.0, 2.0, 3.0, 4.0])

    def call():
        now[0] += next(costs)

    taken = repeat(call, lambda: None, warmup=1, repeats=10, limit_sec=5.5, now=lambda: now[0])
    assert taken == [1.0, 2.0, 3.0]
