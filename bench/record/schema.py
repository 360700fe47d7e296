"""The record: what one cell yielded, as one write-once JSON file with a schema.

Values are raw and in SI units (the unit is in the name); converting and rounding are the report's. What could
not be measured is `None` with a `reason` beside it. Pictures and other arrays lie in an `.npz` file of the same name,
whose sha256 the record holds. This module imports no torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PrivateAttr

from equibench.protocol import PROTOCOL
from equibench.record.anatomy import DistanceParts, FixedNoise, Structure
from equibench.record.anatomy import Portrait as Portrait  # imported from here, as its likes are
from equibench.record.base import Scalar, Strict
from equibench.record.cost import Energy, MatrixProducts, Memory, Speed
from equibench.record.data import DataInfo as DataInfo  # likewise
from equibench.record.labels import ByClass, Probes
from equibench.record.surroundings import Attempt, Libraries, Loaded, Numerics, TimedBlock, Tuning
from equibench.record.surroundings import Code as Code  # imported from here, as their likes are
from equibench.record.surroundings import Machine as Machine

SCHEMA_VERSION = 3  # of a record's form (docs/records.md): a field that is added, or changes its meaning, raises it

# the vocabulary of a record's clock, of the parts of its training, and which of the former are the work itself
Part = Literal[
    "start", "load", "build", "matrix products", "train", "write", "sample", "features", "quality", "likelihood",
    "more likelihoods", "annealing", "speed", "memory", "portrait", "reference workload", "along training", "classes",
]  # fmt: skip
TrainingPart = Literal["data", "update", "checkpoint", "measurement"]
# Parts of the clock that are the work itself; `speed` is sampling with a stopwatch.
WORK: set[Part] = {
    "train", "sample", "speed", "features", "likelihood", "more likelihoods", "annealing", "along training", "classes",
}  # fmt: skip

# "incomplete": trained, and some stage of measuring failed, which leaves the numbers of the others
Status = Literal["ok", "budget missed", "incomplete", "diverged", "out of memory", "timed out", "crashed"]

BudgetUnit = Literal["flops", "images", "sec", "updates"]
LikelihoodKind = Literal["none", "exact", "upper bound", "estimate"]
USUAL = "headline"  # label of the sampler setting that the headline table shows


class Budget(Strict):
    """What training may spend: a cap on trainable parameters, and an amount of one unit."""

    params: int = Field(gt=0)  # trainable parameters at most, of all networks that training needs
    unit: BudgetUnit = "flops"  # what is counted of the training
    amount: float = Field(gt=0)  # of that unit, for one training


class Spent(Strict):
    """What training did spend, in every unit. `train_sec` excludes measurement; `compile_sec` is part of it."""

    params: int  # trainable: generator and discriminator, encoder and decoder
    sampling_params: int  # those that sampling needs
    flops: float
    flops_per_image: float
    images: int
    updates: int
    train_sec: float
    compile_sec: float = 0.0
    parts_sec: dict[str, float] = {}  # those but "measurement", which comes on top, sum to train_sec
    energy: Energy | None = None


class Curve(Strict):
    """Training curves: equally long columns, one entry a logged update (losses averaged since the entry before)."""

    updates: list[int]
    flops: list[float]
    train_sec: list[float]
    losses: dict[str, list[float]]


class FeatureInfo(Strict):
    """Identity of a feature space: a number from another one is another metric."""

    name: str
    weights_sha256: str
    preprocessing: str
    dims: int
    probe_sha256: str | None = None  # of its features of fixed images, rounded: what it does, whatever it is called


class Interval(Strict):
    low: float
    high: float
    level: float
    method: str


class SampleMetric(Strict):
    """Another number on the same samples, in the same features and against the same reference."""

    name: Literal["KID", "KD", "precision", "recall", "density", "coverage", "sliced Wasserstein"]
    value: float | None
    stderr: float | None = None
    stderr_over: str | None = None  # what the error is over: "samples", "projections", ...
    stderr_with_reference: float | None = None  # over samples and reference images together
    reason: str | None = None  # why there is no value
    higher_is_better: bool
    n_samples: int
    n_reference: int


class Memorization(Strict):
    """Whether samples lie nearer to training images than to as many held-out ones (1/2 without memorization)."""

    share_nearer_train: float
    stderr: float
    p: float  # one-sided
    n_train: int  # and as many held out


class Quality(Strict):
    """A distance between samples and the reference split; lower is better. Intervals hold for the one model that drew
    the samples: they know nothing of what another training would give.
    """

    metric: Literal["FD", "FID"]  # FID is Inception-v3 with the TF-2015 weights alone
    value: float | None
    reason: str | None = None  # why there is no value, or no interval
    n_samples: int
    n_reference: int
    reference: str  # split of the data set, e.g. "test", or the file of imported statistics
    reference_sha256: str | None = None  # of the reference's images
    features: FeatureInfo | None
    options: dict[str, Scalar] = {}  # of the sampler
    stderr: float | None = None  # of `value`, over samples
    stderr_method: str | None = None
    interval: Interval | None = None  # of the expectation of `value` at n_samples
    halves: list[float] = []  # distances of the two halves of each split, in turn; all entrants are split alike
    corrected: float | None = None  # without the bias of a finite number of samples
    corrected_for: str | None = None  # whose finite number: "samples", or "samples and reference"
    corrected_interval: Interval | None = None
    also: list[SampleMetric] = []
    memorization: Memorization | None = None


class Likelihood(Strict):
    """Bits per dimension over 8-bit data on the test split; lower is better."""

    kind: LikelihoodKind
    bits_per_dim: float | None
    stderr_bits_per_dim: float | None = None  # over images
    stderr_monte_carlo_bits_per_dim: float | None = None  # the part of it that more draws an image would lessen
    reason: str | None = None
    dequantization: str | None = None  # "none" where the likelihood is discrete
    given: Literal["label"] | None = None  # what it is conditional on: the true label of each image
    n_images: int = 0
    passes: int = 0
    detail: dict[str, Scalar] = {}  # terms of the bound, steps, convergence


class BoundResult(Likelihood):
    """Another way to the likelihood, on some of the test images: declared by the family under `name`."""

    name: str
    about: str
    usual_bits_per_dim: float  # the headline's estimate on the same images
    stderr_of_difference_bits_per_dim: float  # of this one to that, over images
    curve: dict[int, float] = {}  # weights K, or steps, -> bits per dimension


class DecoderLikelihood(Strict):
    """log p(x) under a decoder and a Gaussian observation model, by annealed importance sampling (Wu et al. 2017).
    Not comparable with bits per dimension of the family's own likelihood.
    """

    sigma: float  # deviation of the observation model, where images lie in [0, 1]
    n_images: int
    chains: int
    temperatures: int
    leapfrog_steps: int
    acceptance: float  # of the Hamiltonian moves
    log_likelihood_nats: float  # a lower bound in expectation, of test images with uniform noise, mean over images
    stderr_nats: float  # over images
    # on images simulated by the model itself, the truth lies between the two (bidirectional Monte Carlo)
    simulated_lower_nats: float
    simulated_upper_nats: float


class SamplerPoint(Strict):
    """One setting of an entrant's speed or quality knob, the headline's among them: all on as many samples."""

    label: str
    options: dict[str, Scalar]
    quality: Quality
    images_per_sec: float
    network_evaluations: int
    flops_per_image: float
    pictures: str | None = None  # key of the arrays file: uint8 [n, C, H, W], drawn with this setting


class TrainingPoint(Strict):
    """What the model gave at one point of its training, measured off the clock; the spending is up to that point."""

    label: str  # e.g. "25 %"
    share: float = Field(gt=0, le=1)  # of the budget
    updates: int
    images: int
    flops: float
    train_sec: float
    quality: Quality | None = None
    likelihood: Likelihood | None = None
    pictures: str | None = None  # key of the arrays file: uint8 [n, C, H, W], of the same noise at every point
    reason: str | None = None  # why a part is missing


class RealDataPoint(Strict):
    """The distance of real training images at another number of images than the headline's."""

    label: str  # that number
    quality: Quality


class InSpace(Strict):
    """Quality of the headline's samples in another feature space."""

    name: str  # of the space
    quality: Quality


class Results(Strict):
    """What training and the stages of measuring gave: a part that was not measured, or failed, is empty."""

    config: dict[str, Scalar] = {}  # of the model, resolved
    checkpoint: str | None = None  # where the weights came from or went, relative to the record
    weights_sha256: str | None = None  # over family, config and weights: equal for equal trainings
    trained_by: Code | None = None  # the code that trained them, where it is not `code`
    loaded: Loaded | None = None  # of an entrant that was not trained
    spent: Spent | None = None
    curve: Curve | None = None
    quality: Quality | None = None
    spaces: list[InSpace] = []  # other ones than the headline's
    likelihood: Likelihood | None = None
    bounds: list[BoundResult] = []
    decoder_likelihood: DecoderLikelihood | None = None
    out_of_distribution_bits_per_dim: dict[str, float] = {}  # kind of images -> the usual estimate on them
    out_of_distribution_images: int | None = None  # of each kind
    speed: Speed | None = None
    matrix_products: MatrixProducts | None = None  # in the run that trained
    sampler_points: list[SamplerPoint] = []
    ways: list[SamplerPoint] = []  # settings that the family is known by too, measured as the headline is
    memory: Memory | None = None
    portrait: Portrait | None = None
    structure: Structure | None = None
    along: list[TrainingPoint] = []  # training, in order
    real_data_at: list[RealDataPoint] = []  # of the floor "real data": at the number of images of every setting
    fixed_noise: FixedNoise | None = None
    distance_parts: DistanceParts | None = None
    by_class: ByClass | None = None
    probes: Probes | None = None
    tuning: Tuning | None = None
    timed: list[TimedBlock] = []
    numerics: Numerics | None = None  # of the process that measured, at its end
    libraries: Libraries | None = None
    failures: dict[str, str] = {}  # stage of measuring that failed -> why


class Record(Results):
    """All that one cell yielded. `role` is "floor" for reference rows that no one trained (protocol, rule 10)."""

    _edited: bool = PrivateAttr(False)  # whether its file was changed after it was written; no file says so

    schema_version: int = Field(SCHEMA_VERSION, ge=0)  # 0 where the file does not say it
    protocol: str = PROTOCOL
    key: str  # sha256 over everything that defines the cell
    measuring_sha256: str | None = None  # of the suite's `measure` and the sampler's options, which the clock follows
    suite: str
    entrant: str
    role: Literal["entrant", "floor"] = "entrant"
    family: str | None = None  # "gan" | "vae" | "flow" | "diffusion", or a user's own `module:Class`
    seed: int
    status: Status
    reason: str | None = None  # of any status but "ok", one sentence
    created: str  # UTC, ISO 8601
    data: DataInfo
    budget: Budget | None = None
    clock: dict[str, float] = {}  # named parts in seconds; they sum to "wall"
    arrays_sha256: str | None = None  # of the .npz beside the record
    content_sha256: str | None = None  # of the record without this field: `hashing.digest` of its JSON value
    invocation: str | None = None  # the same for all cells of one `equibench run`, which share its moment's conditions
    attempts: list[Attempt] = []
    machine: Machine
    versions: dict[str, str]
    code: Code
