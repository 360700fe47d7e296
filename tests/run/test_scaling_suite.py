"""The suite of a ladder: even steps, every family trains at the smallest, and distances as in quick."""

import itertools

import pytest

from equibench import suite
from equibench.run.plan import plan
from equibench.suite import cells
from equibench.summary.laws import FEWEST_BUDGETS
from equibench_models import FAMILIES

SCALING, QUICK = suite.load("scaling"), suite.load("quick")
SMALLEST = [cell for cell in cells(SCALING) if cell.entrant and cell.seed == 0][: len(FAMILIES)]


def test_the_budgets_are_a_ladder_to_twice_quick():
    amounts = [budget.amount for budget in SCALING.budget]
    assert len(amounts) > FEWEST_BUDGETS  # one may be lost
    assert all(1.8 < above / below <= 2 for below, above in itertools.pairwise(amounts))
    assert QUICK.budget[0].amount in amounts
    assert amounts[-1] == 2 * QUICK.budget[0].amount
    assert {(budget.unit, budget.params) for budget in SCALING.budget} == {("flops", QUICK.budget[0].params)}
    assert len(SCALING.seeds) == 3


@pytest.mark.parametrize("cell", SMALLEST, ids=lambda cell: cell.name)
def test_every_family_trains_at_the_smallest(cell):
    planned = plan(cell, (1, 28, 28))
    assert cell.budget == SCALING.budget[0]
    assert planned.train_flops / planned.allowance.flops_per_update > 100


def test_its_entrants_and_numbers_are_those_of_quick():
    """What is fitted at quick's budget is quick's own number."""
    assert SCALING.entrant == [entrant.model_copy(update={"tuned": None}) for entrant in QUICK.entrant]
    for name in ("samples", "reference_images", "likelihood_images", "likelihood_passes"):
        assert getattr(SCALING.measure, name) == getattr(QUICK.measure, name)
