"""Options of `run` that say who does its cells."""

import shlex
from types import SimpleNamespace

import pytest
import torch

from equibench import suite
from equibench.cli import engines, plan
from equibench.cli.main import cli
from equibench.cli.options import given_again
from equibench.cli.workload import Workload
from equibench.errors import UserError
from equibench.run import ranks
from equibench_models import family

OPTIONS = {"engine": "local", "workers": None, "threads": None, "address": None, "node": None, "device": "cpu"}
CPU = torch.device("cpu")
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "2950"}


@pytest.mark.parametrize("given", [{"address": "auto"}, {"node": "fast"}])
def test_what_goes_with_a_cluster_alone(given):
    with pytest.raises(UserError, match="--address and --node go with --engine ray"):
        engines.with_crew(SimpleNamespace(device=CPU), OPTIONS | given)


def test_one_worker_is_this_process():
    session = SimpleNamespace(device=CPU)
    assert engines.with_crew(session, OPTIONS) == (session, None)
    assert engines.with_crew(session, OPTIONS | {"workers": 1}) == (session, None)


@pytest.mark.parametrize(
    ("given", "again"),
    [
        ("quick", "equibench run quick --seeds 0,1,2"),
        ("quick --seeds 4 --retry --json", "equibench run quick --seeds 0,1,2"),
        (
            "'my suite.toml' --only vae,gan --workers 2 --threads 1 --no-report --allow-code --out 'a b'",
            "equibench run 'my suite.toml' --only vae,gan --allow-code --seeds 0,1,2 --out 'a b' --workers 2 "
            "--threads 1 --no-report",
        ),
        ("quick --from a.npz --from b.npz", "equibench run quick --seeds 0,1,2 --from a.npz --from b.npz"),
    ],
)
def test_a_command_is_given_again_with_other_seeds(given, again):
    verb = cli.commands["run"]
    with verb.make_context("run", shlex.split(given)):
        assert given_again(seeds="0,1,2") == again
    words = shlex.split(again)[2:]
    assert {**verb.make_context("run", words).params, "retry": None, "as_json": None} == {
        **verb.make_context("run", shlex.split(given)).params, "seeds": "0,1,2", "retry": None, "as_json": None,
    }  # fmt: skip


def test_threads_are_those_that_are_asked_for():
    before = torch.get_num_threads()
    engines.use_threads(OPTIONS)
    assert torch.get_num_threads() == before
    try:
        engines.use_threads(OPTIONS | {"threads": 3})
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_torchrun_is_told_by_its_environment(monkeypatch):
    assert ranks.ranks_here() is None
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert ranks.ranks_here() == ranks.Ranks(1, 2, 1, "localhost", 2950)
    with pytest.raises(UserError, match="leave --engine and --workers out"):
        engines.with_ranks(SimpleNamespace(), OPTIONS | {"workers": 2})
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert ranks.ranks_here() is None


def test_each_process_of_torchrun_has_a_gpu_of_its_own(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    asked = []
    monkeypatch.setattr(
        "equibench.machine.device.resolve_device", lambda name: asked.append(name) or torch.device(name)
    )
    assert engines.device_here(OPTIONS | {"device": "cuda"}) == torch.device("cuda:1")
    assert engines.device_here(OPTIONS) == CPU
    assert engines.device_here(OPTIONS | {"engine": "ray", "device": "cuda"}) == CPU
    assert asked == ["cuda", "cuda:1", "cpu", "cpu"]


def test_a_family_that_does_no_part_of_a_batch_is_refused(monkeypatch):
    from equibench.run import helping

    monkeypatch.setattr(
        helping,
        "resolve_family",
        lambda name: SimpleNamespace(shared=name == "vae", config_type=family("vae").config_type),
    )
    entrants = [SimpleNamespace(entrant=None, loaded=False)]
    entrants += [
        SimpleNamespace(entrant=SimpleNamespace(family=name, config={}), loaded=name != "vae")
        for name in ("vae", "samples")
    ]  # what is loaded is trained by nobody
    helping.check_shared(SimpleNamespace(cells=entrants, ranks=None))
    entrants.append(SimpleNamespace(entrant=SimpleNamespace(family="mine:Own"), loaded=False))
    with pytest.raises(UserError, match="the family mine:Own does not say"):
        helping.check_shared(SimpleNamespace(cells=entrants, ranks=None))


def test_more_processes_than_images_of_a_batch_are_refused():
    from equibench.run import helping

    cells = [cell for cell in suite.cells(suite.load("smoke")) if cell.entrant and cell.entrant.name == "gan"]
    batch_size = family("gan").config_type.model_validate(cells[0].entrant.config).batch_size
    for processes in (1, batch_size):
        helping.check_shared(SimpleNamespace(cells=cells, ranks=SimpleNamespace(ranks=processes)))
    with pytest.raises(UserError, match=f"batches of {batch_size}, which {batch_size + 1} processes cannot share"):
        helping.check_shared(SimpleNamespace(cells=cells, ranks=SimpleNamespace(ranks=batch_size + 1)))


@pytest.mark.parametrize(("machine_key", "device"), [(None, "cuda"), ("of a node", "cpu")])
def test_what_a_cell_takes_on_another_machine_is_estimated_on_this_one(monkeypatch, machine_key, device):
    """Which may have no GPU."""
    asked = []
    monkeypatch.setattr(plan, "plan_of", lambda suite, data, on, *_: asked.append(on.type) or SimpleNamespace(cells=[]))
    session = SimpleNamespace(
        suite=None, data=None, device=torch.device("cuda"), machine_key=machine_key, cells=(), stages=None,
        extractor=SimpleNamespace(info=SimpleNamespace(name="pixels")),
    )  # fmt: skip
    Workload.of(session, lambda what: None)
    assert asked == [device]
