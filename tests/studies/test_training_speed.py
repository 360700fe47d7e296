"""The study of training's speed, at a size that takes no time: what is counted, and what takes turns with what."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from equibench.quantities.text import MISSING
from equibench.record.cost import MatrixProducts
from equibench_models import FAMILIES
from studies import training_speed as study

CPU = torch.device("cpu")


def trained(family, **config):
    return study.Trained(family, {"width": 8, "batch_size": 4, **config}, (1, 8, 8), CPU)


@pytest.mark.parametrize("family", FAMILIES)
def test_flops_are_those_of_an_update_at_the_batch_that_is_timed(family):
    one = trained(family)
    for factor in (1, 2):
        with one.updating({"batch_size": factor}, study._as_it_is) as update, FlopCounterMode(display=False) as counter:
            update()
        assert one.flops({"batch_size": factor}) == counter.get_total_flops()


def test_updates_and_products_take_turns_and_the_fastest_of_each_counts(monkeypatch):
    order = []
    products, updates = iter([1e9, 4e9, 2e9, 3e9]), iter([0.5, 0.25, 1.0, 0.5])

    def product(device, seconds):  # noqa: ARG001
        order.append(("product", seconds))
        return MatrixProducts(precision="float32", flops_per_sec={512: 1.0, 1024: next(products)})

    def repeat(update, synchronize, *, warmup, repeats, limit_sec):  # noqa: ARG001
        order.append(("update", limit_sec))
        return [9.0, next(updates)]

    monkeypatch.setattr(study, "time_matrix_products", product)
    monkeypatch.setattr(study, "repeat", repeat)
    one = trained("vae")
    rate, beside = one.side_by_side({}, study._as_it_is, 2.0)
    assert order == [("product", 0.5), ("update", 0.5)] * study.ROUNDS
    assert (rate, beside) == (one.flops({}) / 0.25, 4e9)


def test_a_change_is_for_its_own_numbers_alone():
    settings = lambda: (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32)  # noqa: E731
    before = settings()
    for change in (study._any_order, study._tf32):
        with trained("vae").updating({}, change) as update:
            update()
        assert settings() == before
        torch.use_deterministic_algorithms(False)


def test_shares_of_operators_fall_and_are_of_one_whole():
    ranked = trained("gan").operators()
    shares = [share for _, share in ranked]
    assert shares == sorted(shares, reverse=True)
    assert 0.3 < sum(shares) <= 1
    assert len(ranked) == study.OPERATORS


def test_a_setting_that_is_not_allowed_is_told_from_an_update_that_fails(capsys):
    def broken(model):  # noqa: ARG001
        raise RuntimeError("no second derivatives")

    allowed = trained("gan")
    assert study.share_when_changed(allowed, {"batch_size": 0.5}, study._as_it_is, 0.1) == MISSING  # four at least
    assert study.share_when_changed(allowed, {}, broken, 0.1) == "fails"
    assert capsys.readouterr().err == "gan: no second derivatives\n"


def test_small_shares_have_two_digits():
    assert [study.share(part, 1e12) for part in (2.56e11, 9.64e9)] == ["26%", "0.96%"]
