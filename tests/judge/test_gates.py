"""The statistics of the check: false alarms, p-values, tolerances."""

import numpy as np
import pytest
from fixtures import floor, make
from judging import OTHERS, SEEDS, changed, four, regressions, verdicts
from scipy import stats

from equibench.errors import UserError
from equibench.judge.check import compare
from equibench.judge.gates import TOLERANCES, Sample, Tolerance, between_trainings, tolerances
from equibench.quantities.glossary import GATED

BITS = next(gate for gate in GATED if gate.path == "likelihood.bits_per_dim")


def test_false_alarms_of_whole_checks_stay_below_five_per_cent():
    """Simulated: equal distributions on both sides, tolerances off, so that significance alone decides."""
    rng = np.random.default_rng(0)
    none = {category: Tolerance(0, 0) for category in TOLERANCES}
    alarms = sum(bool(compare(four(rng, SEEDS), four(rng, OTHERS), tolerances=none).regressions) for _ in range(200))
    assert alarms <= 17  # 5 % of 200 is 10; 17 or fewer has probability 0.99 there


def test_p_values_are_those_of_scipy():
    a, b = (3.31, 3.29, 3.33), (3.36, 3.35, 3.40)
    found = between_trainings(BITS, Sample(a), Sample(b), TOLERANCES["likelihood"])
    assert found.p == pytest.approx(stats.ttest_ind(b, a, alternative="greater").pvalue)
    assert found.worse_by == pytest.approx(np.mean(b) / np.mean(a) - 1)


def test_significant_within_the_tolerance_is_no_regression():
    before, after = (
        [changed(make("vae", s), likelihood={"bits_per_dim": bits + 1e-4 * s}, weights_sha256="1" * 64) for s in SEEDS]
        for bits in (3.30, 3.31)
    )
    found = compare(before, after)
    line = next(line for line in found.lines if line.number == "bits_per_dim")
    assert line.p < 0.01
    assert line.verdict == "passed"
    assert ("vae", "bits_per_dim") in regressions(compare(before, after, tolerances=tolerances(["likelihood=0.1"])))


def test_one_seed_has_a_wide_tolerance_and_says_why():
    one = make("vae")
    within, beyond = (
        changed(one, weights_sha256="1" * 64, quality={"value": one.quality.value * factor}) for factor in (1.2, 1.3)
    )
    found = compare([one], [within])
    assert verdicts(found)["vae", "FD_5k"] == "passed"
    assert "noise between trainings is unknown" in next(x.sentence for x in found.lines if x.number == "FD_5k")
    assert regressions(compare([one], [beyond])) == {("vae", "FD_5k")}


def test_one_seed_reproduced_of_a_baseline_of_three_is_enough():
    before = [make("vae", seed) for seed in SEEDS]
    line = next(x for x in compare(before, before[1:2]).lines if x.number == "FD_5k")
    assert (line.verdict, line.sentence) == ("reproduced", "reproduced exactly: seed 1")


def test_a_counted_cost_has_no_noise():
    dearer = changed(make("vae"), speed={"flops_per_image": make("vae").speed.flops_per_image * 1.02})
    assert regressions(compare([make("vae")], [dearer])) == {("vae", "speed.flops_per_image")}


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_floor_that_moves_is_a_changed_measurement(factor):
    before = [make("vae"), floor("per-pixel histogram", bits=4.55)]
    after = [make("vae"), floor("per-pixel histogram", bits=4.55 * factor)]
    assert regressions(compare(before, after)) == {("per-pixel histogram", "bits_per_dim")}
    assert not compare(before, before).regressions


@pytest.mark.parametrize("change", ["qualty=3", "quality", "quality=a", "quality=-1", "quality=inf"])
def test_bad_tolerances_are_one_sentence(change):
    with pytest.raises(UserError, match=r"did you mean 'quality'|per cent as a number"):
        tolerances([change])
