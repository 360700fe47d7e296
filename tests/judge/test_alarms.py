"""Whole checks of made-up trainings: how often equal ones are named, and worse ones are."""

from pathlib import Path

import numpy as np
import pytest
from fixtures import make
from judging import OTHERS, SEEDS, changed, draw, four, regressions, scaled, timed_by, verdicts

from equibench.judge.check import compare
from equibench.judge.gates import Gates
from equibench.record import find

PUBLISHED = Path(__file__).parent.parent.parent / "results" / "published" / "quick"
PAIRS = 100  # at 2 % named, 7 or more have a probability of 0.004


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (3, 3)], ids=str)
def test_equal_trainings_are_rarely_named(counts):
    rng, (a, b) = np.random.default_rng(sum(counts)), counts
    alarms = sum(compare(four(rng, range(a)), four(rng, range(10, 10 + b))).failed for _ in range(PAIRS))
    assert alarms <= 6


@pytest.mark.parametrize("one", SEEDS)
@pytest.mark.parametrize("other", SEEDS)
def test_published_seeds_are_not_named_against_each_other(one, other):
    found = [x for _, x in find.read_all([PUBLISHED]) if x.role == "entrant"]
    before, after = ([x for x in found if x.seed == seed] for seed in (one, other))
    assert len(before) == 4
    assert not compare(before, after).failed


def of_one(rng, seeds, **faults):
    """Seeds of one training, quality alone: the spread of its distances is 3 %."""
    return [one.model_copy(update={"likelihood": None, "bounds": [], "speed": None, "memory": None}) for one in
            draw(rng, "flow", seeds, **faults)]  # fmt: skip


@pytest.mark.parametrize(("runs", "least"), [(SEEDS, 0.95), ((3,), 0.85)])
def test_a_third_more_of_one_distance_of_four_is_found(runs, least):
    """With all that a check holds: other numbers of quality that gated too would take a share of its error rate."""
    rng, named = np.random.default_rng(1), []
    for _ in range(60):
        after = [one for one in four(rng, runs) if one.entrant != "flow"] + draw(rng, "flow", runs, fd=1.3)
        named.append(("flow", "FD_5k") in regressions(compare(four(rng, SEEDS), after)))
    assert np.mean(named) >= least


@pytest.mark.parametrize("factor", [1.5, 3.0])
def test_one_of_three_seeds_that_is_worse_is_named(factor):
    rng = np.random.default_rng(2)
    named = []
    for _ in range(40):
        after = of_one(rng, OTHERS)
        after[1] = scaled_quality(after[1], factor)
        found = compare(of_one(rng, SEEDS), after)
        named.append(bool(found.regressions) and found.regressions[0].sentence.startswith("seed 4 alone is worse"))
    assert np.mean(named) >= 0.9


def scaled_quality(one, factor):
    return changed(one, quality={"value": one.quality.value * factor})


def test_seeds_of_one_invocation_are_one_value_of_a_speed_and_of_a_memory():
    """A factor that all cells of an invocation share looks significant if seeds are taken for repeats."""
    rng = np.random.default_rng(3)
    named = []
    for _ in range(60):
        sides = []
        for seeds in (SEEDS, OTHERS):
            factors = np.exp(0.06 * rng.normal(size=2))
            sides.append([scaled(one, slower=factors[0] * np.exp(0.01 * rng.normal()), memory=factors[1])
                          for one in (make("vae", seed) for seed in seeds)])  # fmt: skip
        named.append(any(n.startswith(("speed.", "memory.")) for _, n in regressions(compare(*sides))))
    assert np.mean(named) <= 0.05
    counts = {x.number: x.sentence for x in compare(*sides).lines if x.category in ("speed", "memory")}
    assert "1 and 1 invocations" in counts["speed.images_per_sec"]
    assert "1 and 1 invocations" in counts["memory.train_peak_bytes"]


def test_several_invocations_are_several_values():
    before = [changed(make("vae", s), invocation=f"{s // 2:032x}") for s in range(6)]
    after = [scaled(changed(make("vae", s), invocation=f"{s:032x}"), slower=2.0) for s in (6, 7)]
    line = next(x for x in compare(before, after).lines if x.number == "speed.images_per_sec")
    assert line.verdict == "regression"
    assert "3 and 2 invocations" in line.sentence
    assert "were not recorded" not in line.sentence
    assert line.df == 8 + 2 + 1
    unknown = [one.model_copy(update={"invocation": None}) for one in before]
    line = next(x for x in compare(unknown, unknown).lines if x.number == "speed.images_per_sec")
    assert "1 and 1 invocations" in line.sentence
    assert "invocations were not recorded" in line.sentence


@pytest.mark.parametrize(("reference", "verdict"), [(2.0, "passed"), (1.0, "regression")])
def test_a_speed_is_divided_by_that_of_the_reference_workload(reference, verdict):
    """Both take twice as long on a machine that has slowed down, the sampler alone where it became slower."""
    before = [timed_by(make("vae", seed), 0.1) for seed in SEEDS]
    after = [timed_by(scaled(make("vae", seed), slower=2.0), 0.1 * reference) for seed in OTHERS]
    line = next(x for x in compare(before, after).lines if x.number == "speed.images_per_sec")
    assert line.verdict == verdict
    assert line.worse_by == pytest.approx(2.0 / reference - 1, abs=1e-9)


def test_a_reference_workload_of_another_kind_is_none():
    before = [timed_by(make("vae", seed), 0.1) for seed in SEEDS]
    after = [timed_by(scaled(make("vae", seed), slower=2.0), 0.2, name="another") for seed in OTHERS]
    line = next(x for x in compare(before, after).lines if x.number == "speed.images_per_sec")
    assert (line.verdict, line.worse_by) == ("regression", pytest.approx(1.0))


def test_a_machine_in_another_state_counts_as_noise():
    before = [timed_by(make("vae", seed), 0.1) for seed in SEEDS]
    slower = [timed_by(scaled(make("vae", seed), slower=1.5 * 1.3), 0.13) for seed in OTHERS]
    quiet = [timed_by(scaled(make("vae", seed), slower=1.5), 0.1) for seed in OTHERS]
    assert ("vae", "speed.images_per_sec") in regressions(compare(before, quiet))
    found = compare(before, slower)
    assert ("vae", "speed.images_per_sec") not in regressions(found)
    line = next(x for x in found.lines if x.number == "speed.images_per_sec")
    back = next(x for x in compare(slower, before).lines if x.number == "speed.images_per_sec")
    assert "the reference workload took 30 % longer in the baseline" in back.sentence
    assert "the reference workload took 30 % longer, and what is over 10 % counts as noise" in line.sentence


def test_a_hair_more_than_the_usual_shift_changes_next_to_nothing():
    before = [timed_by(make("vae", seed), 0.1) for seed in SEEDS]

    def least_that_fails(shift):
        after = [timed_by(make("vae", seed), 0.1 * shift) for seed in OTHERS]
        return next(x for x in compare(before, after).lines if x.number == "speed.images_per_sec").fails_from

    usual, more, far = map(least_that_fails, (1.0999, 1.1001, 1.3))
    assert more == pytest.approx(usual, rel=0.01)
    assert far > 2 * usual


def test_a_busy_timing_is_not_gated():
    before = [timed_by(make("vae", seed), 0.1) for seed in SEEDS]
    busy = [timed_by(scaled(make("vae", seed), slower=2.9), 0.1, others=0.5) for seed in OTHERS]
    found = compare(before, busy)
    assert verdicts(found)["vae", "speed.images_per_sec"] == "skipped"
    line = next(x for x in found.lines if x.number == "speed.images_per_sec")
    assert line.sentence == "no timing of the run is to be trusted: other work took 50 % of the processor's time"
    some = [*busy[:1], *(timed_by(scaled(make("vae", seed), slower=5.0), 0.1) for seed in OTHERS[1:])]
    line = next(x for x in compare(before, some).lines if x.number == "speed.images_per_sec")
    assert line.verdict == "regression"
    assert "without seed 3 of the run, when the machine was not steady" in line.sentence


def test_a_timing_that_no_unsteady_machine_explains_fails():
    """Beyond three times as slow, of which the reference workload beside it explains a part."""
    before = [timed_by(make("vae", seed), 0.1) for seed in SEEDS]
    slower = [scaled(make("vae", seed), slower=5.0) for seed in OTHERS]
    found = compare(before, [timed_by(one, 0.1, others=0.5) for one in slower])
    line = next(x for x in found.lines if x.number == "speed.images_per_sec")
    assert (line.verdict, line.worse_by) == ("regression", pytest.approx(4.0))
    assert line.sentence.startswith("5.00 times as slow over the reference workload, more than an unsteady machine ")
    latency = next(x for x in found.lines if x.number == "speed.latency_p50_sec")
    assert latency.verdict == "skipped"  # it does not gate
    with_reference = compare(before, [timed_by(one, 0.2, others=0.5) for one in slower])
    assert verdicts(with_reference)["vae", "speed.images_per_sec"] == "skipped"  # 2.5 times
    faster = compare([timed_by(one, 0.1, others=0.5) for one in slower], before)
    assert verdicts(faster)["vae", "speed.images_per_sec"] == "skipped"


def test_what_could_have_been_seen_stands_beside_every_pass():
    rng = np.random.default_rng(4)
    passed = [line for line in compare(four(rng, SEEDS), four(rng, OTHERS)).lines if line.verdict == "passed"]
    assert len(passed) > 5
    for line in passed:
        assert f"a change of +{100 * line.detectable:.3g} %" in line.sentence or "bits/dim would" in line.sentence
        assert line.tolerance <= line.fails_from < line.detectable
        assert line.df >= 8
        assert {source.what for source in line.sources} & {"assumed", "baseline", "run"}


@pytest.mark.parametrize(("seeds", "words"), [
    (1, "1 and 1 seeds, assumed noise 4 %, 4 d.f."),
    (2, "2 and 2 seeds, assumed noise"),
    (3, "3 and 3 seeds, noise"),
    (5, "5 and 5 seeds, noise"),
])  # fmt: skip
def test_a_line_says_where_its_noise_is_assumed(seeds, words):
    rng = np.random.default_rng(5)
    line = compare(of_one(rng, range(seeds)), of_one(rng, range(10, 10 + seeds))).lines[0]
    assert words in line.sentence
    assert ("assumed" in {source.what for source in line.sources}) == (seeds < 5)


def test_one_seed_of_an_own_family_is_not_judged_until_its_noise_is_known():
    before = [changed(make("vae", seed), family="mine:Model") for seed in SEEDS]
    after = [scaled(one, fd=3.0) for one in before]
    line = compare(before[:1], after[:1]).lines[0]
    assert (line.verdict, line.worse_by) == ("not judged", pytest.approx(2.0))
    assert "give its prior_sd" in line.sentence
    for given in ({"entrant": {"vae": {"quality": {"prior_sd": 0.05}}}}, {"quality": {"prior_sd": 0.05}}):
        known = Gates.model_validate(given)
        assert regressions(compare(before[:1], after[:1], gates=known)) == {("vae", "FD_5k")}
    assert ("vae", "FD_5k") in regressions(compare(before, after[:1]))


def test_the_evaluation_s_own_error_is_the_least_that_noise_can_be():
    """Five seeds that agree by luck, each known no better than to 20 %."""
    before, after = (
        [changed(one, quality={"value": value + one.seed / 100, "stderr": 20.0}) for one in alike(seeds)]
        for value, seeds in ((100, range(5)), (110, range(5, 10)))
    )
    assert not compare(before, after).failed
    sure = [[changed(one, quality={"stderr": 0.1}) for one in side] for side in (before, after)]
    assert regressions(compare(*sure)) == {("vae", "FD_5k")}


def test_the_draws_of_a_likelihood_are_its_own_error():
    def with_error(seeds, bits, error):
        return [changed(one, likelihood={"bits_per_dim": bits, "stderr_monte_carlo_bits_per_dim": error})
                for one in alike(seeds)]  # fmt: skip

    assert not compare(with_error(range(5), 3.3, 0.1), with_error(range(5, 10), 3.35, 0.1)).failed
    assert compare(with_error(range(5), 3.3, None), with_error(range(5, 10), 3.35, None)).failed

    def bound(seeds, bits, error):
        part = (
            make("vae")
            .bounds[0]
            .model_copy(
                update={
                    "bits_per_dim": bits,
                    "usual_bits_per_dim": bits + 0.1,
                    "stderr_monte_carlo_bits_per_dim": error,
                }
            )
        )
        return [one.model_copy(update={"bounds": [part]}) for one in alike(seeds)]

    assert not compare(bound(range(5), 3.3, 0.1), bound(range(5, 10), 3.35, 0.1)).failed
    assert compare(bound(range(5), 3.3, None), bound(range(5, 10), 3.35, None)).failed


def alike(seeds):
    """Trainings of other seeds with the numbers of the first."""
    likelihood = make("vae").likelihood
    return [
        changed(make("vae", seed), quality={"value": 100 + seed / 100}, likelihood=likelihood, bounds=[])
        for seed in seeds
    ]


def test_the_tightest_bound_that_both_have_is_another_face_of_a_likelihood():
    before = [make("vae", seed) for seed in SEEDS]
    after = [scaled(one) for one in before]
    assert not compare(before, after).failed
    worse = [one.model_copy(update={"bounds": [one.bounds[0].model_copy(
        update={"bits_per_dim": 3.5, "usual_bits_per_dim": 3.6})]}) for one in after]  # fmt: skip
    assert regressions(compare(before, worse)) == {("vae", "bounds.importance weighting.bits_per_dim")}
    line = next(x for x in compare(before, after).lines if x.number.startswith("bounds"))
    assert "the tightest bound that both sides have, upper bound by importance weighting, K = 4" in line.sentence
    other = [one.model_copy(update={"bounds": [one.bounds[0].model_copy(update={"passes": 64})]}) for one in worse]
    assert not compare(before, other).failed  # with other weights it is another bound


def test_a_tightest_bound_that_is_gone_is_a_regression():
    before = [make("vae", seed) for seed in SEEDS]
    bound = ("vae", "bounds.importance weighting.bits_per_dim")
    for lacking in (SEEDS, SEEDS[1:2]):
        after = [scaled(one) if one.seed not in lacking else changed(scaled(one), bounds=[]) for one in before]
        assert regressions(compare(before, after)) == {bound}
    assert not compare([changed(one, bounds=[]) for one in before], [scaled(one) for one in before]).failed
