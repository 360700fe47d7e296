"""Class-conditional models of all four families: labels matter, are refused where wrong, and change nothing where there
are none; likelihoods given a label are those of one distribution an image of each label.
"""

import math
from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from equibench.conformance.claims import CLAIMS, found
from equibench.conformance.mass import TINY, mass
from equibench_models import FAMILIES
from equibench_models import family as load_family

SHAPE = (1, 28, 28)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 1, 1])
# of each family, built from {"width": 16} with seed 0 and updated three times, before models knew of labels: sums of
# the absolute weights and of the weights times the sine of their place, and the mean level of four samples
BEFORE = {
    "gan": (7739.12922, 6.81499084, 129.922832),
    "vae": (10761.9127, 10.3911131, 128.875638),
    "flow": (17065.218, 21.8802014, 127.621811),
    "diffusion": (18840.695, 23.8462721, 129.583865),
}


def pictures(n=8, seed=0, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=generator)


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


def built(family, shape=SHAPE, **config):
    torch.manual_seed(0)
    return load_family(family).build({"width": 16, **config}, shape)


def trained(model, updates=3):
    torch.manual_seed(1)
    told = [LABELS % model.classes] if model.classes else []
    for i in range(updates):
        model.update(pictures(seed=i, shape=model.shape), 0.4, *told)
    return model


@pytest.fixture(params=FAMILIES)
def model(request):
    return trained(built(request.param, classes=3), updates=8)


def result_of(claim, model):
    return found(claim, partial(CLAIMS[claim], model)).holds


def test_the_contract_holds_with_labels(model):
    slow = "other settings of the sampler work"  # a thousand steps are among them
    assert not [claim for claim in CLAIMS if claim != slow and result_of(claim, model) is False]
    assert result_of("labels matter", model) is True
    for options in model.samplers.values():
        if model.network_evaluations(**options) < 10:
            assert model.sample(2, generator(), labels=torch.tensor([0, 2]), **options).shape == (2, *SHAPE)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_learns_with_labels(family):
    model = built(family, classes=3)
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    trained(model)
    assert not [name for name, p in model.named_parameters() if name in before and torch.equal(p, before[name])]


def test_a_network_that_does_not_read_labels_is_found_out(model):
    model.one_hot = lambda labels: None if labels is None else torch.full((len(labels), 3), 1 / 3)
    assert result_of("labels matter", model) is False


def test_labels_are_drawn_by_their_frequencies(model):
    model.label_shares.copy_(torch.tensor([0.7, 0.0, 0.3]))
    drawn = model.draw_labels(20_000, generator())
    counts = torch.bincount(drawn, minlength=3) / len(drawn)
    assert counts[1] == 0
    assert abs(float(counts[0]) - 0.7) < 4 * math.sqrt(0.21 / 20_000)
    assert torch.equal(drawn, model.draw_labels(20_000, generator()))


def test_samples_are_those_of_the_labels_that_are_drawn(model):
    drawn = model.draw_labels(6, generator())
    here = generator()
    model.draw_labels(6, here)  # the noise is what comes after
    assert torch.equal(model.sample(6, generator()), model.sample(6, here, labels=drawn))


@pytest.mark.parametrize("labels", [torch.tensor([0, 3]), torch.tensor([-1, 0]), torch.tensor([0.0, 1.0]), LABELS])
def test_labels_that_are_none_of_the_model_are_refused(model, labels):
    with pytest.raises(ValueError, match="labels are"):
        model.sample(2, generator(), labels=labels)
    if model.likelihood != "none":
        with pytest.raises(ValueError, match="labels are"):
            model.nats(pictures(2), generator(), labels)


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_and_classes_belong_together(family):
    with pytest.raises(ValueError, match="labels are needed"):
        built(family, classes=3).update(pictures())
    with pytest.raises(ValueError, match="labels are needed"):
        built(family).update(pictures(), 0.4, LABELS)


def test_a_likelihood_is_of_the_label(model):
    if model.likelihood == "none":
        pytest.skip("a GAN has none")
    one, other = (model.nats(pictures(), generator(), labels) for labels in (LABELS, (LABELS + 1) % 3))
    assert not torch.equal(one, other)
    for bound in model.bounds.values():
        found = [bound.way(model, 3)(pictures(), generator(), labels) for labels in (LABELS, (LABELS + 1) % 3)]
        assert found[0].shape == (8,)
        assert not torch.equal(*found)


@pytest.mark.parametrize(("family", "label"), [("vae", 1), ("flow", 0), ("diffusion", 1)])
def test_probabilities_given_a_label_sum_to_at_most_one(family, label):
    """All three are bounds of 8-bit images; what they are bounds of sums to one over all images, of each label."""
    small = {"vae": {"vector": 2}, "diffusion": {"chain_steps": 4, "bound_steps": 3}, "flow": {}}[family]
    found = mass(trained(built(family, TINY, classes=2, **small)), label=label)
    assert found.keeps("upper bound"), str(found)


def test_the_density_of_a_flow_given_each_label_is_exact():
    """Its log |det| is that of the map itself, by automatic differentiation, and another one for each label."""
    network = trained(built("flow", TINY, classes=3), updates=8).average.network.double()
    y = torch.rand(1, *TINY, dtype=torch.float64, generator=generator()) * 2 - 1
    found = []
    for label in torch.eye(3, dtype=torch.float64):
        told = label[None]

        def flat(values, told=told):
            maps, _ = network(values.view(1, *TINY), told)
            return torch.cat([z.flatten() for z in maps])

        jacobian = torch.autograd.functional.jacobian(flat, y.flatten())
        _, log_det = network(y, told)
        assert float(log_det) == pytest.approx(float(torch.linalg.slogdet(jacobian).logabsdet), abs=1e-3)
        found.append(float(log_det))
    assert len(set(found)) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_label_parts_are_counted(family):
    """Each has parameters in one component, and FLOPs that come on top."""
    without, given = built(family), built(family, classes=3)
    many = [sum(p.numel() for p in one.parameters() if p.requires_grad) for one in (without, given)]
    assert many[1] > many[0]
    assert sum(p.numel() for part in given.components() for p in part.parameters) == many[1]
    costs = []
    for one, told in ((without, []), (given, [LABELS])):
        with FlopCounterMode(display=False) as counter:
            one.update(pictures(), 0.4, *told)
        costs.append(counter.get_total_flops())
    assert costs[1] > costs[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_config_without_classes_reads_as_before_there_were_labels(family):
    model = built(family)
    assert ("classes" in model.config.model_dump()) == (family == "vae")  # which had the field
    assert not [name for name in model.state_dict() if "label" in name]
    assert built(family, classes=3).config.model_dump()["classes"] == 3


def test_features_know_no_label(model):
    """What is probed for classes is not told them: the same whatever the labels' own parts hold."""
    made = model.represent(pictures(), generator())
    assert made
    for name, vectors in made.items():
        assert vectors.shape[0] == 8, name
        assert vectors.dtype == torch.float32
        assert bool(vectors.isfinite().all())
        assert torch.equal(vectors, model.represent(pictures(), generator())[name])


@pytest.mark.parametrize("family", FAMILIES)
def test_without_labels_training_is_what_it_was(family):
    model = trained(built(family))
    weights = torch.cat([p.detach().flatten() for p in model.parameters()]).double()
    places = torch.arange(len(weights), dtype=torch.float64)
    found = float(weights.abs().sum()), float((weights * places.sin()).sum())
    level = float(model.sample(4, generator()).double().mean())
    assert (*found, level) == pytest.approx(BEFORE[family], rel=1e-3)


def test_the_vae_shows_other_noise_of_one_label_not_other_labels(monkeypatch):
    model, told = trained(built("vae", classes=3)), []
    network = model.average.network
    real = network.decode
    monkeypatch.setattr(network, "decode", lambda noise, label=None: told.append(label) or real(noise, label=label))
    model._pictures_of_noise(generator())
    drawn, *others = told
    assert len(drawn.unique(dim=0)) > 1
    assert len(others) == 4 + len(model.noise_shapes())
    for label, first in zip(others, [0, 2, 4, 6] + [0] * len(model.noise_shapes()), strict=True):
        assert torch.equal(label, drawn[first].expand_as(label))
