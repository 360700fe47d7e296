"""Cells on a Ray cluster of two nodes of this machine, one of which is killed; on one that sees no common folder."""

import dataclasses
import os
import threading
import time

import pytest
from same import results

from equibench.engine import on_ray
from equibench.errors import UserError
from equibench.run.loop import run_cells

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("default")  # of Ray's own


@pytest.fixture
def cluster(small, monkeypatch):  # noqa: ARG001 (its PYTHONPATH is the nodes')
    """A head without places, and two nodes with one core each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
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
    apart = dataclasses.replace(small, out=tmp_path / "apart")
    crew = crew_of(apart)
    crew._mark.write_text("of another")
    assert len(list(run_cells(crew.session, lambda *_: None, crew=crew))) == 4
    assert results(apart.out) == results(tmp_path / "alone")
    assert {path.suffix for path in apart.out.glob("one-*")} == {".json", ".npz", ".safetensors"}


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
