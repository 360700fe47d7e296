"""Orthogonalized steps, against singular values and by hand."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from equibench_models import family as load_family
from equibench_models.layers import learning_rate
from equibench_models.muon import RMS, STEPS, Muon, matrices_and_rest, optimizers, orthogonalized


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 20, 180), (2, 180, 20), (1, 8, 9)])
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1.0, 1e12])
def test_orthogonalized_keeps_directions_and_evens_out_their_sizes(shape, size):
    """X = U S V^T becomes U D V^T with all of D near 1: by torch's singular values, which share nothing with it."""
    torch.manual_seed(0)
    m, n = shape[1:]
    few = min(m, n)
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    sizes = torch.logspace(0, -1, few)  # from 1 down to a tenth
    x = size * (u * sizes) @ v
    found = u.mT @ orthogonalized(x) @ v.mT
    diagonal = found.diagonal(dim1=1, dim2=2)
    assert diagonal.min() > 0.5
    assert diagonal.max() < 1.3
    assert (found - torch.diag_embed(diagonal)).abs().max() < 1e-3
    # before, the least was a tenth of the greatest
    assert (diagonal.min(dim=1).values / diagonal.max(dim=1).values).min() > 0.4


def test_nothing_stays_nothing():
    assert torch.equal(orthogonalized(torch.zeros(1, 8, 8)), torch.zeros(1, 8, 8))


def test_a_step_by_hand():
    """One matrix of two equal directions and one that is nothing: after one step momentum is 0.05 g, the step ahead of
    it lies along g, and each number moves by the rate times 0.2 sqrt(16) times what orthogonalizing gives.
    """
    weight = nn.Parameter(torch.full((8, 16), 0.5))
    weight.grad = torch.zeros(8, 16)
    weight.grad[0, 0] = weight.grad[1, 1] = 3.0
    optimizer = Muon([weight], momentum=0.95, weight_decay=0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    optimizer.step()
    shrunk = 0.5 * (1 - 0.01 * 0.1)
    moved = (shrunk - weight.detach()) / (0.01 * RMS * 4)
    assert torch.count_nonzero(moved.abs() > 1e-4) == 2
    assert moved[0, 0] == pytest.approx(moved[1, 1])
    assert 0.6 < float(moved[0, 0]) < 1.25
    assert torch.allclose(optimizer.state[weight]["momentum"], 0.05 * weight.grad)


def test_kernels_are_matrices_of_their_outputs_whatever_their_layout():
    torch.manual_seed(0)
    kernel, gradient = torch.randn(8, 4, 3, 3), torch.randn(8, 4, 3, 3)
    ends = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(kernel.clone(memory_format=layout))
        weight.grad = gradient.clone(memory_format=layout)
        Muon([weight]).step()
        ends.append(weight.detach())
    moved = (kernel - ends[0]).reshape(8, 36)
    assert torch.allclose(ends[0], ends[1], atol=1e-6)
    assert torch.linalg.svdvals(moved).min() > 0.5 * torch.linalg.svdvals(moved).max()


def test_every_number_has_one_optimiser():
    module = nn.Sequential(nn.Conv2d(4, 16, 3), nn.Conv2d(16, 2, 1), nn.Linear(16, 16))
    module[2].bias.requires_grad_(False)
    matrices, rest = matrices_and_rest(module)
    assert {id(p) for p in matrices} == {id(module[0].weight), id(module[2].weight)}  # of two rows is too narrow
    assert {id(p) for p in rest} == {id(p) for p in (module[0].bias, *module[1].parameters())}
    muon, adam = optimizers(module, "muon", (0.9, 0.99), 0.01, edges=("0",))
    assert [len(one.param_groups[0]["params"]) for one in (muon, adam)] == [1, 4]  # the first layer is Adam's, too
    assert optimizers(module, "adam", (0.9, 0.99), 0.01, edges=())[0] is None


def test_flops_of_a_step_are_those_of_its_products():
    """m x n: the Gram matrix and the last product 2 m^2 n each, and 2 m^3 for G^2 in each step, the product with what
    was there in all but the first, and two more for the next Gram matrix in all but the last.
    """
    m, n = 8, 24
    with FlopCounterMode(display=False) as counter:
        orthogonalized(torch.randn(1, m, n))
    assert counter.get_total_flops() == 4 * m * m * n + 2 * m**3 * (STEPS + 3 * (STEPS - 1))


@pytest.mark.parametrize("family", ["gan", "vae", "flow", "diffusion"])
def test_an_update_takes_weight_decay_times_its_step_size_off_every_weight(family):
    """Both optimisers decay apart from their steps, so that with equal gradients only that share differs."""
    images = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before, after = [], []
    for decay in (0.0, 0.5):
        torch.manual_seed(1)
        model = load_family(family).build({"width": 8, "batch_size": 8, "weight_decay": decay}, (1, 8, 8))
        trained = [p for p in model.parameters() if p.requires_grad]
        before.append([p.detach().clone() for p in trained])
        model.update(images, progress=0.2)
        after.append([p.detach().clone() for p in trained])
    rate = learning_rate(model.config.learning_rate, 0.2)
    for start, plain, decayed in zip(before[1], *after, strict=True):
        torch.testing.assert_close(plain - decayed, rate * 0.5 * start, atol=1e-6, rtol=1e-4)
