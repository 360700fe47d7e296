"""Two processes that each do a part of every batch train to the weights of one."""

import os
import subprocess
import sys

import parted
import pytest
import torch

from equibench_models import FAMILIES
from equibench_models.parts import BatchPart


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of every case, by one process and by each of two."""
    folder = tmp_path_factory.mktemp("parts")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ranks = [("0", "1"), ("0", "2"), ("1", "2")]
    runs = [subprocess.Popen([sys.executable, parted.__file__, *one, str(folder)], env=environment) for one in ranks]
    assert [one.wait(300) for one in runs] == [0, 0, 0]
    return [torch.load(folder / f"{rank}of{many}", weights_only=True) for rank, many in ranks]


@pytest.mark.parametrize("i", range(len(parted.CASES)), ids=[name for name, _ in parted.CASES])
def test_weights_and_losses_are_those_of_one_process(weights, i):
    one, first, second = (found[i] for found in weights)
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-9, atol=1e-11, msg=name)


def test_every_family_is_among_the_cases():
    assert {name for name, _ in parted.CASES} == set(FAMILIES)


def test_parts_are_all_of_a_batch_and_their_means_its_mean():
    rows = torch.arange(10.0).reshape(5, 2)
    parts = [BatchPart(rank, 3) for rank in range(3)]
    assert sorted(torch.cat([part.of(rows) for part in parts]).flatten().tolist()) == rows.flatten().tolist()
    assert [part.count(4) for part in parts] == [2, 1, 1]
    assert sum(float(part.mean(part.of(rows), 5)) for part in parts) == pytest.approx(4.5)
    assert sum(float(part.mean(part.of(rows)[: part.count(1)], 1)) for part in parts) == pytest.approx(0.5)
    assert BatchPart().of(rows) is rows
