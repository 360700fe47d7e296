"""The contract that every family keeps.

A model is a torch module built from a frozen config and an image shape. Images cross its boundary as uint8
`[B, C, H, W]` with C = 1 or 3 and sides a multiple of 4. What a family cannot do is a declared value, never a missing
attribute.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from torch import Generator, Tensor, nn

from equibench_models.about import About as About  # imported from here, with the rest of the contract
from equibench_models.parts import BatchPart

Shape = tuple[int, int, int]  # C, H, W
LikelihoodKind = Literal["none", "exact", "upper bound", "estimate"]


class Config(BaseModel):
    """What all configs hold; a family adds its own fields. Unknown or out-of-range values raise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # The fields that are turned to meet the parameter cap, at most two, where a suite leaves them free: whole numbers,
    # with each of which parameters grow. The first goes in steps that processors are fast at, the second fills the rest
    # of the cap and stays as near to its default as that allows. Bounds and `multiple_of` of the fields are kept to.
    knobs: ClassVar[tuple[str, ...]] = ("width",)

    width: int = Field(64, ge=8, le=2**20, description="channels of the hidden maps")
    batch_size: int = Field(64, ge=1, description="images an update")
    learning_rate: float = Field(2e-3, gt=0, description="greatest step size of Adam")
    optimizer: Literal["adam", "muon"] = Field("muon", description="of the weights of layers; the rest is Adam's")
    weight_decay: float = Field(
        0.01, ge=0, description="each update subtracts this times the step size times the weight"
    )


class LabelledConfig(Config):
    """Config of a family that can be conditioned on labels. Without labels `classes` is left out of what it dumps, so
    that such a config reads as it did before there were labels.
    """

    classes: int = Field(0, ge=0, le=2**16, description="0: without labels; else the number of classes to condition on")

    @model_serializer(mode="wrap")
    def _unlabelled(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = whole(self)
        return {name: value for name, value in found.items() if name != "classes" or value}


class Options(BaseModel):
    """Options of a family's `sample`, with their defaults; a family adds its own. Unknown or bad ones raise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Bound:
    """A way to a family's likelihood beside its usual one: the name is the key it is declared under."""

    kind: LikelihoodKind
    dequantization: str  # "none" where the model gives probabilities to the 8-bit images themselves
    about: str
    # (model, uint8 images [B, C, H, W], generator, steps or None for the default) -> nats [B], one random pass; given
    # the labels of the images, int64 [B], where the model has classes
    nats: Callable[..., Tensor]
    weight: bool = False  # exp(-nats) of one pass is an unbiased estimate of the probability of the image
    steps: int | None = None  # of a chain or a solver: the number by default

    def way(self, model: Model, steps: int | None = None) -> Callable[..., Tensor]:
        """One random pass of it through `model`: uint8 images `[B, C, H, W]`, a generator and, where the model has
        classes, their labels -> nats `[B]`.
        """
        return lambda images, generator, *labels: self.nats(model, images, generator, steps, *labels)


@dataclass(frozen=True)
class Showing:
    """What a trained model shows of its workings: measured numbers, and pictures with their captions, each uint8
    `[rows, columns, C, H, W]`.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, tuple[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Component:
    """A part of a model as it is drawn. Shapes are without the batch."""

    name: str  # unlike every other's
    kind: str  # what it is, in a few words
    weights: Sequence[nn.Module | nn.Parameter]  # which hold its parameters
    inputs: Sequence[tuple[int, ...]] = ()
    outputs: Sequence[tuple[int, ...]] = ()
    # names of the components that feed this one, or "image" and "noise", the two ends of the diagram; a component that
    # leads from the image to the noise and is needed for sampling runs backwards there
    follows: tuple[str, ...] = ()
    repeats: int = 1  # equal blocks in a row
    samples: bool = True  # whether drawing a sample uses it

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that training may change."""
        held = [[one] if isinstance(one, nn.Parameter) else list(one.parameters()) for one in self.weights]
        return [one for some in held for one in some if one.requires_grad]


class Model(nn.Module, ABC):
    """One family. Parameters with `requires_grad` are what training may change, and what the cap counts.

    Subclasses make their networks and optimisers in `__init__(config, shape)`. One whose config has `classes` above 0
    is class-conditional: it models p(x | y), and hence images as sum_y p(y) p(x | y), where p(y) are the frequencies of
    the labels, `label_shares`. Its `update`, `nats` and bounds take the `labels` of images, int64 `[B]`, as one more
    argument; its `sample` takes labels, or draws them by these frequencies. Without classes there is no such argument.
    """

    config_type: ClassVar[type[Config]]
    options_type: ClassVar[type[Options]] = Options
    about: ClassVar[About]
    likelihood: ClassVar[LikelihoodKind]
    dequantization: ClassVar[str | None]
    bounds: Mapping[str, Bound] = {}  # other ways to the likelihood
    nats_detail: Mapping[str, int] = {}  # what else the record should say of the usual way
    samplers: ClassVar[Mapping[str, Mapping[str, Any]]]  # other settings of `sample` worth a point in the report
    ways: ClassVar[tuple[str, ...]] = ()  # keys of `samplers` that the family is known by too; each has a headline row
    latent_dims: int = 0  # entries of the vector that `decode` takes; 0: this family has no decoder
    cycle: int = 1  # updates after which their FLOPs repeat; 16 with a term that only every 16th update takes
    # children through which an update takes second derivatives, which torch.compile cannot: it leaves them alone
    differentiated_twice: ClassVar[tuple[str, ...]] = ()
    # whether one update may be captured as a CUDA graph and replayed for the others: all launch the same kernels, wait
    # for nothing, draw nothing on the processor, and take `progress` as a float32 scalar on the device too
    capturable: ClassVar[bool] = False
    shared: ClassVar[bool] = False  # whether `update` keeps to `part`, so that several processes may train it together
    part: BatchPart = BatchPart()  # the part of every batch that this process handles in an update
    config: Config
    shape: Shape
    label_shares: Tensor  # of a class-conditional model: the frequency of each label, float32 [classes]

    @classmethod
    def build(cls, config: Mapping[str, Any], shape: Shape) -> Self:
        """A model from plain values. Raises pydantic.ValidationError for a bad config."""
        return cls(cls.config_type.model_validate(config), shape)

    @abstractmethod
    def __init__(self, config: Any, shape: Shape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        if self.classes:
            self.register_buffer("label_shares", torch.full((self.classes,), 1 / self.classes))

    @property
    def classes(self) -> int:
        """The number of classes that it is conditioned on; 0 without labels."""
        return int(getattr(self.config, "classes", 0))

    def draw_labels(self, n: int, generator: Generator) -> Tensor:
        """int64 `[n]`, by their frequencies. Nothing waits for the device."""
        uniform = torch.rand(n, generator=generator, device=generator.device)
        ends = self.label_shares.cumsum(0).to(uniform.device)
        return torch.searchsorted(ends / ends[-1], uniform, right=True).clamp(max=self.classes - 1)

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        """Labels int64 `[B]` as networks take them: one-hot `[B, classes]` float32; None without classes. Raises
        ValueError where there are labels and no classes, or the other way round.
        """
        if (labels is None) != (self.classes == 0):
            raise ValueError("labels are needed exactly where the config has classes")
        if labels is None:
            return None
        # not F.one_hot, which waits for the device to tell how great a label is
        return (labels[:, None] == torch.arange(self.classes, device=labels.device)).float()

    def checked_labels(self, labels: Tensor | None, n: int) -> Tensor | None:
        """The labels of n images, as they were given. Raises ValueError where they are not int64 `[n]` of classes that
        the model has.
        """
        if labels is None or not self.classes:
            return labels
        if labels.dtype != torch.int64 or labels.shape != (n,):
            raise ValueError(f"labels are int64 [{n}], one an image, not {labels.dtype} {list(labels.shape)}")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise ValueError(f"labels are 0 to {self.classes - 1}, not {int(labels.min())} to {int(labels.max())}")
        return labels

    def sample_labels(self, n: int, generator: Generator, labels: Tensor | None) -> Tensor | None:
        """One-hot labels of n samples `[n, classes]`, those given or drawn ones; None without classes."""
        drawn = self.classes and labels is None
        return self.one_hot(self.draw_labels(n, generator) if drawn else self.checked_labels(labels, n))

    def label_frequencies(self, n: int) -> Tensor | None:
        """The classes' frequencies for n images, `[n, classes]`, in place of one-hot labels that a network is not
        to be told; None without classes.
        """
        return self.label_shares.expand(n, -1) if self.classes else None

    @abstractmethod
    def update(self, images: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        """One optimisation step on uint8 images `[B, C, H, W]`; returns its losses as scalars on the device.

        `progress` is the share of the budget spent, in [0, 1]: schedules follow it, and change nothing of the cost.
        Every update takes the same FLOPs, or those of the update `cycle` before it. Random numbers come from torch's
        default generator of the device.

        Of several processes that train it together, each with its `part`, all are given the whole batch; the losses
        are then parts, whose sum over all of them is the loss.
        """

    @abstractmethod
    def sample(self, n: int, generator: Generator, *, batch_size: int = 250) -> Tensor:
        """uint8 images `[n, C, H, W]`; families take the fields of their `options_type` too. All noise is drawn from
        `generator` for all n before the batches it is for: the same state and `batch_size` give the same bytes,
        another `batch_size` the same images up to rounding.
        """

    @abstractmethod
    def nats(self, images: Tensor, generator: Generator) -> Tensor:
        """Negative log-likelihood of 8-bit images in nats, `[B]`: one random pass, unbiased for the bound where
        `likelihood` says it is one; `bounds` holds the other ways. Raises NotImplementedError where it is `none`.
        """

    def decode(self, z: Tensor) -> Tensor:
        """Vectors `[B, latent_dims]`, standard normal in the model -> mean images `[B, C, H, W]` in [-1, 1],
        differentiable. Raises NotImplementedError where `latent_dims` is 0.
        """
        raise NotImplementedError(f"a {self.about.title.lower()} has no decoder")

    @abstractmethod
    def show(self, images: Tensor, generator: Generator) -> Showing:
        """What this trained model shows of its family's workings on uint8 test images `[B, C, H, W]`, B >= 12."""

    def represent(self, images: Tensor, generator: Generator) -> Mapping[str, Tensor]:  # noqa: ARG002
        """What the model makes of uint8 images `[B, C, H, W]` on its way, by name, each float32 `[B, d]`: latents,
        features of a layer. No label is told to it; noise is drawn from `generator`. By default there is nothing.
        """
        return {}

    @abstractmethod
    def sampling_parameters(self) -> int:
        """How many parameters sampling needs, without what only training uses."""

    def components(self) -> list[Component]:
        """The parts of the model in the order in which a reader meets them; each trainable parameter is in one of them.
        By default there is one for each child module with trainable parameters, of which only the size is known.
        """
        found = [Component(name, type(child).__name__, [child]) for name, child in self.named_children()]
        own = Component("own", "parameters", [one for _, one in self.named_parameters(recurse=False)])
        return [one for one in (*found, own) if one.parameters]

    def noise_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the random numbers that one sample starts from, without the batch; by default none is known."""
        return []

    def network_evaluations(self, **options: Any) -> int:  # noqa: ARG002 (for families with such options)
        """Passes through the network that one sample takes in sequence (NFE), with these options of `sample`."""
        return 1
