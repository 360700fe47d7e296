"""A training that was stopped goes on to the same end, bit for bit, and says what it took in all."""

import itertools
import random
import time
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from equibench.machine.beside import Around
from equibench.machine.energy import NO_COUNTER
from equibench.machine.load import LoadMeter, Usage
from equibench.record.schema import Budget
from equibench.run import kept, state
from equibench.run import train as training
from equibench.run.course import Course
from equibench.run.kept import Keeping
from equibench.run.train import Allowance, StoppedError, Watch, train
from equibench_models import FAMILIES, family

CPU = torch.device("cpu")


class Taken(NamedTuple):
    """A tuple with names, as a model may hold in others."""

    components: tuple[int, ...]
    count: int


UPDATES, BATCH = 9, 8
SHAPE = (1, 16, 16)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (20, *SHAPE), dtype=np.uint8)  # an epoch ends within a batch


def run(name, images, file=None, stop_after=None, identity="same", every_sec=1e9, around=None):
    """Train from the start, or from where `file` was kept; None where it is stopped."""
    torch.manual_seed(3)
    model = family(name).build({"width": 16, "batch_size": BATCH}, SHAPE)
    allowance = Allowance(Budget(params=10**9, unit="updates", amount=UPDATES), BATCH, 1.0)
    asked = 0

    def stopping():
        nonlocal asked
        asked += 1
        return asked == stop_after

    torch.manual_seed(5)
    keeping = Keeping(file, identity, every_sec) if file else None
    try:
        spent, curve = train(
            model, images, allowance, seed=1, device=CPU, watch=Watch(stopping=stopping, around=around), keeping=keeping
        )
    except StoppedError:
        scatter()
        return None
    return SimpleNamespace(weights=model.state_dict(), spent=spent, curve=curve, model=model, keeping=keeping)


def scatter():
    """Other random states than those that the training had, as a new process has them."""
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)


def same(a, b):
    weights = all(torch.equal(a.weights[key], b.weights[key]) for key in a.weights)
    return weights and a.curve.losses == b.curve.losses


@pytest.fixture(scope="module")
def whole(images):
    return {name: run(name, images) for name in FAMILIES}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_training_cut_three_times_ends_in_the_same_bits(name, images, whole, tmp_path):
    file = tmp_path / "training"
    for updates in (2, 1, 3):
        assert run(name, images, file, stop_after=updates) is None
        assert file.exists()
    resumed = run(name, images, file)
    assert resumed.keeping.resumed_sec > 0  # a training from the start would end in the same bits
    assert same(resumed, whole[name])
    assert (resumed.spent.updates, resumed.spent.images, resumed.spent.flops) == (UPDATES, UPDATES * BATCH, UPDATES)
    assert resumed.curve.updates == whole[name].curve.updates


def test_what_saving_takes_is_part_of_the_training_s_time(images, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "TIMES_ITS_COST", 0.0)
    found = run("vae", images, tmp_path / "training", every_sec=0.0)
    parts = found.spent.parts_sec
    assert parts["checkpoint"] > 0
    assert found.spent.train_sec == pytest.approx(sum(sec for part, sec in parts.items() if part != "measurement"))
    assert same(found, whole["vae"])


def test_times_add_up(images, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "TIMES_ITS_COST", 0.0)
    file = tmp_path / "training"
    begun = time.perf_counter()
    for updates in (2, 3):
        run("vae", images, file, stop_after=updates)
    last = run("vae", images, file)
    total_sec = time.perf_counter() - begun
    assert last.keeping.resumed_sec > 0
    assert last.keeping.resumed_sec < last.spent.train_sec + last.spent.parts_sec["measurement"] < total_sec


def test_moments_lie_as_their_parameters_do(images, tmp_path):
    """A fused optimiser is silently wrong where they do not."""
    file = tmp_path / "training"
    run("vae", images, file, stop_after=4)
    model = run("vae", images, file).model
    states = [*model._adam.state.items(), *model._muon.state.items()]
    moments = [(p, m) for p, state in states for m in state.values() if getattr(m, "shape", None) == p.shape]
    assert len(moments) == 2 * len(model._adam.state) + len(model._muon.state)
    assert any(not parameter.is_contiguous() for parameter, _ in moments)
    assert all(moment.stride() == parameter.stride() for parameter, moment in moments)


LEFT_OUT = {
    "weights": ("model", "weight network"),
    "Adam's moments": ("model", "_adam/state"),
    "Muon's momentum": ("model", "_muon/state"),
    "torch's random numbers": ("model", "random torch"),
    "the rest of the epoch": ("course", "queue"),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_each_part_of_the_state_counts(what, images, whole, tmp_path, monkeypatch):
    """With one part as a new training has it, the end is another: none is kept in vain."""
    where, start = LEFT_OUT[what]
    restores = {"model": (kept, "restore"), "course": (kept.Course, "restore")}
    holder, attribute = restores[where]
    sound = getattr(holder, attribute)

    def without(*arguments):
        *first, tensors, plain = arguments
        other = torch.Generator().manual_seed(7).get_state()  # zeros would be no state of random numbers
        others = {name: other if "random" in name else torch.zeros_like(x) for name, x in tensors.items()}
        fresh = {name: others[name] if name.startswith(start) else x for name, x in tensors.items()}
        assert any(name.startswith(start) for name in tensors)
        sound(*first, fresh, plain)

    file = tmp_path / "training"
    run("vae", images, file, stop_after=4)
    monkeypatch.setattr(holder, attribute, without)
    assert not same(run("vae", images, file), whole["vae"])


def test_a_point_of_the_curve_that_is_not_closed_goes_on(images, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CURVE_POINTS", 2)
    file = tmp_path / "training"
    run("vae", images, file, stop_after=3)
    assert run("vae", images, file).curve.losses == run("vae", images).curve.losses
    run("vae", images, file, stop_after=3)
    sound = kept.Course.restore
    without = lambda s, tensors, plain: sound(s, {"queue": tensors["queue"]}, plain)  # noqa: E731
    monkeypatch.setattr(kept.Course, "restore", without)
    assert run("vae", images, file).curve.losses != run("vae", images).curve.losses


@pytest.mark.parametrize("what", ["average.updates", "order", "count"])
def test_each_plain_part_of_the_state_counts(what, images, whole, tmp_path, monkeypatch):
    if what == "average.updates":
        sound = kept.restore
        changed = lambda model, device, tensors, plain: sound(model, device, tensors, {**plain, what: 0})  # noqa: E731
        monkeypatch.setattr(kept, "restore", changed)
    else:
        sound = kept.Course.restore
        fresh = {"order": np.random.default_rng(7).bit_generator.state, "count": 5}[what]
        monkeypatch.setattr(kept.Course, "restore", lambda s, tensors, plain: sound(s, tensors, {**plain, what: fresh}))
    file = tmp_path / "training"
    run("vae", images, file, stop_after=4)
    assert not same(run("vae", images, file), whole["vae"])


def damage_end(content):
    return content[:-100]


def damage_a_weight(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [damage_end, damage_a_weight, lambda content: b"", lambda content: b"x" * 5000])
def test_a_damaged_file_is_as_good_as_none(damage, images, whole, tmp_path):
    file = tmp_path / "training"
    run("gan", images, file, stop_after=4)
    file.write_bytes(damage(file.read_bytes()))
    again = run("gan", images, file)
    assert again.keeping.resumed_sec == 0
    assert same(again, whole["gan"])


def test_other_code_or_threads_start_again(images, whole, tmp_path):
    file = tmp_path / "training"
    run("gan", images, file, stop_after=4, identity="before")
    again = run("gan", images, file, identity="after")
    assert again.keeping.resumed_sec == 0
    assert same(again, whole["gan"])


@pytest.mark.parametrize("name", FAMILIES)
def test_processes_of_a_team_start_alike(name):
    """The first one's training is what all others get, and go on from."""
    shared = []

    def member(rank):
        torch.manual_seed(rank)
        model = family(name).build({"width": 16, "batch_size": BATCH}, SHAPE)
        course = Course(np.zeros((20, *SHAPE), np.uint8), BATCH, rank, CPU, NO_COUNTER, time.perf_counter)
        share = shared.append if rank == 0 else lambda _: shared[0]
        kept.start_alike(SimpleNamespace(ranks=SimpleNamespace(rank=rank), share=share), model, course, CPU)
        return model

    first, second = member(0), member(1)
    weights = second.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in first.state_dict().items())


def test_a_model_that_holds_what_cannot_be_kept_is_not():
    torch.manual_seed(3)
    model = family("gan").build({"width": 16, "batch_size": BATCH}, SHAPE)
    model.stranger = SimpleNamespace(count=1)
    with pytest.raises(state.NotResumableError, match="stranger is a SimpleNamespace"):
        state.capture(model, CPU)


def test_what_a_stranger_s_model_holds_is_kept():
    """Schedulers, generators, arrays, plain values, frozen weights and gradients that wait for the next update."""

    def build():
        torch.manual_seed(3)
        model = family("gan").build({"width": 16, "batch_size": BATCH}, SHAPE)
        optimizer = torch.optim.SGD([next(model.generator.parameters())], lr=0.1, momentum=0.9)
        model.optimizer, model.rates = optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1)
        model.draws, model.own, model.dice = torch.Generator(), np.random.default_rng(1), random.Random(1)
        model.history, model.mean, model.table = [1.5, (2, None)], torch.zeros(3), np.zeros(2, np.float32)
        model.order, model.named = (Taken((0, 1), 2), Taken((2,), 0)), {"first": Taken((1,), 1)}
        return model

    one = build()
    one.draws.manual_seed(8)
    one.own.random(5)
    one.dice.random()
    one.order, one.named = (Taken((1, 0), 5), Taken((0,), 3)), {"first": Taken((3,), 4)}
    one.history, one.mean, one.table = [3.25, (4, "x"), (5,)], torch.arange(3.0), np.array([5, 6], np.float32)
    next(one.discriminator.parameters()).requires_grad_(False)
    first = next(one.generator.parameters())
    first.grad = torch.randn_like(first)
    one.optimizer.step()
    one.rates.step()
    tensors, plain = state.capture(one, CPU)

    other = build()
    state.restore(other, CPU, tensors, plain)
    assert other.history == [3.25, (4, "x"), [5]]  # of what is new, nothing says that it was no list
    assert other.order == one.order
    assert other.order[0].components == (1, 0)
    assert other.named["first"].components == (3,)
    assert torch.equal(other.mean, one.mean)
    assert (other.table == one.table).all()
    assert other.table.dtype == np.float32
    assert torch.rand(3, generator=other.draws).tolist() == torch.rand(3, generator=one.draws).tolist()
    assert other.own.random() == one.own.random()
    assert other.dice.random() == one.dice.random()
    assert other.rates.last_epoch == 1
    assert other.optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    assert not next(other.discriminator.parameters()).requires_grad
    assert torch.equal(next(other.generator.parameters()).grad, first.grad)


def test_what_the_machine_did_beside_each_part_of_a_training_is_kept(images, tmp_path):
    """Of 10 s of the first process others took all, of 30 s of the second none."""

    def around(*usages):
        left = itertools.chain(usages, itertools.repeat(usages[-1]))
        return Around("train", LoadMeter(usage=lambda: next(left)), work)

    work = SimpleNamespace(name="none", seconds=lambda _limit_sec: [1.0])
    file = tmp_path / "training"
    run("vae", images, file, stop_after=3, around=around(Usage(0, 0, 0), Usage(10, 10, 0)))
    second = around(Usage(500, 0, 0), Usage(530, 0, 0))
    run("vae", images, file, around=second)
    assert second.end().load.others_cpu_share == pytest.approx(0.25)


def test_what_a_save_costs_bounds_how_often_it_comes():
    keeping = Keeping(None, "", every_sec=10.0)
    assert [sec for sec in range(30) if keeping.is_due(sec)] == list(range(11, 30))
    keeping._last_sec, keeping._cost_sec = 100.0, 2.0  # 2 s of 120 s are below 2 %
    assert not keeping.is_due(219.0)
    assert keeping.is_due(221.0)


class Joules:
    """Counts ten more each time."""

    quantity = "a count"

    def __init__(self):
        self.now = 0.0

    def joules(self):
        self.now += 10
        return self.now


@pytest.mark.parametrize(
    ("counters", "known"),
    [
        ((Joules(), Joules()), True),
        ((NO_COUNTER, Joules()), False),
        ((Joules(), NO_COUNTER, Joules()), False),
    ],
)
def test_the_energy_of_a_training_is_known_only_where_all_of_it_was_counted(images, counters, known):
    first, *others = (Course(images, BATCH, 0, CPU, counter, time.perf_counter) for counter in counters)
    for other in others:
        other.restore(*first.state())
        other.look()
        first = other
    found = first.energy.energy(1)
    assert (found.joules is not None, found.reason is None) == (known, known)
