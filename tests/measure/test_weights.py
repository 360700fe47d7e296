"""Weight files are hashed first and loaded as tensors only; what is not the published file is never called so."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from inception import publish, write_weights

from equibench.errors import UserError
from equibench.hashing import file_sha256
from equibench.measure.features import torch_fidelity
from equibench.measure.features.load import load_extractor
from equibench.measure.features.names import INCEPTION_FILE, KNOWN_SHA256, extractor_named
from equibench.measure.features.weights import read_weights

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Weights of the right names and shapes that are not the published ones."""
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    folder = tmp_path / "hub"
    (folder / "checkpoints").mkdir(parents=True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    return folder


def test_the_published_digests_go_with_what_is_published():
    assert INCEPTION_FILE.removesuffix(".pth").endswith(KNOWN_SHA256["inception-v3"][:8])
    assert all(len(digest) == 64 for digest in KNOWN_SHA256.values())
    assert load_extractor("efficientnet-lite0", CPU).info.name == "EfficientNet-Lite0"  # the packaged file has its own


def test_other_weights_give_fd_with_their_digest_in_its_name(theirs, hub, monkeypatch):
    eight = file_sha256(theirs)[:8]
    found = load_extractor("inception-v3", CPU, theirs)
    assert (found.metric, found.info.name) == ("FD", f"Inception-v3[{eight}]")
    fast = load_extractor("inception-v3+bf16", CPU, theirs)
    assert (fast.metric, fast.info.name) == ("FD", f"Inception-v3[{eight}] bf16")
    assert extractor_named(found.info.name) == "inception-v3"
    assert extractor_named(fast.info.name) == "inception-v3+bf16"
    (hub / "checkpoints" / INCEPTION_FILE).write_bytes(theirs.read_bytes())
    for name in ("auto", "inception-v3"):  # what lies in the cache under the published name has to be it
        with pytest.raises(UserError, match=rf"begins with {eight}, not 6726825d\); delete it .* --inception-weights"):
            load_extractor(name, CPU)
    publish(monkeypatch, theirs)
    assert load_extractor("auto", CPU).metric == "FID"


class Runs:
    """What a pickle does as it is opened."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def pickled(folder, _theirs):
    (folder / "bad.pth").write_bytes(pickle.dumps(Runs(folder / "ran")))


def saved_by_torch(folder, theirs):
    torch.save({**torch.load(theirs), "extra": Runs(folder / "ran")}, folder / "bad.pth")


def saved_by_old_torch(folder, _theirs):
    torch.save({"x": Runs(folder / "ran")}, folder / "bad.pth", _use_new_zipfile_serialization=False)


def torchscript(folder, _theirs):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(folder / "bad.pth"))


def truncated(folder, theirs):
    content = theirs.read_bytes()
    (folder / "bad.pth").write_bytes(content[: len(content) // 2])


def wrong_keys(folder, _theirs):
    torch.save({"weight": torch.ones(3)}, folder / "bad.pth")


def wrong_shape(folder, theirs):
    state = torch.load(theirs)
    torch.save({**state, "fc.weight": state["fc.weight"][:7]}, folder / "bad.pth")


def not_finite(folder, theirs):
    state = torch.load(theirs)
    state["fc.bias"][5] = float("nan")
    torch.save(state, folder / "bad.pth")


def bomb(folder, _theirs):
    with zipfile.ZipFile(folder / "bad.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", bytes(400_000_000))


def too_large(folder, _theirs):
    with (folder / "bad.pth").open("wb") as stream:
        stream.truncate(10**10)  # no block of it is on the disk


def pointer(folder, _theirs):
    (folder / "bad.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def empty(folder, _theirs):
    (folder / "bad.pth").write_bytes(b"")


def a_tensor(folder, _theirs):
    torch.save(torch.ones(3), folder / "bad.pth")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (pickled, "could run code"), (saved_by_torch, "could run code"), (saved_by_old_torch, "could run code"),
        (torchscript, "does not hold"), (truncated, "does not hold"), (wrong_keys, "does not hold.*[Mm]issing key"),
        (wrong_shape, "does not hold.*fc.weight"), (not_finite, "fc.bias holds NaN"), (bomb, "unpacks to 400,000,0"),
        (too_large, "it has 10,000,000,000 bytes"), (pointer, "pointer of Git LFS"), (empty, "does not hold"),
        (a_tensor, "no dictionary of tensors"),
    ],
)  # fmt: skip
def test_what_is_no_such_weights_is_one_sentence_and_runs_nothing(tmp_path, theirs, make, sentence):
    make(tmp_path, theirs)
    with pytest.raises(UserError, match=sentence) as found:
        load_extractor("inception-v3", CPU, tmp_path / "bad.pth")
    assert "\n" not in str(found.value)
    assert not (tmp_path / "ran").exists()


def test_the_planted_pickles_do_run_where_they_are_opened(tmp_path, theirs):
    pickled(tmp_path, theirs)
    pickle.loads((tmp_path / "bad.pth").read_bytes())
    assert (tmp_path / "ran").exists()


def test_weights_of_dinov2_are_tensors_too(tmp_path, hub, monkeypatch):
    code = hub / f"facebookresearch_dinov2_{torch_fidelity.DINO_COMMIT}"
    code.mkdir()
    (code / "hubconf.py").write_text("import torch\ndef dinov2_vits14(pretrained): return torch.nn.Linear(2, 2)")
    file = hub / "checkpoints" / "dinov2_vits14_pretrain.pth"
    file.write_bytes(pickle.dumps(Runs(tmp_path / "ran")))
    publish(monkeypatch, file, "dinov2-vit-s-14")
    with pytest.raises(UserError, match="could run code"):
        load_extractor("dinov2-vit-s-14", CPU, allow_code=True)
    assert not (tmp_path / "ran").exists()


def test_without_a_home_no_folder_of_the_working_one_is_torchs_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "~/.cache/torch/hub")
    planted = tmp_path / "~" / ".cache" / "torch" / "hub" / "checkpoints"
    planted.mkdir(parents=True)
    (planted / INCEPTION_FILE).write_bytes(b"planted")
    assert torch_fidelity.find_inception() is None
    with pytest.raises(UserError, match="set TORCH_HOME"):
        load_extractor("inception-v3", CPU, download=True)


def test_a_folder_is_no_weights(tmp_path):
    with pytest.raises(UserError, match="it is no file"):
        read_weights(tmp_path, "a network", 10)
