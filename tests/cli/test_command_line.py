"""The command line end to end on `smoke` in subprocesses, and every mistake as one sentence with exit code 2."""

import json
import shutil
import time
from importlib.resources import files as package_files

import numpy as np
import pytest
from fixtures import equibench

from equibench.record import files as record_files
from equibench.record import find


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    done = equibench("run", "smoke", "--device", "cpu", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def records(folder):
    return {r.entrant: r for _, r in find.read_all([folder])}


def test_smoke_measures_everything(results):
    found = records(results)
    assert {r.family for r in found.values() if r.family} == {"gan", "vae", "flow", "diffusion"}
    assert {name for name, r in found.items() if r.role == "floor"} == {
        "real data", "uniform", "global histogram", "per-pixel histogram", "3-neighbour table",
    }  # fmt: skip
    for name in ("gan", "vae", "flow", "diffusion"):
        r = found[name]
        assert r.status == "ok", r.reason
        assert r.spent.updates == 4
        assert 0.95 * r.budget.params <= r.spent.params <= r.budget.params
        assert r.quality.value is None  # 32 samples for 1280 dimensions
        assert "too few" in r.quality.reason
        assert (r.likelihood.bits_per_dim is None) == (name == "gan")
        assert [point.batch_size for point in r.speed.sweep] == [4, 16]
        assert r.speed.images_per_sec == max(point.images_per_sec for point in r.speed.sweep)
        assert (r.speed.energy.joules is None) == bool(r.speed.energy.reason)
        assert max(r.matrix_products.flops_per_sec.values()) > 1e8
        if name == "diffusion":
            assert [p.label for p in r.sampler_points] == ["headline", "2 steps", "3 steps", "5 steps"]
        assert {p.quality.n_samples for p in r.sampler_points} == {16}
        assert r.memory.train_peak_bytes > 0
        assert r.memory.reason is None
        assert sum(v for k, v in r.clock.items() if k != "wall") == pytest.approx(r.clock["wall"], rel=1e-6)
        assert (results / r.checkpoint).is_file()
        arrays = record_files.read_arrays(results / record_files.filename(name, 0, r.key), r)
        assert set(r.portrait.pictures) <= set(arrays)
        assert arrays["samples"].shape == (32, 1, 28, 28)
    assert found["uniform"].likelihood.bits_per_dim == pytest.approx(8)


def test_a_second_run_repeats_nothing_and_a_killed_one_keeps_its_training(results, tmp_path):
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    vae, gan = next(copy.glob("vae-*.json")), next(copy.glob("gan-*.json"))
    weights = record_files.read(vae).weights_sha256
    for lost in (vae, vae.with_suffix(".npz")):  # as if it had been killed while measuring
        lost.unlink()
    before = gan.read_bytes()
    done = equibench("run", "smoke", "--device", "cpu", "--out", copy)
    assert done.returncode == 0, done.stderr
    assert "there already" in done.stdout
    assert gan.read_bytes() == before
    again = record_files.read(vae)
    assert again.weights_sha256 == weights
    assert "train" not in again.clock
    assert "load" in again.clock


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(results, tmp_path):
    done = equibench("run", "smoke", "--device", "cpu", "--out", tmp_path, "--only", "gan,vae,flow,diffusion")
    assert done.returncode == 0, done.stderr
    first, second = records(results), records(tmp_path)
    for name in ("gan", "vae", "flow", "diffusion"):
        again = second[name]
        for part in (
            "key",
            "likelihood",
            "bounds",
            "decoder_likelihood",
            "out_of_distribution_bits_per_dim",
            "quality",
        ):
            assert getattr(again, part) == getattr(first[name], part), (name, part)
        assert again.curve.losses == first[name].curve.losses
        assert again.weights_sha256 == first[name].weights_sha256


def test_a_checkpoint_is_measured_without_training(results, tmp_path):
    checkpoint = next(results.glob("flow-*.safetensors"))
    done = equibench("run", "smoke", "--device", "cpu", "--out", tmp_path, "--from", checkpoint)
    assert done.returncode == 0, done.stderr
    loaded = records(tmp_path)[checkpoint.stem]
    assert "train" not in loaded.clock
    assert loaded.likelihood.bits_per_dim == records(results)["flow"].likelihood.bits_per_dim


def test_report_plan_ls_doctor_help(results, tmp_path):
    done = equibench("report", results, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "index.html").stat().st_size > 10_000
    assert "report.md" in {path.name for path in (tmp_path / "report").iterdir()}
    for arguments, word in (
        (["plan", "quick"], "FLOPs"),
        (["run", "smoke", "--dry-run"], "updates"),
        (["ls"], "oracle"),
        (["doctor"], "precision"),
        (["--help"], "first session"),
        (["run", "--help"], "--from"),
        (["--version"], "protocol"),
    ):
        done = equibench(*arguments)
        assert done.returncode == 0, done.stderr
        assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "quik"], "did you mean 'quick'"),
        (["rnu", "quick"], "did you mean 'run'"),
        (["run", "smoke", "--only", "gna"], "did you mean 'gan'"),
        (["run", "smoke", "--dataset", "fashon-mnist"], "did you mean 'fashion-mnist"),
        (["run", "smoke", "--device", "gpu"], "unknown device"),
        (["run", "smoke", "--seeds", "a,b"], "--seeds takes whole numbers"),
        (["run", "smoke", "--sede", "1"], "--seeds"),
        (["run", "nowhere.toml"], "cannot read the suite"),
        (["run", "smoke", "--out", "/proc/nowhere"], "cannot write"),
        (["run", "smoke", "--from", "nowhere.safetensors"], "nowhere.safetensors (No such file"),
        (["run", "smoke", "--inception-weights", "nowhere.pth"], "no Inception weights at"),
        (["report", "nowhere", "--out", "x"], "no records at"),
    ],
)
def test_mistakes_are_one_sentence(arguments, sentence, tmp_path):
    done = equibench(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = ", "not valid TOML"),
        ('name="x"\nabout="x"\ndataset="oracle"\nseeds=[0]\nbudgte=1\n', "did you mean 'budget'"),
        (
            'name="x"\nabout="x"\ndataset="oracle"\nseeds=[0]\n[[budget]]\nparams=0\namount=1\n',
            "params must be more than 0",
        ),
        (
            'name="x"\nabout="x"\ndataset="oracle"\nseeds=[0]\n[[budget]]\nparams=60000\namount=1\n'
            '[[entrant]]\nname="gan"\nfamily="gan"\n',
            "too small for one update",
        ),
    ],
)
def test_bad_suites_are_one_sentence(text, sentence, tmp_path):
    (tmp_path / "own.toml").write_text(text)
    done = equibench("run", "own.toml", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_corrupt_checkpoints_and_records_are_one_sentence(results, tmp_path):
    whole = next(results.glob("vae-*.safetensors")).read_bytes()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(whole[: len(whole) // 2])
    done = equibench("run", "smoke", "--out", tmp_path / "out", "--from", broken)
    assert done.returncode == 2
    assert "cannot read the checkpoint" in done.stderr
    torn = tmp_path / "vae-s0-00000000.json"
    torn.write_text(next(results.glob("vae-*.json")).read_text()[:500])
    done = equibench("report", torn, "--out", tmp_path / "report")
    assert done.returncode == 2
    assert "not a valid record" in done.stderr


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A small data set of the user's, and samples that are its training images with noise."""
    folder = tmp_path_factory.mktemp("toys")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, (260, 28, 28), dtype=np.uint8)
    np.savez(folder / "toys.npz", train=images[:130], test=images[130:])
    np.save(folder / "samples.npy", images[:120] + rng.integers(0, 50, (120, 28, 28), dtype=np.uint8))
    return folder


def test_measure_and_reference(toys):
    done = equibench("measure", "samples.npy", "--dataset", "toys.npz", "--json", cwd=toys)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    also = {one["name"]: one["value"] for one in found["quality"]["also"]}
    assert found["quality"]["value"] is None  # 120 samples, 1280 dimensions
    assert also["KD"] > 0
    assert also["precision"] is not None
    assert found["quality"]["memorization"]["share_nearer_train"] > 0.5
    done = equibench("measure", "samples.npy", "--dataset", "toys.npz", cwd=toys)
    assert "too few for the 1280 dimensions" in done.stdout
    assert f"{also['KD']:.3g}"[:4] in done.stdout
    done = equibench("reference", "toys.npz", "statistics", cwd=toys)
    assert done.returncode == 0, done.stderr
    assert "statistics.npz" in done.stdout
    done = equibench("measure", "samples.npy", "--reference", "statistics.npz", cwd=toys)
    assert done.returncode == 0, done.stderr
    assert "imported statistics" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["measure", "samples.npy"], "give one thing to compare with"),
        (["measure", "nowhere", "--dataset", "toys.npz"], "there are no samples"),
        (["measure", "samples.npy", "--dataset", "oracle"], "sample at the data's size"),
        (["measure", "samples.npy", "--dataset", "toys.npz", "--extractor", "inceptoin-v3"], "'inception-v3'"),
        (["measure", "samples.npy", "--reference", "samples.npy"], "is one array; statistics are two"),
        (["reference", "toys.npz", "/proc/nowhere/s.npz"], "cannot write"),
    ],
)
def test_mistakes_in_measuring_are_one_sentence(arguments, sentence, toys):
    done = equibench(*arguments, cwd=toys)
    assert done.returncode == 2, done.stdout + done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cell_that_fails_is_a_record_and_the_others_go_on(tmp_path):
    (tmp_path / "own.toml").write_text(
        'name="own"\nabout="x"\ndataset="fashion-mnist-10k"\ntrain_images=100\ntest_images=50\nseeds=[0]\n'
        '[[budget]]\nparams=100000\nunit="updates"\namount=3\n'
        "[measure]\nsamples=8\nreference_images=50\nlikelihood_images=8\nspeed_limit_sec=0.1\nsampler_points=false\n"
        '[[entrant]]\nname="bad"\nfamily="vae"\nconfig={learning_rate=1e30}\n'
        '[[entrant]]\nname="good"\nfamily="vae"\n'
    )
    begin = time.perf_counter()
    done = equibench("run", "own.toml", "--device", "cpu", "--out", tmp_path / "out", cwd=tmp_path)
    took_sec = time.perf_counter() - begin
    assert done.returncode == 3, done.stderr
    found = records(tmp_path / "out")
    # the clocks hold the whole run, the start of Python included, but for the end of the process
    assert 0.8 * took_sec < sum(r.clock["wall"] for r in found.values()) < took_sec
    assert found["bad"].status == "diverged"
    assert found["bad"].reason
    assert found["good"].status == "ok"
    assert json.loads(next((tmp_path / "out").glob("bad-*.json")).read_text())["status"] == "diverged"


def test_a_cell_beyond_its_time_is_timed_out(tmp_path):
    text = (package_files("equibench") / "suites" / "smoke.toml").read_text()
    own = tmp_path / "own.toml"
    own.write_text(text.replace("seeds = [0]", "seeds = [0]\ncell_limit_sec = 1"))
    done = equibench("run", own, "--device", "cpu", "--only", "vae", "--out", tmp_path / "out")
    found = records(tmp_path / "out")["vae"]
    assert found.status == "timed out"
    assert "the 1 s that the suite allows a cell" in found.reason
    assert done.returncode == 3
    assert "timed out" in done.stdout
