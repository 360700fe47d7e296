"""Speed of every family's update, sampling and likelihood at a small fixed size, beside a reference workload.

Stored with `make benchmark`, compared with `python -m studies.speed_check OLD NEW`. One thread, and a clock that
stands still while it waits for a processor: who else computes is not what is measured.
"""

import os
import statistics
import time
from pathlib import Path

import pytest
import torch

from equibench_models import FAMILIES
from equibench_models import family as load_family

SHAPE, WIDTH, BATCH = (1, 8, 8), 8, 4
BLOCKS, ROUNDS = 5, 25  # every job comes round in every block, so that a quiet moment is met by all
SLOWED = os.environ.get("EQUIBENCH_PLANT", "")  # a family whose sampler is to sleep for a fifth of its time
JOBS = ("update", "sample", "nats")
SCHEDULE = Path("/proc/thread-self/schedstat")  # Linux; its second number counts the ns of waiting for a processor


def waited_ns():
    return int(SCHEDULE.read_bytes().split()[1]) if SCHEDULE.exists() else 0


def active_time():
    """Seconds in which this thread ran or slept."""
    waited = waited_ns()
    while True:
        now = time.perf_counter()
        if (again := waited_ns()) == waited:  # else it waited between the two readings
            return now - waited / 1e9
        waited = again


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def reference():
    """Seconds of a product of matrices that fit the caches, of a copy that does not, and of calls that do little."""
    a, b, out = (torch.ones(192, 192) for _ in range(3))
    source, target = (torch.ones(2**18) for _ in range(2))
    few = torch.ones(8)

    def work():
        begin = active_time()
        torch.mm(a, b, out=out)
        target.copy_(source)
        for _ in range(100):
            few.mul_(1.0)
        return active_time() - begin

    return work


def job_of(family, job):
    """A call of no arguments that does the job once on a model of random weights."""
    torch.manual_seed(0)
    model = load_family(family).build({"width": WIDTH}, SHAPE)
    images = torch.randint(0, 256, (BATCH, *SHAPE), dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    if job == "update":
        return lambda: model.update(images, 0.5)
    if job == "nats":
        return lambda: model.nats(images, generator)
    options = {"steps": 3} if family == "diffusion" else {}
    return lambda: model.sample(BATCH, generator, batch_size=BATCH, **options)


def planted(call):
    """`call`, and then a sleep of a fifth of its time."""
    taken = []
    for _ in range(30):
        begin = active_time()
        call()
        taken.append(active_time() - begin)
    pause = 0.2 * statistics.median(taken)

    def slowed():
        call()
        end = active_time() + pause
        time.sleep(max(pause - 2e-4, 0))  # the kernel wakes it later than asked for
        while active_time() < end:
            pass

    return slowed


@pytest.mark.benchmark(timer=active_time)
@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_speed(benchmark, reference, block, family, job):  # noqa: ARG001
    if job == "nats" and load_family(family).likelihood == "none":
        pytest.skip("this family has no likelihood")
    call = job_of(family, job)
    if job == "sample" and family == SLOWED:
        call = planted(call)
    beside = []
    benchmark.pedantic(call, setup=lambda: beside.append(reference()), rounds=ROUNDS, warmup_rounds=3)
    beside.append(reference())
    benchmark.extra_info["job"] = f"{family} {job}"
    benchmark.extra_info["threads"] = torch.get_num_threads()
    benchmark.extra_info["reference_sec"] = beside[-ROUNDS - 1 :]
