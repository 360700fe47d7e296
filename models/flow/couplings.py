"""The couplings of the flow: conditioned mixtures of logistics, in a scale and over a vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from equibench_models.contract import LabelledConfig
from equibench_models.layers import LogisticMixture, Mixer, ResBlock, conv

KEPT, DIAGONAL, RIGHT, BELOW = 0, 3, 1, 2  # a 2x2 block in the order of pixel_unshuffle


class FlowConfig(LabelledConfig):
    """Settings of the flow: couplings, dequantizer and training."""

    knobs: ClassVar[tuple[str, ...]] = ("width", "hidden")

    width: int = Field(80, ge=8, description="hidden units of the dense couplings")
    batch_size: int = Field(32, ge=1, description="images an update")
    learning_rate: float = Field(5e-3, gt=0, description="greatest step size of Adam")
    components: int = Field(6, ge=1, description="logistics in the mixture of every transformed value")
    depth: int = Field(1, ge=1, description="residual blocks a conditioning network")
    coarse_share: float = Field(0.5, gt=0, description="channels of the coarser convolutions, as a share of width")
    fine_share: float = Field(0.3, gt=0, description="and of the finer ones")
    fine_couplings: Literal[2, 3, 4, 6] = Field(4, description="couplings of the finer scale")
    middle_couplings: Literal[2, 3, 4, 6] = Field(4, description="and of the coarser one")
    couplings: int = Field(2, ge=2, description="checkerboard couplings of the coarsest map")
    dense_couplings: int = Field(4, ge=0, description="couplings of that map as a vector, after those")
    dense_components: int = Field(4, ge=1, description="logistics in their mixtures")
    mixed: int = Field(
        2, ge=0, description="channels of the coarser maps that dense layers mix over all places; 0: none"
    )
    hidden: int = Field(64, ge=1, description="hidden units of those layers")
    dequantization_width: int = Field(24, ge=1)
    average_gamma: float = Field(10.0, ge=0)


def split(y: Tensor) -> tuple[Tensor, ...]:
    """`[B, C, H, W]` -> the polyphase components kept, diagonal, right and below, each `[B, C, H/2, W/2]`."""
    n, channels, height, width = y.shape
    phases = F.pixel_unshuffle(y, 2).reshape(n, channels, 4, height // 2, width // 2)
    return tuple(phases[:, :, i] for i in (KEPT, DIAGONAL, RIGHT, BELOW))


def join(kept: Tensor, diagonal: Tensor, right: Tensor, below: Tensor) -> Tensor:
    """The inverse of `split`."""
    return F.pixel_shuffle(torch.stack([kept, right, below, diagonal], dim=2).flatten(1, 2), 2)


class Conditioner(nn.Module):
    """Known values `[B, inputs, h, w]` -> the mixtures of `channels` values at every place. With `places`, (h, w), all
    of them are mixed first. With classes the hidden maps are shifted by a vector of the label's own.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        width: int,
        config: FlowConfig,
        *,
        pixels: bool,
        places: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.components, self.pixels = channels, config.components, pixels
        self.stem = conv(inputs, width)
        mixers = [Mixer(width, config.mixed, config.hidden, places)] if places and config.mixed else []
        self.body = nn.Sequential(*mixers, *(ResBlock(width) for _ in range(config.depth)))
        self.head = conv(width, LogisticMixture.size(channels, config.components), 1, gain=0.1)
        self.label = nn.Linear(config.classes, width, bias=False) if config.classes else None

    def forward(self, *known: Tensor, label: Tensor | None = None) -> LogisticMixture:
        x = torch.cat(known, dim=1).contiguous(memory_format=torch.channels_last)
        h = self.stem(x)
        if self.label is not None:
            h = h + self.label(label)[:, :, None, None]
        raw = self.head(F.silu(self.body(h)))
        return LogisticMixture(raw, self.channels, self.components, pixels=self.pixels)


Masks = Mapping[int | None, Tensor | None]  # of a checkerboard's colours


class Taken(NamedTuple):
    """What one coupling of a scale transforms: some of the components 0 diagonal, 1 right and 2 below, at all their
    places, or at those of one colour of a checkerboard.
    """

    components: tuple[int, ...]
    colour: int | None = None


# by the number of a scale's couplings: noise that one coupling draws at neighbouring places is independent
ORDERS = {
    2: (Taken((0,)), Taken((1, 2))),
    3: (Taken((0,)), Taken((1,)), Taken((2,))),
    4: (Taken((0,), 0), Taken((0,), 1), Taken((1,)), Taken((2,))),
    6: tuple(Taken((i,), colour) for i in range(3) for colour in (0, 1)),
}


def checkerboard(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """1 where row and column sum to an odd number, else 0: `[1, 1, height, width]`."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    return ((rows[:, None] + columns) % 2).float()[None, None]


class Scale(nn.Module):
    """Couplings that turn all components of a map but the one kept into noise, each given all that comes before it."""

    def __init__(
        self, channels: int, width: int, config: FlowConfig, couplings: int, places: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.steps = ORDERS[couplings]
        self.known = [_known_before(self.steps[:i]) for i in range(couplings)]
        self.conditioners = nn.ModuleList(
            Conditioner(
                channels * (1 + len(known)) + (step.colour is not None),
                channels * len(step.components),
                width,
                config,
                pixels=True,
                places=places,
            )
            for step, known in zip(self.steps, self.known, strict=True)
        )

    def forward(self, y: Tensor, label: Tensor | None = None) -> tuple[Tensor, list[Tensor], Tensor]:
        """-> the component kept, the noise maps of the diagonal, right and below ones, and log |det| in nats `[B]`."""
        kept, *parts = split(y)
        masks = _colours(kept)
        noise = [torch.zeros_like(kept) for _ in parts]
        log_det = torch.zeros(len(y), device=y.device)
        for i, step in enumerate(self.steps):
            values = torch.cat([parts[j] for j in step.components], dim=1)
            z, log_slope = self._mixture(i, kept, parts, masks, label).to_logistic(values)
            mask = masks[step.colour]
            self._put(noise, z, step, mask)
            log_det = log_det + (log_slope if mask is None else mask * log_slope).sum(dim=(1, 2, 3))
        return kept, noise, log_det

    def inverse(self, kept: Tensor, noise: list[Tensor], label: Tensor | None = None) -> Tensor:
        masks = _colours(kept)
        parts = [torch.zeros_like(kept) for _ in noise]
        for i, step in enumerate(self.steps):
            z = torch.cat([noise[j] for j in step.components], dim=1)
            y = self._mixture(i, kept, parts, masks, label).from_logistic(z)
            self._put(parts, y, step, masks[step.colour])
        return join(kept, *parts)

    def _mixture(
        self, i: int, kept: Tensor, parts: list[Tensor], masks: Masks, label: Tensor | None
    ) -> LogisticMixture:
        """The mixtures of step i's values, given the components before it."""
        given = [kept]
        for j, colour in self.known[i]:
            mask = masks[colour]
            given.append(parts[j] if mask is None else mask * parts[j])
        mask = masks[self.steps[i].colour]
        if mask is not None:
            given.append(mask.expand(len(kept), -1, -1, -1))
        mixture: LogisticMixture = self.conditioners[i](*given, label=label)
        return mixture

    @staticmethod
    def _put(maps: list[Tensor], values: Tensor, step: Taken, mask: Tensor | None) -> None:
        """`values` of step's components in their maps, at the step's places."""
        for j, one in zip(step.components, values.chunk(len(step.components), dim=1), strict=True):
            maps[j] = one if mask is None else torch.where(mask.bool(), one, maps[j])


def _known_before(steps: tuple[Taken, ...]) -> list[tuple[int, int | None]]:
    """The components that these steps transform, each with the one colour that is done, or None if all of it is."""
    colours: dict[int, list[int | None]] = {}
    for step in steps:
        for j in step.components:
            colours.setdefault(j, []).append(step.colour)
    return [(j, done[0] if len(done) == 1 else None) for j, done in colours.items()]


def _colours(like: Tensor) -> Masks:
    """Masks of each colour, 1 at its places, else 0; None for all places."""
    board = checkerboard(like.shape[2], like.shape[3], like.device)
    return {None: None, 0: 1 - board, 1: board}


class DenseCoupling(nn.Module):
    """Vectors `[B, D]`: every second entry passes the distribution function of a mixture of logistics given the
    others; then all move by one place, so that the next coupling has them change roles. In float32. With classes the
    network reads the label too.
    """

    def __init__(self, dims: int, config: FlowConfig) -> None:
        super().__init__()
        self.components, hidden = config.dense_components, config.width
        self.network = nn.Sequential(
            nn.Linear((dims + 1) // 2 + config.classes, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.head = nn.Linear(hidden, LogisticMixture.size(1, self.components) * (dims // 2))

    def forward(self, y: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """-> z `[B, D]` and log |det| in nats `[B]`."""
        with torch.autocast(y.device.type, enabled=False):
            changed, log_slope = self._mixture(y, label).to_logistic(y[:, None, None, 1::2])
            return _with_odd_entries(y, changed[:, 0, 0]).roll(1, dims=1), log_slope.sum(dim=(1, 2, 3))

    def inverse(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        y = z.roll(-1, dims=1)
        changed = self._mixture(y, label).from_logistic(y[:, None, None, 1::2])
        return _with_odd_entries(y, changed[:, 0, 0])

    def _mixture(self, y: Tensor, label: Tensor | None) -> LogisticMixture:
        """The mixtures of the odd entries, given the even ones."""
        known = y[:, 0::2] if label is None else torch.cat([y[:, 0::2], label], dim=1)
        raw = self.head(self.network(known)).unflatten(1, (LogisticMixture.size(1, self.components), 1, -1))
        return LogisticMixture(raw, 1, self.components, pixels=False)


def _with_odd_entries(y: Tensor, odd: Tensor) -> Tensor:
    """y `[B, D]` with the entries 1, 3, ... replaced."""
    out = y.clone()
    out[:, 1::2] = odd
    return out
