"""FLOPs by hand, of operators with PyTorch's formulas and with ours, and what is named where there is none."""

import pytest
import torch
import torch.nn.functional as F

from equibench.machine.flops import counting_flops


def ones(*sides):
    return torch.ones(sides, requires_grad=True)


class Product(torch.autograd.Function):
    """A product with a backward pass of its own, which counts too."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a @ b

    @staticmethod
    def backward(ctx, gradient):
        a, b = ctx.saved_tensors
        return gradient @ b.T, a.T @ gradient


PRODUCT = 2 * 3 * 4 * 5


@pytest.mark.parametrize(
    ("run", "flops"),
    [
        (lambda: ones(3, 4) @ ones(4, 5), PRODUCT),
        (lambda: (ones(3, 4) @ ones(4, 5)).sum().backward(), 3 * PRODUCT),
        (lambda: Product.apply(ones(3, 4), ones(4, 5)).sum().backward(), 3 * PRODUCT),
        (lambda: torch.einsum("bij,bjk->bik", ones(7, 3, 4), ones(7, 4, 5)), 7 * PRODUCT),
        (lambda: torch.baddbmm(ones(7, 3, 5), ones(7, 3, 4), ones(7, 4, 5)), 7 * PRODUCT),
        (lambda: torch.addbmm(ones(3, 5), ones(7, 3, 4), ones(7, 4, 5)), 7 * PRODUCT),
        (lambda: ones(3, 4) @ ones(4), 2 * 3 * 4),
        (lambda: torch.addmv(ones(3), ones(3, 4), ones(4)), 2 * 3 * 4),
        (lambda: torch.dot(ones(4), ones(4)), 2 * 4),
        (lambda: F.conv2d(ones(2, 3, 6, 6), ones(5, 3, 3, 3)), 2 * 2 * 5 * 4 * 4 * 3 * 3 * 3),
        # in each of 2 x 3 heads two products of 6 queries and 9 keys of 4 numbers, and five for the backward pass
        (lambda: F.scaled_dot_product_attention(ones(2, 3, 6, 4), ones(2, 3, 9, 4), ones(2, 3, 9, 4)),
         2 * 3 * 2 * 6 * 9 * (4 + 4)),
        (lambda: F.scaled_dot_product_attention(ones(2, 3, 6, 4), ones(2, 3, 9, 4), ones(2, 3, 9, 4)).sum().backward(),
         2 * 3 * (2 + 5) * 2 * 6 * 9 * 4),
        (lambda: torch.linalg.slogdet(torch.eye(6).expand(7, 6, 6)), 7 * 2 * 6**3),
        (lambda: torch.linalg.qr(torch.ones(8, 3)), 2 * 8 * 3 * 3),
        (lambda: torch.fft.rfft2(F.interpolate(ones(1, 1, 4, 4), scale_factor=2)).abs().norm().backward(), 0),
    ],
)  # fmt: skip
def test_by_hand(run, flops):
    with counting_flops() as found:
        run()
    assert (found.total, found.uncounted) == (flops, [])


def test_what_computes_without_a_formula_is_named():
    with counting_flops() as found:
        torch.nn.LSTM(4, 4)(torch.ones(5, 2, 4))
        F.bilinear(ones(2, 3), ones(2, 4), ones(5, 3, 4))
    assert found.uncounted == ["aten._trilinear", "aten.mkldnn_rnn_layer"]


def test_an_operator_of_another_library_is_named_until_it_has_a_formula():
    @torch.library.custom_op("equibench_test::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    def counted():
        with counting_flops() as found:
            twice(torch.ones(5))
        return found.total, found.uncounted

    assert counted() == (0, ["equibench_test.twice"])
    packet = torch.ops.equibench_test.twice
    torch.utils.flop_counter.register_flop_formula(packet)(lambda shape, **_: 1000 * shape[0])
    try:
        assert counted() == (5000, [])
    finally:
        del torch.utils.flop_counter.flop_registry[packet]
