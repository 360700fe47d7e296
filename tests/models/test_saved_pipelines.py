"""Pipelines that diffusers saved: sampled by every scheduler that samples a Gaussian right, whatever the batches."""

import json
import socket

import pytest
import torch
from generators import save_pipeline

from equibench_models import family
from equibench_models.contract import Options
from equibench_models.outside.pipeline import Pipeline, PipelineOptions
from equibench_models.outside.schedulers import MEAN, SPREAD, UnusableError, walked

diffusers = pytest.importorskip("diffusers", reason="the extra [diffusers] is not installed")
SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture
def model(folder):
    return family("diffusers").build({"path": str(folder)}, SHAPE)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Perfect(torch.nn.Module):
    """The noise in x_t where the images are Gaussian, in closed form, for the usual linear schedule."""

    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)

    def forward(self, x, t):
        t = float(t)
        low, high = int(t), min(int(t) + 1, 999)
        a = float(torch.exp((low + 1 - t) * self.kept[low].log() + (t - low) * self.kept[high].log()))
        return (1 - a) ** 0.5 * (x - a**0.5 * MEAN) / (a * SPREAD**2 + 1 - a)


@pytest.mark.parametrize("name", ["DDPM", "DDIM", "DPMSolverMultistep", "EulerDiscrete", "HeunDiscrete"])
def test_each_scheduler_that_is_offered_samples_a_gaussian_of_known_mean_and_spread(model, name):
    assert f"{name}, 25 steps" in model.samplers
    scheduler = model._made(f"{name}Scheduler")
    generators = [seeded(100 + i) for i in range(64)]
    found = walked(scheduler, Perfect(), generators, SHAPE, 100, torch.device("cpu"))
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.03)
    assert float(found.std()) == pytest.approx(SPREAD, abs=0.04)


def test_a_scheduler_that_is_wrong_here_is_not_offered_and_refused(model):
    assert not any("EDM" in label for label in model.samplers)
    for name in ("EDMEulerScheduler", "NoSuchScheduler"):
        with pytest.raises(UnusableError, match=name):
            model.sample(2, seeded(), scheduler=name)


def test_passes_are_counted_and_are_not_steps(model):
    passes = {
        name: model.network_evaluations(scheduler=name, steps=20) for name in ("DDIMScheduler", "HeunDiscreteScheduler")
    }
    assert passes == {"DDIMScheduler": 20, "HeunDiscreteScheduler": 39}
    seen = []
    model.unet.register_forward_hook(lambda *_: seen.append(1))
    model.sample(3, seeded(), batch_size=3, scheduler="HeunDiscreteScheduler", steps=20)
    assert len(seen) == 39


@pytest.mark.parametrize("name", ["", "DDPMScheduler", "DPMSolverMultistepScheduler"])
def test_batches_change_nothing_and_no_call_remembers_another(model, name):
    def sample(n, batch_size=4):
        return model.sample(n, seeded(), batch_size=batch_size, scheduler=name, steps=10)

    torch.manual_seed(1)
    first = sample(4)
    torch.manual_seed(2)
    sample(3)
    assert torch.equal(sample(4), first)
    assert abs(sample(4, 2).int() - first.int()).max() <= 1
    assert first.dtype == torch.uint8
    assert len({image.numpy().tobytes() for image in first}) == 4


def test_a_swapped_scheduler_keeps_the_noise_of_the_saved_one(model):
    """`from_config` of one that was built with defaults would give Heun another end of its noise."""
    heun = model._made("HeunDiscreteScheduler")
    assert (heun.config.beta_end, heun.config.timestep_spacing) == (0.02, "leading")


def test_sampling_that_would_begin_where_images_are_no_noise_yet_is_refused(model):
    with pytest.raises(UnusableError, match=r"its 600 steps begin at 599 of 1000"):
        model.sample(1, seeded(), steps=600)


def test_values_that_are_not_finite_stop_it(model):
    with torch.no_grad():
        model.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(UnusableError, match="not finite"):
        model.sample(1, seeded(), steps=10)


def test_a_folder_is_read_without_the_net_and_runs_nothing(folder, monkeypatch):
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("it reached for the net"))
    Pipeline.build({"path": str(folder)}, SHAPE)


def test_weights_that_are_pickles_are_not_opened(tmp_path, monkeypatch):
    save_pipeline(tmp_path / "p")
    (file,) = (tmp_path / "p" / "unet").glob("*.safetensors")
    torch.save({}, file.with_suffix(".bin"))
    file.unlink()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(OSError, match="safetensors"):
        Pipeline.build({"path": str(tmp_path / "p")}, SHAPE)


def test_code_that_a_folder_names_is_not_run(tmp_path):
    save_pipeline(tmp_path / "p")
    index = tmp_path / "p" / "model_index.json"
    parts = json.loads(index.read_text())
    index.write_text(json.dumps(parts | {"scheduler": ["mine", "DDPMScheduler"]}))
    (tmp_path / "p" / "scheduler" / "mine.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(UnusableError, match=r"no scheduler mine\.DDPMScheduler"):
        Pipeline.build({"path": str(tmp_path / "p")}, SHAPE)
    index.write_text(json.dumps(parts | {"vae": ["diffusers", "AutoencoderKL"]}))
    with pytest.raises(UnusableError, match="scheduler, unet, vae; what can be sampled is a UNet2DModel"):
        Pipeline.build({"path": str(tmp_path / "p")}, SHAPE)


def test_other_sides_are_said(folder):
    with pytest.raises(UnusableError, match=r"gives images of \(1, 8, 8\), not \(3, 8, 8\)"):
        Pipeline.build({"path": str(folder)}, (3, 8, 8))


def test_its_options_are_those_of_the_contract():
    assert issubclass(PipelineOptions, Options)
    assert PipelineOptions().model_dump() == {"scheduler": "", "steps": 50}
