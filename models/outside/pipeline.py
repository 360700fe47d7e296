"""A diffusion model that the library diffusers saved: a folder with a network, `unet`, and a `scheduler`.

The loop of sampling is this module's own, as the library's pipelines scale neither the input nor the first noise for
all schedulers. Weights are read from safetensors alone, and no code that a folder brings is run.
"""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from equibench_models.contract import About, Config, LikelihoodKind, Model, Options, Shape, Showing
from equibench_models.layers import to_uint8
from equibench_models.outside.schedulers import UnusableError as UnusableError  # imported from here, as the models
from equibench_models.outside.schedulers import fault_of, walked

# schedulers that are tried beside the saved one, and the numbers of steps that all of them are tried with
OTHERS = tuple(f"{name}Scheduler" for name in ("DDPM", "DDIM", "DPMSolverMultistep", "EulerDiscrete", "HeunDiscrete"))
STEPS = (10, 25, 50)


class PipelineConfig(Config):
    """Where a pipeline lies. What a Config holds for training is of no use here."""

    knobs: ClassVar[tuple[str, ...]] = ()

    path: str


class PipelineOptions(Options):
    """How it is sampled: by the scheduler that it was saved with, unless another is named."""

    scheduler: str = Field("", description="a scheduler of diffusers by its class; empty for the one in the folder")
    steps: int = Field(50, ge=1, le=1000, description="of the scheduler; passes through the network may be more")


class Pipeline(Model):
    """Sampled step by step, with random numbers of its own for every image, so that batches change nothing."""

    config_type: ClassVar[type[Config]] = PipelineConfig
    options_type: ClassVar[type[Options]] = PipelineOptions
    likelihood: ClassVar[LikelihoodKind] = "none"
    dequantization: ClassVar[str | None] = None
    about: ClassVar[About] = About(
        title="Diffusion pipeline",
        concept="A network of another tool that takes noise from images, run once or more a step.",
        structure="a U-Net and a scheduler, as diffusers saves them",
        differs="It was trained elsewhere, on unknown data and at an unknown cost, and is only sampled here.",
        abilities={
            "likelihood": "none: the scheduler gives samples but no density",
            "encodes": "no",
            "reconstructs": "no",
            "sampling": "many passes",
            "trained by": "unknown",
            "learns": "unknown",
            "fixes": "the scheduler",
            "labels": "no",
        },
    )
    config: PipelineConfig

    def __init__(self, config: PipelineConfig, shape: Shape) -> None:
        super().__init__(config, shape)
        self.unet, self._saved = opened(Path(config.path))
        expected = self.shape_of(Path(config.path))
        if expected != tuple(shape):
            raise UnusableError(f"the pipeline gives images of {expected}, not {tuple(shape)}")

    @functools.cached_property
    def samplers(self) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[override]
        """The schedulers that sample a Gaussian right, each with several numbers of steps."""
        own = type(self._saved).__name__
        names = [name for name in dict.fromkeys((own, *OTHERS)) if not self._fault(name)]
        return {
            f"{name.removesuffix('Scheduler')}, {steps} steps": {"scheduler": name, "steps": steps}
            for name in names
            for steps in STEPS
        }

    def sample(
        self, n: int, generator: Generator, *, batch_size: int = 250, scheduler: str = "", steps: int = 50
    ) -> Tensor:
        """uint8 images `[n, C, H, W]`. Raises UnusableError for a scheduler that does not sample a Gaussian right, or
        values that are not finite.
        """
        self.check(scheduler)
        name = scheduler or type(self._saved).__name__
        device = generator.device
        seeds = torch.randint(2**62, (n,), generator=generator, device=device).tolist()
        found = []
        for start in range(0, n, batch_size):
            own = [Generator().manual_seed(seed) for seed in seeds[start : start + batch_size]]
            values = walked(self._made(name), self._network, own, self.shape, steps, device)
            if not bool(values.isfinite().all()):
                raise UnusableError("the pipeline gave values that are not finite")
            found.append(to_uint8(values))
        return torch.cat(found)

    @staticmethod
    def shape_of(folder: Path) -> Shape:
        """The shape of the images that a pipeline gives."""
        config = json.loads((folder / "unet" / "config.json").read_text())
        height, width = _sides(config["sample_size"])
        return (config["in_channels"], height, width)

    def check(self, scheduler: str = "") -> None:
        """Raises UnusableError for a scheduler that does not sample a Gaussian right; without one of the saved one."""
        if why := self._fault(scheduler or type(self._saved).__name__):
            raise UnusableError(why)

    def resolved(self) -> dict[str, Any]:
        """The scheduler that was saved, with every value that it works with, given or not, and who runs it."""
        import diffusers

        return {"scheduler": type(self._saved).__name__, "diffusers": diffusers.__version__, **self._settings}

    def network_evaluations(self, **options: Any) -> int:
        """Passes through the network, counted on a stub: two a step for some schedulers."""
        calls = 0

        def counting(x: Tensor, t: Tensor) -> Tensor:  # noqa: ARG001
            nonlocal calls
            calls += 1
            return torch.zeros_like(x)

        chosen = PipelineOptions.model_validate(options)
        made = self._made(chosen.scheduler or type(self._saved).__name__)
        walked(made, counting, [Generator().manual_seed(0)], (1, 4, 4), chosen.steps, torch.device("cpu"))
        return calls

    def show(self, images: Tensor, generator: Generator) -> Showing:  # noqa: ARG002
        """How many parameters it has, and how many passes a sample takes."""
        passes = self.network_evaluations()
        return Showing({"sampling_parameters": float(self.sampling_parameters()), "passes": float(passes)})

    def sampling_parameters(self) -> int:
        return sum(one.numel() for one in self.unet.parameters())

    def noise_shapes(self) -> list[tuple[int, ...]]:
        return [self.shape]

    def update(self, images: Tensor, progress: float = 0.0) -> dict[str, Tensor]:
        raise NotImplementedError("a pipeline that another tool saved is not trained here")

    def nats(self, images: Tensor, generator: Generator) -> Tensor:
        raise NotImplementedError("a saved pipeline has no likelihood")

    def _network(self, x: Tensor, t: Tensor) -> Tensor:
        given: Tensor = self.unet(x, t).sample
        return given

    @property
    def _settings(self) -> dict[str, Any]:
        """Every value of the saved scheduler, without the library's own notes."""
        return {key: value for key, value in self._saved.config.items() if not key.startswith("_")}

    def _made(self, name: str) -> Any:
        """A new scheduler, as solvers keep what they saw; with every value of the saved one's, given or not."""
        import diffusers

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the library calls and others have deprecated
            return getattr(diffusers, name).from_config(self._settings)

    def _fault(self, name: str) -> str:
        """Why a scheduler may not sample this network, or nothing."""
        if name not in self._faults:
            self._faults[name] = fault_of(name, self._made, self._saved)
        return self._faults[name]

    @functools.cached_property
    def _faults(self) -> dict[str, str]:
        return {}


def opened(folder: Path) -> tuple[nn.Module, Any]:
    """The network, in evaluation mode, and the scheduler of a pipeline's folder. Raises UnusableError."""
    import diffusers

    parts = json.loads((folder / "model_index.json").read_text())
    found = {name: part for name, part in parts.items() if not name.startswith("_") and part != [None, None]}
    if set(found) != {"unet", "scheduler"} or found["unet"][1] != "UNet2DModel":
        raise UnusableError(
            f"the pipeline {parts.get('_class_name')} has {', '.join(sorted(found))}; what can be sampled is a "
            "UNet2DModel with a scheduler, and no label or text"
        )
    library, name = found["scheduler"]
    kind: Any = getattr(diffusers, str(name), None)
    mixin: Any = diffusers.SchedulerMixin
    if library != "diffusers" or not isinstance(kind, type) or not issubclass(kind, mixin):
        raise UnusableError(f"diffusers {diffusers.__version__} has no scheduler {library}.{name}")
    unet = diffusers.UNet2DModel.from_pretrained(
        folder / "unet", local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
    )
    scheduler: Any = kind
    return unet.float().eval(), scheduler.from_pretrained(folder / "scheduler", local_files_only=True)


def _sides(size: Any) -> Iterator[int]:
    yield from (size, size) if isinstance(size, int) else size
