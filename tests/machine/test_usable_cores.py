"""Cores that a process may use, where affinity and control groups limit them."""

import os

import pytest

from equibench.machine import cores


def system(root, line, files):
    """A system with these files of control groups, and the line that says which one the process is in."""
    for name, text in [("proc/self/cgroup", line), *((f"sys/fs/cgroup/{name}", text) for name, text in files.items())]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


V1 = {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}


@pytest.mark.parametrize(
    ("line", "files", "usable"),
    [
        ("0::/", {"cpu.max": "200000 100000"}, 2),  # a container of version 2
        ("0::/", {"cpu.max": "150000 100000"}, 2),  # a part of a core is one
        ("0::/", {"cpu.max": "10000 100000"}, 1),
        ("0::/", {"cpu.max": "max 100000"}, 64),
        ("0::/a.slice/b", {"a.slice/b/cpu.max": "max 100000", "a.slice/cpu.max": "300000 100000"}, 3),  # of a parent
        ("0::/a/b", {"a/b/cpu.max": "500000 100000", "a/cpu.max": "400000 100000"}, 4),
        ("0::/", {"cpu.max": "12800000 100000"}, 64),  # more than there are
        ("4:cpu,cpuacct:/docker/1f\n0::/", {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ("4:cpuset:/\n3:cpu:/", {f"cpu/{name}": text for name, text in V1.items()}, 64),
        ("4:cpuset:/", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ("0::/", {"cpu.max": "what"}, 64),
        ("0::/", {}, 64),
    ],
)
def test_the_limit_of_control_groups_counts(tmp_path, monkeypatch, line, files, usable):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert cores.usable_cores(system(tmp_path, line, files)) == usable


def test_cores_that_the_process_is_bound_to_count(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7, 9}, raising=False)
    assert cores.usable_cores(tmp_path) == 3  # nothing is known of control groups
    assert cores.usable_cores(system(tmp_path, "0::/", {"cpu.max": "800000 100000"})) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert cores.usable_cores(tmp_path / "none") == 5


@pytest.mark.parametrize(("quota", "before", "after"), [(2, None, "2"), (2, "7", "7"), (64, None, None)])
def test_libraries_start_no_more_threads_than_the_limit_is_good_for(tmp_path, monkeypatch, quota, before, after):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    monkeypatch.setenv(cores.THREADS, before or "")  # so that it is as it was after the test
    if before is None:
        monkeypatch.delenv(cores.THREADS)
    cores.limit_threads(system(tmp_path, "0::/", {"cpu.max": f"{quota}00000 100000"}))
    assert os.environ.get(cores.THREADS) == after
