"""A small session, whose cells any lane of this machine can do."""

import os
import sys
from functools import partial
from pathlib import Path

import pytest
import sleepers
import torch
from small_suites import NO_MORE_LIKELIHOODS, small_suite

from equibench import suite
from equibench.data import sets
from equibench.measure.features.load import load_extractor
from equibench.run.session import Session

CPU = torch.device("cpu")
ENTRANT = """
[[entrant]]
name = "one"
family = "vae"
config = { width = 8 }
"""
SMALL = small_suite("small", ENTRANT, updates=3, seeds="[0, 1]", more=NO_MORE_LIKELIHOODS)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Four cells: two seeds of an entrant, and two floors."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(sleepers.__file__).parent), *sys.path]))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    chosen = suite.load(str(file))
    reload = partial(load_extractor, "sleepers:blocks", CPU, None, False, True)
    data = sets.load(chosen.dataset).limited(60, 60)
    cells = [one for one in suite.cells(chosen) if one.entrant or one.name in ("real data", "uniform")]
    yield Session(chosen, data, CPU, reload(), tmp_path / "out", allow_code=True, reload=reload, wanted=tuple(cells))
    torch.set_num_threads(threads)
