"""Whether a signature still holds."""

import re

import pytest
from fixtures import equibench, everything, make, save

from equibench.cite import citation
from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.judge.rerun import Rerun
from equibench.judge.verify import verify, verify_all
from equibench.quantities import glossary
from equibench.quantities.tex import tex
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


@pytest.mark.filterwarnings("ignore::equibench.errors.Remark")
def test_verify_finds_a_record_that_was_changed_by_hand(tmp_path):
    folder = save([make("vae")], tmp_path, with_arrays=False)
    text = citation.cite("FD", "vae", [folder])[0].signature
    (file,) = folder.glob("*.json")
    file.write_text(file.read_text().replace('"learning_rate"', '"learning_pace"'))
    sentences = {finding.sentence: finding.holds for finding in verify(text, [folder])}
    assert sentences[f"{file.name} was changed by hand after it was written"] is False
    file.write_text(re.sub(r'"content_sha256": "\w+"', '"content_sha256": null', file.read_text()))
    assert verify(text, [folder])[1].holds is False  # a hash is not lost by accident
    with pytest.raises(UserError, match="changed by hand"):
        citation.cite("FD", "vae", [folder])
    file.write_text(re.sub(r'"schema_version": \d+', '"schema_version": 0', file.read_text()))
    assert verify(text, [folder])[1].holds is None


def test_all_signatures_of_a_document_are_verified(tmp_path):
    folder = save([make("vae"), make("gan")], tmp_path / "results", with_arrays=False)
    paper = tmp_path / "paper.tex"
    cited = [citation.cite(metric, "vae", [folder])[0] for metric in ("FD", "bits_per_dim", "images_per_sec")]
    gone = citation.cite("FD", "gan", [folder])[0]
    next(folder.glob("gan-*.json")).unlink()
    forged = cited[1].signature.replace("=3.41", "=3.14")
    paper.write_text(
        "\n".join([citation.write(cited[:1], "latex"), citation.write(cited, "bibtex"), f"See {forged}, and"])
        + f" \\texttt{{{tex(gone.signature)}}}.\n"
    )
    found = verify_all(paper.read_text(), [folder])
    assert [(one.signature.path, [x.holds for x in one.findings], bool(one.missing)) for one in found] == [
        *((path, [True, True, None], False) for path in ("quality.value", glossary.BITS, "speed.images_per_sec")),
        (glossary.BITS, [False, True, None], False),
        ("quality.value", [], True),
    ]
    done = equibench("verify", paper, "--results", folder)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("DOES NOT HOLD") == 1
    assert "FD_5k=96.5±2 of vae:" in done.stdout
    paper.write_text(paper.read_text().replace(forged, ""))
    done = equibench("verify", "-", "--results", folder, input=paper.read_text())
    assert done.returncode == 2
    assert "1 of 4 signatures could not be verified; give their records with --results" in done.stderr
    done = equibench("verify", "-", "--results", folder, input=f"{cited[0].signature} {cited[1].signature[:-3]}")
    assert done.returncode == 2
    assert "begins no whole signature" in done.stdout
    assert "1 of 2 signatures could not be verified; look at those that are not whole" in done.stderr
    done = equibench("verify", paper, "--results", next(folder.glob("vae-*.json")))
    assert done.returncode == 2
    for content, sentence in ((b"%PDF-1.7\n\0", "is no text"), (b"nothing", "there is no signature in the text")):
        paper.write_bytes(content)
        done = equibench("verify", paper, "--results", folder)
        assert done.returncode == 2
        assert sentence in done.stderr


def test_a_cell_that_was_measured_twice_is_verified_by_the_record_that_was_cited(tmp_path):
    """Two runs of one suite have the same keys, and other timings."""
    for name, faster in (("a", 1), ("b", 2), ("c", 1)):
        speed = make("vae").speed.model_copy(update={"images_per_sec": 1000.0 * faster})
        both = [make("vae", seed, key=f"{seed}" * 64, speed=speed) for seed in (0, 1)]
        save(both, tmp_path / name, with_arrays=False)
    texts = [citation.cite("images_per_sec", "vae", [tmp_path / name])[0].signature for name in "ab"]
    for text in texts:
        findings = verify(text, [tmp_path])
        assert findings[0].holds, findings[0].sentence
        assert len(findings) == 1 + 2 * 2
    assert verify(texts[0].replace("=1000", "=1500"), [tmp_path])[0].holds is False
    with pytest.raises(UserError, match=r"seed 0 was measured twice \(00000000\), with another speed.images_per_sec"):
        citation.cite("images_per_sec", "vae", [tmp_path])
    assert citation.cite("images_per_sec", "vae", [tmp_path / "a", tmp_path / "c"])[0].value == 1000
    assert citation.cite("FD", "vae", [tmp_path])[0].seeds == [0, 1]  # which is the same in all


def test_a_signature_of_a_newer_form_needs_a_newer_version(tmp_path):
    folder = save([make("vae")], tmp_path, with_arrays=False)
    text = citation.cite("FD", "vae", [folder])[0].signature
    with pytest.raises(UserError, match="is of a newer form, 3; update equibench"):
        verify(text.replace("|sig:2|", "|sig:3|"), [folder])
    assert verify(text.replace("|sig:2|", "|sig:1|"), [folder])[0].holds is False


def test_verify_finds_changed_files_and_missing_records(tmp_path):
    folder = save([make("vae")], tmp_path)
    text = citation.cite("FD", "vae", [folder])[0].signature
    next(folder.glob("*.npz")).write_bytes(b"other")
    assert [finding.holds for finding in verify(text, [folder])] == [True, True, False]
    next(folder.glob("*.npz")).unlink()
    assert [finding.holds for finding in verify(text, [folder])] == [True, True, None]
    next(folder.glob("*.json")).unlink()
    with pytest.raises(UserError, match=r"no record .* of vae"):
        verify(text, [folder])


@pytest.mark.slow
def test_a_smoke_cell_is_run_again_and_reproduces(tmp_path):
    done = equibench("run", "smoke", "--device", "cpu", "--only", "vae", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    one = next(one for _, one in find.read_all([tmp_path]) if one.entrant == "vae")
    text = signature([one], "likelihood.bits_per_dim")
    findings = verify(text, [tmp_path], rerun=Rerun())
    assert all(finding.holds for finding in findings), findings
    assert len(findings) == 5  # value, content, arrays, weights, the run
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
    assert [finding.holds for finding in findings] == [True, True, None, None]
    assert all("git lfs pull" in finding.sentence for finding in findings[2:])


@pytest.mark.parametrize("rec", ["", ",", "x", "0123abc", "0123abcx"])
def test_a_signature_names_its_records_by_whole_keys(tmp_path, rec):
    folder = save([make("vae")], tmp_path, with_arrays=False)
    text = citation.cite("FD", "vae", [folder])[0].signature
    with pytest.raises(UserError, match="is not a whole signature"):
        verify(text.rpartition("|rec:")[0] + f"|rec:{rec}", [folder])
