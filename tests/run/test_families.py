"""Families by name: lazily, a user's own among them, and the one rule of consent for code that is a user's own."""

import subprocess
import sys

import pytest
import torch
from fixtures import equibench

from equibench import suite
from equibench.data import sets
from equibench.errors import UserError
from equibench.measure.features.own import function
from equibench.run import checkpoint
from equibench.run.cell import run_here
from equibench.run.families import resolve_family
from equibench.run.plan import plan
from equibench.run.session import Session
from equibench.suite import Cell, Entrant, code_in
from equibench_models import FAMILIES, family
from equibench_models.contract import Model
from equibench_models.vae.model import VAE

CPU = torch.device("cpu")
OWN = "test_families:Mine"


class Mine(VAE):
    """A family of a user's own."""


def blocks(images):
    return torch.nn.functional.avg_pool2d(images[:, :1].float(), 7).flatten(1)


def test_names_resolve_lazily_and_each_to_its_class():
    code = "import sys, equibench_models; assert list(equibench_models.FAMILIES); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert [family(name).__name__ for name in FAMILIES] == ["GAN", "VAE", "Flow", "Diffusion"]
    assert family(OWN).__name__ == "Mine"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("test_families:Nothing", "cannot import test_families"), ("no_such_module:X", "cannot import no_such_module"),
     ("test_families:blocks", "no subclass of equibench_models.contract.Model")],
)  # fmt: skip
def test_what_is_no_family_is_one_sentence(name, sentence):
    with pytest.raises(UserError, match=sentence):
        resolve_family(name)


def test_an_unknown_family_is_refused_with_the_nearest(tmp_path):
    file = tmp_path / "own.toml"
    text = suite.shipped()["smoke"].read_text()
    file.write_text(text.replace('family = "vae"', 'family = "veo"'))
    with pytest.raises(UserError, match=r"unknown family 'veo'; did you mean 'vae'.*module:Class"):
        suite.load(str(file))


@pytest.fixture(scope="module")
def own_cell(tmp_path_factory):
    """A record and a checkpoint of a family of the user's own."""
    smoke = suite.load("smoke")
    few = smoke.measure.model_copy(update={"sampler_points": False, "bound": [], "annealing": None})
    smoke = smoke.model_copy(update={"measure": few})
    data = sets.load(smoke.dataset).limited(smoke.train_images, smoke.test_images)
    session = Session(smoke, data, CPU, function("test_families:blocks", CPU), tmp_path_factory.mktemp("own"))
    entrant = Entrant(name="mine", family=OWN, config={"vector": 8, "prior_hidden": 8, "mixed": 1})
    path, record = run_here(Cell(smoke, "mine", 0, entrant, smoke.budget[0]), session)
    return path, record


def test_a_family_of_one_s_own_gets_every_measurement(own_cell):
    _, record = own_cell
    assert (record.status, record.family) == ("ok", OWN)
    assert record.quality.also
    assert record.likelihood.bits_per_dim > 0
    assert record.memory.train_peak_bytes > 0  # in a process that imports the class again
    assert record.portrait.title == "Variational autoencoder"


def test_a_checkpoint_that_names_code_needs_consent(own_cell):
    file = own_cell[0].with_suffix(".safetensors")
    with pytest.raises(UserError, match=f"the family {OWN}, which .* can run any code .* --allow-code"):
        checkpoint.load(file, CPU)
    model, provenance = checkpoint.load(file, CPU, allow_code=True)
    assert type(model).__name__ == "Mine"
    assert provenance.family == OWN
    assert checkpoint.sha256(file) == own_cell[1].weights_sha256  # which needs none of its code


def suite_file(folder, **changes):
    text = suite.shipped()["smoke"].read_text()
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    (folder / "own.toml").write_text(text)
    return "own.toml"


FAMILY = {"family": ('family = "vae"', 'family = "planted:Net"')}
EXTRACTOR = {"extractor": ("samples = 32", 'samples = 32\nextractor = "planted:features"')}
SCRIPT = {"extractor": ("samples = 32", 'samples = 32\nextractor = "planted.pt"')}


@pytest.mark.parametrize(
    ("verb", "changes"),
    [("plan", FAMILY), ("run", FAMILY), ("run", EXTRACTOR), ("run", SCRIPT)],
    ids=["family to plan", "family", "extractor", "file"],
)
def test_a_suite_that_names_code_needs_consent_before_anything_is_imported(tmp_path, verb, changes):
    (tmp_path / "planted.py").write_text("open('ran', 'w')")
    (tmp_path / "planted.pt").write_bytes(b"opened")
    name = suite_file(tmp_path, **changes)
    done = equibench(verb, name, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "which the suite smoke names, can run any code on this machine" in done.stderr
    assert "--allow-code" in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "results").exists()


def test_no_consent_is_asked_for_what_does_not_run(tmp_path):
    (tmp_path / "planted.py").write_text("open('ran', 'w')")
    name = suite_file(tmp_path, **FAMILY, **EXTRACTOR)
    done = equibench("plan", name, "--only", "gan", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


def test_with_consent_it_runs(tmp_path):
    (tmp_path / "planted.py").write_text("open('ran', 'w')")
    done = equibench("plan", suite_file(tmp_path, **FAMILY), "--device", "cpu", "--allow-code", cwd=tmp_path)
    assert (tmp_path / "ran").exists()
    assert done.returncode == 2
    assert "cannot import planted:Net" in done.stderr  # which the module does not have
    assert "Traceback" not in done.stderr


def test_a_name_typed_on_the_command_line_is_consent_and_a_file_that_can_run_code_is_not(tmp_path):
    (tmp_path / "planted.py").write_text("open('ran', 'w')")
    (tmp_path / "planted.pt").write_bytes(b"no TorchScript")
    run = ("run", "smoke", "--device", "cpu", "--out", tmp_path / "out", "--extractor")
    done = equibench(*run, "planted:features", cwd=tmp_path)
    assert (tmp_path / "ran").exists()
    assert "cannot import planted:features" in done.stderr
    done = equibench(*run, "planted.pt", cwd=tmp_path)
    assert (done.returncode, "planted.pt, a TorchScript file, can run any code" in done.stderr) == (2, True)
    done = equibench(*run, "planted.pt", "--allow-code", cwd=tmp_path)
    assert (done.returncode, "planted.pt is no TorchScript module" in done.stderr) == (2, True)


class Unfinished(Model):
    """A family that lacks most of what it needs."""


class Broken(VAE):
    def __init__(self, config, shape):  # noqa: ARG002
        raise RuntimeError("no such layer")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("test_families:Unfinished", r"lacks __init__, nats, sample, .*config_type, about"),
        ("test_families:Broken", r"cannot be built and updated once \(RuntimeError: no such layer\)"),
    ],
)
def test_an_unfinished_family_is_one_sentence(name, sentence):
    smoke = suite.load("smoke")
    cell = Cell(smoke, "own", 0, Entrant(name="own", family=name), smoke.budget[0])
    with pytest.raises(UserError, match=sentence):
        plan(cell, (1, 28, 28))


def test_a_module_that_exits_is_one_sentence(tmp_path):
    (tmp_path / "exits.py").write_text("import sys; sys.exit()")
    done = equibench("run", "smoke", "--device", "cpu", "--extractor", "exits:features", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot import exits:features (SystemExit" in done.stderr


def test_modules_of_the_working_folder_come_last(tmp_path):
    """A file there may have the name of a module that a library imports later."""
    (tmp_path / "profile.py").write_text("raise SystemExit('the wrong profile')")
    (tmp_path / "mine.py").write_text("import profile\ndef features(images): return images.float().flatten(1)[:, :8]")
    code = "from equibench.usercode import import_name; print(import_name('mine:features').__name__)"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "features", done.stderr


def test_code_in_a_suite_by_hand():
    smoke = suite.load("smoke")
    assert code_in(smoke) == []
    entrants = [Entrant(name=str(i), family=name) for i, name in enumerate([OWN, "vae", OWN])]
    own = smoke.model_copy(
        update={"entrant": entrants, "measure": smoke.measure.model_copy(update={"extractor": "a.pth+bf16"})}
    )
    assert code_in(own) == [OWN, "a.pth+bf16"]
    assert code_in(own, extractor=False) == [OWN]
    assert code_in(own, families=False) == ["a.pth+bf16"]
