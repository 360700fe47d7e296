"""What is proved rather than tested: equal weights, reproduced seeds, floors, one version of the code."""

import pytest
from fixtures import BUDGET, MACHINE, floor, make
from judging import SEEDS, also, changed, regressions, scaled, verdicts

from equibench.errors import UserError
from equibench.judge.check import compare
from equibench.record.surroundings import Libraries, Numerics

BEFORE = [make("vae", seed) for seed in SEEDS]
ARITHMETIC = Numerics(threads=2, features="float32", environment={"OMP_NUM_THREADS": "2"})
LIBRARIES = Libraries(blas="MKL 2024.2", others={"libjpeg": "9"})


def errors(found):
    return {(line.row, line.number) for line in found.errors}


def moved(one, factor):
    """The record with its distances times a factor, of the same weights."""
    return changed(one, quality={"value": one.quality.value * factor, "also": also(one, KD=factor)})


def test_equal_weights_with_another_number_are_an_error_of_the_measurement():
    found = compare(BEFORE, [moved(one, 1.04) for one in BEFORE])
    assert found.failed
    assert errors(found) == {("vae", "FD_5k"), ("vae", "KD_5k")}
    assert not found.regressions
    line = found.errors[0]
    assert "seed 0 has the baseline's weights, machine and settings" in line.sentence
    assert "FD_5k is 100.360 after 96.5000" in line.sentence
    assert errors(compare(BEFORE, [moved(one, 0.96) for one in BEFORE])) == errors(found)  # in either direction


def test_one_seed_is_enough_to_prove_it():
    after = [BEFORE[0], moved(BEFORE[1], 1.04), scaled(BEFORE[2])]
    found = compare(BEFORE, after)
    assert errors(found) == {("vae", "FD_5k"), ("vae", "KD_5k")}
    assert "seed 1 has" in found.errors[0].sentence


def test_last_digits_are_no_error():
    found = compare(BEFORE, [moved(one, 1 + 1e-12) for one in BEFORE])
    assert verdicts(found)["vae", "FD_5k"] == "reproduced"


@pytest.mark.parametrize(
    ("where", "difference"),
    [
        ({"numerics": {"threads": 4}}, "numerics.threads is 2 in the baseline and 4 here"),
        ({"numerics": {"features": "bfloat16"}}, "numerics.features is float32 in the baseline and bfloat16 here"),
        (
            {"numerics": {"environment": {"OMP_NUM_THREADS": "1"}}},
            "numerics.environment.OMP_NUM_THREADS is 2 in the baseline and 1 here",
        ),
        ({"libraries": {"blas": "OpenBLAS"}}, "libraries.blas is MKL 2024.2 in the baseline and OpenBLAS here"),
        ({"libraries": {"others": {"libjpeg": "8"}}}, "libraries.others.libjpeg is 9 in the baseline and 8 here"),
        ({"versions": {"numpy": "2.0.0", "torch": "2.6.0"}}, "versions.torch is 2.5.0 in the baseline and 2.6.0 here"),
    ],
)
def test_the_first_difference_of_the_surroundings_is_named(where, difference):
    before = [make("vae", seed, numerics=ARITHMETIC, libraries=LIBRARIES) for seed in SEEDS]
    ((part, change),) = where.items()
    after = [changed(one, **({part: change} if part != "versions" else {})) for one in before]
    after = [one.model_copy(update={"versions": change}) for one in after] if part == "versions" else after
    rounded = [moved(one, 1 + 1e-5) for one in after]
    assert verdicts(compare(before, rounded))["vae", "FD_5k"] == "reproduced"  # other arithmetic rounds elsewhere
    assert errors(compare(before, [moved(one, 1 + 1e-5) for one in before]))  # equal arithmetic does not
    found = compare(before, [moved(one, 1.04) for one in after])
    assert difference in found.errors[0].sentence


def test_a_record_that_does_not_know_its_arithmetic_says_so():
    after = [changed(moved(one, 1.04), numerics=ARITHMETIC) for one in BEFORE]
    assert "arithmetic was not recorded on both sides" in compare(BEFORE, after).errors[0].sentence


def test_the_code_is_named_where_it_differs():
    before, after = ([changed(one, code={"sources_sha256": digit * 64}) for one in BEFORE] for digit in ("a", "b"))
    sentence = compare(before, [moved(one, 1.04) for one in after]).errors[0].sentence
    assert "the code is aaaaaaaa in the baseline and bbbbbbbb here" in sentence


def test_nothing_is_proved_on_another_machine():
    other = MACHINE.model_copy(update={"key": "another machine"})
    found = compare(BEFORE, [changed(moved(one, 1.04), machine=other) for one in BEFORE])
    assert not found.errors
    assert verdicts(found)["vae", "FD_5k"] == "passed"


def test_a_number_that_no_gate_looks_at_is_proved_too():
    other = {"constant": 0.6, "noise": 11.0}
    after = [one.model_copy(update={"out_of_distribution_bits_per_dim": other}) for one in BEFORE]
    assert {n for _, n in errors(compare(BEFORE, after))} == {"out_of_distribution_bits_per_dim.constant"}


def with_points(one, **changes):
    """The record with its distance and updates at the first point along training changed."""
    first, *rest = one.along
    worse = first.quality.model_copy(update={"value": 2 * first.quality.value})
    first = first.model_copy(update={"quality": worse, "updates": first.updates + 1})
    return one.model_copy(update={"along": [first, *rest], **changes})


def test_points_along_training_are_proved_but_not_when_the_clock_set_them():
    after = [with_points(one) for one in BEFORE]
    assert {n for _, n in errors(compare(BEFORE, after))} == {"along.25 %.quality.value"}
    by_the_clock = BUDGET.model_copy(update={"unit": "sec", "amount": 200.0})
    before = [one.model_copy(update={"budget": by_the_clock}) for one in BEFORE]
    assert not errors(compare(before, [with_points(one) for one in before]))


def test_a_count_is_the_code_s_not_the_weights():
    """Fewer FLOPs for the same samples are no error of the measurement."""
    cheaper = [changed(one, speed={"flops_per_image": one.speed.flops_per_image / 2}) for one in BEFORE]
    assert not compare(BEFORE, cheaper).failed


def test_one_seed_reproduced_and_two_worse_is_a_regression():
    after = [BEFORE[0], *(scaled(one, fd=3.0) for one in BEFORE[1:])]
    found = compare(BEFORE, after)
    assert ("vae", "FD_5k") in regressions(found)
    assert "seed 0 reproduced exactly" in next(x.sentence for x in found.lines if x.number == "FD_5k")


def test_all_seeds_reproduced_are_reproduced_and_a_missing_one_is_said():
    found = compare(BEFORE, BEFORE[1:2])
    line = next(x for x in found.lines if x.number == "FD_5k")
    assert (line.verdict, line.sentence) == ("reproduced", "reproduced exactly: seed 1")
    assert found.notes == ("vae: the run lacks seeds 0 and 2 of the baseline",)


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_a_floor_that_moves_is_a_changed_measurement(factor):
    before = [make("vae"), floor("per-pixel histogram", bits=4.55)]
    after = [make("vae"), floor("per-pixel histogram", bits=4.55 * factor)]
    found = compare(before, after)
    assert errors(found) == {("per-pixel histogram", "bits_per_dim")}
    assert found.failed
    assert not compare(before, before).failed


@pytest.mark.parametrize("factor", [0.9, 1.1])
@pytest.mark.parametrize(("name", "number"), [("KD", "KD_5k"), ("precision", "precision_5k"), ("recall", "recall_5k")])
def test_a_floor_is_held_by_all_numbers_that_it_has(name, number, factor):
    real = floor("real data", fd=26.7)
    real = changed(real, quality={"also": make("vae").quality.also})
    other = changed(real, quality={"also": also(real, **{name: factor})})
    found = compare([make("vae"), real], [make("vae"), other])
    assert errors(found) == {("real data", number)}
    gone = changed(real, quality={"also": [x for x in real.quality.also if x.name != name]})
    assert ("real data", number) in regressions(compare([make("vae"), real], [make("vae"), gone]))


def test_a_floor_s_kernel_distance_near_nothing_may_move_by_rounding():
    """It is of the size of its error, which rounding is far below."""
    real = floor("real data", fd=26.7)
    tiny, same = (
        changed(real, quality={"also": [x.model_copy(update={"value": value, "stderr": 1e-3}) for x in
                                        make("vae").quality.also if x.name == "KD"]})
        for value in (1e-6, 1.01e-6)
    )  # fmt: skip
    assert not compare([make("vae"), tiny], [make("vae"), same]).failed


def test_another_probe_of_the_feature_network_is_refused_by_name():
    before, after = (
        [changed(one, quality={"features": one.quality.features.model_copy(update={"probe_sha256": digit * 64})})
         for one in BEFORE]
        for digit in "ab"
    )  # fmt: skip
    with pytest.raises(UserError, match=r"output of the feature network.* is aaaaaaaa in one and bbbbbbbb in another"):
        compare(before, after)


def test_seeds_of_two_versions_of_the_code_are_no_run():
    mixed = [changed(one, code={"sources_sha256": digit * 64}) for one, digit in zip(BEFORE, "aab", strict=True)]
    with pytest.raises(UserError, match=r"2 versions of the code, aaaaaaaa \(seed 0\) and bbbbbbbb \(seed 2\)"):
        compare(BEFORE, mixed)
    assert "2 versions of the code; noise is within each" in " ".join(compare(mixed, BEFORE).notes)


@pytest.mark.parametrize("side", ["run", "baseline"])
def test_seeds_that_differ_in_their_settings_are_not_averaged(side):
    config = {**BEFORE[1].config, "learning_rate": 1e-3}
    mixed = [BEFORE[0], changed(BEFORE[1]).model_copy(update={"config": config}), BEFORE[2]]
    with pytest.raises(UserError, match=rf"seeds 0 and 1 of the {side} differ in more than the seed \(learning_rate"):
        compare(*((BEFORE, mixed) if side == "run" else (mixed, BEFORE)))


def test_another_config_of_the_whole_run_is_judged_and_said():
    config = {**BEFORE[1].config, "learning_rate": 1e-3}
    after = [scaled(one, fd=1.01).model_copy(update={"config": config}) for one in BEFORE]
    found = compare(BEFORE, after)
    assert not found.failed
    assert "vae: its config changed: learning_rate 0.0002 -> 0.001" in found.notes
