"""The parts that a model says it has, against its parameters, and against what its modules do when they run."""

import itertools
import math

import pytest
import torch
from torch import nn

from equibench_models import FAMILIES
from equibench_models import family as load_family

OTHERS = {
    "gan": {"mixed": 2, "fine_blocks": 2, "generator_blocks": 0, "discriminator_fine_blocks": 1},
    "vae": {"coarse_latents": 3, "fine_latents": 2, "prior_couplings": 0, "mixed": 0},
    "flow": {"fine_couplings": 2, "dense_couplings": 0, "couplings": 3},
    "diffusion": {"coarse_blocks": 3, "basis": 0, "places": False, "fine_blocks": 2},
}
CASES = [
    *((family, {}, shape) for family, shape in itertools.product(FAMILIES, [(1, 28, 28), (3, 32, 32)])),
    *((family, config, (1, 28, 28)) for family, config in OTHERS.items()),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{len(case[1])}-{case[2][0]}")
def model(request):
    family, config, shape = request.param
    torch.manual_seed(0)
    return load_family(family).build({"width": 16, **config}, shape)


def images(model, n=6):
    return torch.randint(0, 256, (n, *model.shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_each_trainable_parameter_is_in_one_part(model):
    held = [id(one) for part in model.components() for one in part.parameters]
    assert sorted(held) == sorted(id(one) for one in model.parameters() if one.requires_grad)
    names = [part.name for part in model.components()]
    assert len(set(names)) == len(names)
    assert {name for part in model.components() for name in part.follows} <= {*names, "image", "noise"}
    assert all(part.repeats >= 1 and (part.parameters or not part.weights) for part in model.components())


def test_what_a_sample_needs_is_what_runs_for_it(model):
    """By hooks on all that has parameters of its own, which know nothing of names."""
    ran = set()
    for module in model.modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(lambda module, _in, _out: ran.add(module))
    options = {"steps": 2} if isinstance(model, load_family("diffusion")) else {}
    model.sample(2, torch.Generator().manual_seed(0), **options)
    needed = sum(one.numel() for module in ran for one in module.parameters(recurse=False))
    # the couplings that a flow runs are in the average's copy; so are all others
    assert needed == model.sampling_parameters()
    assert needed == sum(one.numel() for part in model.components() if part.samples for one in part.parameters)


def test_shapes_are_those_that_come_out(model):
    """Of the last module of a part that ran: as many numbers an image as the part's outputs hold."""
    sizes = {}
    for module in model.modules():
        module.register_forward_hook(lambda module, _in, out: sizes.update({module: sizes.get(module, out)}))
    model.update(images(model), 0.5)
    checked = 0
    for part in model.components():
        last = part.weights[-1] if part.weights else None
        while isinstance(last, nn.ModuleList) and len(last):
            last = last[-1]
        out = sizes.get(last) if isinstance(last, nn.Module) else None
        if isinstance(out, torch.Tensor):
            assert out[0].numel() == sum(math.prod(shape) for shape in part.outputs), part.name
            checked += 1
    assert checked >= 5 or isinstance(model, load_family("flow"))  # whose modules give tuples


def test_a_part_takes_in_what_the_one_before_gives(model):
    by_name = {part.name: part for part in model.components()}
    for part in by_name.values():
        before = [by_name[name] for name in part.follows if name in by_name]
        if len(before) == 1 and "noise" not in part.follows and "image" not in part.follows:
            assert part.inputs[0] == before[0].outputs[0], part.name


def test_noise_is_of_the_shapes_that_it_says(model, monkeypatch):
    """The numbers that one sample draws before anything is computed."""
    drawn = []
    for name in ("randn", "rand"):
        real = getattr(torch, name)
        monkeypatch.setattr(
            torch, name, lambda *shape, real=real, **kw: drawn.append(math.prod(shape)) or real(*shape, **kw)
        )
    options = {"steps": 1} if isinstance(model, load_family("diffusion")) else {}
    model.sample(1, torch.Generator().manual_seed(0), **options)
    said = [math.prod(shape) for shape in model.noise_shapes()]
    assert drawn[: len(said)] == said


def test_pictures_and_numbers_of_each_level(model):
    """One row a level, in which the others stay: a column's first picture is the same in each row."""
    if not isinstance(model, load_family("vae")):
        pytest.skip("of the VAE alone")
    shown = model.show(images(model, 12), torch.Generator().manual_seed(0))
    levels = shown.pictures["latent_levels"][1]
    assert len(levels) == len(model.noise_shapes())
    assert (levels[:, 0] == levels[0, 0]).all()
    parts = [value for name, value in shown.numbers.items() if name.startswith("kl_bits_per_dim_of_z")]
    assert sum(parts) == pytest.approx(shown.numbers["kl_bits_per_dim"], rel=1e-5)


def test_the_usual_temperature_and_number_of_passes_are_the_usual_samples():
    torch.manual_seed(0)
    flow = load_family("flow").build({"width": 16}, (1, 28, 28))
    state = torch.Generator().manual_seed(3)
    shown = flow._at_temperatures(state)
    assert torch.equal(shown[0], flow.sample(12, torch.Generator().manual_seed(3)))
    diffusion = load_family("diffusion").build({"width": 16}, (1, 28, 28))
    from equibench_models.diffusion.showing import PASSES, by_steps

    (_, pictures) = by_steps(diffusion.sample, torch.Generator().manual_seed(3))["passes"]
    assert torch.equal(pictures[PASSES.index(10)], diffusion.sample(12, torch.Generator().manual_seed(3)))
