"""The contract, over all four families, on grey 28x28 and on colour 32x32 images."""

import itertools

import pydantic
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from equibench.record import schema
from equibench_models import FAMILIES
from equibench_models import family as load_family
from equibench_models.contract import LikelihoodKind

SHAPES = [(1, 28, 28), (3, 32, 32)]
CASES = list(itertools.product(FAMILIES, SHAPES))


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1][0]}x{case[1][1]}")
def model(request):
    family, shape = request.param
    torch.manual_seed(0)
    return load_family(family).build({"width": 16}, shape)


def pictures(model, n=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, *model.shape), dtype=torch.uint8, generator=generator)


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


def trained(model, updates=3):
    torch.manual_seed(1)
    for i in range(updates):
        model.update(pictures(model, seed=i), 0.4)
    return model


def test_update_returns_finite_scalars_and_reaches_every_parameter(model):
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    assert before
    for i in range(3):  # layers that start at zero pass gradients on from the second or third update
        losses = model.update(pictures(model, seed=i), 0.4)
    assert all(value.ndim == 0 and torch.isfinite(value) for value in losses.values())
    still = [name for name, p in model.named_parameters() if p.requires_grad and torch.equal(p, before[name])]
    assert not still


def test_updates_keep_their_cost(model):
    costs = []
    for i in range(3 * model.cycle):
        with FlopCounterMode(display=False) as counter:
            model.update(pictures(model), i / (3 * model.cycle))
        costs.append(counter.get_total_flops())
    assert costs == 3 * costs[: model.cycle]
    assert min(costs) > 0


def test_samples_are_uint8_and_the_same_for_the_same_generator(model):
    trained(model)
    one, two = model.sample(5, generator()), model.sample(5, generator())
    assert one.dtype == torch.uint8
    assert one.shape == (5, *model.shape)
    assert torch.equal(one, two)
    assert not torch.equal(one, model.sample(5, generator(4)))


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_samples_do_not_depend_on_the_batch_size(model, batch_size):
    trained(model)
    whole, parts = model.sample(7, generator(), batch_size=7), model.sample(7, generator(), batch_size=batch_size)
    # kernels sum in another order at another batch size, which may turn a rounding; other noise would change nearly all
    assert (whole != parts).float().mean() < 0.01


def test_every_other_sampler_works_and_differs(model):
    trained(model)
    usual = model.sample(4, generator())
    for options in model.samplers.values():
        other = model.sample(4, generator(), **options)
        assert other.shape == usual.shape
        assert not torch.equal(other, usual)
        assert model.network_evaluations(**options) >= 1


def test_nats_are_per_image_and_repeatable_or_declared_missing(model):
    trained(model)
    images = pictures(model)
    if model.likelihood == "none":
        with pytest.raises(NotImplementedError):
            model.nats(images, generator())
        return
    nats = model.nats(images, generator())
    assert nats.shape == (len(images),)
    assert torch.isfinite(nats).all()
    assert torch.equal(nats, model.nats(images, generator()))


def test_save_and_load_give_the_same_samples(model):
    trained(model)
    twin = type(model).build(model.config.model_dump(), model.shape)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(model.sample(4, generator()), twin.sample(4, generator()))


def test_show_gives_numbers_and_rows_of_pictures(model):
    trained(model)
    shown = model.show(pictures(model, 12), generator())
    assert shown.numbers
    assert shown.pictures
    assert all(value == value for value in shown.numbers.values())
    for caption, picture in shown.pictures.values():
        assert caption
        assert picture.dtype == torch.uint8
        assert picture.shape[2:] == model.shape


def test_sampling_needs_some_but_not_all_of_the_trained_parameters_where_training_has_helpers(model):
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert 0 < model.sampling_parameters() <= trainable
    if not isinstance(model, load_family("diffusion")):  # discriminator, encoder, dequantizer
        assert model.sampling_parameters() < trainable


def test_declarations_are_complete(model):
    assert model.likelihood in schema.LikelihoodKind.__args__
    assert LikelihoodKind == schema.LikelihoodKind
    rows = {tuple(family.about.abilities) for family in map(load_family, FAMILIES)}
    assert len(rows) == 1, "every family answers the same questions"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bad", [{"width": 4}, {"widht": 16}, {"batch_size": 0}, {"learning_rate": -1.0}])
def test_bad_configs_are_refused(family, bad):
    with pytest.raises(pydantic.ValidationError):
        load_family(family).build(bad, (1, 28, 28))


def test_gan_penalty_is_the_squared_gradient_and_is_counted():
    torch.manual_seed(0)
    model = load_family("gan").build({"width": 16}, (1, 28, 28)).double()
    x = torch.rand(3, 1, 28, 28, dtype=torch.float64) * 2 - 1
    step, squares = 1e-5, torch.zeros(3, dtype=torch.float64)
    model.discriminator.forward = lambda x, label=None: _in_float64(model.discriminator, x)
    with torch.no_grad():
        for place in range(784):  # every pixel's slope by central differences
            move = torch.zeros(784, dtype=torch.float64)
            move[place] = step
            move = move.reshape(1, 28, 28)
            squares += ((model.discriminator(x + move) - model.discriminator(x - move)) / (2 * step)) ** 2
    assert torch.allclose(model._penalty(x).double(), squares, rtol=1e-3)

    def flops(share):
        twin = load_family("gan").build({"width": 16, "penalty_share": share, "batch_size": 16}, (1, 28, 28))
        with FlopCounterMode(display=False) as counter:
            twin.update(pictures(twin, 16))
        return counter.get_total_flops()

    assert flops(1.0) > 1.5 * flops(0.0625)  # the second-order pass is seen by the counter


def _in_float64(network, x):
    """The discriminator without its rounding of values to float32, which differences would magnify."""
    folded = torch.nn.functional.pixel_unshuffle(x, 2)
    h = torch.nn.functional.pixel_unshuffle(network.fine(network.stem(folded)), 2)
    h = torch.nn.functional.leaky_relu(network.body(network.down(h)), 0.2)
    pooled = torch.einsum("bchw,chw->bc", h, network.pool)
    return network.out(torch.nn.functional.leaky_relu(pooled, 0.2))[:, 0]


OPTIONS = [(name, option) for name in FAMILIES for option in load_family(name).options_type.model_fields]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_an_option_of_a_sampler_that_is_out_of_range_raises(name, option):
    family = load_family(name)
    field = family.options_type.model_fields[option]
    model = family.build({"width": 16}, (1, 28, 28))
    with pytest.raises(pydantic.ValidationError, match=option):
        model.sample(1, generator(), **{option: "none" if isinstance(field.default, str) else -1})
