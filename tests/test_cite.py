"""Citations in four formats, the methods paragraph, and verification of what lies on disk."""

import json
import re
import statistics
import subprocess
import sys

import pytest
from fixtures import everything, make, save

from equibench import UserError
from equibench.cite import citation as cite
from equibench.cite.methods import methods
from equibench.cite.signature import look_up, parse, signature
from equibench.judge.verify import verify
from equibench.record import schema as record


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save(everything(), tmp_path_factory.mktemp("results") / "a" / "b").parent


def equibench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "equibench", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("metric", "path"),
    [
        ("FD_5k", "quality.value"),
        ("FD", "quality.value"),
        ("KD", "quality.also.KD"),
        ("bits_per_dim", "likelihood.bits_per_dim"),
        ("images_per_sec", "speed.images_per_sec"),
        ("train_peak_bytes", "memory.train_peak_bytes"),
        ("sampler_points.25 steps.quality.value", "sampler_points.25 steps.quality.value"),
    ],
)
def test_a_number_by_whatever_it_is_called(results, metric, path):
    (found,) = cite.cite(metric, "diffusion", [results])
    values = [look_up(make("diffusion", seed), path) for seed in range(3)]
    assert found.path == path
    assert found.value == pytest.approx(statistics.mean(values))
    assert found.seeds == [0, 1, 2]
    assert found.records == [make("diffusion", seed).key for seed in range(3)]
    assert parse(found.signature).value == pytest.approx(found.value, rel=1e-2)


def test_a_failed_seed_is_in_no_number_and_no_signature(results):
    (found,) = cite.cite("FD", "gan", [results])  # seed 8 diverged
    assert found.seeds == [0, 1, 2]
    assert len(found.records) == 3


def test_every_number_of_a_record_can_be_cited():
    one = make("diffusion")
    paths = list(cite.numbers(one))
    assert {"quality.value", "spent.train_sec", "clock.wall", "bounds.importance weighting.bits_per_dim"} <= set(paths)
    for path in paths:
        assert parse(signature([one], path)).path == path


@pytest.mark.parametrize(
    ("metric", "entrant", "sentence"),
    [("bit_per_dim", "vae", "'bits_per_dim'"), ("FD_5k", "vea", "'vae'"), ("bits_per_dim", "gan", "gan has no number")],
)
def test_a_misspelt_word_gives_the_nearest(results, metric, entrant, sentence):
    with pytest.raises(UserError, match=sentence):
        cite.cite(metric, entrant, [results])


def test_formats(results):
    found = cite.cite("bits_per_dim", "vae", [results])
    (one,) = json.loads(cite.write(found, "json"))
    assert one["value"] == pytest.approx(3.42)
    assert one["kind"] == "upper bound"
    assert one["commits"] == ["abcdef0123456789", "abcdef0123456789 with uncommitted changes"]
    text = cite.write(found, "text")
    for part in ("3.420±0.010", "standard deviation over seeds", "seeds 0, 1 and 2", one["signature"], *one["records"]):
        assert part in text
    *comments, number = cite.write(found, "latex").splitlines()
    assert all(line.startswith("%") for line in comments)
    assert number == r"$3.420 \pm 0.010$"
    bibtex = cite.write(found, "bibtex")
    assert bibtex.count("{") == bibtex.count("}")
    assert bibtex.startswith("@misc{equibench-vae-bits-per-dim-")
    assert not re.search(r"(?<!\\)[_%&#]", "\n".join(bibtex.splitlines()[1:]))


def test_powers_of_ten_in_latex(results):
    assert r"1.998 \times 10^{13} \pm 0" in cite.write(cite.cite("spent.flops", "vae", [results]), "latex")


def test_two_budgets_are_two_citations(tmp_path):
    small = record.Budget(params=500_000, unit="flops", amount=1e12)
    folder = save([make("vae"), make("vae", budget=small)], tmp_path, with_arrays=False)
    found = cite.cite("FD", "vae", [folder])
    assert [one.seeds for one in found] == [[0], [0]]
    assert {parse(one.signature).fields["budget"] for one in found} == {"2e13flops,0.5M", "1e12flops,0.5M"}


def test_methods_says_what_the_records_say():
    text = methods(everything())
    for part in (
        "equibench 0.1.0",
        "commit abcdef01",
        "Fashion-MNIST (10,000 training and 10,000 test images of 1x28x28",
        "at most 0.5 M parameters",
        "FD_5k is the squared Frechet distance of EfficientNet-Lite0 features",
        "upper bound, variational dequantization (flow)",
        "None is given for gan",
        "peak resident above import",
        "over 3 training seeds",
    ):
        assert part in text
    with pytest.raises(UserError, match="no trained entrant"):
        methods([one for one in everything() if one.role == "floor"])


def test_verify_holds_for_what_was_written(results):
    text = cite.cite("FD", "vae", [results])[0].signature
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
    text = cite.cite("bits_per_dim", "vae", [folder])[0].signature
    assert verify(text, [folder])[0].holds
    (first, *_) = verify(change(text), [folder])
    assert first.holds is False
    assert sentence in first.sentence


def test_verify_finds_changed_files_and_missing_records(tmp_path):
    folder = save([make("vae")], tmp_path)
    text = cite.cite("FD", "vae", [folder])[0].signature
    next(folder.glob("*.npz")).write_bytes(b"other")
    assert [finding.holds for finding in verify(text, [folder])] == [True, False]
    next(folder.glob("*.npz")).unlink()
    assert [finding.holds for finding in verify(text, [folder])] == [True, None]
    next(folder.glob("*.json")).unlink()
    with pytest.raises(UserError, match=r"no record .* of vae"):
        verify(text, [folder])


def test_the_command_line(results):
    done = equibench("cite", "FD", "vae", "--results", results)
    assert done.returncode == 0, done.stderr
    text = done.stdout.strip().splitlines()[-1].removeprefix("signature: ")
    done = equibench("verify", text, "--results", results)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("holds: the records give FD_5k=")
    done = equibench("verify", text.replace("n:5000", "n:1"), "--results", results)
    assert done.returncode == 1
    done = equibench("cite", "--methods", "--results", results)
    assert "protocol" in done.stdout
    for arguments, sentence in (
        (["cite", "FDD", "vae", "--results", results], "did you mean 'FD"),
        (["cite", "FD"], "give METRIC and ENTRANT"),
        (["cite", "FD", "vae", "--results", "nowhere"], "no record"),
        (["verify", "hello"], "not a whole signature"),
    ):
        done = equibench(*arguments)
        assert done.returncode == 2, done.stdout
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_a_smoke_cell_is_run_again_and_reproduces(tmp_path):
    done = equibench("run", "smoke", "--device", "cpu", "--only", "vae", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    one = next(one for _, one in record.read_all([tmp_path]) if one.entrant == "vae")
    text = signature([one], "likelihood.bits_per_dim")
    findings = verify(text, [tmp_path], rerun=True)
    assert all(finding.holds for finding in findings), findings
    assert len(findings) == 4  # value, arrays, weights, the run
    assert "the same to the last bit" in findings[-1].sentence
