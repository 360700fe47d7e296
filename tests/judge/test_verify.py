"""Whether a signature still holds."""

import pytest
from fixtures import equibench, everything, make, save

from equibench.cite import citation
from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.judge.rerun import Rerun
from equibench.judge.verify import verify
from equibench.record import find


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save(everything(), tmp_path_factory.mktemp("results") / "a" / "b").parent


def test_verify_holds_for_what_was_written(results):
    text = citation.cite("FD", "vae", [results])[0].signature
    findings = verify(text, [results])
    assert findings[0].holds is True
    assert [x.holds for x in findings if "npz" in x.sentence] == [True] * 3
    assert not any(finding.holds is False for finding in findings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace("bits_per_dim=3.41", "bits_per_dim=3.31"), "is not what the signature says"),
        (lambda text: text.replace("n:10000", "n:5000"), "differ in n"),
    ],
)
def test_verify_finds_a_changed_number(tmp_path, change, sentence):
    folder = save([make("vae")], tmp_path)
    text = citation.cite("bits_per_dim", "vae", [folder])[0].signature
    assert verify(text, [folder])[0].holds
    (first, *_) = verify(change(text), [folder])
    assert first.holds is False
    assert sentence in first.sentence


def test_verify_finds_changed_files_and_missing_records(tmp_path):
    folder = save([make("vae")], tmp_path)
    text = citation.cite("FD", "vae", [folder])[0].signature
    next(folder.glob("*.npz")).write_bytes(b"other")
    assert [finding.holds for finding in verify(text, [folder])] == [True, False]
    next(folder.glob("*.npz")).unlink()
    assert [finding.holds for finding in verify(text, [folder])] == [True, None]
    next(folder.glob("*.json")).unlink()
    with pytest.raises(UserError, match=r"no record .* of vae"):
        verify(text, [folder])


def test_a_smoke_cell_is_run_again_and_reproduces(tmp_path):
    done = equibench("run", "smoke", "--device", "cpu", "--only", "vae", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    one = next(one for _, one in find.read_all([tmp_path]) if one.entrant == "vae")
    text = signature([one], "likelihood.bits_per_dim")
    findings = verify(text, [tmp_path], rerun=Rerun())
    assert all(finding.holds for finding in findings), findings
    assert len(findings) == 4  # value, arrays, weights, the run
    assert "the same to the last bit" in findings[-1].sentence


def test_a_record_is_found_by_what_it_holds(tmp_path):
    folder = save([make("vae"), make("gan")], tmp_path / "results", with_arrays=False)
    text = citation.cite("FD", "vae", [folder])[0].signature
    (file,) = folder.glob("vae-*.json")
    renamed = file.rename(folder / "my favourite.json")
    (folder / "tables.json").write_text("{}")
    assert verify(text, [folder])[0].holds
    assert verify(text, [renamed])[0].holds
    (other,) = folder.glob("gan-*.json")
    other.rename(file)  # the name of the one, the content of the other
    renamed.unlink()
    with pytest.raises(UserError, match="no record"):
        verify(text, [folder])


def test_what_was_not_fetched_is_not_known(tmp_path):
    folder = save([make("vae", checkpoint="vae.safetensors")], tmp_path)
    text = citation.cite("FD", "vae", [folder])[0].signature
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    for file in (next(folder.glob("*.npz")), folder / "vae.safetensors"):
        file.write_text(pointer)
    findings = verify(text, [folder])
    assert [finding.holds for finding in findings] == [True, None, None]
    assert all("git lfs pull" in finding.sentence for finding in findings[1:])


@pytest.mark.parametrize("rec", ["", ",", "x", "0123abc", "0123abcd,"])
def test_a_signature_names_its_records_by_whole_keys(tmp_path, rec):
    folder = save([make("vae")], tmp_path, with_arrays=False)
    text = citation.cite("FD", "vae", [folder])[0].signature
    with pytest.raises(UserError, match="is not a whole signature"):
        verify(text.rpartition("|rec:")[0] + f"|rec:{rec}", [folder])
