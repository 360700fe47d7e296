"""What a suite measures, and with how much, as its file says it. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from equibench.record.base import Strict

MOST_COUNTED = 10**9  # of anything that is counted in a suite, far above what any machine does
ADDED = ("more_extractors", "by_class", "probes")  # to what is measured, which older records know nothing of
Count = Annotated[int, Field(ge=1, le=MOST_COUNTED)]
Several = Annotated[int, Field(ge=2, le=MOST_COUNTED)]
Seconds = Annotated[float, Field(gt=0, le=MOST_COUNTED)]


class SuiteTable(Strict):
    """A table of a suite's file."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python counts true as 1, but nobody means it so."""
        parts = value if isinstance(value, list) else [value]
        truth = cls.model_fields[info.field_name or ""].annotation in (bool, bool | None)
        if not truth and any(isinstance(x, bool) for x in parts):
            raise ValueError("true and false stand for no number and no text here")
        return value


Way = Literal["importance weighting", "uniform dequantization", "full chain", "continuous time", "probability-flow ODE"]
Unlike = Literal["inverted", "constant", "noise", "shuffled pixels"]


class BoundSetting(SuiteTable):
    """Another way to the likelihood than the usual one, for the families that declare it."""

    name: Way  # a family declares those that it has
    images: Several  # of the likelihood's, drawn
    passes: Count = 1  # for importance weighting K, else draws to average
    check_steps: bool = True  # where a chain or a solver has steps, measure twice as many too


class Annealing(SuiteTable):
    """Annealed importance sampling through the decoder, for the families that have one."""

    images: Several = 16  # of the test split, drawn, and as many of the model's own
    chains: Count = 8  # for each image
    temperatures: Several = 500  # from the prior to the posterior
    leapfrog_steps: Count = 10  # of Hamiltonian Monte Carlo at each temperature
    sigma: float = Field(0.1, gt=0)  # deviation of the Gaussian observation model, images in [0, 1]


class AlongTraining(SuiteTable):
    """Quality at points of the training before its end, and at the end, from one set of noise."""

    points: Annotated[int, Field(ge=1, le=20)] = 4  # before the end, each at half the budget of the next
    samples: Several = 1300  # at each point; a distance needs more than its features have dimensions
    likelihood_images: Count = 500  # of the likelihood's, drawn


class ClassSetting(SuiteTable):
    """Numbers by class, where the labels of the data are known."""

    train_images: Several = 5000  # drawn: of the classifier that judges samples, and of each class's floor


class ProbeSetting(SuiteTable):
    """How well classes are told from what a model makes of images, where the labels of the data are known."""

    train_images: Several = 5000  # drawn, whose classes are known
    test_images: Several = 2000  # drawn, whose classes are to be told


class Measuring(SuiteTable):
    """What is measured on every cell, and with how much."""

    samples: Several = 5000  # for the Frechet distance
    reference_images: Several = 10_000  # of the test split
    extractor: str = "auto"  # see `equibench ls`
    more_extractors: list[str] = []  # of other feature spaces, in which the headline's samples are measured too
    splits: Count = 10  # into halves, for the distance without bias and for pairs of entrants
    resamples: Several = 20  # of the bootstrap, for the distance without bias
    memorization_images: int = Field(10_000, ge=0, le=MOST_COUNTED)  # of training, and as many held out; 0: no test
    noise_samples: int = Field(64, ge=0, le=MOST_COUNTED)  # from the same noise for every run, for `check`; 0: none
    sampler_points: bool = True  # measure the other sampler settings of each family too
    sweep_samples: Several = 5000  # for the distance at each of these settings, at most `samples`
    sweep_evaluations: Count = 1000  # settings that take more passes through the network are left out
    along: AlongTraining | None = None  # measure points of the training too, after it and off its clock
    likelihood_images: Count = 10_000  # of the test split, drawn
    likelihood_passes: Count = 1  # draws for each image, averaged
    bound: list[BoundSetting] = []  # other ways to the likelihood, beside the usual one
    annealing: Annealing | None = None  # annealed importance sampling through decoders
    out_of_distribution: list[Unlike] = []  # images made from test images, whose bits/dim are measured too
    out_of_distribution_images: Several = 500  # of each of these kinds
    speed_batch_sizes: list[Count] = Field([16, 64, 256], min_length=1)  # the headline shows the fastest
    speed_modes: list[Literal["compile", "cuda graph"]] = []  # beside eager mode, which is always measured
    speed_limit_sec: Seconds = 3.0  # for each batch size, after warm-up
    latency_limit_sec: Seconds = 10.0  # for 100 repeats at batch 1
    memory_batch_size: Count = 64  # of training and of sampling, for their peaks of memory
    by_class: ClassSetting | None = None  # numbers by class too
    probes: ProbeSetting | None = None  # probe the models for classes

    @property
    def defining(self) -> dict[str, Any]:
        """What of it defines a record: one of a single feature space, or that asks for nothing of classes, is what it
        was before there could be more.
        """
        return self.model_dump(exclude={name for name in ADDED if not getattr(self, name)})
