"""`--not-worse-than`: what is shown to be within a margin is told from what is not shown to be worse."""

import math

import numpy as np
import pytest
from fixtures import equibench, make, save
from judging import SEEDS, changed, scaled, verdicts

from equibench.errors import UserError
from equibench.judge.check import compare
from equibench.judge.margins import margins

WITHIN = {"quality": 0.05}


def quality(sd, mean, seeds, entrant="vae"):
    """Distances of mean `mean` times 100 and of exactly that deviation, in logarithms."""
    steps = np.linspace(-1, 1, len(seeds))
    steps = sd * steps / steps.std(ddof=1)
    return [
        changed(make("vae", seed), quality={"value": 100 * mean * math.exp(step), "stderr": 0.1}).model_copy(
            update={"entrant": entrant, "likelihood": None, "bounds": [], "weights_sha256": f"{seed:064x}"}
        )
        for seed, step in zip(seeds, steps, strict=True)
    ]


BASELINE, OTHERS = range(5), range(10, 15)


def verdict(found, entrant="vae"):
    return verdicts(found)[entrant, "FD_5k"]


@pytest.mark.parametrize(
    ("sd", "mean", "expected", "fails"),
    [
        (0.01, 1.0, "within", False),
        (0.01, 1.02, "within", False),  # worse beyond doubt, and by less than was asked for
        (0.05, 1.0, "passed", True),
        (0.01, 1.2, "regression", True),
    ],
)
def test_three_verdicts(sd, mean, expected, fails):
    found = compare(quality(sd, 1.0, BASELINE), quality(sd, mean, OTHERS), not_worse_than=WITHIN)
    assert (verdict(found), found.failed) == (expected, fails)
    assert verdict(compare(quality(sd, 1.0, BASELINE), quality(sd, mean, OTHERS))) != "within"


def test_the_limit_is_student_s():
    found = compare(quality(0.01, 1.0, BASELINE), quality(0.01, 1.02, OTHERS), not_worse_than=WITHIN)
    line = next(x for x in found.lines if x.number == "FD_5k")
    from scipy import stats

    limit = math.log(1.02) + stats.t.ppf(0.95, 8) * 0.01 * math.sqrt(2 / 5)
    assert line.at_most == pytest.approx(math.expm1(limit))
    assert line.margin == pytest.approx(0.05)
    assert "shown to be worse by less than 5 %" in line.sentence


def test_every_entrant_has_to_be_shown():
    """An intersection-union test: no correction, but no exception."""
    before = [*quality(0.01, 1.0, BASELINE), *quality(0.05, 1.0, BASELINE, "other")]
    after = [*quality(0.01, 1.0, OTHERS), *quality(0.05, 1.0, OTHERS, "other")]
    found = compare(before, after, not_worse_than=WITHIN)
    assert (verdict(found), verdict(found, "other")) == ("within", "passed")
    assert found.failed
    assert found.verdict == "not shown"
    assert not compare(before, after).failed


def test_what_was_reproduced_is_shown():
    runs = [make("vae", seed) for seed in SEEDS]
    found = compare(runs, runs, not_worse_than={"quality": 0.01, "likelihood": 0.001})
    assert not found.failed


def test_what_is_skipped_is_not_shown():
    runs = [make("vae", seed) for seed in SEEDS]
    elsewhere = [changed(one, machine={"key": "f" * 48}) for one in runs]
    assert not compare(runs, elsewhere).failed
    found = compare(runs, elsewhere, not_worse_than={"speed": 0.5})
    assert found.failed
    assert [line.number for line in found.not_shown] == ["speed.images_per_sec"]


def test_what_is_counted_is_shown_by_its_value():
    before = [changed(make("vae", seed), memory={"quantity": "peak of live tensors"}) for seed in SEEDS]
    for more, verdict in ((1.04, "within"), (1.06, "regression")):
        found = compare(before, [scaled(one, memory=more) for one in before], not_worse_than={"memory": 0.05})
        assert verdicts(found)["vae", "memory.train_peak_bytes"] == verdict
        assert found.failed == (verdict == "regression")


def test_nothing_to_show_is_no_pass():
    runs = [make("gan", seed) for seed in SEEDS]
    with pytest.raises(UserError, match="no number of likelihood gates on both sides"):
        compare(runs, runs, not_worse_than={"likelihood": 0.05})


def test_margins_as_on_the_command_line():
    assert margins(["5%"]) == {"quality": 0.05, "likelihood": 0.05}
    assert margins(["5", "speed=10%"]) == {"quality": 0.05, "likelihood": 0.05, "speed": 0.1}
    for text in ("qualty=5", "x", "-1", "0", "speed=", "nan", "inf"):
        with pytest.raises(UserError, match=r"did you mean|per cent as a number|more than 0 and less than 100,000 %"):
            margins([text])


def test_the_command_line(tmp_path):
    good = save(quality(0.05, 1.0, BASELINE), tmp_path / "good", with_arrays=False)
    same = save(quality(0.05, 1.0, OTHERS), tmp_path / "same", with_arrays=False)
    assert equibench("check", same, "--baseline", good).returncode == 0
    done = equibench(
        "check", same, "--baseline", good, "--not-worse-than", "5%", "--junit", tmp_path / "x.xml", "--github"
    )
    assert done.returncode == 1, done.stderr
    assert "Not shown to be within the margin: vae FD_5k" in done.stdout
    assert "::error title=equibench%3A vae%2C FD_5k::" in done.stdout
    assert 'failures="1"' in (tmp_path / "x.xml").read_text()
    assert equibench("check", same, "--baseline", good, "--not-worse-than", "30%").returncode == 0
    assert equibench("check", same, "--baseline", good, "--not-worse-than", "much").returncode == 2


def test_another_training_that_is_no_worse_says_so_of_all_it_has():
    runs = [make("vae", seed) for seed in SEEDS]
    found = compare(runs, [scaled(one) for one in runs], not_worse_than={"likelihood": 0.05})
    assert {x.number for x in found.lines if x.verdict == "within"} == {
        "bits_per_dim", "bounds.importance weighting.bits_per_dim",
    }  # fmt: skip
    assert not found.failed
