"""The speed check: what it compares, what it refuses, and that a slow-down of the machine is none of the code's."""

import json
import random

import pytest
from click.testing import CliRunner

from equibench.errors import UserError
from studies import speed_check

MACHINE = {"key": "a", "device": "cpu", "system": "Linux x86_64", "instructions": "AVX2", "processor": "this one"}


def stored(folder, name, seed, slower=None, machine=MACHINE, slow_machine=1.0, threads=1):
    """A run of two jobs that take 3 and 5 times the reference, with noise that job and reference share."""
    draw = random.Random(seed)
    benchmarks = []
    for job, times in (("gan sample", 3.0), ("vae sample", 5.0)):
        shared = [slow_machine * draw.uniform(0.001, 0.002) for _ in range(61)]
        own = [times * (1 + (slower or {}).get(job, 0.0)) * draw.gauss(1, 0.05) for _ in range(60)]
        data = [own[i] * (shared[i] + shared[i + 1]) / 2 for i in range(60)]
        extra = {"job": job, "threads": threads, "reference_sec": shared}
        benchmarks.append({"extra_info": extra, "stats": {"data": data}})
    benchmarks.append({"extra_info": {}, "stats": {"data": [1.0]}})  # of a metric: without a reference
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"machine_info": {"equibench": machine}, "benchmarks": benchmarks}))
    return path


def changes(old, new):
    return {change.job: change for change in speed_check.compare(speed_check.read(old), speed_check.read(new))}


def test_a_slower_job_is_an_alarm_and_a_slower_machine_none(tmp_path):
    old = stored(tmp_path, "old", 1)
    new = stored(tmp_path, "new", 2, slower={"gan sample": 0.2}, slow_machine=2.5)
    found = changes(old, new)
    assert found["gan sample, 1 thread"].slower == pytest.approx(0.2, abs=0.04)
    assert found["gan sample, 1 thread"].alarm
    assert found["vae sample, 1 thread"].slower == pytest.approx(0, abs=0.04)
    assert not found["vae sample, 1 thread"].alarm
    assert CliRunner().invoke(speed_check.main, [str(old), str(new)]).exit_code == 1
    again = CliRunner().invoke(speed_check.main, [str(old), str(stored(tmp_path, "again", 3))])
    assert again.exit_code == 0
    assert "SLOWER" not in again.output


def test_a_faster_job_is_no_alarm(tmp_path):
    found = changes(stored(tmp_path, "old", 1), stored(tmp_path, "new", 2, slower={"gan sample": -0.5}))
    assert not any(change.alarm for change in found.values())


def test_another_machine_of_the_kind_is_scaled_with_more_tolerance(tmp_path):
    other = MACHINE | {"key": "b", "processor": "a faster one"}
    old = stored(tmp_path, "old", 1)
    small = stored(tmp_path, "small", 2, slower={"gan sample": 0.2}, machine=other, slow_machine=0.4)
    large = stored(tmp_path, "large", 3, slower={"gan sample": 0.5}, machine=other, slow_machine=0.4)
    assert not any(change.alarm for change in changes(old, small).values())
    assert [job for job, change in changes(old, large).items() if change.alarm] == ["gan sample, 1 thread"]
    assert "Two machines" in CliRunner().invoke(speed_check.main, [str(old), str(large)]).output


@pytest.mark.parametrize("field", ["device", "system", "instructions"])
def test_another_kind_of_machine_is_refused(tmp_path, field):
    other = stored(tmp_path, "new", 2, machine=MACHINE | {"key": "b", field: "other"})
    with pytest.raises(UserError, match=f"differ in {field}.*store a run of the old code on this machine"):
        changes(stored(tmp_path, "old", 1), other)


def test_runs_without_a_common_job_are_refused(tmp_path):
    with pytest.raises(UserError, match="no job in common"):
        changes(stored(tmp_path, "old", 1), stored(tmp_path, "new", 2, threads=2))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"machine_info": {"equibench": {}}, "benchmarks": []}'])
def test_other_files_are_one_sentence(tmp_path, content):
    path = tmp_path / "stored.json"
    path.write_text(content)
    with pytest.raises(UserError, match="make benchmark"):
        speed_check.read(path)
    with pytest.raises(UserError, match="no stored run"):
        speed_check.read(tmp_path / "none.json")
