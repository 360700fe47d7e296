"""Cells on a Ray cluster of two nodes of this machine, one of which is killed; on one that sees no common folder."""

import dataclasses
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from fixtures import equibench
from same import results

from equibench import suite
from equibench.engine import on_ray
from equibench.engine.lane import Calling
from equibench.engine.sent import files_of, loading_from
from equibench.errors import UserError
from equibench.run import weights
from equibench.run.loop import run_cells

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("default")  # of Ray's own


@pytest.fixture
def cluster(small, monkeypatch):  # noqa: ARG001 (its PYTHONPATH is the nodes')
    """A head without places, and two nodes with one core each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # as where `connect` starts it: else other tests go first
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.nodes = [made.add_node(num_cpus=1, resources={f"node-{i}": 1}) for i in range(2)]
    on_ray.connect(made.address)
    yield made
    ray.shutdown()
    made.shutdown()


def crew_of(session, name=None):
    return on_ray.RayCrew(session, on_ray.node_of("cpu", 1, name, grows=False), None)


@pytest.mark.slow
def test_records_are_those_of_one_process_also_where_the_folder_is_not_shared(cluster, small, tmp_path, monkeypatch):  # noqa: ARG001
    alone = dataclasses.replace(small, out=tmp_path / "alone")
    list(run_cells(alone, lambda *_: None))
    crew = crew_of(small)
    assert [done.record.status for done in run_cells(crew.session, lambda *_: None, crew=crew)] == ["ok"] * 4
    assert results(small.out) == results(tmp_path / "alone")
    few = tuple(cell for cell in small.wanted if (cell.name, cell.seed) in (("one", 0), ("uniform", 0)))
    apart = dataclasses.replace(small, out=tmp_path / "apart", wanted=few)
    crew = crew_of(apart)
    crew._mark.write_text("of another")
    assert len(list(run_cells(crew.session, lambda *_: None, crew=crew))) == 2
    found, expected = results(apart.out), results(tmp_path / "alone")
    assert len(found) == 2
    assert found == {name: expected[name] for name in found}
    assert {path.suffix for path in apart.out.glob("one-*")} == {".json", ".npz", ".safetensors"}


@pytest.mark.slow
def test_both_engines_of_the_command_line_make_the_same_records(small, tmp_path):  # noqa: ARG001 (its suite's file)
    """Without an address Ray is started on this machine, and ended."""
    for engine in ("local", "ray"):
        words = ("--seeds", "0", "--engine", engine, "--device", "cpu", "--threads", "1", "--out", engine)
        env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
        done = equibench("run", "small.toml", *words, "--no-report", cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
    assert results(tmp_path / "ray") == results(tmp_path / "local") != {}


@pytest.mark.slow
def test_tasks_of_this_machine_have_the_priority_of_this_process(monkeypatch):
    monkeypatch.delenv("RAY_worker_niceness", raising=False)
    on_ray.connect(None)
    try:
        asked = ray.remote(num_cpus=1)(lambda: os.getpriority(os.PRIO_PROCESS, 0))
        assert ray.get(asked.remote()) == os.getpriority(os.PRIO_PROCESS, 0)
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_a_node_that_is_lost_loses_no_cell(cluster, small):
    """It is killed as an entrant trains on it, and the other does what it did."""
    entrant = small.suite.entrant[0].model_copy(update={"family": "sleepers:Sleeper"})
    budget = small.suite.budget[0].model_copy(update={"amount": 20})
    cells = tuple(
        dataclasses.replace(one, entrant=entrant, budget=budget) for one in small.wanted if one.entrant is not None
    )
    small = dataclasses.replace(small, wanted=cells)
    crew = crew_of(small)
    training = [small.folder(cell) / "attempts.json" for cell in cells]

    def kill():
        while not any(one.exists() and '"started": true' in one.read_text() for one in training):
            time.sleep(0.1)
        cluster.remove_node(cluster.nodes[0], allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    found = list(run_cells(crew.session, lambda *_: None, crew=crew))
    killer.join()
    assert [done.record.status for done in found] == ["ok"] * 2
    assert sum(1 for node in ray.nodes() if node["Alive"]) == 2  # the head, and one that is left


def test_what_no_node_has_is_said(monkeypatch):
    nodes = [{"Resources": {"CPU": 2.0}}, {"Resources": {"CPU": 4.0, "fast": 1.0}}]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 6.0})
    assert on_ray.node_of("auto", 2, "fast", grows=False) == on_ray.Node("cpu", 2, "fast")
    with pytest.raises(UserError, match="no node of the cluster has 6 cores; give fewer"):
        on_ray.node_of("cpu", 6, None, grows=False)
    with pytest.raises(UserError, match="has 1 core and a GPU;"):
        on_ray.node_of("cuda", 1, None, grows=False)
    assert on_ray.node_of("cuda", 1, None, grows=True).resources()["num_gpus"] == 1
    with pytest.raises(UserError, match="give --device cuda, not cuda:1"):
        on_ray.node_of("cuda:1", 1, None, grows=True)


def test_a_folder_is_shared_where_what_was_written_in_it_is_read(tmp_path):
    mark = tmp_path / "mark"
    assert not on_ray._is_here(mark, "token")
    mark.write_text("token of another run")
    assert not on_ray._is_here(mark, "token")
    mark.write_text("token")
    assert on_ray._is_here(mark, "token")


def test_an_address_where_no_cluster_is(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**options):
        assert options["address"] == "nowhere:1"
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UserError, match=r"the Ray cluster at nowhere:1 cannot be joined \(ConnectionError: no route\)"):
        on_ray.connect("nowhere:1")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


class ElsewhereLane:
    """In place of a lane on a node that sees neither the run's folder nor what its entrants are loaded from."""

    def __init__(self, common):
        self.session, self.end, self.loaded = common.session, self, {}

    def begin(self, errand):
        load = Path(errand.cell.entrant.load)
        files = [load] if load.is_file() else sorted(one for one in load.rglob("*") if one.is_file())
        self.loaded = {str(one.relative_to(load.parent)): one.read_bytes() for one in files}
        self.session.out.mkdir(exist_ok=True)
        for suffix in (".json", ".npz"):
            (self.session.out / "cell-0").with_suffix(suffix).write_text(f"{errand.identity} {suffix}")

    def poll(self, sec):  # noqa: ARG002
        return True

    def hear(self):
        return {"done": "cell-0.json"}


@pytest.fixture
def elsewhere(small, tmp_path, monkeypatch):
    """A node: does a cell that loads what lies at a path, and gives the lane that did it and what came back."""
    monkeypatch.setattr(on_ray.tempfile, "gettempdir", lambda: str(tmp_path / "node"))
    lanes = []

    def lane_for(common, variables, shared):
        assert (variables, shared) == ({}, common.session.out == small.out)
        lanes.append(ElsewhereLane(common))
        return lanes[-1]

    monkeypatch.setattr(on_ray, "_lane_for", lane_for)

    def do(path, mark=None):
        entrant = suite.Entrant(name="theirs", load=str(path))
        cell = suite.Cell(small.suite, "theirs", 0, entrant, small.suite.budget[0])
        sent = loading_from(cell, Path.absolute)
        given = {"cell-0.safetensors": b"kept", **files_of(cell, "cell-0")}
        path.rename(tmp_path / "gone")  # from now on it is on the machine of the run alone
        common = Calling(small, 1, str(tmp_path)), str(mark or tmp_path / "no mark"), "token", {}
        mistake, files = on_ray._do(common, sent, "identity", "cell-0.json", given)
        assert mistake is None
        return lanes[-1], files

    return do


def test_what_is_loaded_goes_to_a_node_that_does_not_see_it_and_only_results_come_back(elsewhere, tmp_path):
    pipeline = tmp_path / "pipeline"
    (pipeline / "unet").mkdir(parents=True)
    (pipeline / "model_index.json").write_bytes(b"{}")
    (pipeline / "unet" / "weights.bin").write_bytes(b"\0\1")
    lane, files = elsewhere(pipeline)
    assert lane.loaded == {"pipeline/model_index.json": b"{}", "pipeline/unet/weights.bin": b"\0\1"}
    assert files == {
        "cell-0.safetensors": b"kept", "cell-0.npz": b"identity .npz", "cell-0.json": b"identity .json",
    }  # fmt: skip
    assert list(files)[-1] == "cell-0.json"  # which says that the cell is done
    assert not list((tmp_path / "node").iterdir())


def test_a_single_file_goes_too_and_keeps_its_name_by_which_its_kind_is_told(elsewhere, tmp_path):
    file = tmp_path / "generator.pt2"
    file.write_bytes(b"saved")
    lane, _ = elsewhere(file)
    assert lane.loaded == {"generator.pt2": b"saved"}


def test_a_node_that_sees_the_run_s_folder_alone_is_sent_what_a_cell_loads(elsewhere, small, tmp_path):
    file, mark = tmp_path / "generator.pt2", tmp_path / "mark"
    file.write_bytes(b"saved")
    mark.write_text("token")
    lane, files = elsewhere(file, mark)
    assert lane.loaded == {"generator.pt2": b"saved"}
    assert lane.session.out == small.out
    assert files == {}  # they lie in the run's folder
    assert (small.out / "cell-0.json").exists()
    assert not list((tmp_path / "node").iterdir())


def test_a_cell_that_is_loaded_elsewhere_has_the_same_key(small, tmp_path):
    entrant = suite.Entrant(name="theirs", load=str(tmp_path / "a.npz"))
    cell = suite.Cell(small.suite, "theirs", 0, entrant, small.suite.budget[0])
    there = loading_from(cell, lambda path: Path("/elsewhere") / path.name)
    assert there.entrant.load == "/elsewhere/a.npz"
    assert there.key("d", small.extractor.info, "m", "w") == cell.key("d", small.extractor.info, "m", "w")
    (trained, *_) = (one for one in small.wanted if one.entrant)
    assert loading_from(trained, Path.absolute) is trained
    assert files_of(trained, "cell-0") == {}


def test_weights_that_are_trained_anew_elsewhere_are_not_sent_and_make_room(small, monkeypatch):
    (trained, *_) = (one for one in small.wanted if one.entrant)
    path = small.path(trained)
    file = weights.weights_of(path)
    small.out.mkdir(exist_ok=True)
    for why, sent in (("was made by other code", {}), (None, {file.name: b"kept"})):
        file.write_bytes(b"kept")
        monkeypatch.setattr(weights, "unfit_weights", lambda *_, why=why: why)
        crew = object.__new__(on_ray.RayCrew)
        given = []
        crew._do = SimpleNamespace(remote=lambda *arguments, given=given: given.append(arguments[-1]))
        crew.session, crew._common, crew._tasks = small, None, {}
        crew.begin(trained, path)
        assert given == [sent]
        assert file.exists() == bool(sent)
    assert len(list((small.out / ".cells" / "replaced").iterdir())) == 1


def test_a_worker_s_lane_is_of_one_data_set(small, monkeypatch):
    made, stopped = [], []

    def lane(calling, environment):  # noqa: ARG001
        one = SimpleNamespace(ask_to_stop=lambda: None, stop=lambda: stopped.append(calling.session.suite.dataset))
        made.append(calling.session.suite.dataset)
        return one

    monkeypatch.setattr(on_ray, "Lane", lane)
    monkeypatch.setattr(on_ray, "_lane", None)
    other = dataclasses.replace(small, suite=small.suite.model_copy(update={"dataset": "oracle"}))
    lanes = [on_ray._lane_for(Calling(session, 1, "."), {}, True) for session in (small, small, other)]
    assert lanes[0] is lanes[1] is not lanes[2]
    assert made == ["fashion-mnist-10k", "oracle"]
    assert stopped == ["fashion-mnist-10k"]
