"""The parts of a record on what surrounded its numbers: machine, code, arithmetic, libraries, load, earlier attempts.

All but machine and code are empty where nothing was recorded, as in every record of the form 0.
"""

from __future__ import annotations

from typing import Literal

from equibench.record.base import Scalar, Strict

SAMPLER = "sampler."  # before an option of `sample` where it stands among the fields of a config


class Machine(Strict):
    """What a cell ran on, and how the arithmetic of its networks was set."""

    key: str  # short hash of the fields below: speeds of different keys are never compared
    device: str
    processor: str
    cores: int
    threads: int
    memory_bytes: int
    precision: str  # that entrants multiply in unless they ask otherwise: "bfloat16" or "float32"
    system: str
    processes: int = 1  # that train an entrant together, each with a device of its own

    @property
    def hardware(self) -> str:
        """What computed: the name of the GPU, or else of the processor."""
        return self.processor if self.device == "cpu" else self.device


class Code(Strict):
    """Which code of equibench, and of a user's own, made the numbers."""

    commit: str | None
    dirty: bool | None
    version: str
    sources_sha256: str | None = None  # of the installed sources that can change a number
    own_sha256: dict[str, str] = {}  # a user's own `module:name` that was used -> of its source, and what that imports


class Loaded(Strict):
    """Where an entrant that was not trained by the run came from, and what is not known of it."""

    kind: Literal["checkpoint", "torchscript", "torch.export", "diffusers", "samples", "command"]
    source: str  # name of the file or folder, or the command
    params: int | None = None  # parameters that sampling takes
    unknown: list[str] = []  # of what the budgets of trained entrants say, in words


class Numerics(Strict):
    """Arithmetic that was asked for: with the same weights, machine and libraries it decides on the last bit."""

    threads: int  # within an operator
    interop_threads: int | None = None  # between operators
    training: str | None = None  # precision of each kind of work: "float32", "bfloat16" (autocast)
    sampling: str | None = None
    features: str | None = None
    likelihood: str | None = None
    matmul_precision: Literal["highest", "high", "medium"] | None = None  # of float32 matrix products
    tf32: bool | None = None  # in convolutions on a GPU
    deterministic: bool | None = None  # whether torch was told to use deterministic algorithms where it has them
    cudnn_benchmark: bool | None = None  # whether algorithms were chosen by timing them
    compilation: str | None = None  # of training: "eager", "cuda graph", or backend and mode of the compiler
    environment: dict[str, str] = {}  # variables that change arithmetic, e.g. OMP_NUM_THREADS, with their values


class Libraries(Strict):
    """What lies behind an operator, with versions or builds; packages of Python are in the record's `versions`."""

    python: str | None = None
    blas: str | None = None  # behind a matrix product on the processor, e.g. "MKL 2024.2"
    lapack: str | None = None
    openmp: str | None = None
    onednn: str | None = None
    instructions: str | None = None  # instruction set that torch chose, e.g. "AVX512"
    libc: str | None = None
    cuda: str | None = None  # runtime that torch was built with
    driver: str | None = None  # of the GPU
    cudnn: str | None = None
    others: dict[str, str] = {}  # name -> version


class Load(Strict):
    """How busy the machine was with other work while a block was timed."""

    others_cpu_share: float | None = None  # of all cores' time, by processes that are not the cell's; in [0, 1]
    others_gpu_share: float | None = None  # of the GPU's time, likewise
    load_average: float | None = None  # processes that ran or waited, mean over the last minute of the block
    free_memory_bytes: int | None = None  # least of the block
    clock_hz: float | None = None  # of the processor, mean over cores and block
    reason: str | None = None  # why a reading is missing


class ReferenceWorkload(Strict):
    """Fixed work, timed beside a block: another machine, or a busy one, slows both down."""

    name: str  # of its definition: another one has another name
    before_sec: list[float]  # repeats right before the block
    after_sec: list[float] = []  # and right after it


class TimedBlock(Strict):
    """What the machine did around one timed block of a cell."""

    name: str  # "train", "speed", "latency", "memory", ...
    load: Load | None = None
    reference: ReferenceWorkload | None = None


class Attempt(Strict):
    """One try at a cell. The last gave the record; those before it were killed, or stopped with their machine."""

    name: str  # its place among the tries: "1", "2", ...
    begun: str  # UTC, ISO 8601
    sec: float | None = None  # from begin to end; None where it did not live to say
    from_updates: int = 0  # of training, at the checkpoint that it went on from
    to_updates: int | None = None  # of training that it reached
    ended: str | None = None  # why it ended, in a sentence; None for the one that wrote the record


class Tuning(Strict):
    """What was spent to choose an entrant's settings, which no budget of a cell counts."""

    trials: int  # at a share of the budget
    full_runs: int | None = None  # of the best of them and of the settings before, at the whole budget
    flops: float | None = None  # of training, over all trials and full runs
    train_sec: float | None = None  # likewise
    study: str | None = None  # name of the study, which is committed beside the suite
    study_sha256: str | None = None  # of the study's file
    chosen: dict[str, Scalar] = {}  # all settings of what the study's rule chose, but those that fit it to the budget
