"""The orders in which a scale's components are taken, against autograd."""

import itertools

import pytest
import torch

from equibench_models import family
from equibench_models.flow.couplings import ORDERS, FlowConfig, Scale, checkerboard


def shaken(module, std=0.15):
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return module


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_every_place_of_every_component_is_taken_once(order):
    board = checkerboard(3, 4)[0, 0]
    for component in range(3):
        colours = [step.colour for step in order if component in step.components]
        taken = sum(torch.ones(3, 4) if colour is None else (board == colour).float() for colour in colours)
        assert torch.equal(taken, torch.ones(3, 4))


@pytest.mark.parametrize(("fine", "middle"), [(2, 2), (3, 3), (2, 4), (4, 6), (6, 2)])
def test_the_flow_inverts_with_the_determinant_of_autograd(fine, middle):
    config = {"width": 24, "fine_couplings": fine, "middle_couplings": middle, "mixed": 2, "hidden": 5}
    network = shaken(family("flow").build(config, (1, 8, 8)).network)
    y = torch.rand(2, 1, 8, 8) * 1.8 - 0.9
    with torch.no_grad():
        noise, log_det = network(y)
        assert float((network.inverse(list(noise)) - y).abs().max()) < 1e-4

    def through(one):
        return torch.cat([z.flatten() for z in network(one[None])[0]])

    jacobian = torch.autograd.functional.jacobian(through, y[0]).reshape(64, 64)
    assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(log_det[0]), abs=1e-3)


@pytest.mark.parametrize("couplings", ORDERS)
def test_a_value_s_noise_follows_what_comes_before_it_alone(couplings):
    """Moving a value moves its own noise, and that of values that later couplings transform, of no earlier ones."""
    scale = shaken(Scale(1, 8, FlowConfig(width=8), couplings))
    y = torch.randn(1, 1, 4, 4)
    # of each pixel, when its coupling comes: 0 for those kept; the components lie in a 2x2 block as split() names them
    turn = torch.zeros(4, 4, dtype=torch.long)
    board = checkerboard(2, 2)[0, 0]
    places = ((1, 1), (0, 1), (1, 0))  # diagonal, right, below
    for i, step in enumerate(ORDERS[couplings]):
        for component in step.components:
            row, column = places[component]
            for a, b in itertools.product(range(2), repeat=2):
                if step.colour is None or board[a, b] == step.colour:
                    turn[2 * a + row, 2 * b + column] = i + 1

    def noise_of(y):
        with torch.no_grad():
            kept, maps, _ = scale(y)
        full = torch.zeros(4, 4)
        full[0::2, 0::2] = kept[0, 0]
        for (row, column), one in zip(places, maps, strict=True):
            full[row::2, column::2] = one[0, 0]
        return full

    before = noise_of(y)
    for row, column in itertools.product(range(4), repeat=2):
        moved = y.clone()
        moved[0, 0, row, column] += 0.3
        changed = noise_of(moved) != before
        assert changed[row, column]
        earlier_or_beside = turn <= turn[row, column]
        earlier_or_beside[row, column] = False
        if not turn[row, column]:  # what is kept goes before all couplings
            earlier_or_beside = turn == 0
            earlier_or_beside[row, column] = False
        beside_in_step = changed & earlier_or_beside & (turn != 0)
        if couplings == 2 and turn[row, column] == 2:  # right and below in one mixture: below's mean follows right
            beside_in_step[row + 1 if row % 2 == 0 else row, column - 1 if row % 2 == 0 else column] = False
        assert not beside_in_step.any()
