"""What was told to a tracker, read back by the tracker's own reader; nothing twice, nothing over a network."""

import json
import os
import re
import socket
import statistics
import struct
import sys

import pytest
from fixtures import equibench, failed, floor, make, save
from hostile import HOSTILE

from equibench.cite import citation
from equibench.errors import UserError
from equibench.quantities.text import join
from equibench.trackers import to_card, to_mlflow, to_wandb
from equibench.trackers.runs import plain, runs

ALL = "".join(HOSTILE)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any connection but to a process of this machine fails, and is remembered."""
    tried, usual = [], socket.socket.connect

    def connect(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "localhost", "::1"):
            tried.append(address)
            raise OSError("no network")
        return usual(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # to read a folder back
    before = variables()
    yield
    assert tried == []
    assert variables() == before


def variables():
    return {name: value for name, value in os.environ.items() if name.startswith(("MLFLOW", "WANDB", "HF_"))}


@pytest.fixture
def results(tmp_path):
    records = [*(make("vae", seed) for seed in range(3)), make("gan"), floor("real data", fd=26.7)]
    return save([*records, failed("flow", 0, "crashed", "x")], tmp_path / "results", with_arrays=False)


def test_a_run_is_a_row_with_means_and_signatures(results):
    found = {one.name: one for one in runs([results])}
    assert set(found) == {"gan", "vae", "real data"}
    values = [96.5 * (1 + 0.02 * seed) for seed in range(3)]
    metrics = found["vae"].metrics
    assert metrics["FD_5k"] == pytest.approx(statistics.mean(values))
    assert metrics["FD_5k.sd"] == pytest.approx(statistics.stdev(values))
    assert [metrics[f"FD_5k.seed{seed}"] for seed in range(3)] == pytest.approx(values)
    assert "bits_per_dim" not in found["gan"].metrics
    assert "FD_5k.sd" not in found["gan"].metrics
    assert found["vae"].signatures["FD_5k"] == citation.cite("FD", "vae", [results])[0].signature
    assert found["vae"].settings["config.learning_rate"] == 2e-4
    assert found["vae"].settings["seeds"] == "0, 1, 2"


def test_two_runs_have_names_of_their_own(tmp_path):
    for name in ("before", "after"):
        save([make("vae", versions={name: "1"})], tmp_path / name, with_arrays=False)
    assert [one.name for one in runs([tmp_path / "before", tmp_path / "after"])] == ["vae, before", "vae, after"]


def told(uri, experiment="equibench"):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=uri)
    return {
        one.info.run_name: one for one in client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    }


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_what_was_told(results, tmp_path):
    uri = (tmp_path / "store").as_uri()
    found = runs([results])
    assert to_mlflow.export(found, uri, "equibench") == (3, 0)
    there = told(uri)
    assert set(there) == {"gan", "vae", "real data"}
    for one in found:
        run = there[one.name]
        assert run.data.metrics == one.metrics
        assert run.data.params == {key: str(value) for key, value in one.settings.items()}
        assert {key: run.data.tags[f"signature.{key}"] for key in one.signatures} == one.signatures
        assert (run.info.status, run.info.start_time) == ("FINISHED", 1735689600000)  # of 2025-01-01, by hand
    assert to_mlflow.export(found, uri, "equibench") == (0, 3)
    save([make("diffusion")], results, with_arrays=False)
    assert to_mlflow.export(runs([results]), uri, "equibench") == (1, 3)
    odd = [make("vae", seed, entrant=ALL, config={text: text for text in HOSTILE}, family=ALL) for seed in range(2)]
    save([odd[0].model_copy(update={"entrant": "x"})], tmp_path / "odd", with_arrays=False)
    hostile = [one.__class__(ALL, tuple(odd), one.numbers) for one in runs([tmp_path / "odd"])]
    assert to_mlflow.export(hostile, uri, "odd") == (1, 0)
    ((name, run),) = told(uri, "odd").items()
    assert (name, run.data.params["entrant"]) == (ALL, ALL)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_a_database_of_one_s_own(results, tmp_path):
    done = equibench("export", "mlflow", results, "--out", tmp_path / "out", "--experiment", "mine")
    uri = f"sqlite:///{tmp_path / 'out' / 'mlflow.db'}"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"3 new runs in the experiment mine at {uri}\n", "")
    assert {one.name: one.metrics for one in runs([results])} == {
        name: run.data.metrics for name, run in told(uri, "mine").items()
    }
    for wrong in ("nonsense://x", "sqlite:////dev/null/where.db"):
        with pytest.raises(UserError, match="MLflow says of"):
            to_mlflow.export(runs([results]), wrong, "equibench")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mlflow.db").write_text("mine")
    with pytest.raises(UserError, match="is no database"):
        to_mlflow.database(tmp_path / "mine")


def logged(file):
    """The records of a run's file, by wandb's own messages; its frames are those of LevelDB's log."""
    from wandb.proto import wandb_internal_pb2 as messages

    content, at, whole = file.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # too little is left of a block for the head of a frame
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            one = messages.Record()
            one.ParseFromString(whole)
            yield one
            whole = b""


def values(items):
    return {one.key or ".".join(one.nested_key): json.loads(one.value_json) for one in items}


@pytest.mark.filterwarnings("ignore")
def test_wandb_reads_what_was_told(results, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = runs([results])
    assert to_wandb.export(found, tmp_path / "out", "mine") == (3, 0)
    files = {file.stem.removeprefix("run-"): file for file in tmp_path.rglob("*.wandb")}
    for one in found:
        records = list(logged(files[one.id[:16]]))
        (run,) = [record.run for record in records if record.HasField("run")][:1]
        assert (run.project, run.display_name, run.run_id) == ("mine", one.name, one.id[:16])
        config = values(run.config.update)
        assert {key: config[key] for key in one.settings} == one.settings
        assert config["signatures"] == one.signatures
        summary = {}
        for record in records:
            if record.HasField("summary"):
                summary |= values(record.summary.update)
        assert {key: summary[key] for key in one.metrics} == one.metrics
    assert to_wandb.export(found, tmp_path / "out", "mine") == (0, 3)
    assert len(list(tmp_path.rglob("*.wandb"))) == 3
    assert not (tmp_path / "home" / ".cache").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another --out"):
        to_wandb.export(found, tmp_path / "file", "mine")


def test_the_hub_reads_the_card(results, tmp_path):
    from huggingface_hub import ModelCard

    one = to_card.chosen(runs([results]), "vae")
    to_card.write(one, tmp_path / "README.md")
    found = ModelCard.load(tmp_path / "README.md")
    assert found.data.model_name == "vae"
    read = {result.metric_type: result for result in found.data.eval_results}
    assert read["fd"].metric_value == pytest.approx(one.metrics["FD_5k"], rel=1e-12)
    assert read["fd"].metric_name == "FD_5k (EfficientNet-Lite0)"
    assert read["fd"].metric_args == {"signature": one.signatures["FD_5k"]}
    assert (read["fd"].dataset_name, read["fd"].dataset_args) == ("Fashion-MNIST", {"sha256": "da" * 32})
    assert set(read) >= {"fd", "bits_per_dim", "images_per_sec", "train_peak_bytes"}
    assert "| FD_5k (EfficientNet-Lite0) | 98.4±1.9 | standard deviation over seeds | 3 |" in found.text
    assert one.signatures["FD_5k"] in found.text
    to_card.write(one, tmp_path / "README.md")
    (tmp_path / "mine.md").write_text("# mine")
    with pytest.raises(UserError, match="is not a card of equibench"):
        to_card.write(one, tmp_path / "mine.md")


def test_a_card_is_of_one_row(results, tmp_path):
    with pytest.raises(UserError, match="these are gan and vae; say which with --entrant"):
        to_card.chosen(runs([results]), None)
    with pytest.raises(UserError, match="unknown entrant 'van'; did you mean 'vae'"):
        to_card.chosen(runs([results]), "van")
    alone = save([make("gan")], tmp_path / "gan", with_arrays=False)
    assert to_card.chosen(runs([alone]), None).name == "gan"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_record_leaves_its_place_in_a_card(tmp_path, text, monkeypatch):
    from huggingface_hub import ModelCard

    monkeypatch.setattr("equibench.record.files.filename", lambda _, seed, key: f"x-s{seed}-{key[:8]}.json")
    one = make("vae")
    data = one.data.model_copy(update={"name": text})
    portrait = one.portrait.model_copy(update={"concept": text})
    changes = {"entrant": text, "family": text, "data": data, "portrait": portrait, "config": {text: text}}
    save([make("vae", 0, **changes)], tmp_path / "results", with_arrays=False)
    found = ModelCard(to_card.card(to_card.chosen(runs([tmp_path / "results"]), None)))
    assert found.data.model_name == text
    assert {result.dataset_name for result in found.data.eval_results} == {text}
    outside = re.sub(r"(`+) .*? \1", "", found.text)
    assert not re.search(r"(?<!\\)<(script|img|b)\b", outside)
    assert not re.search(r"(?<!\\)\]\((javascript|http)", outside)
    assert found.text.count("\n## ") == 2


@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [
        ("mlflow", "mlflow", ["mlflow", "--out", "out"]),
        ("sqlalchemy", "mlflow", ["mlflow", "--out", "out"]),
        ("wandb", "wandb", ["wandb", "--out", "out"]),
        ("huggingface_hub", "hub", ["hub-card", "--entrant", "vae", "--out", "out"]),
    ],
)
def test_a_missing_package_is_one_sentence(results, tmp_path, module, extra, words):
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / f"{module}.py").write_text("raise ImportError")
    path = os.pathsep.join([str(tmp_path / "without"), *filter(None, sys.path)])
    done = equibench("export", words[0], results, *words[1:], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"is not installed here; `pip install 'equibench[{extra}]'` installs it\n")
    assert done.stderr.count("\n") == 1


def test_where_to_is_asked_once(results):
    for words in ([], ["--out", "x", "--tracking-uri", "y"]):
        done = equibench("export", "mlflow", results, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "give either --out FOLDER" in done.stderr


def test_names_are_plain():
    assert [plain(text) for text in ("FD_5k", "a b/c", "é..", "", "../x")] == ["FD_5k", "a_b_c", "_", "_", "_x"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", plain(text)) for text in (*HOSTILE, ALL, join(HOSTILE)))
