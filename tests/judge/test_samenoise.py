"""Same-noise samples as a gate of the check, from files as a run leaves them."""

import numpy as np
import pytest
from fixtures import MACHINE, make

from equibench.judge.check import check
from equibench.judge.gates import Gates, SameNoise
from equibench.judge.samenoise import NUMBER
from equibench.record import files
from equibench.record.anatomy import FixedNoise

NOISE = FixedNoise(n=4, noise_seed=5, pictures="noise_samples")
PICTURES = np.arange(4 * 28 * 28, dtype=np.uint8).reshape(4, 1, 28, 28)


def other_by(share):
    """The pictures with so many of their bytes another."""
    found = PICTURES.copy()
    found.reshape(-1)[: round(share * found.size)] ^= 64
    return found


def side(folder, *pictures, **changes):
    for seed, some in enumerate(pictures):
        files.write(make("vae", seed, fixed_noise=NOISE, **changes), folder, {"noise_samples": some})
    return folder


def line(before, after, **gate):
    found = check([after], [before], gates=Gates(same_noise=SameNoise(**gate)))
    return next((one for one in found.lines if one.number == NUMBER), None), found


def test_equal_weights_give_equal_bytes(tmp_path):
    found, whole = line(side(tmp_path / "a", PICTURES, PICTURES), side(tmp_path / "b", PICTURES, PICTURES))
    assert found.verdict == "reproduced"
    assert found.sentence.startswith("seeds 0 and 1: 4 samples from the same noise are equal to the last byte")
    assert not whole.failed


def test_one_seed_of_other_bytes_is_not_hidden_by_others(tmp_path):
    found, whole = line(side(tmp_path / "a", PICTURES, PICTURES), side(tmp_path / "b", PICTURES, other_by(0.001)))
    assert found.verdict == "measurement error"
    assert found.sentence.startswith("seed 1: ")
    assert whole.failed


def test_another_machine_is_told_and_judged_on_demand_alone(tmp_path):
    elsewhere = {"machine": MACHINE.model_copy(update={"key": "elsewhere", "processor": "another"})}
    before, after = side(tmp_path / "a", PICTURES), side(tmp_path / "b", other_by(0.3), **elsewhere)
    found, whole = line(before, after)
    assert found.verdict == "reported"
    assert not whole.failed
    found, whole = line(before, after, other_machines=True)
    assert found.verdict == "measurement error"
    assert whole.failed


def test_weights_changed_after_the_training(tmp_path):
    found, _ = line(side(tmp_path / "a", PICTURES), side(tmp_path / "b", other_by(0.3), weights_sha256="f" * 64))
    assert found.verdict == "regression"


@pytest.mark.parametrize("why", ["off", "none", "gone", "seeds"])
def test_where_nothing_can_be_compared(tmp_path, why):
    before, after = side(tmp_path / "a", PICTURES), side(tmp_path / "b", other_by(0.3))
    if why == "gone":
        next(before.glob("*.npz")).unlink()
    if why == "none":
        after = side(tmp_path / "c", other_by(0.3))
        for path in after.glob("*.json"):
            record = files.read(path).model_copy(update={"fixed_noise": None})
            path.unlink()
            files.write(record, after, {"noise_samples": PICTURES})
    if why == "seeds":
        after = side(tmp_path / "c", PICTURES, other_by(0.3))
        next(after.glob("*-s0-*.json")).unlink()
    found, whole = line(before, after, gate=why != "off")
    assert not whole.failed
    if why == "gone":
        assert found.verdict == "skipped"
        assert found.sentence == "seed 0: same-noise samples were not compared: the baseline holds none"
    else:
        assert found is None
