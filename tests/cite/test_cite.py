"""Numbers to cite, by whatever they are called, in every format."""

import dataclasses
import itertools
import json
import re
import shlex
import statistics

import pytest
from fixtures import equibench, everything, failed, make, save
from hostile import HOSTILE

from equibench.cite import citation, names
from equibench.cite.methods import methods
from equibench.cite.printed import parse
from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.quantities import glossary
from equibench.quantities.identity import look_up
from equibench.quantities.metric import with_count
from equibench.record import schema
from equibench.record.cost import SpeedPoint
from equibench.terminal import visible

MEAN = schema.SamplerPoint(
    label="mean decoding",
    options={"decoding": "mean"},
    quality=make("vae").quality.model_copy(update={"value": 610.0, "options": {"decoding": "mean"}}),
    images_per_sec=900.0,
    network_evaluations=1,
    flops_per_image=1e6,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "a"
    save(everything(), folder / "b")
    save([make("vae", seed, entrant="blurred", ways=[MEAN]) for seed in range(3)], folder / "c")
    return folder


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
    (found,) = citation.cite(metric, "diffusion", [results])
    values = [look_up(make("diffusion", seed), path) for seed in range(3)]
    assert found.path == path
    assert found.value == pytest.approx(statistics.mean(values))
    assert found.seeds == [0, 1, 2]
    assert found.records == [make("diffusion", seed).key for seed in range(3)]
    assert parse(found.signature).value == pytest.approx(found.value, rel=1e-2)


@pytest.mark.parametrize(
    ("metric", "path"),
    [
        ("NFE", "speed.network_evaluations"),
        ("nfe ↓", "speed.network_evaluations"),
        ("latency", "speed.latency_p50_sec"),
        ("Latency p90, ms ↓", "speed.latency_p90_sec"),
        ("images/s", "speed.images_per_sec"),
        ("recall", "quality.also.recall"),
        ("precision_5k", "quality.also.precision"),
        ("bits/dim", "likelihood.bits_per_dim"),
        ("Bits/dim ↓", "likelihood.bits_per_dim"),
        ("FD_5k (EfficientNet-Lite0) ↓", "quality.value"),
        ("Distance without the bias of the samples' N", "quality.corrected"),
        ("Train memory (peak resident above import), MiB ↓", "memory.train_peak_bytes"),
        ("Parameters, M", "spent.params"),
        ("Train FLOPs", "spent.flops"),
        ("train time", "spent.train_sec"),
        ("importance weighting", "bounds.importance weighting.bits_per_dim"),
    ],
)
def test_a_number_by_what_the_report_calls_it(results, metric, path):
    (found,) = citation.cite(metric, "vae", [results])
    assert found.path == path


def test_every_label_that_is_one_number_s_leads_to_it():
    one, alone = make("diffusion"), [quantity for quantity in glossary.GLOSSARY if "*" not in quantity.path]
    for quantity in alone:
        if quantity.derived or [other.label for other in alone].count(quantity.label) > 1:
            continue
        for said in (quantity.label, quantity.heading(), quantity.in_raw_units, quantity.path):
            assert names.path_called(said, [one], "it") == quantity.path


@pytest.mark.parametrize("name", ["GAN", "GAN (loaded)"])
def test_an_entrant_by_what_the_report_calls_it(results, name):
    assert citation.cite("images/s", name, [results]) == citation.cite("images/s", "gan", [results])


def test_a_way_to_sample_by_its_row_s_label(results):
    (found,) = citation.cite("FD_5k", "blurred, mean decoding", [results])
    assert (found.value, found.seeds) == (610.0, [0, 1, 2])
    assert parse(found.signature).fields["sampler"] == "decoding mean"
    (found,) = citation.cite("images/s", "blurred, mean decoding", [results])
    assert found.value == 900.0
    with pytest.raises(UserError, match="no latency of its own"):
        citation.cite("latency", "blurred, mean decoding", [results])


@pytest.mark.parametrize(
    ("metric", "entrant", "reason"),
    [
        ("bits/dim", "gan", "A GAN samples without a density, so it has no likelihood"),
        ("bits_per_dim", "gan", "A GAN samples without a density"),
        ("importance weighting", "gan", "no number"),
        ("NFE", "uniform", "it was not measured, and no reason was recorded"),
        ("memory", "vae", "'Train memory' .* and 'Sample memory' .*; say which"),
        ("Model FLOPs utilisation", "vae", "is made of several numbers"),
    ],
)
def test_where_there_is_no_number_the_reason_is_given(results, metric, entrant, reason):
    with pytest.raises(UserError, match=reason):
        citation.cite(metric, entrant, [results])


def test_a_reason_of_a_part_that_failed_and_of_a_cell_that_did(tmp_path):
    cut = make("vae", memory=None, failures={"memory": "its process was killed"})
    few = make("flow")
    also = [one.model_copy(update={"value": None, "reason": "too few images"}) for one in few.quality.also]
    few = few.model_copy(update={"quality": few.quality.model_copy(update={"also": also})})
    folder = save([cut, few, failed("gan", 0, "diverged", "its loss is NaN")], tmp_path, with_arrays=False)
    for metric, entrant, reason in (
        ("Train memory", "vae", "its process was killed"),
        ("recall", "flow", "flow has no recall: too few images"),
        ("KD", "gan", "its loss is NaN"),
        ("FD_5k", "gan", "its loss is NaN"),
    ):
        with pytest.raises(UserError, match=reason):
            citation.cite(metric, entrant, [folder])


def test_a_failed_seed_is_in_no_number_and_no_signature(results):
    (found,) = citation.cite("FD", "gan", [results])  # seed 8 diverged
    assert found.seeds == [0, 1, 2]
    assert len(found.records) == 3


def test_every_number_of_a_record_can_be_cited():
    one = make("diffusion")
    paths = list(names.numbers(one))
    assert {"quality.value", "spent.train_sec", "clock.wall", "bounds.importance weighting.bits_per_dim"} <= set(paths)
    for path in paths:
        assert parse(signature([one], path)).path == path


@pytest.mark.parametrize(
    ("metric", "entrant", "sentence"),
    [
        ("bit_per_dim", "vae", "'bits_per_dim'"),
        ("FD_5k", "vea", "'vae'"),
        ("FD_5k", "blurred, maen decoding", "'blurred, mean decoding'"),
        ("FD_10k", "vae", "'FD_5k'"),
        ("FID", "vae", "no number 'FID'"),
    ],
)
def test_a_misspelt_word_gives_the_nearest(results, metric, entrant, sentence):
    with pytest.raises(UserError, match=sentence):
        citation.cite(metric, entrant, [results])


def test_formats(results):
    found = citation.cite("bits_per_dim", "vae", [results])
    (one,) = json.loads(citation.write(found, "json"))
    assert one["value"] == pytest.approx(3.42)
    assert one["kind"] == "upper bound"
    assert one["commits"] == ["abcdef0123456789", "abcdef0123456789 with uncommitted changes"]
    text = citation.write(found, "text")
    for part in ("3.420±0.010", "standard deviation over seeds", "seeds 0, 1 and 2", one["signature"], *one["records"]):
        assert part in text
    *comments, number = citation.write(found, "latex").splitlines()
    assert all(line.startswith("%") for line in comments)
    assert number == r"$3.420 \pm 0.010$"
    bibtex = citation.write(found, "bibtex")
    assert bibtex.count("{") == bibtex.count("}")
    assert bibtex.startswith("@misc{equibench-vae-bits-per-dim-")
    assert not re.search(r"(?<!\\)[_%&#]", "\n".join(bibtex.splitlines()[1:]))


def test_powers_of_ten_in_latex(results):
    assert r"1.998 \times 10^{13} \pm 0" in citation.write(citation.cite("spent.flops", "vae", [results]), "latex")


def test_two_budgets_are_two_citations(tmp_path):
    small = schema.Budget(params=500_000, unit="flops", amount=1e12)
    folder = save([make("vae"), make("vae", budget=small)], tmp_path, with_arrays=False)
    found = citation.cite("FD", "vae", [folder])
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
        "None is given for GAN",
        "peak resident above import",
        "over 3 training seeds",
    ):
        assert part in text
    with pytest.raises(UserError, match="no trained entrant"):
        methods([one for one in everything() if one.role == "floor"])


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
        (["verify", "hello"], "'hello' is neither a file nor a signature"),
        (["verify", "FD=3|x:y"], "not a whole signature"),
        (["verify", results], "is a folder"),
    ):
        done = equibench(*arguments)
        assert done.returncode == 2, done.stdout
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_seeds_of_other_settings_are_no_mean(tmp_path):
    """As seeds of two learning rates were cited as one number "over seeds"."""
    other = make("vae", 1, config={"width": 32, "learning_rate": 3e-4})
    folder = save([make("vae"), other, make("vae", 2)], tmp_path, with_arrays=False)
    done = equibench("cite", "FD", "vae", "--results", folder)
    assert done.returncode == 2
    assert "records of vae differ in config (learning_rate 0.0002, learning_rate 0.0003)" in done.stderr
    assert "Traceback" not in done.stderr
    (file,) = folder.glob("vae-s1-*.json")
    (apart,) = citation.cite("FD", "vae", [file])
    assert apart.seeds == [1]
    save([other.model_copy(update={"seed": 0, "key": "ab" * 32})], folder, with_arrays=False)
    with pytest.raises(UserError, match=r"two records of vae with seed 0 of other configs \(learning_rate 0.000[23]; "):
        citation.cite("FD", "vae", [folder])


def test_seeds_of_several_codes_and_libraries_are_said_to_be(tmp_path):
    codes = [make("vae").code.model_copy(update={"sources_sha256": digit * 64}) for digit in "121"]
    records = [make("vae", seed, code=code) for seed, code in enumerate(codes)]
    records[2] = records[2].model_copy(update={"versions": {"torch": "2.6.0", "numpy": "2.0.0"}})
    (found,) = citation.cite("FD", "vae", [save(records, tmp_path, with_arrays=False)])
    assert found.notes == [
        "not all seeds are of one code: seeds 0 and 2 by sources 11111111, seed 1 by sources 22222222.",
        "not all seeds are of one version of torch: seeds 0 and 1 by torch 2.5.0, seed 2 by torch 2.6.0.",
    ]
    assert parse(found.signature).fields["code"] == "11111111,22222222"
    for form in ("text", "latex", "json"):
        assert found.notes[0] in citation.write([found], form)
    assert not citation.cite("FD", "vae", [save([make("vae")], tmp_path / "one", with_arrays=False)])[0].notes


def test_a_record_that_was_changed_by_hand_is_named(tmp_path):
    folder = save([make("vae")], tmp_path, with_arrays=False)
    (file,) = folder.glob("*.json")
    text = equibench("cite", "FD_corrected", "vae", "--results", folder).stdout.strip().splitlines()[-1]
    file.write_text(file.read_text().replace('"corrected": 95.0', '"corrected": 9.5'))
    done = equibench("cite", "FD_corrected", "vae", "--results", folder)
    assert done.returncode == 2
    assert "the record of vae with seed 0 was changed by hand after it was written, and no signature" in done.stderr
    for verb in (("archive", folder, "--out", tmp_path / "it.zip"), ("baseline", folder, "--out", tmp_path / "base")):
        done = equibench(*verb)
        assert done.returncode == 2
        assert "as they were written; fetch its file again, or run its cell again" in done.stderr
        assert not (tmp_path / "it.zip").exists()
        assert not (tmp_path / "base").exists()
    done = equibench("verify", text, "--results", folder)
    assert done.returncode == 1
    assert f"DOES NOT HOLD: {file.name} was changed by hand" in done.stdout


def test_a_cell_that_timed_out_is_in_no_number(tmp_path):
    late = make("vae", 2, status="timed out", reason="late")
    (found,) = citation.cite("FD_5k", "vae", [save([make("vae"), make("vae", 1), late], tmp_path)])
    assert found.seeds == [0, 1]


def test_a_number_is_that_of_its_count_of_images(tmp_path):
    twice = make("vae").budget.model_copy(update={"amount": 4e13})
    more = make("vae").quality.model_copy(update={"n_samples": 10_000})
    place = save([make("vae"), make("vae", budget=twice, quality=more)], tmp_path)
    for name, count in (("FD_5k", 1), ("FD_10k", 1), ("FD", 2)):
        found = citation.cite(name, "vae", [place])
        assert len(found) == count
        assert {one.metric for one in found} <= {"FD_5k", "FD_10k"}


def test_a_distance_of_another_count_is_that_of_a_setting_or_of_the_end_of_the_training(tmp_path):
    """As FD_1500 and FD_1300 are printed beside FD_5k."""
    records = []
    for one in (make("diffusion", seed) for seed in range(3)):
        few = one.sampler_points[0].quality.model_copy(update={"n_samples": 1500})
        points = [
            one.sampler_points[0].model_copy(update={"label": label, "quality": few}) for label in ("headline", "other")
        ]
        records.append(one.model_copy(update={"sampler_points": points}))
    save(records, tmp_path)
    end = records[0].along[-1]
    for name, entrant, path in (
        ("FD_1500", "diffusion", "sampler_points.headline.quality.value"),
        ("FD_1500", "diffusion, other", "sampler_points.other.quality.value"),
        (with_count("FD", end.quality.n_samples), "diffusion", f"along.{end.label}.quality.value"),
        ("FD_5k", "diffusion", "quality.value"),
    ):
        (cited,) = citation.cite(name, entrant, [tmp_path])
        assert cited.path == path
    with pytest.raises(UserError, match="has no number 'FD_777'"):
        citation.cite("FD_777", "diffusion", [tmp_path])


def test_members_with_dots_and_sweeps_can_be_cited():
    point = make("diffusion").sampler_points[0].model_copy(update={"label": "DDIM, 2.5 steps"})
    speed = make("vae").speed.model_copy(update={"sweep": [SpeedPoint(batch_size=64, images_per_sec=3.0)]})
    paths = set(names.numbers(make("diffusion", sampler_points=[point], speed=speed)))
    for path in ("sampler_points.DDIM, 2.5 steps.quality.value", "speed.sweep.64.images_per_sec"):
        assert path in paths
        assert parse(signature([make("diffusion", sampler_points=[point], speed=speed)], path)).path == path


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_tex_or_a_command_of_the_shell(results, text):
    (found,) = citation.cite("bits_per_dim", "vae", [results])
    one = dataclasses.replace(found, entrant=text, data=text, signature=text)
    comment, value = citation.write([one], "latex").split("\n")
    assert comment.startswith("% ")
    assert value.startswith("$3.4")
    assert shlex.split(comment.partition("equibench verify ")[2]) == [visible(text)]
    bibtex = citation.write([one], "bibtex")
    assert re.match(r"@misc\{[0-9A-Za-z-]+,\n", bibtex)
    depths = list(itertools.accumulate({"{": 1, "}": -1}.get(character, 0) for character in bibtex))
    assert depths.index(0, depths.index(1)) == len(depths) - 1  # one entry, which ends where it should


def test_methods_says_in_which_precision_samples_were_drawn():
    asked = schema.Numerics(threads=2, sampling="bfloat16")
    assert "threads, bfloat16, torch" in methods([make("vae", numerics=asked)])
    assert f"threads, {make('vae').machine.precision}, torch" in methods([make("vae")])
