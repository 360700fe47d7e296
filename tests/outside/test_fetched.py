"""Pipelines of the Hugging Face hub, from a cache in its own layout: pinned, and never fetched unasked."""

import os
import sys
from pathlib import Path

import pytest
import torch
from files_of_images import pixels
from generators import save_pipeline

from equibench import hub, suite
from equibench.conformance.entrant import named
from equibench.data.sets import Dataset
from equibench.errors import UserError
from equibench.measure.features.pixels import pixels as pixel_features
from equibench.outside.fetched import located, name_of, place_of
from equibench.run.cell import run_here
from equibench.run.loaded import resolved
from equibench.run.session import Session
from equibench.suite import cells

pytest.importorskip("diffusers", reason="the extra [diffusers] is not installed")
CPU = torch.device("cpu")
COMMIT = "fedcba9876543210fedcba9876543210fedcba98"
TINY = f"hub:someone/tiny-shapes@{COMMIT}"
DATA = Dataset("toys", pixels(40, 1, 8, 8), pixels(30, 1, 8, 8, seed=1))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The hub's cache with one pipeline: a snapshot of links to files that go by their hashes."""
    folder = tmp_path_factory.mktemp("hub")
    saved = save_pipeline(folder / "saved")
    there = folder / "cache" / "models--someone--tiny-shapes"
    (there / "blobs").mkdir(parents=True)
    for number, file in enumerate(sorted(path for path in saved.rglob("*") if path.is_file())):
        blob, link = there / "blobs" / str(number), there / "snapshots" / COMMIT / file.relative_to(saved)
        blob.write_bytes(file.read_bytes())
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return folder


@pytest.fixture(autouse=True)
def here(cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache / "cache"))


def measured(load, out):
    """The record of a pipeline whose samples are measured."""
    smoke = suite.load("smoke")
    measure = smoke.measure.model_copy(update={"samples": 8, "reference_images": 30})
    one = smoke.model_copy(update={"entrant": [suite.Entrant(name="theirs", load=load)], "measure": measure})
    chosen = resolved(located(one, download=False), DATA, CPU, allow_code=False)
    session = Session(chosen, DATA, CPU, pixel_features(CPU), out, stages=frozenset({"quality"}))
    (cell,) = (one for one in cells(chosen) if one.entrant)
    return run_here(cell, session)[1]


def test_the_record_names_repository_and_commit_and_is_that_of_the_folder(cache, tmp_path):
    found, plain = measured(TINY, tmp_path / "a"), measured(str(cache / "saved"), tmp_path / "b")
    assert found.reason is None
    assert (found.loaded.kind, found.loaded.source) == ("diffusers", TINY)
    assert plain.loaded.source == "saved"
    assert (found.key, found.weights_sha256) == (plain.key, plain.weights_sha256)
    assert found.quality == plain.quality


def test_what_is_in_the_cache_is_taken_without_the_net(cache, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the net was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    folder = place_of(TINY, download=False)
    assert folder == cache / "cache" / "models--someone--tiny-shapes" / "snapshots" / COMMIT
    assert hub.said_of(folder) == TINY
    moved = Path("/node") / folder.relative_to(hub.root_of(folder))  # as a cluster's node has it
    assert hub.said_of(moved) == TINY
    assert hub.said_of(Path("/a/snapshots/b")) == "b"


@pytest.mark.parametrize(
    ("load", "sentence"),
    [
        (f"hub:someone/other@{COMMIT}", "other@.* is not on this machine; pass --download to fetch it from the hub"),
        (TINY.replace("fedc", "cdef", 1), "is not on this machine; pass --download"),
        ("hub:someone/tiny-shapes@main", "not pinned, as the revision 'main' may move; give the 40 digits"),
        ("hub:someone/tiny-shapes", "not pinned, as without a revision it is another one tomorrow"),
        ("hub:tiny-shapes@main", "is no name on the hub; give one as hub:OWNER/NAME@COMMIT"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(load, sentence):
    with pytest.raises(UserError, match=sentence) as found:
        place_of(load, download=False)
    assert "\n" not in str(found.value)


def test_download_asks_for_what_runs_no_code_alone(monkeypatch, cache):
    asked = []

    def fetch(repository, **named):
        asked.append((repository, named))
        return str(cache / "saved")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert place_of(TINY, download=True) == cache / "saved"
    ((repository, given),) = asked
    assert (repository, given["revision"], given["repo_type"]) == ("someone/tiny-shapes", COMMIT, "model")
    assert given["local_files_only"] is False
    assert given["allow_patterns"] == ["*.json", "*.safetensors"]

    def fail(*_, **__):
        raise OSError("no route to the host\nin many words")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(UserError, match=rf"^cannot fetch {TINY} \(no route to the host\)$"):
        place_of(TINY, download=True)


def test_what_is_no_pipeline_is_refused(cache, monkeypatch):
    folder = cache / "cache" / "models--someone--words" / "snapshots" / COMMIT
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"someone/words@.* is no pipeline of diffusers, as it has no model_index.json"):
        place_of(f"hub:someone/words@{COMMIT}", download=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"install it with `pip install 'equibench\[diffusers\]'`"):
        place_of(TINY, download=False)


def test_a_suite_keeps_the_name_and_a_run_finds_the_place(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\nextends = "smoke"\n[[entrant]]\nname = "theirs"\nload = "{TINY}"\n')
    chosen = suite.load(str(file))
    assert chosen.entrant[-1].load == TINY
    assert f'load = "{TINY}"' in suite.written(suite.read(str(file)))
    assert located(chosen, download=False).entrant[-1].load.endswith(COMMIT)
    assert located(chosen, download=False).entrant[0] == chosen.entrant[0]
    assert name_of(TINY) == "tiny-shapes"
    assert named(TINY).load == TINY
