"""The parts of a record on cost: speed, memory, energy."""

from __future__ import annotations

from typing import Literal

from equibench.record.base import Scalar, Strict


class Energy(Strict):
    """Energy of some work, from a counter of the machine; None with the reason where there is none."""

    joules: float | None = None
    quantity: str | None = None  # what the counter covers, e.g. "GPU (NVML)"
    images: int = 0  # that the work trained on or sampled
    reason: str | None = None


class SpeedPoint(Strict):
    """Throughput at one batch size."""

    batch_size: int
    repeats_sec: list[float] = []  # one batch each
    images_per_sec: float | None = None  # from the median repeat
    reason: str | None = None  # why there is none, e.g. out of memory


class ModeSpeed(Strict):
    """Speed at the best batch size of eager mode, and latency, of the same sampler run in another way."""

    mode: Literal["compile", "cuda graph"]
    batch_size: int
    compile_sec: float | None = None  # of the first calls, at this batch size and at batch 1: compiling or capturing
    repeats_sec: list[float] = []
    images_per_sec: float | None = None
    latency_repeats_sec: list[float] = []
    latency_p50_sec: float | None = None
    latency_p90_sec: float | None = None
    reason: str | None = None  # why it was not measured


class Speed(Strict):
    """Sampling speed to uint8 images, device synchronised, warm-up dropped; raw repeats kept."""

    mode: Literal["eager"] = "eager"
    batch_size: int  # of the sweep's the one with the highest throughput, from protocol 2 on
    repeats_sec: list[float]  # one batch each
    images_per_sec: float  # from the median repeat
    latency_repeats_sec: list[float]  # one image each
    latency_p50_sec: float
    latency_p90_sec: float
    network_evaluations: int  # NFE per sample
    flops_per_image: float
    options: dict[str, Scalar] = {}
    limit_sec: float | None = None  # for one series of repeats after warm-up
    latency_limit_sec: float | None = None  # for that of single images
    sweep: list[SpeedPoint] = []  # over batch sizes
    other_modes: list[ModeSpeed] = []
    energy: Energy | None = None  # of the repeats at `batch_size`


class MatrixProducts(Strict):
    """What the machine multiplies square matrices at, in the precision of training: the yardstick of utilisation."""

    precision: str
    flops_per_sec: dict[int, float]  # side of the matrices -> the fastest of the repeats


class Memory(Strict):
    """Peak memory, each in a fresh process and at a fixed batch size. The peaks are counts that equal code repeats to
    the byte, but for those of earlier records, whose quantity is "peak resident above import".
    """

    quantity: str  # of the peaks: "peak of live tensors", "peak allocated on the GPU"
    train_peak_bytes: int | None
    train_batch_size: int
    sample_peak_bytes: int | None
    sample_batch_size: int
    options: dict[str, Scalar] | None = None  # of the sampler
    train_reserved_bytes: int | None = None  # by the caching allocator, on a GPU
    sample_reserved_bytes: int | None = None
    train_resident_bytes: int | None = None  # of the process above import, on a processor: differs from run to run
    sample_resident_bytes: int | None = None
    reason: str | None = None
