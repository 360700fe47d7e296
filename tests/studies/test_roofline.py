"""Counting kernels, FLOPs and bytes without computing: against shapes known by hand and torch's own counter."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from equibench_models import FAMILIES
from equibench_models import family as load_family
from studies.gpu_stages import by_steps
from studies.roofline import Gpu, Work, count, pretending

# of a GPU whose numbers are easy: a kernel takes 1 s to launch, a FLOP and a byte next to nothing
ROUND = Gpu("made up", 1e12, 1e11, 1e10, 1e10, 1.0, 1.0, 1.0, 1.0, 1.0)


def counted(call, gpu=ROUND, **options):
    with pretending():
        return count(call, gpu, **options)


def test_a_product_is_one_kernel_with_its_flops_and_its_bytes():
    work = counted(lambda: torch.zeros(20, 30) @ torch.zeros(30, 40), bfloat16=False)
    assert work.kernels == 3  # two fills and the product
    assert work.flops == 2 * 20 * 30 * 40
    assert work.moved_bytes == 4 * (20 * 30 + 30 * 40) + 4 * (20 * 30 + 30 * 40 + 20 * 40)
    assert work.sec == work.launching_sec == 3


def test_views_and_empty_tensors_launch_nothing():
    def look():
        x = torch.empty(4, 6)
        return x.view(6, 4).t()[1:].expand(2, 3, 6), x.detach(), torch.empty_like(x)

    assert counted(look).kernels == 0


def test_a_kernel_takes_the_longest_of_its_three_times():
    a = torch.zeros(1000, 1000)
    slow = Gpu("slow to calculate", 1e12, 1e9, 1e10, 1e12, 1e-6, 1.0, 1.0, 1.0, 1.0)
    assert counted(lambda: a @ a, slow, bfloat16=False).sec == pytest.approx(2e9 / 1e9)
    assert counted(lambda: a + a, slow).sec == pytest.approx(2 * 4e6 / 1e12)  # one tensor read twice, one written
    casting = counted(lambda: a @ a, slow)  # two casts, of which torch keeps none, and a product in bfloat16
    assert casting.calculating_sec == pytest.approx(2e9 / 1e12)


def test_a_convolution_and_its_backward_pass():
    layer, x = torch.nn.Conv2d(3, 5, 3), torch.zeros(2, 3, 8, 8)
    forth = counted(lambda: layer(x), bfloat16=False)
    assert (forth.kernels, forth.flops) == (1, 2 * 2 * 5 * 3 * 9 * 6 * 6)
    back = counted(lambda: layer(x).sum().backward(), bfloat16=False)
    assert back.flops == 2 * forth.flops  # of the weights alone: the images need no gradient
    assert back.kernels == 1 + 1 + 1 + 2  # forth, sum, a gradient of one, of weights and of the bias


@pytest.mark.parametrize("family", FAMILIES)
def test_an_update_has_the_flops_that_torch_counts(family):
    model = load_family(family).build({"width": 8}, (1, 8, 8))
    images = torch.zeros((16, 1, 8, 8), dtype=torch.uint8)
    found = counted(lambda: model.update(images, 0.5))
    with FlopCounterMode(display=False) as counter:
        model.update(images, 0.5)
    assert found.flops == counter.get_total_flops()
    assert 100 < found.kernels < 10_000


def test_steps_of_a_chain_are_counted_by_a_few():
    asked = []

    def chain(steps):
        asked.append(steps)
        return Work(kernels=3 + 2 * steps, sec=1 + steps)

    found = by_steps(chain, 1000)
    assert (found.kernels, found.sec) == (2003, 1001)
    assert max(asked) <= 8
    assert by_steps(lambda steps: Work(kernels=7), None).kernels == 7
