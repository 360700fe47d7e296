"""Points along a training: kept off its clock, without moving it by a bit, the same after a stop."""

import numpy as np
import pytest
import torch

from equibench.machine.beside import Around
from equibench.machine.load import LoadMeter, Usage
from equibench.record.schema import Budget
from equibench.run.kept import Keeping
from equibench.run.points import PointGoneError, Points, halvings, load
from equibench.run.train import Allowance, StoppedError, Watch, train
from equibench_models import FAMILIES, family

CPU = torch.device("cpu")
UPDATES, BATCH = 9, 4
SHAPE = (1, 16, 16)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (20, *SHAPE), dtype=np.uint8)


def run(name, images, points=None, file=None, stop_after=None):
    """Train from the start, or from where `file` was kept: weights, losses, random state; None where it is stopped."""
    torch.manual_seed(3)
    model = family(name).build({"width": 16, "batch_size": BATCH}, SHAPE)
    asked = iter(range(1, UPDATES + 1))
    watch = Watch(stopping=lambda: next(asked) == stop_after)
    allowance = Allowance(Budget(params=10**9, unit="updates", amount=UPDATES), BATCH, 2.0)
    torch.manual_seed(5)
    keeping = Keeping(file, "same", 1e9) if file else None
    try:
        watching = {"watch": watch, "keeping": keeping, "points": points}
        _, curve = train(model, images, allowance, seed=1, device=CPU, **watching)
    except StoppedError:
        torch.manual_seed(99)
        return None
    return model.state_dict(), curve.losses, torch.get_rng_state()


def spent(points):
    return [(one.label, one.updates, one.images, one.flops, one.weights_sha256) for one in points.passed]


@pytest.mark.parametrize("name", FAMILIES)
def test_points_move_no_bit_and_are_the_same_after_a_stop(name, images, tmp_path):
    plain = run(name, images)
    points = Points(tmp_path / "points", halvings(3))
    with_points = run(name, images, points)
    assert all(torch.equal(plain[0][key], with_points[0][key]) for key in plain[0])
    assert plain[1] == with_points[1]
    assert torch.equal(plain[2], with_points[2])
    # of 9 updates the second is the first that is not before an eighth
    assert [one[:4] for one in spent(points)] == [
        ("12.5 %", 2, 8, 4.0),
        ("25 %", 3, 12, 6.0),
        ("50 %", 5, 20, 10.0),
    ]
    assert not all(torch.equal(load(points.folder, points.passed[0])[key], plain[0][key]) for key in plain[0])

    cut = tmp_path / "cut"
    for updates in (3, 1):  # the fourth: between the points of the third and the fifth
        assert run(name, images, Points(cut, halvings(3)), tmp_path / "training", stop_after=updates) is None
    resumed = Points(cut, halvings(3))
    ended = run(name, images, resumed, tmp_path / "training")
    assert all(torch.equal(plain[0][key], ended[0][key]) for key in plain[0])
    assert spent(resumed) == spent(points)
    for one in resumed.passed:
        load(cut, one)


def test_shares_are_halvings_of_the_budget():
    assert halvings(4) == (0.0625, 0.125, 0.25, 0.5)
    assert halvings(1) == (0.5,)


def test_one_update_that_reaches_several_points_is_the_last_of_them(images, tmp_path):
    points = Points(tmp_path, halvings(4))
    assert points.due(0.06) is None
    assert points.due(0.3) == 0.25

    def reached(updates):
        found = Points(tmp_path / str(updates), halvings(4))
        allowance = Allowance(Budget(params=1, unit="updates", amount=updates), BATCH, 1.0)
        train(Slow([0.0], 1.0), images, allowance, seed=0, device=CPU, points=found)
        return [(one.label, one.updates) for one in found.passed]

    assert reached(1) == []  # the end is no point before it
    assert reached(2) == [("50 %", 1)]
    assert reached(3) == [("25 %", 1), ("50 %", 2)]
    assert reached(16) == [("6.25 %", 1), ("12.5 %", 2), ("25 %", 4), ("50 %", 8)]


class Slow(torch.nn.Module):
    """A model that does nothing but let time pass."""

    def __init__(self, clock, sec):
        super().__init__()
        self.clock, self.sec = clock, sec
        self.register_buffer("count", torch.zeros(()))

    def update(self, images, share):  # noqa: ARG002
        self.clock[0] += self.sec
        self.count += 1
        return {"loss": torch.ones(())}

    def sampling_parameters(self):
        return 0


def test_what_keeping_a_point_takes_is_no_time_energy_or_load_of_the_training(images, tmp_path, monkeypatch):
    """A budget of 10 s of a fake clock: updates of 1 s, and 100 s for each point, in which others are busy."""
    clock, others_sec = [0.0], [0.0]
    sound = Points.keep

    def slowly(*arguments):
        sound(*arguments)
        clock[0] += 100
        others_sec[0] += 100

    monkeypatch.setattr(Points, "keep", slowly)

    class Counter:
        quantity = "joules of a made-up counter"

        def joules(self):
            return 50 * clock[0]

    meter = LoadMeter(usage=lambda: Usage(clock[0], clock[0], clock[0] - others_sec[0]), now=lambda: clock[0])
    around = Around("train", meter, type("Work", (), {"name": "none", "seconds": lambda self, limit_sec: [1.0]})())
    points = Points(tmp_path, halvings(2))
    spent, curve = train(
        Slow(clock, 1.0),
        images,
        Allowance(Budget(params=1, unit="sec", amount=10.0), BATCH, 1.0),
        seed=0,
        device=CPU,
        watch=Watch(counter=Counter(), now=lambda: clock[0], around=around),
        points=points,
    )
    assert clock[0] == 210
    assert (spent.updates, spent.train_sec, spent.energy.joules) == (10, 10.0, 500.0)
    assert spent.parts_sec["measurement"] == 200
    assert [(one.label, one.share, one.train_sec, one.updates) for one in points.passed] == [
        ("25 %", 0.3, 3.0, 3),
        ("50 %", 0.5, 5.0, 5),
    ]
    assert curve.train_sec == [float(i) for i in range(1, 11)]
    totals = meter.totals()
    assert (totals.all_sec, totals.others_sec) == (10.0, 0.0)


def test_weights_that_are_gone_or_others_are_told(tmp_path, images):
    points = Points(tmp_path, (0.5,))
    allowance = Allowance(Budget(params=1, unit="updates", amount=4), BATCH, 1.0)
    train(Slow([0.0], 1.0), images, allowance, seed=0, device=CPU, points=points)
    (one,) = points.passed
    assert load(tmp_path, one)["count"] == 2
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(PointGoneError, match="not those that the training kept"):
        load(tmp_path, one)
    file.unlink()
    with pytest.raises(PointGoneError, match="went with a first record"):
        load(tmp_path, one)
