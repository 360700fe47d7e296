"""The check: what is named, skipped, refused."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from fixtures import BUDGET, MACHINE, NUMBERS, equibench, failed, make, save
from judging import OTHERS, SEEDS, changed, draw, four, regressions, scaled, verdicts

from equibench.errors import UserError
from equibench.judge.check import compare
from equibench.record import cost


def test_the_same_records_are_reproduced_exactly():
    runs = [make(family, seed) for family in NUMBERS for seed in SEEDS]
    found = compare(runs, runs)
    assert not found.regressions
    assert not found.notes
    of = verdicts(found)
    assert of["vae", "FD_5k"] == of["vae", "bits_per_dim"] == of["gan", "KD_5k"] == "reproduced"
    assert ("gan", "bits_per_dim") not in of  # a GAN has none
    assert of["gan", "speed.images_per_sec"] == "passed"


def test_equal_numbers_of_other_weights_are_not_called_reproduced():
    before = [make("vae", seed) for seed in SEEDS]
    after = [changed(one, weights_sha256="0" * 64) for one in before]
    found = compare(before, after)
    assert verdicts(found)["vae", "FD_5k"] == "passed"
    assert "other weights" in found.notes[0]


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        ({"fd": 1.4}, "FD_5k"),
        ({"bits": 0.25}, "bits_per_dim"),
        ({"slower": 1.6}, "speed.images_per_sec"),
        ({"more_memory": 1.5}, "memory.train_peak_bytes"),
    ],
)
def test_what_is_worse_is_named_and_what_is_better_is_not(fault, number):
    rng = np.random.default_rng(1)
    before, after = four(rng, SEEDS), [*four(rng, OTHERS)]
    after = [one for one in after if one.entrant != "flow"] + draw(rng, "flow", OTHERS, **fault)
    assert ("flow", number) in regressions(compare(before, after))
    assert {row for row, _ in regressions(compare(before, after))} == {"flow"}
    assert not compare(after, before).regressions


def test_vanished_new_and_failed_rows_are_named():
    before = [make("vae"), make("gan"), make("flow")]
    after = [make("vae"), failed("flow", 0, "diverged", "a loss was not a number"), make("diffusion")]
    found = compare(before, after)
    assert regressions(found) == {("gan", "row"), ("flow", "row")}
    sentences = {line.row: line.sentence for line in found.lines if line.number == "row"}
    assert "vanished" in sentences["gan"]
    assert sentences["flow"] == "seed 0 diverged: a loss was not a number"
    assert verdicts(found)["diffusion", "row"] == "new"
    assert regressions(compare(before, after, allow_vanished=True)) == {("flow", "row")}


def test_a_number_that_is_measured_no_more_is_a_regression():
    gone = changed(make("vae"), memory={"train_peak_bytes": None, "reason": "train: out of memory"})
    found = compare([make("vae")], [gone])
    assert regressions(found) == {("vae", "memory.train_peak_bytes")}
    assert "train: out of memory" in found.regressions[0].sentence


def test_a_stage_that_failed_is_a_regression_and_the_rest_is_compared():
    broken = make(
        "vae", status="incomplete", speed=None, failures={"speed": "OSError: no"}, reason="speed: OSError: no"
    )
    found = compare([make("vae")], [broken])
    assert {(line.number, line.sentence) for line in found.regressions} == {
        ("row", "seed 0 incomplete: speed: OSError: no"),
        *((f"speed.{name}", "not measured any more: OSError: no") for name in
          ("images_per_sec",)),
    }  # fmt: skip
    assert verdicts(found)["vae", "speed.latency_p50_sec"] == "reported"
    assert verdicts(found)["vae", "FD_5k"] == "reproduced"


def without_distance(one):
    return changed(one, quality={"value": None, "reason": "features were not finite"})


def test_a_seed_without_a_number_that_gates_is_a_regression():
    before = [make("vae", seed) for seed in SEEDS]
    found = compare(before, [*before[:2], without_distance(before[2])])
    assert [(line.number, line.sentence) for line in found.regressions] == [
        ("FD_5k", "seed 2 has none: features were not finite")
    ]
    as_before = [*before[:2], without_distance(before[2])]
    assert not compare(as_before, as_before).failed
    no_recall = [x for x in before[2].quality.also if x.name != "recall"]
    assert not compare(before, [*before[:2], changed(before[2], quality={"also": no_recall})]).failed


def test_entrants_of_several_versions_of_the_code_are_said():
    before = [make("vae"), make("gan")]
    after = [changed(one, code={"sources_sha256": digit * 64}) for one, digit in zip(before, "ab", strict=True)]
    (note,) = compare(before, after).notes
    assert note == "the run comes from 2 versions of the code: gan from bbbbbbbb and vae from aaaaaaaa"


def test_a_failed_baseline_has_nothing_to_be_worse_than():
    found = compare([failed("gan", 0, "crashed", "x"), make("vae")], [make("gan"), make("vae")])
    assert not found.regressions
    assert verdicts(found)["gan", "row"] == "skipped"


def test_a_seed_that_failed_before_too_is_no_regression():
    runs = [make("gan", 0), failed("gan", 1, "diverged", "a loss was not a number")]
    found = compare(runs, runs)
    assert not found.regressions
    assert verdicts(found)["gan", "row"] == "skipped"
    assert verdicts(found)["gan", "FD_5k"] == "reproduced"


def test_speed_and_memory_of_another_machine_are_skipped_and_quality_is_not():
    other = MACHINE.model_copy(update={"key": "another machine"})
    after = [changed(one, machine=other, speed={"images_per_sec": 1.0}) for one in (make("vae", s) for s in SEEDS)]
    found = compare([make("vae", s) for s in SEEDS], after)
    of = verdicts(found)
    assert {of["vae", n] for n in ("speed.images_per_sec", "memory.train_peak_bytes")} == {"skipped"}
    assert of["vae", "FD_5k"] == "passed"  # no longer called reproduced: the machine differs
    assert of["vae", "speed.flops_per_image"] == "reported"  # counted, so the machine does not matter
    assert "other machines" in next(x.sentence for x in found.lines if x.number == "speed.images_per_sec")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"protocol": "0"}, "protocol"),
        ({"quality": {"n_samples": 2500}}, "the number of images is 5000 in one and 2500"),
        (
            {"quality": {"features": make("vae").quality.features.model_copy(update={"name": "other"})}},
            "the feature network is",
        ),
        (
            {"quality": {"features": make("vae").quality.features.model_copy(update={"preprocessing": "x"})}},
            "the preprocessing is",
        ),
        ({"quality": {"reference": "train"}}, "the reference is"),
        ({"quality": {"options": {"steps": 5}}}, "sampler is default in one and steps 5"),
        ({"likelihood": {"kind": "exact"}}, "the kind is"),
        ({"data": {"sha256": "0" * 64}}, "other images than in the baseline"),
        ({"budget": BUDGET.model_copy(update={"amount": 1e13})}, "in common"),
        ({"entrant": "another"}, "in common"),
        ({"memory": {"train_batch_size": 7}}, "the batch size is"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, sentence):
    with pytest.raises(UserError, match=sentence):
        compare([make("vae")], [changed(make("vae"), **change)])


def at_batch_size(one, batch_size, images_per_sec):
    """The record with this size as the fastest of two that were tried."""
    repeats = [batch_size / images_per_sec * factor for factor in (0.99, 0.995, 1, 1.005, 1.01)]
    speed = {"batch_size": batch_size, "images_per_sec": images_per_sec, "repeats_sec": repeats}
    sweep = [cost.SpeedPoint(batch_size=tried) for tried in (64, 128)]
    return changed(one, speed=speed | {"sweep": sweep})


@pytest.mark.parametrize(("slower", "found"), [(1.0, False), (1.5, True)])
@pytest.mark.parametrize("batch_size", [64, 128])
def test_the_fastest_batch_size_may_be_another_one(slower, found, batch_size):
    before = [at_batch_size(one, 64 if one.seed else 128, 1000.0 + one.seed) for one in draw(np.random.default_rng(1))]
    after = [at_batch_size(one, batch_size, (1000.0 + one.seed) / slower) for one in draw(np.random.default_rng(2))]
    assert ("speed.images_per_sec" in {number for _, number in regressions(compare(before, after))}) == found


def of_machine(one, key, slower=1.0):
    """The record of a machine with this key, in an invocation of its own."""
    other = changed(scaled(one, slower=slower), machine={"key": key})
    return other.model_copy(update={"invocation": f"{key}-{one.seed}"})


def test_what_was_timed_on_another_machine_is_left_out_aloud():
    before = [of_machine(make("vae", seed), "a" * 12) for seed in SEEDS]
    after = [of_machine(one, "b" * 12 if one.seed == 0 else "a" * 12, 0.05 if one.seed == 0 else 1.0) for one in before]
    lines = {line.number: line for line in compare(before, after).lines}
    for number in ("speed.images_per_sec", "memory.train_peak_bytes"):
        assert "without seed 0 of the run, of another machine" in lines[number].sentence
        assert lines[number].run.n == 2
    assert lines["speed.images_per_sec"].run.mean < 2 * lines["speed.images_per_sec"].baseline.mean
    both = compare(after, after).lines
    assert any("on several machines on both sides (" in line.sentence for line in both if line.verdict == "skipped")


def test_a_speed_is_shown_as_it_is_compared():
    """Seeds of one invocation share what the machine did, and count once."""
    before = [of_machine(make("vae", seed), "a" * 12) for seed in SEEDS]
    again = [
        changed(one, key=str(seed) * 64, seed=seed, weights_sha256=str(seed) * 64)
        for one, seed in [(before[0], 7), (before[0], 8)]
    ]
    line = {one.number: one for one in compare(before, [*before, *again]).lines}["speed.images_per_sec"]
    assert line.run == line.baseline


def test_seeds_with_the_same_weights_are_no_repeats():
    once = make("vae")
    same = [changed(once, seed=seed, key=str(seed) * 64) for seed in SEEDS]
    found = compare([make("vae", seed) for seed in SEEDS], same)
    words = "the run's seeds 0, 1 and 2 have the same weights, which is one training and not 3"
    assert any(words in note for note in found.notes)


def test_a_seed_counts_once():
    twice = changed(make("vae"), key="f" * 64)
    with pytest.raises(UserError, match="two records of vae with seed 0"):
        compare([make("vae"), twice], [make("vae")])


def test_the_command_line_and_its_exit_codes(tmp_path):
    good = save([make("vae", s) for s in SEEDS], tmp_path / "good", with_arrays=False)
    bad = save([scaled(make("vae", s), fd=3.0) for s in SEEDS], tmp_path / "bad", with_arrays=False)
    wrong = save(
        [changed(make("vae", s), quality={"value": 90.0}) for s in SEEDS], tmp_path / "wrong", with_arrays=False
    )
    old = save([changed(make("vae"), protocol="0")], tmp_path / "old", with_arrays=False)
    torn = tmp_path / "torn" / "vae-s0-00000000.json"
    torn.parent.mkdir()
    torn.write_text(next(good.glob("*.json")).read_text()[:500])
    done = equibench("check", good, "--baseline", good)
    assert done.returncode == 0, done.stderr
    assert "No regression" in done.stdout
    done = equibench("check", bad, "--baseline", good, "--github", "--junit", tmp_path / "check.xml")
    assert done.returncode == 1, done.stderr
    assert "Regression: vae FD_5k" in done.stdout
    assert "::error title=" in done.stdout
    assert ElementTree.parse(tmp_path / "check.xml").getroot().find("testsuite").get("failures") == "1"
    done = equibench("check", bad, "--baseline", good, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["verdict"] == "regression"
    done = equibench("check", wrong, "--baseline", good, "--junit", tmp_path / "wrong.xml")
    assert done.returncode == 1
    assert "Measurement error: vae FD_5k" in done.stdout
    assert 'failures="1"' in (tmp_path / "wrong.xml").read_text()
    for results, baseline, sentence in (
        (good, old, "protocol"),
        (good, tmp_path / "nowhere", "no records at"),
        (torn, good, "not a valid record"),
        ([good, old], good, "cannot be compared"),
    ):
        done = equibench("check", *(results if isinstance(results, list) else [results]), "--baseline", baseline)
        assert done.returncode == 2, done.stdout + done.stderr
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_a_stage_that_the_baseline_had_is_missed_whatever_else_failed_there():
    lost = {"status": "incomplete", "reason": "x"}
    before = make("vae", decoder_likelihood=None, failures={"decoder_likelihood": "x"}, **lost)
    after = make("vae", quality=None, failures={"quality": "x"}, **lost)
    found = compare([before], [after])
    assert ("vae", "row") in regressions(found)
    assert verdicts(compare([before], [before]))["vae", "row"] == "skipped"


def test_a_peak_of_nothing_can_be_compared():
    none = changed(make("vae"), memory={"train_peak_bytes": 0})
    assert not compare([none], [none]).regressions
