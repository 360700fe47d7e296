"""Which timings are to be trusted, by what the machine did beside them."""

import pytest
from fixtures import make

from equibench.record.surroundings import Load, ReferenceWorkload, TimedBlock
from equibench.summary.load import busy, reference_name, reference_sec

QUIET = [0.1, 0.11, 0.1, 0.1, 0.3]  # one of five was held up


def record(device="cpu", block="speed", before=QUIET, after=QUIET, **load):
    reference = ReferenceWorkload(name="convolutions 1", before_sec=before, after_sec=after)
    machine = make("gan").machine.model_copy(update={"device": device})
    return make("gan", machine=machine, timed=[TimedBlock(name=block, load=Load(**load), reference=reference)])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"others_cpu_share": 0.02}, None),
        ({"others_cpu_share": 0.38}, "other work took 38 % of the processor's time"),  # GAN: 986 for 14,125 images/s
        ({"others_cpu_share": 0.38, "device": "NVIDIA H100"}, None),
        ({"others_cpu_share": 0.8, "device": "NVIDIA H100"}, "other work took 80 % of the processor's time"),
        ({"others_gpu_share": 0.25, "device": "NVIDIA H100"}, "other work took 25 % of the GPU's time"),
        ({"after": [0.13] * 5}, "the reference workload took 30 % longer right after it than right before it"),
        ({"before": [0.15] * 5}, "the reference workload took 50 % longer right before it than right after it"),
        ({"after": [0.105] * 5}, None),
        ({"after": []}, None),
        ({"before": [0.0]}, None),
        ({"reason": "/proc/stat may not be read"}, None),
    ],
)
def test_a_busy_machine_is_named(options, why):
    found = record(**options)
    assert busy(found, "speed") == why
    assert busy(found, "latency") is None  # of which nothing is known


def test_old_records_tell_nothing():
    old = make("gan")
    assert (busy(old, "speed"), reference_sec(old, "speed"), reference_name(old, "speed")) == (None, None, None)


def test_the_reference_is_a_median_over_both_sides():
    found = record(before=[0.1, 0.2], after=[0.3, 0.9, 0.9])
    assert reference_sec(found, "speed") == 0.3
    assert reference_name(found, "speed") == "convolutions 1"
    assert reference_sec(record(before=[], after=[]), "speed") is None
