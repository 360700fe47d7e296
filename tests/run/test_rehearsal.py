"""The suites for a GPU, rehearsed on a processor: their entrants and every stage, with a thousandth of all amounts or
less, and a smaller cap. Their numbers mean nothing; what breaks here would break there, after minutes or hours.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from equibench import suite
from equibench.record.find import read_all

LEAST = {"batch_size": 8, "samples": 12, "sweep_samples": 8, "reference_images": 40, "memorization_images": 20}


def small(n, least=2):
    return max(n // 1000, least)


def rehearsed(name):
    """The suite `name` as plain values, made small: the structure of the entrants is kept, their width is not."""
    plain = suite.load(name).model_dump(exclude_none=True)
    measure = plain["measure"]
    for key, value in measure.items():
        if isinstance(value, int) and not isinstance(value, bool):
            measure[key] = small(value, LEAST.get(key, 2))
        elif key.endswith("_sec"):
            measure[key] = 0.02
    measure["speed_batch_sizes"] = [small(n, i + 1) for i, n in enumerate(measure["speed_batch_sizes"])]
    measure["sweep_evaluations"] = 5  # a chain of a thousand steps takes as long on few images
    measure["likelihood_images"] = 40
    measure["bound"] = [
        {**bound, "images": small(bound["images"]), "passes": small(bound["passes"]), "check_steps": False}
        for bound in measure["bound"]
    ]
    if "along" in measure:
        measure["along"] = {"points": 2, "samples": 8, "likelihood_images": 10}
    measure["annealing"] = {key: small(value) for key, value in measure["annealing"].items() if key != "sigma"}
    measure["speed_modes"] = [mode for mode in measure["speed_modes"] if mode != "compile"]  # minutes on a processor
    for entrant in plain["entrant"]:
        entrant["config"] |= {"batch_size": LEAST["batch_size"]}
    channels = 3 if plain["dataset"] == "cifar10" else 1
    return plain | {
        "name": f"{name}-rehearsed",
        "budget": [{"params": 10**6, "unit": "updates", "amount": 3}],
        "train_images": 60,
        "test_images": 40,
        "dataset": "images.npz" if channels == 3 else "fashion-mnist-10k",
    }


def toml(value):
    """A value of JSON's kinds as TOML writes it in a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["standard", "cifar10"])
def test_every_stage_of_every_entrant_works(name, tmp_path):
    # patches of one colour: white noise is so unlikely to a model of few updates that its inverse has no digits there
    noise = np.random.default_rng(0).integers(64, 192, (100, 3, 4, 4), np.uint8).repeat(8, axis=2).repeat(8, axis=3)
    np.savez(tmp_path / "images.npz", train=noise[:60], test=noise[60:])
    plain = rehearsed(name)
    (tmp_path / "small.toml").write_text("".join(f"{key} = {toml(value)}\n" for key, value in plain.items()))
    command = [sys.executable, "-m", "equibench", "run", "small.toml", "--device", "cpu", "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    records = {one.entrant: one for _, one in read_all([tmp_path / "out"])}
    for entrant in plain["entrant"]:
        one = records[entrant["name"]]
        assert (one.status, one.failures) == ("ok", {}), entrant
        modes = {mode.mode: mode.reason for mode in one.speed.other_modes}
        assert modes == {"cuda graph": "CUDA graphs need a CUDA device"}
        assert one.memory.reason is None
        assert len(one.along) == (2 + 1 if "along" in plain["measure"] else 0)
        assert bool(one.decoder_likelihood) == (entrant["family"] in ("gan", "vae"))
        assert bool(one.likelihood.reason) == (entrant["family"] == "gan")
    measured = {bound.name for one in records.values() for bound in one.bounds}
    assert measured == {bound["name"] for bound in plain["measure"]["bound"]}


@pytest.mark.parametrize("name", ["standard", "cifar10"])
def test_a_rehearsal_is_of_all_that_the_suite_measures(name):
    plain, whole = rehearsed(name), suite.load(name)
    again = suite.Suite.model_validate({**plain, "dataset": "fashion-mnist-10k"})
    asked = {key for key, value in whole.measure.model_dump().items() if value}
    assert {key for key, value in again.measure.model_dump().items() if value} == asked
    structure = [entrant.config.keys() | {"batch_size"} for entrant in whole.entrant]
    assert [entrant.config.keys() for entrant in again.entrant] == structure
