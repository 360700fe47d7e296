"""Nats to bits, and the floors, against hand-counted cases and sums to one."""

import math

import numpy as np
import pytest

from equibench.measure.likelihood import bits as likelihood
from equibench.measure.likelihood import floors

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dims", [1, 784, 3072])
def test_uniform_is_eight_bits(dims):
    assert likelihood.bits_per_dim(dims * math.log(256), dims) == pytest.approx(8, abs=1e-12)


def test_summary_averages_passes_before_it_takes_the_error_over_images():
    nats = np.array([[1.0, 3.0], [3.0, 5.0]]) * math.log(2)
    mean, stderr = likelihood.summarize(nats, dims=2)
    assert mean == pytest.approx(1.5)  # (2 + 4) / 2 bits over 2 dims
    assert stderr == pytest.approx(math.sqrt(2) / math.sqrt(2) / 2)


@pytest.mark.parametrize("name", floors.NATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_floors_are_distributions(name, channels):
    """The probabilities of all 256 values of one sub-pixel, all else equal, sum to 1 where it is the last one read."""
    train = RNG.integers(0, 256, (20, channels, 4, 4), dtype=np.uint8)
    one = RNG.integers(0, 256, (1, channels, 4, 4), dtype=np.uint8)
    test = np.repeat(one, 256, axis=0)
    test[:, -1, -1, -1] = np.arange(256)
    nats = floors.NATS[name](train, test)
    rest = floors.NATS[name](train, one)[0] - _last(name, train, one)
    assert np.exp(-(nats - rest)).sum() == pytest.approx(1, abs=1e-9)


def _last(name, train, one):
    """Nats of the last sub-pixel of `one`: what is left when every value of it has been tried."""
    test = np.repeat(one, 256, axis=0)
    test[:, -1, -1, -1] = np.arange(256)
    nats = floors.NATS[name](train, test)
    value = int(one[0, -1, -1, -1])
    # for a histogram of a context the 256 values share all else, so their differences give the conditional
    log_probability = -(nats - nats.min())
    return float(-(log_probability[value] - np.log(np.exp(log_probability).sum())))


def test_global_histogram_counted_by_hand():
    train = np.array([0, 0, 0, 255], np.uint8).reshape(1, 1, 2, 2)
    test = np.array([0, 0, 255, 7], np.uint8).reshape(1, 1, 2, 2)
    by_hand = -(2 * math.log(4 / 260) + math.log(2 / 260) + math.log(1 / 260))
    assert floors.NATS["global histogram"](train, test)[0] == pytest.approx(by_hand)


def test_neighbours_are_left_up_and_up_right_in_14_levels():
    image = np.zeros((1, 1, 3, 3), np.uint8)
    image[0, 0] = [[0, 100, 200], [50, 9, 9], [9, 9, 9]]
    context = floors._neighbours(image)[0, 0, 1, 1]
    assert context == ((50 * 14 // 256) * 14 + 100 * 14 // 256) * 14 + 200 * 14 // 256
    assert floors._neighbours(image)[0, 0, 0, 0] == 0


def test_floors_order_as_they_should_on_real_images():
    from equibench.data import sets

    small = sets.load("fashion-mnist-10k").limited(2000, 500)
    bits = [floors.floor(name, small.train, small.test).bits_per_dim for name in floors.NATS]
    assert bits[0] == pytest.approx(8)
    assert bits == sorted(bits, reverse=True)
