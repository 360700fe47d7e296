"""The cut against every other cut, its rates by seeded simulation, its parts against hand-made values."""

import math

import numpy as np
import pytest

from equibench.history import steps
from equibench.history.steps import Scatter


def cuts(n, least=2):
    """Every way to cut n points into pieces of `least` or more, as the first points of all pieces but the first."""
    yield ()
    for last in range(least, n - least + 1):
        yield from ((*head, last) for head in cuts(last, least))


def cost(values, weights, places):
    pieces = np.split(np.arange(len(values)), places)
    level = [np.average(values[piece], weights=weights[piece]) for piece in pieces]
    squares = sum((weights[p] * (values[p] - mean) ** 2).sum() for p, mean in zip(pieces, level, strict=True))
    return squares + (3 * math.log(len(values)) + 3) * len(places)


@pytest.mark.parametrize("n", [3, 4, 5, 8, 12])
def test_the_cut_is_the_cheapest_of_all(n):
    every = list(cuts(n))
    assert len(set(every)) == len(every) == [None, 1, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89][n]  # Fibonacci's
    generator = np.random.default_rng(n)
    many = set()
    for _ in range(60):
        values = generator.normal(0, 1, n) + np.repeat(generator.normal(0, 6, n), 3)[:n]
        weights = generator.integers(1, 5, n).astype(float)
        best = min(every, key=lambda places: cost(values, weights, places))
        assert tuple(steps.partition(values, weights)) == best
        many.add(len(best))
    assert n < 8 or len(many) > 2  # none, one and more steps


def found(values, counts, noise):
    fit = steps.fit(values, counts, noise)
    return fit.kept(steps.threshold([fit.p]))


@pytest.mark.parametrize(("commits", "repeats"), [(4, 2), (8, 3), (30, 3), (12, 1), (30, 1)])
def test_series_without_a_step_seldom_show_one(commits, repeats):
    """At most 5 % of them; 300 series of a rate of 5 % show 27 or more in less than one of 300 trials."""
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        values = generator.normal(0, 1, (commits, repeats))
        noise = steps.noise_of(values.tolist())
        alarms += bool(found(values.mean(1), [repeats] * commits, noise).places)
    assert alarms < 27


def test_steps_are_found_where_they_are():
    generator = np.random.default_rng(1)
    right = 0
    for _ in range(100):
        values = generator.normal(0, 1, (20, 3))
        values[15:] += 4 / math.sqrt(3)  # 4 standard errors of a point
        fit = found(values.mean(1), [3] * 20, steps.noise_of(values.tolist()))
        right += len(fit.places) == 1 and abs(fit.places[0] - 15) <= 1
    assert right >= 95


def test_a_family_of_series_is_judged_as_one():
    """Of five p, by hand: 0.01 is the second of five and at most 2/5 of 5 %, 0.04 the third and more than 3/5 of it."""
    assert steps.threshold([0.5, 0.01, 0.04, 0.001, 0.9]) == 0.01
    assert steps.threshold([0.011, 0.5]) == 0.011
    assert steps.threshold([0.03, 0.03]) == 0.03  # the first alone would not do
    assert steps.threshold([0.2, 0.06]) == -1
    assert steps.threshold([]) == -1


def test_p_of_a_step_is_corrected_for_the_places():
    """One step in the middle of ten: z by hand, seven places, many degrees of freedom."""
    (step,) = steps.fit([0.0] * 5 + [3.0] * 5, [1] * 10, Scatter(1.0, 1e9, "")).steps
    z = step.change / math.sqrt(1 / 5 + 1 / 5)
    assert step.place == 5
    assert step.p == pytest.approx(7 * math.erfc(z / math.sqrt(2)), rel=1e-3)
    assert step.stderr == pytest.approx(math.sqrt(0.4))


def test_the_noise_is_that_of_repeats():
    """Pooled by hand: squares 0.5 + 2 + 0 + 8 over four degrees of freedom."""
    noise = steps.noise_of([[1.0, 2.0], [0.0, 2.0], [5.0, 5.0], [0.0, 4.0]])
    assert (noise.sd, noise.df, noise.source) == (pytest.approx(math.sqrt(10.5 / 4)), 4, "repeats within commits")
    assert steps.noise_of([[1.0, 2.0]] * 4, least_sd=3.0).sd == 3.0


def test_a_step_does_not_pass_for_noise_of_neighbours():
    values = np.random.default_rng(2).normal(0, 1, 40)
    flat, stepped = values.copy(), values.copy()
    stepped[20:] += 50
    quiet, noisy = (steps.noise_of([[x] for x in one]) for one in (flat, stepped))
    assert quiet.source == "neighbouring commits"
    assert noisy.sd == pytest.approx(quiet.sd, rel=0.1)
    assert found(stepped, [1] * 40, noisy).places == (20,)


@pytest.mark.parametrize(
    ("repeats", "says"),
    [
        ([[1.0, 2.0, 3.0]] * 3, "3 commits; it takes 4"),
        ([[1.0]] * 11, "11 commits with 0 repeats; it takes 4 repeats, or 12 commits"),
        ([[1e308, -1e308]] * 4 + [[1e308, 1e308, -1e308]], "beyond all numbers"),
    ],
)
def test_too_few_points_are_points_alone(repeats, says):
    with np.errstate(over="ignore"):
        assert says in steps.noise_of(repeats)


def test_a_spike_is_no_step():
    values = [0.0] * 10 + [8.0] + [0.0] * 10
    assert found(values, [1] * 21, Scatter(1.0, 30, "")).places == ()
    assert found([8.0, *[0.0] * 20], [1] * 21, Scatter(1.0, 30, "")).places == ()
    ramp = np.array([0.0, 0.0, 2.0, 2.0, 2.0, 9.0, 2.0, 4.0])
    assert steps.without_spikes(ramp, np.ones(8)).tolist() == [0.0, 0.0, 2.0, 2.0, 2.0, 2.0, 2.0, 4.0]
    assert steps.without_spikes(ramp, np.full(8, 4.0)).tolist()[-2:] == [4.0, 4.0]  # means of four scatter half as far


def test_a_spike_at_the_last_commit_is_seldom_taken_for_a_step():
    generator = np.random.default_rng(4)
    taken = 0
    for _ in range(200):
        values = generator.normal(0, 1, (12, 3))
        values[-1] += 8 / math.sqrt(3)
        taken += bool(found(values.mean(1), [3] * 12, steps.noise_of(values.tolist())).places)
    assert taken < 24


def test_a_last_point_off_its_level_is_suspected_until_the_next():
    noise = Scatter(1.0, 30, "")
    spike = found([0.0] * 10 + [8.0], [1] * 11, noise)
    assert spike.places == ()
    assert spike.off_at_end == (pytest.approx(8.0), pytest.approx(math.sqrt(1.1)))
    confirmed = found([0.0] * 10 + [8.0, 8.0], [1] * 12, noise)
    assert (confirmed.places, confirmed.off_at_end) == ((10,), None)
    assert found([0.0] * 10 + [8.0, 0.0], [1] * 12, noise).off_at_end is None
    assert found([0.0] * 10 + [2.0], [1] * 11, noise).off_at_end is None


def test_values_that_repeat_to_the_last_bit_have_steps_of_any_size():
    noise = steps.noise_of([[3.0, 3.0]] * 6)
    assert noise.sd == 0
    assert found([3.0] * 3 + [3.0001] * 3, [2] * 6, noise).places == (3,)
    assert found([3.0] * 6, [2] * 6, noise).places == ()
    assert found([0.0] * 6, [2] * 6, noise).places == ()


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_the_unit_of_the_values_does_not_matter(scale):
    values = np.random.default_rng(3).normal(0, 1, (12, 2))
    values[6:] += 5
    noise = steps.noise_of((values * scale).tolist())
    fit = found(values.mean(1) * scale, [2] * 12, noise)
    assert fit.places == (6,)
    assert fit.steps[0].change == pytest.approx(5 * scale, rel=0.2)
    assert [(level.begin, level.end) for level in fit.levels] == [(0, 6), (6, 12)]


def test_steps_that_are_not_sure_join_their_levels():
    values = [0.0] * 6 + [10.0] * 6 + [8.0] * 6
    fit = steps.fit(values, [4] * 18, Scatter(1.0, 60, ""))
    assert fit.places == (6, 12)
    small, large = sorted(step.p for step in fit.steps)
    kept = fit.kept((small * large) ** 0.5)
    assert kept.places == (6,)
    assert kept.levels[1].value == pytest.approx(9.0)
