"""What lies in a folder stands for what runs now only if the same code made it; if not it is made again, and kept."""

import dataclasses
import json
import re
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from fixtures import equibench, make

from equibench import suite
from equibench.cli.plan import tell_changed
from equibench.data import sets
from equibench.machine import code
from equibench.machine.clock import Clock
from equibench.machine.code import code_version, package_versions
from equibench.measure.features.load import load_extractor
from equibench.record import files as record_files
from equibench.record.reading import content_sha256
from equibench.record.schema import Code
from equibench.run import checkpoint
from equibench.run.attempts import Tries
from equibench.run.cell import run_here
from equibench.run.kept import Keeping, peek
from equibench.run.loaded import only_loaded
from equibench.run.loop import run_cells
from equibench.run.obtain import obtain
from equibench.run.session import Session
from equibench.run.standing import look_over
from equibench.run.status import REPLACED, UNFINISHED, made_otherwise, status, want
from equibench.run.train import StoppedError, Watch
from equibench.run.unfinished import Progress, Unfinished
from equibench.run.work import Found
from equibench.suite import Entrant, cells

CPU = torch.device("cpu")
OTHER = Code(commit="0123456789ab", dirty=False, version="0.1.0", sources_sha256="0" * 64)


@pytest.fixture
def session(tmp_path):
    smoke = suite.load("smoke")
    vae = next(one for one in smoke.entrant if one.name == "vae")
    smoke = smoke.model_copy(update={"entrant": [vae]})
    data = sets.load(smoke.dataset).limited(60, 60)
    reload = partial(load_extractor, "test_endings:blocks", CPU)
    return Session(smoke, data, CPU, reload(), tmp_path / "out", allow_code=True, reload=reload)


def cell_of(session, name="vae"):
    return next(cell for cell in cells(session.suite) if cell.name == name)


def put(session, name="vae", **changes):
    """A record under a cell's name, as if a run with this code had written it, but for the changes."""
    cell = cell_of(session, name)
    now = {"code": code_version(session.own(cell)), "versions": package_versions()}
    record = make("vae", entrant=name, key=session.key(cell), seed=cell.seed, **{**now, **changes})
    return record_files.write(record, session.out, {})


def looked(session, retry=False):
    return [(one.cell.name, one.what, one.why) for one in look_over(session, retry)]


def test_what_the_same_code_made_stands(session):
    put(session, trained_by=OTHER, budget=None)  # a checkpoint that was asked for
    put(session, "uniform")
    assert looked(session) == []
    assert made_otherwise(session.out) == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": OTHER}, "was made by other code (commit 01234567)"),
        ({"code": Code(commit=None, dirty=None, version="0.1.0")}, "does not say which code made it"),
        ({"trained_by": OTHER}, "was measured on weights that other code trained"),
        ({"versions": {**package_versions(), "torch": "1.0"}}, f"was made with torch 1.0, now {torch.__version__}"),
    ],
)
def test_what_other_code_made_is_made_again_or_kept_as_was_asked(session, capsys, changes, why):
    put(session, **changes)
    put(session, "uniform")
    why = why.replace(torch.__version__, package_versions()["torch"])
    assert looked(session) == [("vae", "record", why)]
    assert looked(dataclasses.replace(session, keep=True)) == [("vae", "kept", why)]
    assert made_otherwise(session.out) == {why: 1}
    tell_changed(session.out)
    shown = capsys.readouterr()
    assert f"makes 1 record again, as what is there {why}; with --keep it does not" in shown.out + shown.err
    told = {one.cell: one.detail for one in status(session.out)}
    assert told == {"vae": f"ok; the next run makes it again, as it {why} (--keep takes it)", "uniform": "ok"}


def test_retry_comes_first_and_goes_with_keep(session):
    put(session, status="crashed", reason="it broke", code=OTHER)
    assert looked(session, retry=True) == [("vae", "record", "says 'crashed'")]
    kept = dataclasses.replace(session, keep=True)
    assert [what for _, what, _ in looked(kept, retry=True)] == ["record"]
    assert [what for _, what, _ in looked(kept)] == ["kept"]


def test_records_of_another_protocol_are_no_run_s_business(session):
    put(session, code=OTHER, protocol="1")
    assert made_otherwise(session.out) == {}
    assert status(session.out)[0].detail == "ok"


def trained(session, keeping=None, watch=None):
    return obtain(cell_of(session), session, Clock(), watch or Watch(), keeping)[1]


def change(file, **changes):
    """Weights that say something else of themselves."""
    model, provenance = checkpoint.load(file, CPU)
    checkpoint.save(file, model, provenance.model_copy(update=changes))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": OTHER}, "was made by other code (commit 01234567)"),
        ({"code": None}, "does not say which code made it"),
        ({"key": "f" * 64}, "is of another cell"),
        ({"data_sha256": "f" * 64}, "is of another cell"),
    ],
)
def test_weights_that_other_code_or_another_cell_trained_are_trained_again(session, changes, why):
    first = trained(session)
    file = session.path(cell_of(session)).with_suffix(".safetensors")
    assert looked(session) == []
    assert trained(session).spent.train_sec == first.spent.train_sec  # loaded
    change(file, **changes)
    odd = file.read_bytes()
    assert looked(session) == [("vae", "weights", why)]
    kept = dataclasses.replace(session, keep=True)
    if "code" in changes:
        found = trained(kept)
        assert found.spent.train_sec == first.spent.train_sec
        assert found.trained_by == (changes["code"] or Code(commit=None, dirty=None, version="unknown"))
    else:
        assert looked(kept) == [("vae", "weights", why)]
    again = trained(session)
    assert again.spent.train_sec != first.spent.train_sec
    assert again.weights_sha256 == first.weights_sha256
    assert again.trained_by is None
    (aside,) = (session.out / UNFINISHED / REPLACED).iterdir()
    assert aside.read_bytes() == odd


def test_a_checkpoint_that_was_asked_for_is_taken_and_its_code_recorded(session, tmp_path):
    trained(session)
    file = session.path(cell_of(session)).with_suffix(".safetensors")
    change(file, code=OTHER)
    given = Path(shutil.move(file, tmp_path / "given.safetensors"))
    loaded = dataclasses.replace(session, suite=only_loaded(session.suite, [given], ["vae"]))
    assert looked(loaded) == [("vae", "loaded", "was made by other code (commit 01234567)")]
    assert trained(loaded).trained_by == OTHER
    assert given.exists()


def test_status_says_of_unfinished_cells_whether_they_go_on(session, monkeypatch):
    cell = cell_of(session)
    unfinished = Unfinished(session.folder(cell))
    want(session.out, "smoke", [("vae", 0, session.path(cell))])
    Tries(unfinished, session.identity(cell)).begin()
    unfinished.save(Progress(identity=session.identity(cell)), Found())
    assert status(session.out)[0].detail == "goes on where it was kept with the next run"
    monkeypatch.setattr(code, "code_digest", lambda: "0" * 64)
    assert status(session.out)[0].detail == "begun by other code or packages; the next run begins it anew"


def test_an_unfinished_training_of_other_code_is_said(session):
    cell = cell_of(session)
    unfinished = Unfinished(session.folder(cell))
    keeping = Keeping(unfinished.training, session.identity(cell), 0.0)
    asked = iter([False, True])
    with pytest.raises(StoppedError):
        trained(session, keeping, Watch(stopping=lambda: next(asked)))
    assert peek(unfinished.training) == (session.identity(cell), 2)
    assert looked(session) == []
    unfinished.save(Progress(identity="of other code"), Found())
    assert looked(session) == [("vae", "unfinished", "was made by other code, packages or settings")]
    unfinished.clear()
    other = Keeping(unfinished.training, "of other code", 0.0)
    asked = iter([True])
    with pytest.raises(StoppedError):
        trained(session, other, Watch(stopping=lambda: next(asked)))
    assert [what for _, what, _ in looked(session)] == ["unfinished"]
    unfinished.training.write_bytes(unfinished.training.read_bytes()[:100])
    assert (peek(unfinished.training), looked(session)) == (None, [])


def test_a_second_run_after_the_code_changed_makes_its_cells_again(session):
    """It said "there already" of every one."""
    floors = dataclasses.replace(session, suite=session.suite.model_copy(update={"entrant": []}))
    first = {cell.name: run_here(cell, floors) for cell in cells(floors.suite)}
    for name in ("uniform", "real data"):
        file, record = first[name]
        text = file.read_text().replace(record.code.sources_sha256, OTHER.sources_sha256)
        old = json.loads(text)
        file.write_text(json.dumps(old | {"content_sha256": content_sha256(old)}))
    announced = []
    second = list(run_cells(floors, lambda *_: None, announce=announced.extend))
    assert {one.cell.name for one in announced} == {"uniform", "real data"}
    assert {one.cell.name: one.found for one in second if not one.found}.keys() == {"uniform", "real data"}
    names = [file.name for file in (floors.out / UNFINISHED / REPLACED).glob("*.json")]
    assert sorted(re.sub(r"-s0.*", "", name) for name in names) == ["real-data", "uniform"]
    assert [one.found for one in run_cells(floors, lambda *_: None)] == [True] * 5
    invocations = {one.record.invocation for one in second}
    assert invocations == {floors.invocation}  # as all were made in this test, by one session


@pytest.mark.slow
def test_the_command_line_says_what_it_makes_again(tmp_path):
    """With code that really changes: the user's own."""
    (tmp_path / "mine.py").write_text("from equibench_models.vae.model import VAE\n\n\nclass Mine(VAE):\n    pass\n")
    head, *_ = suite.shipped()["smoke"].read_text().partition("[[entrant]]")
    entrant = '[[entrant]]\nname = "mine"\nfamily = "mine:Mine"\nconfig = { vector = 8, prior_hidden = 8 }\n'
    (tmp_path / "own.toml").write_text(head + entrant)
    command = ["run", "own.toml", "--allow-code", "--out", "out"]
    assert equibench(*command, cwd=tmp_path).returncode == 0
    second = equibench(*command, cwd=tmp_path)
    assert second.stdout.count("there already") + second.stderr.count("there already") == 6
    with (tmp_path / "mine.py").open("a") as stream:
        stream.write("\n\nx = 1\n")
    kept = equibench(*command, "--keep", cwd=tmp_path)
    assert "Taken as it is (--keep), though the record was made before mine:Mine changed: mine s0." in (
        kept.stdout + kept.stderr
    )
    dry = equibench(*command, "--dry-run", cwd=tmp_path)
    third = equibench(*command, cwd=tmp_path)
    for done in (dry, third):
        assert "Made again, as the record was made before mine:Mine changed: mine s0." in done.stdout + done.stderr
    assert (third.stdout + third.stderr).count("there already") == 5
    assert list((tmp_path / "out" / UNFINISHED / REPLACED).glob("mine-s0-*.safetensors"))


def test_an_own_entrant_s_digest_is_in_its_record(session, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    own = Entrant(name="own", family="endings:Family", config={"width": 8})
    here = dataclasses.replace(session, suite=session.suite.model_copy(update={"entrant": [own]}))
    names = here.own(cell_of(here, "own"))
    assert names == ["endings:Family", "test_endings:blocks"]
    assert code_version(names).own_sha256.keys() == set(names)
    assert here.own(cell_of(here, "uniform")) == ["test_endings:blocks"]
