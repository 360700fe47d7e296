"""One entrant trained by two processes under torchrun, on the processor."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from small_suites import NO_MORE_LIKELIHOODS, small_suite

from equibench import suite
from equibench.run import helping, ranks

HERE = Path(__file__).parent
ENTRANT = """
[[entrant]]
name = "one"
family = "vae"
config = { width = 8, batch_size = 5, optimizer = "adam" }
"""
SUITE = small_suite("shared", ENTRANT, updates=3, samples=256, more=NO_MORE_LIKELIHOODS)


@pytest.mark.slow
def test_torchrun_gives_the_record_of_one_process_up_to_rounding(tmp_path):
    (tmp_path / "shared.toml").write_text(SUITE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(HERE)]), "OMP_NUM_THREADS": "1"}
    command = ["-m", "equibench", "run", "shared.toml", "--allow-code", "--extractor", "test_endings:blocks"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, start in (("alone", []), ("both", torchrun)):
        done = subprocess.run(
            [sys.executable, *start, *command, "--device", "cpu", "--out", name],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("ok ->") == 6, done.stdout  # one process does the run
    records = [json.loads(next((tmp_path / name).glob("one-*.json")).read_text()) for name in ("alone", "both")]
    alone, both = records
    assert (alone["machine"]["processes"], both["machine"]["processes"]) == (1, 2)
    assert both["spent"]["updates"] == alone["spent"]["updates"]
    assert both["spent"]["flops"] == alone["spent"]["flops"]
    # networks multiply in bfloat16 where the processor can: test_parts.py holds the arithmetic to sixteen digits
    losses, expected = (one["curve"]["losses"]["bits_per_dim"] for one in (both, alone))
    assert losses == pytest.approx(expected, rel=2e-3)
    assert both["quality"]["value"] == pytest.approx(alone["quality"]["value"], rel=0.05)
    ours, theirs = (load_file(tmp_path / name / one["checkpoint"]) for name, one in (("both", both), ("alone", alone)))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0.05, atol=0.01, msg=name)


def test_who_helps_does_the_cell_of_the_budget_that_was_begun(monkeypatch):
    budgets = [{"params": 90_000, "unit": "updates", "amount": amount} for amount in (2, 3)]
    chosen = suite.changed(suite.load("smoke"), budget=budgets, entrant=[{"name": "one", "family": "vae"}])
    cells = [cell for cell in suite.cells(chosen) if cell.entrant]
    session = SimpleNamespace(ranks=object(), device=torch.device("cpu"), cells=cells)
    begun = [(cell.which, None) for cell in reversed(cells)]
    monkeypatch.setattr(helping, "begun_cells", lambda *_: begun)
    helped = []
    monkeypatch.setattr(helping, "_help_with", lambda cell, *_: helped.append(cell.budget.amount))
    helping.help_with_cells(session)
    assert helped == [3, 2]


def test_a_cell_that_is_begun_is_told_through_the_store_as_what_it_is(monkeypatch):
    """Its place in JSON has no tuples."""
    cell = next(one for one in suite.cells(suite.load("smoke")) if one.entrant)
    held, over = {}, iter([False, True])

    class Store:
        set = staticmethod(held.__setitem__)
        get = staticmethod(held.__getitem__)

        def add(self, key, more):
            held[key] = held.get(key, 0) + more
            return held[key]

        def check(self, keys):
            return next(over) if keys == ["over"] else keys[0] in held

    monkeypatch.setattr(ranks, "Team", lambda *_: None)
    here = SimpleNamespace(store=Store, join=Store)
    ranks.lead(here, cell, torch.device("cpu"))
    ((which, _),) = ranks.begun_cells(here, torch.device("cpu"))
    assert which == cell.which


def test_a_helper_s_own_failure_is_told_and_another_s_end_is_not(monkeypatch, capsys):
    team = SimpleNamespace(next_order=lambda: "train", leave=lambda: None)
    session = suite_session(ranks=SimpleNamespace(rank=1))
    cell = next(one for one in suite.cells(suite.load("smoke")) if one.entrant)
    for message, told in (
        ("[/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4040", ""),
        ("CUDA out of memory.\nTried to", "equibench: process 1 cannot help with gan: CUDA out of memory.\n"),
    ):
        monkeypatch.setattr(helping, "help_to_train", raiser(RuntimeError(message)))
        helping._help_with(cell, session, lambda: team)
        assert capsys.readouterr().err == told


def raiser(error):
    def fail(*_):
        raise error

    return fail


def suite_session(ranks):
    """As much of one as a helper takes."""

    @dataclass(frozen=True)
    class Session:
        ranks: object
        team: object = None

    return Session(ranks)
