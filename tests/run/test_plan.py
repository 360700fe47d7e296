"""Entrants fitted to their budgets, and what is refused before anything is trained."""

import pytest
from planned import planned

from equibench import suite
from equibench.errors import UserError
from equibench.record.budget import budget_missed
from equibench.record.schema import Budget
from equibench.run import plan, sizing, train
from equibench.suite import Cell, Entrant
from equibench_models import FAMILIES
from equibench_models import family as load_family


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cap", [120_000, 500_000, 5_000_000])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_width_meets_the_cap(family, cap, shape):
    width = sizing.fit_width(load_family(family), {}, shape, Budget(params=cap, amount=1))
    count = sizing.parameters(load_family(family), {"width": width}, shape)
    assert 0.95 * cap <= count <= cap
    if cap == 120_000:
        built = load_family(family).build({"width": width}, shape)
        assert sum(p.numel() for p in built.parameters() if p.requires_grad) == count


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
        ({"sampler": {"step": 3}}, "unknown sampler option 'step'; did you mean 'steps'"),
        (
            {"sampler": {"sampler": "dmp-solver++"}},
            "sampler must be one of .* not 'dmp-solver",
        ),
        ({"sampler": {"steps": 0}}, "steps must be at least 1, not 0"),
        ({"config": {"greatest": "much"}}, "greatest must be a number, not 'much'"),
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
