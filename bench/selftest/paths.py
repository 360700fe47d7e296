"""What is tried on a device, each in a process of its own: gives a remark, raises where it is not as it should be."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from equibench.machine.compiling import compiled, lacking
from equibench.machine.device import autocast, precision, synchronizer, time_matrix_products
from equibench.measure.cost import modes
from equibench.measure.features.load import load_extractor
from equibench.measure.likelihood.bits import bits_per_dim
from equibench.updates import EAGER_UPDATES, CapturedUpdates, Updates
from equibench_models import family as load_family
from equibench_models.contract import Model, Shape

SHAPE: Shape = (1, 16, 16)
CONFIG = {"width": 16, "batch_size": 16}
UPDATES = 3  # layers that start at zero pass gradients on from the second or third
TRIED_IMAGES = 16
NEAR_BITS = 0.1  # per dimension, between a device and the processor: their random numbers are others
NEAR_FEATURES = 1e-2  # of the largest feature, likewise: sums in another order
NEAR_LOSS = 5e-2  # between updates launched one by one and as a graph, whose schedules round otherwise
FLOAT32 = 1e-5  # relative error of a float32 convolution; TF32 has 1e-3


class NotSoError(Exception):
    """Something is not as it should be, as the message says."""


class SkippedError(Exception):
    """Something cannot be tried here, for the reason that the message says."""


def build(family: str, device: torch.device) -> Model:
    """A small model of the family, the same each time."""
    torch.manual_seed(0)
    return load_family(family).build(CONFIG, SHAPE).to(device)


def images(device: torch.device) -> torch.Tensor:
    """uint8 images `[TRIED_IMAGES, C, H, W]`, the same on each device."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (TRIED_IMAGES, *SHAPE), dtype=torch.uint8, generator=generator).to(device)


def update(device: torch.device, family: str) -> str:
    """Updates change every parameter that is trained, on the device, and do it alike twice."""
    weights = []
    for _ in range(2):
        model = build(family, device)
        before = [p.detach().clone() for p in model.parameters()]
        torch.manual_seed(1)
        for i in range(UPDATES):
            with autocast(device):  # one each, as in training: within one the weights of the first would be kept
                losses = model.update(images(device), i / UPDATES)
        _finite({name: float(loss.detach()) for name, loss in losses.items()})
        for (name, after), was in zip(model.named_parameters(), before, strict=True):
            if after.device.type != device.type or (device.index is not None and after.device != device):
                raise NotSoError(f"{name} is on {after.device} after an update")
            if after.requires_grad and torch.equal(after, was):
                raise NotSoError(f"{name} did not change in {UPDATES} updates")
        weights.append([p.detach().cpu() for p in model.parameters()])
    if not all(torch.equal(one, other) for one, other in zip(*weights, strict=True)):
        raise NotSoError("the same updates from the same seed gave other weights")
    return f"in {_named(precision(device))}"


def sample(device: torch.device, family: str) -> str:
    """Samples are images, and the same from the same seed."""
    model = build(family, device)
    made = []
    for _ in range(2):
        with autocast(device):
            made.append(model.sample(TRIED_IMAGES, torch.Generator(device).manual_seed(2)).cpu())
    _images(made[0])
    if not torch.equal(*made):
        raise NotSoError("the same seed gave other samples")
    return f"{model.network_evaluations()} passes"


def likelihood(device: torch.device, family: str) -> str:
    """Likelihoods, by the usual way and all others, are those of the processor but for the noise of one pass."""
    model, told = build(family, device), []
    if model.likelihood == "none":
        raise SkippedError("the family has no likelihood")
    ways = {"usual": model.nats} | {name: bound.way(model) for name, bound in model.bounds.items()}
    here = {name: _bits(way(images(device), torch.Generator(device).manual_seed(3))) for name, way in ways.items()}
    _finite(here)
    there = build(family, torch.device("cpu"))
    expected = _bits(there.nats(images(torch.device("cpu")), torch.Generator().manual_seed(3)))
    if abs(here["usual"] - expected) > NEAR_BITS:
        raise NotSoError(f"{here['usual']:.3f} bits/dim, and {expected:.3f} on the processor")
    told = [f"{name} {bits:.2f}" for name, bits in here.items()]
    return f"bits/dim: {', '.join(told)}"


def in_mode(device: torch.device, family: str, mode: modes.Mode) -> str:
    """A sampler that is compiled, or captured in a CUDA graph, gives images, and others each time."""
    if mode == "compile" and (lack := lacking(device)):
        raise SkippedError(f"torch.compile needs {lack}")
    try:
        call, sec = modes.prepare(mode, build(family, device), {}, device, TRIED_IMAGES)
    except modes.UnavailableError as error:
        raise SkippedError(str(error)) from None
    first, second = call().cpu(), call().cpu()
    _images(first)
    if torch.equal(first, second):
        raise NotSoError("two calls gave the same samples: no new noise was drawn")
    return f"prepared in {sec:.1f} s"


def compiled_update(device: torch.device, family: str) -> str:
    """Updates through torch.compile give the losses of eager ones."""
    if lack := lacking(device):
        raise SkippedError(f"torch.compile needs {lack}")
    eager, through = build(family, device), build(family, device)
    torch.manual_seed(1)
    expected = {name: float(loss.detach()) for name, loss in eager.update(images(device)).items()}
    torch.manual_seed(1)
    with compiled(through, through.differentiated_twice) as watch:
        found = {name: float(loss.detach()) for name, loss in through.update(images(device)).items()}
    _as_in_eager_mode(found, expected, 1e-2)
    return f"compiled in {watch.sec:.1f} s"


def captured_updates(device: torch.device, family: str) -> str:
    """Updates launched as a CUDA graph give the losses of eager ones, from the same random numbers."""
    if device.type != "cuda":
        raise SkippedError("CUDA graphs need a CUDA device")
    found: list[list[dict[str, float]]] = []
    for kind in (lambda model: Updates(model), lambda model: CapturedUpdates(model, device)):
        updates = kind(build(family, device))
        torch.manual_seed(1)
        found.append([])
        for i in range(EAGER_UPDATES + UPDATES):
            with autocast(device):
                losses = updates.run(images(device), i / 10)
            found[-1].append({name: float(loss.detach()) for name, loss in losses.items()})
    eager, through = found
    for i, (expected, told) in enumerate(zip(eager, through, strict=True)):
        _as_in_eager_mode(told, expected, NEAR_LOSS, f" of update {i + 1}")
    return f"captured in {updates.preparing_sec:.1f} s"


def float32(device: torch.device) -> str:
    """A convolution in float32 has float32's digits."""
    generator = torch.Generator().manual_seed(4)
    x, weight = (torch.randn(shape, generator=generator) for shape in ((4, 32, 16, 16), (32, 32, 3, 3)))
    found = F.conv2d(x.to(device), weight.to(device)).cpu().double()
    exact = F.conv2d(x.double(), weight.double())
    error = float((found - exact).abs().max() / exact.abs().max())
    if error > FLOAT32:
        raise NotSoError(f"its relative error is {error:.1g}, as of TF32 or bfloat16")
    return f"relative error {error:.0e}"


def features(device: torch.device) -> str:
    """The packaged feature network gives what it gives on the processor."""
    pictures = np.random.default_rng(0).integers(0, 256, (8, 3, 28, 28), dtype=np.uint8)
    here, there = (load_extractor("efficientnet-lite0", on)(pictures) for on in (device, torch.device("cpu")))
    off = float(np.abs(here - there).max() / np.abs(there).max())
    if not off < NEAR_FEATURES:
        raise NotSoError(f"features are off by {off:.1g} of the largest")
    return f"off by {off:.0e} of the largest"


def products(device: torch.device) -> str:
    """The rate of matrix products is timed."""
    rate = max(time_matrix_products(device, 0.5).flops_per_sec.values())
    return f"{rate / 1e9:,.0f} GFLOP/s in {_named(precision(device))}"


def second_device(device: torch.device, family: str) -> str:
    """A GPU that is not the first is worked on, and nothing goes to the first."""
    said = update(device, family)
    synchronizer(device)()
    if torch.cuda.current_device() != device.index:
        raise NotSoError(f"the current device is cuda:{torch.cuda.current_device()}")
    if strayed := torch.cuda.memory_allocated(0):
        raise NotSoError(f"{strayed:,} bytes were allocated on cuda:0")
    return said


def _as_in_eager_mode(found: dict[str, float], expected: dict[str, float], near: float, which: str = "") -> None:
    for name, loss in expected.items():
        if not math.isclose(found[name], loss, rel_tol=near, abs_tol=near / 10):
            raise NotSoError(f"{name}{which} is {found[name]:g}, and {loss:g} in eager mode")


def _bits(nats: torch.Tensor) -> float:
    return bits_per_dim(float(nats.double().mean()), math.prod(SHAPE))


def _finite(values: dict[str, float]) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise NotSoError(f"{name} is {value}")


def _images(made: torch.Tensor) -> None:
    if made.dtype != torch.uint8 or made.shape != (TRIED_IMAGES, *SHAPE):
        raise NotSoError(f"sampling gave {made.dtype} {list(made.shape)}")
    if len(made.unique(dim=0)) < TRIED_IMAGES:
        raise NotSoError("samples of one batch are equal")


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
