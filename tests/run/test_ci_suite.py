"""The suite for continuous integration: in budget, short, and with every number that a check judges."""

import pytest

from equibench import suite
from equibench.run.estimate import FEATURES, estimate
from equibench.run.plan import plan
from equibench.suite import cells
from equibench_models import FAMILIES, family

SHAPE = (1, 28, 28)
CI = suite.load("ci")
FOUR = [cell for cell in cells(CI) if cell.entrant]
SLOW_FLOPS_PER_SEC = 1.6e10  # of one core without bfloat16 instructions: the families trained at 8 to 16 GFLOP/s


def test_it_holds_the_four_families_once():
    assert [cell.name for cell in FOUR] == list(FAMILIES)


@pytest.mark.parametrize("cell", FOUR, ids=lambda cell: cell.name)
def test_every_family_meets_cap_and_budget(cell):
    planned = plan(cell, SHAPE)
    assert 0.95 <= planned.of_cap <= 1
    assert cell.budget.unit == "flops"  # seconds would make equal code train to other weights
    assert 0.995 * cell.budget.amount < planned.train_flops <= cell.budget.amount


def test_two_cells_at_once_take_less_than_five_minutes_and_most_of_them_train():
    costs = [estimate(plan(cell, SHAPE), SHAPE, "efficientnet-lite0", SLOW_FLOPS_PER_SEC) for cell in FOUR]
    training, measuring = (sum(getattr(cost, part) for cost in costs) / 2 for part in ("train_sec", "measure_sec"))
    assert training + measuring < 300  # the floors take the rest
    assert training > 0.5 * (training + measuring)


def test_it_trains_in_the_precision_that_every_processor_has():
    """Runners of one name have several processors; their numbers must not differ by what these multiply in."""
    assert {cell.entrant.precision for cell in FOUR} == {"fp32"}


def test_what_a_check_judges_is_measured():
    measure = CI.measure
    assert (
        min(measure.samples, measure.reference_images) > FEATURES["efficientnet-lite0"][1]
    )  # else there is no Frechet distance
    assert all(measure.likelihood_images >= 500 for cell in FOUR if family(cell.entrant.family).likelihood != "none")
    assert measure.extractor == "auto"


def test_what_it_does_not_judge_is_not_measured():
    measure = CI.measure
    left_out = measure.sampler_points, measure.bound, measure.annealing, measure.out_of_distribution
    assert not any(left_out)
    assert measure.memorization_images == 0
