"""Records of many commits to lines, levels and dated steps."""

import json
import math
import subprocess

import numpy as np
import pytest
from commits import at_commit, commit, over_commits, with_distance
from fixtures import INCEPTION, MACHINE, equibench, failed, floor, make, save

from equibench.errors import UserError
from equibench.history import output
from equibench.history.history import history
from equibench.protocol import PROTOCOL
from equibench.record.surroundings import Load, TimedBlock

OTHER_MACHINE = MACHINE.model_copy(update={"key": "beef" * 3})


def noisy(step_at=10**6, factor=1.25, sd=0.02):
    """Distances around 100 whose logarithms scatter by `sd`, and from one commit on around `factor` of that."""
    values = np.exp(np.random.default_rng(0).normal(0, sd, (200, 3)))
    return lambda number, seed: float(100 * values[number, seed] * (factor if number >= step_at else 1))


def lines(records, tmp_path, *arguments, **options):
    for place, one in enumerate(records):  # one folder an invocation, as a run of each commit leaves them
        save([one], tmp_path / "results" / (one.invocation or str(place)), with_arrays=False)
    found = history([tmp_path / "results"], *arguments, **options)
    return output.as_json(found.judged, found.order, found.left_out)


def line(found, path="quality.value"):
    (one,) = [x for x in found["series"] if x["path"] == path]
    return one


def test_a_step_is_dated_by_commits(tmp_path):
    one = line(lines(over_commits(12, noisy(step_at=7)), tmp_path))
    (step,) = one["steps"]
    assert (step["after"]["commit"], step["at"]["commit"]) == (commit(6), commit(7))
    assert (step["after"]["date"], step["at"]["date"]) == ("2026-01-07T12:00:00Z", "2026-01-08T12:00:00Z")
    assert step["low"] < 0.25 < step["high"]
    assert step["change"] == pytest.approx(0.25, abs=0.04)
    assert (step["relative"], step["worse"], step["confirmed_by"]) == (True, True, 5)
    assert step["unmeasured_commits_between"] is None  # without a repository
    assert [level["points"] for level in one["levels"]] == [7, 5]
    assert one["drift"]["against_best"]["change"] == pytest.approx(step["change"])
    assert one["noise"]["df"] == 24
    assert one["noise"]["sd"] == pytest.approx(0.02, rel=0.4)


def test_points_are_means_of_seeds_with_intervals(tmp_path):
    """By hand: the noise is that of logarithms within commits, here of two points that lie one step of 1 apart."""
    records = over_commits(4, lambda number, seed: math.exp(number + seed), seeds=2)
    one = line(lines(records, tmp_path))
    assert one["noise"] == {"sd": pytest.approx(math.sqrt(0.5)), "df": 4, "from": "repeats within commits",
                            "of_logarithm": True}  # fmt: skip
    point = one["points"][2]
    assert (point["commit"], point["seeds"]) == (commit(2), [0, 1])
    assert point["measurements"] == pytest.approx([math.exp(2), math.exp(3)])
    assert math.log(point["value"]) == pytest.approx(2.5)
    assert math.log(point["high"]) == pytest.approx(2.5 + 2.776445 * math.sqrt(0.5) / math.sqrt(2), rel=1e-5)  # t(4)


def test_what_does_not_compare_is_never_one_line(tmp_path):
    """Protocols, feature spaces, numbers of samples, data and budgets; each has points of its own."""
    quality = with_distance("vae", 100.0)
    others = {
        "protocol": {"protocol": "3"},
        "features": {"quality": quality.model_copy(update={"features": INCEPTION, "metric": "FID"})},
        "samples": {"quality": quality.model_copy(update={"n_samples": 1000})},
        "data": {"data": make("vae").data.model_copy(update={"sha256": "ab" * 32})},
        "budget": {"budget": make("vae").budget.model_copy(update={"amount": 1e12})},
    }
    records = [at_commit(0), *(at_commit(n, **changes) for n, changes in enumerate(others.values(), 1))]
    found = [x for x in lines(records, tmp_path)["series"] if x["path"] == "quality.value"]
    assert sorted(x["points"][0]["commit"] for x in found) == [commit(n) for n in range(6)]
    assert {x["number"] for x in found} == {"FD_5k", "FID_5k", "FD_1k"}
    assert {x["protocol"] for x in found} == {PROTOCOL, "3"}


def test_seeds_of_one_invocation_are_no_repeats_of_a_speed(tmp_path):
    """Three seeds an invocation, two invocations a commit: two measurements of speed, three of the distance."""
    records = [
        at_commit(number, "vae", seed, invocation=f"{number}{run}", key=f"{number}{seed}{run:062}")
        for number in range(2)
        for seed in range(3)
        for run in range(2)
    ]
    found = lines(records, tmp_path)
    assert [len(point["measurements"]) for point in line(found, "speed.images_per_sec")["points"]] == [2, 2]
    assert [len(point["measurements"]) for point in line(found)["points"]] == [3, 3]


def test_another_machine_is_a_break_of_speed_alone(tmp_path):
    def speed(number, seed):
        return make("vae").speed.model_copy(update={"images_per_sec": 1000.0 * (1 + (number >= 6)) + seed + number % 2})

    records = [
        at_commit(number, "vae", 0, speed=speed(number, run), machine=OTHER_MACHINE if number >= 6 else MACHINE,
                  invocation=f"{number} {run}", key=f"{number:032}{run:032}")
        for number in range(12)
        for run in range(2)
    ]  # fmt: skip
    found = lines(records, tmp_path)
    mine = [one for one in found["series"] if one["path"] == "speed.images_per_sec"]
    assert [(one["machine"], len(one["points"]), one["steps"]) for one in mine] == [
        (MACHINE.key, 6, []), (OTHER_MACHINE.key, 6, []),
    ]  # fmt: skip
    assert [(x["commit"], x["machine"]) for x in mine[0]["breaks"]] == [(commit(6), OTHER_MACHINE.key)]
    assert line(found)["breaks"] == []
    assert len(line(found)["points"]) == 12


def test_fewer_speeds_are_a_step_for_the_worse(tmp_path):
    def speed(number, run):
        return make("vae").speed.model_copy(update={"images_per_sec": (1000.0 + run) / (1 + (number >= 4))})

    records = [
        at_commit(
            number, "vae", 0, speed=speed(number, run), invocation=f"{number} {run}", key=f"{number:032}{run:032}"
        )
        for number in range(8)
        for run in range(2)
    ]
    (step,) = line(lines(records, tmp_path), "speed.images_per_sec")["steps"]
    assert (step["worse"], step["change"]) == (True, pytest.approx(-0.5, abs=1e-3))


def test_a_timing_beside_other_work_is_left_out(tmp_path):
    busy = [TimedBlock(name="speed", load=Load(others_cpu_share=0.6))]
    records = [at_commit(number, timed=busy if number == 1 else []) for number in range(3)]
    found = lines(records, tmp_path)
    assert [x["commit"] for x in line(found, "speed.images_per_sec")["points"]] == [commit(0), commit(2)]
    assert len(line(found)["points"]) == 3
    assert found["left_out"] == ["timings that other work disturbed (1)"]


def test_cells_that_failed_and_copies_do_not_count(tmp_path):
    records = over_commits(2, noisy())
    broken = failed("vae", 7, "crashed", "It crashed.")
    save(records, tmp_path / "results" / "copy", with_arrays=False)
    found = lines([*records, broken], tmp_path)
    assert [len(point["records"]) for point in line(found)["points"]] == [3, 3]
    assert found["left_out"] == ["records of cells that failed or missed their budget (1)"]


def test_the_last_point_off_its_level_is_suspected(tmp_path):
    found = noisy()
    one = line(lines(over_commits(8, lambda n, seed: found(n, seed) * (1.4 if n == 7 else 1)), tmp_path))
    assert one["steps"] == []
    assert one["suspected"]["commit"] == commit(7)
    assert one["suspected"]["change"] == pytest.approx(0.4, abs=0.05)


def test_too_few_commits_are_points_alone(tmp_path):
    one = line(lines(over_commits(3, noisy(step_at=1)), tmp_path))
    assert (one["levels"], one["steps"], len(one["points"])) == ([], [], 3)
    assert "it takes 4" in one["noise"]["why_not"]
    single = line(lines(over_commits(3, noisy(), seeds=1, like="gan"), tmp_path / "single"))
    assert single["points"][0]["interval_over"] == "samples, of the one model"
    assert single["points"][0]["high"] == pytest.approx(single["points"][0]["value"] + 2)


def test_many_single_seeds_have_the_noise_of_neighbours(tmp_path):
    one = line(lines(over_commits(24, noisy(step_at=12), seeds=1), tmp_path))
    assert one["noise"]["from"] == "neighbouring commits"
    assert [step["at"]["commit"] for step in one["steps"]] == [commit(12)]


def test_numbers_that_are_asked_for(tmp_path):
    records = over_commits(2, noisy())
    usual = {x["path"] for x in lines(records, tmp_path)["series"]}
    more = {x["path"] for x in lines(records, tmp_path / "more", ["KD", "latency_p50_sec"])["series"]}
    assert more - usual == {"quality.also.KD", "speed.latency_p50_sec"}
    with pytest.raises(
        UserError, match="this history has no number 'latency_p50_secs'; did you mean 'latency_p50_sec'"
    ):
        lines(records, tmp_path / "wrong", ["latency_p50_secs"])


def test_against_a_baseline(tmp_path):
    records = over_commits(8, noisy(step_at=4, sd=0.001))
    by_commit = line(lines(records, tmp_path, baseline=commit(0)[:8]))
    assert by_commit["drift"]["against_baseline"]["change"] == pytest.approx(0.25, abs=0.01)
    base = save([make("vae", seed, quality=with_distance("vae", 250.0)) for seed in range(2)], tmp_path / "base", False)
    by_folder = line(lines(records, tmp_path / "again", baseline=str(base)))
    assert by_folder["drift"]["against_baseline"]["change"] == pytest.approx(-0.5, abs=0.01)
    for wrong, says in (("ffff", "no number in common"), ("00", "too short"), (str(tmp_path / "no"), "in common")):
        with pytest.raises(UserError, match=says):
            lines(records, tmp_path / f"wrong {wrong[:2]}", baseline=wrong)


def git(folder, *words, date):
    who = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x", "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x"}
    environment = {**who, "GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date, "PATH": "/usr/bin:/bin", "HOME": "/"}
    done = subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_repository_gives_order_dates_and_what_lies_between(tmp_path):
    """Measured from the newest to the oldest; every other commit was not measured."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", date="")
    commits = []
    for day in range(16):
        date = f"2025-05-{day + 1:02d}T00:00:00Z"
        git(folder, "commit", "-q", "--allow-empty", "-m", "x", date=date)
        commits.append(git(folder, "rev-parse", "HEAD", date=date))
    distance = noisy(step_at=5)
    records = [
        one.model_copy(update={"code": one.code.model_copy(update={"commit": commits[2 * number]}),
                               "created": f"2026-01-{28 - number:02d}T00:00:00Z"})
        for number in range(8)
        for one in over_commits(8, distance)[3 * number : 3 * number + 3]
    ]  # fmt: skip
    found = lines(records, tmp_path, repository=folder)
    one = line(found)
    assert found["ordered_by"] == "the repository"
    assert [point["commit"] for point in one["points"]] == commits[::2]
    (step,) = one["steps"]
    assert (step["after"]["commit"], step["at"]["commit"]) == (commits[8], commits[10])
    assert (step["at"]["date"], step["unmeasured_commits_between"]) == ("2025-05-11T00:00:00Z", 1)
    without = line(lines(records, tmp_path / "without"))
    assert [point["commit"] for point in without["points"]] == commits[14::-2]
    with pytest.raises(UserError, match="does not know 0000eeee"):
        lines(over_commits(1, noisy()), tmp_path / "unknown", repository=folder)
    with pytest.raises(UserError, match="name the folder of a repository"):
        lines(records, tmp_path / "no", repository=tmp_path)


def test_code_without_a_commit_is_known_by_its_sources(tmp_path):
    def code(digest, commit=None, dirty=None):
        return make("vae").code.model_copy(update={"commit": commit, "dirty": dirty, "sources_sha256": digest})

    codes = [code("a" * 64), code("b" * 64), code("a" * 64, "c" * 40, True), code("b" * 64, "c" * 40, True)]
    codes += [code("a" * 64, "c" * 40, False), code(None, "c" * 40, False)]
    records = [at_commit(number, "vae", number, code=one) for number, one in enumerate(codes)]
    assert [point["seeds"] for point in line(lines(records, tmp_path))["points"]] == [[0], [1], [2], [3], [4, 5]]


def test_another_version_of_a_package_is_named_at_the_step(tmp_path):
    records = [
        one.model_copy(update={"versions": {"torch": "2.6" if one.created > "2026-01-05" else "2.5"}})
        for one in over_commits(8, noisy(step_at=4))
    ]
    (step,) = line(lines(records, tmp_path))["steps"]
    assert step["also_changed"] == ["torch (2.5 → 2.6)"]


def test_settings_that_changed_with_a_commit_are_named_at_the_step(tmp_path):
    records = [
        one.model_copy(update={"config": {"width": 64 if one.created > "2026-01-05" else 32}})
        for one in over_commits(8, noisy(step_at=4))
    ]
    (step,) = line(lines(records, tmp_path))["steps"]
    assert step["also_changed"] == ["setting width (32 → 64)"]


def test_several_settings_at_one_commit_are_lines_of_their_own(tmp_path):
    records = [
        at_commit(number, "vae", seed, config={"width": width}, quality=with_distance("vae", 100.0 * width + seed),
                  key=f"{number}{seed}{width}".ljust(64, "0"))
        for number in range(3) for seed in range(2) for width in (1, 2)
    ]  # fmt: skip
    mine = [one for one in lines(records, tmp_path)["series"] if one["path"] == "quality.value"]
    assert [[point["measurements"] for point in one["points"]] for one in mine] == [
        [[100.0, 101.0]] * 3, [[200.0, 201.0]] * 3,
    ]  # fmt: skip


def test_floors_come_last_and_a_date_must_be_one(tmp_path, recwarn):
    one = floor("real data", fd=26.7)
    odd = at_commit(1, created="yesterday")
    found = lines([one, at_commit(0), odd], tmp_path)
    assert [x["role"] for x in found["series"]][-1] == "floor"
    assert len(line({"series": found["series"][:1]})["points"]) == 1
    assert "'yesterday' is no time" in str(recwarn.pop().message)


def test_the_command_prints_a_line_a_number_and_json(tmp_path):
    save(over_commits(8, noisy(step_at=4)), tmp_path / "results", with_arrays=False)
    shown = equibench("history", tmp_path / "results")
    assert (shown.returncode, shown.stderr) == (0, "")
    (mine,) = [text for text in shown.stdout.splitlines() if "FD_5k" in text]
    assert "at 0004eeee, 2026-01-05" in mine
    told = json.loads(equibench("history", tmp_path / "results", "--json").stdout)
    assert len(line(told)["steps"]) == 1
    missing = equibench("history", tmp_path / "nowhere")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
