"""What is charged is what runs, to the last operator: a whole short training is counted as it runs."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from equibench import suite
from equibench.errors import UserError
from equibench.record.schema import Budget
from equibench.run import counting, plan, train
from equibench.suite import Cell, Entrant
from equibench_models import FAMILIES
from equibench_models import family as load_family
from equibench_models.contract import Config, Model, Showing
from equibench_models.gan import GAN

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
SMOKE = suite.load("smoke")
UPDATES = 13
# with fewer images than there, of which 2 are penalised, where a count of 8 would say 2.5
STANDARD = {one.name: {**one.config, "batch_size": 20} for one in suite.load("standard").entrant}


class Plain(Model):
    """A layer `[64, width]` without a bias: an update takes two products, 2 x 2 x 64 x width FLOPs an image."""

    config_type = Config
    likelihood, dequantization, samplers, about = "none", None, {}, GAN.about

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.layer = nn.Linear(math.prod(shape), config.width, bias=False)
        self.done = 0
        self.optimizer = self.make_optimizer()

    def make_optimizer(self):
        return torch.optim.Adam(self.parameters(), fused=True)

    def more(self, images, progress):  # noqa: ARG002
        return 0.0

    def update(self, images, progress=0.0):
        self.optimizer.zero_grad()
        loss = self.layer(images.flatten(1).float()).square().mean() + self.more(images, progress)
        loss.backward()
        self.optimizer.step()
        self.done += 1
        return {"loss": loss.detach()}

    def sample(self, n, generator, *, batch_size=250):  # noqa: ARG002
        return torch.zeros(n, *self.shape, dtype=torch.uint8)

    def nats(self, images, generator):
        raise NotImplementedError

    def show(self, images, generator):  # noqa: ARG002
        return Showing()

    def sampling_parameters(self):
        return 0

    def once_more(self, images):
        return self.layer(images.flatten(1).float()).mean()


class Lazy(Plain):
    """A term that every fifth update takes, as it says, from the fourth on."""

    cycle = 5

    def more(self, images, progress):  # noqa: ARG002
        return self.once_more(images) if self.done % 5 == 3 else 0.0


class Sly(Lazy):
    """And one that does not say so."""

    cycle = 1


class Late(Plain):
    """Its second half costs more."""

    def more(self, images, progress):
        return self.once_more(images) if progress >= 0.5 else 0.0


class Asking(Plain):
    """Looks at a number, which fake tensors do not have."""

    def more(self, images, progress):  # noqa: ARG002
        return self.once_more(images) if float(self.layer.weight.detach().sum()) < 1e9 else 0.0


class Orthogonal(Plain):
    """Products in the step of the optimiser: five of Newton and Schulz, each of X X', its square, and with X."""

    def make_optimizer(self):
        return torch.optim.Muon(self.parameters())


class Recurrent(Plain):
    """An operator that computes and has no formula."""

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.lstm = nn.LSTM(8, 8)

    def more(self, images, progress):  # noqa: ARG002
        return self.lstm(images[:, 0].float())[0].mean()


def planned(family, config, unit="updates", amount=UPDATES):
    name = family if family in FAMILIES else f"test_counting:{family}"
    entrant = Entrant(name="x", family=name, config=config)
    return plan.plan(Cell(SMOKE, "x", 0, entrant, Budget(params=60_000, unit=unit, amount=amount)), SHAPE)


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    """Fake tensors for all that can do with them, and no plan that was counted before."""
    monkeypatch.setattr(counting, "MOST_COMPUTED", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def class_of(family):
    return load_family(family) if family in FAMILIES else globals()[family]


@pytest.mark.parametrize(
    ("family", "config"),
    [
        *product(FAMILIES, [{}, "standard"]),
        *product(["Lazy", "Asking", "Orthogonal"], [{"width": 8, "batch_size": 5}]),
    ],
    ids=str,
)
def test_a_whole_training_takes_what_it_is_charged(family, config, fakes):  # noqa: ARG001
    plan._fitted.cache_clear()
    found = planned(family, STANDARD[family] if config == "standard" else config)
    model = class_of(family).build(found.config, SHAPE)
    images = np.random.default_rng(0).integers(0, 256, (300, *SHAPE), dtype=np.uint8)
    with FlopCounterMode(display=False) as counter:
        spent, _ = train.train(model, images, found.allowance, seed=0, device=CPU)
    assert spent.updates == UPDATES
    assert spent.flops == found.train_flops == pytest.approx(counter.get_total_flops(), rel=1e-3)


def test_a_penalty_on_a_share_of_the_batch_is_counted_at_the_batch_itself():
    """Of 8 images 1 is penalised and of 12 images 2: scaled from 8, a training would be charged too little."""
    config = {"width": 8, "penalty_share": 0.125}
    eight, twelve, sixteen = (
        counting.counted(GAN, {**config, "batch_size": n}, SHAPE).flops[0] / n for n in (8, 12, 16)
    )
    assert eight == pytest.approx(sixteen)
    assert twelve > 1.01 * eight


@pytest.mark.parametrize("family", FAMILIES)
def test_fake_tensors_tell_what_real_ones_do(family, fakes):  # noqa: ARG001
    config = {"width": 8, "batch_size": 6}
    cls = load_family(family)
    real = counting._updated(cls.build(config, SHAPE), 6, 2)
    before = torch.get_rng_state()
    found = counting.counted(cls, config, SHAPE, 2)
    assert found == real
    assert found.kept_bytes > 0
    assert torch.equal(torch.get_rng_state(), before)
    # sizes that no memory holds: each image more takes the same, whatever an optimiser takes for all of them
    eight, sixteen, many = (
        counting.counted(cls, {**config, "batch_size": n}, SHAPE).flops[0] for n in (8, 16, 8_000_000_000)
    )
    assert many / 1e9 == pytest.approx(sixteen - eight, rel=1e-3)


PASS = 2 * 5 * 64 * 8  # of a product of 5 images with the layer


@pytest.mark.parametrize(
    ("family", "flops"),
    [
        ("Plain", (2 * PASS,)),
        ("Asking", (4 * PASS,)),
        ("Lazy", (2 * PASS, 2 * PASS, 2 * PASS, 4 * PASS, 2 * PASS)),
        ("Orthogonal", (2 * PASS + 5 * (2 * 2 * 8 * 8 * 64 + 2 * 8 * 8 * 8),)),
    ],
)
def test_by_hand(family, flops):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert counting.counted(class_of(family), {"width": 8, "batch_size": 5}, SHAPE, plan.TRIED_UPDATES).flops == flops
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("family", "sentence"),
    [
        ("Sly", "updates of Sly differ in cost: number 1 takes 10240 FLOPs and number 4 takes 20480; let all cost"),
        ("Late", "updates of Late differ in cost: number 1 takes 10240 FLOPs and number 4 takes 20480; let all cost"),
    ],
)
def test_updates_that_cannot_be_charged_are_refused(family, sentence):
    with pytest.raises(UserError, match=sentence):
        planned(family, {"width": 8, "batch_size": 5})


def test_an_operator_without_a_formula_is_refused_where_flops_are_the_budget():
    config = {"width": 8, "batch_size": 5}
    with pytest.raises(
        UserError, match=r"the FLOPs of aten\.mkldnn_rnn_layer, .*, which an update of .*Recurrent runs, are"
    ):
        planned("Recurrent", config, "flops", 1e12)
    assert planned("Recurrent", config, "images", 65).allowance.updates == 13


@pytest.mark.parametrize(
    ("passes", "updates"), [(2, 1), (7, 3), (9, 3), (10, 4), (12, 5), (13, 5), (21, 8), (23, 9), (24, 10), (36, 15)]
)
def test_a_budget_buys_updates_that_differ(passes, updates):
    """Of 2, 2, 2, 4 and 2 passes, over and over."""
    found = planned("Lazy", {"width": 8, "batch_size": 5}, "flops", passes * PASS)
    assert found.allowance.updates == updates
    assert found.of_amount == found.train_flops / (passes * PASS) <= 1


def test_a_batch_that_no_memory_holds_is_refused_before_it_is_counted_on_real_tensors():
    with pytest.raises(UserError, match="an update with batch_size = 1,000,000,000,000 needs about"):
        planned("Asking", {"width": 8, "batch_size": 10**12})
