"""docs/scaled.md, against the records it is made from and against a ladder of known laws."""

import json
import statistics

import pytest
from climbing import AMOUNTS, at, climb, power
from fixtures import floor, save

from equibench.errors import UserError
from studies.scaled import PAGE, RECORDS, page


def cells(text, start):
    """The cells of each table row that starts with `start`."""
    return [
        [cell.strip() for cell in line.split("|")[2:-1]]
        for line in text.splitlines()
        if line.startswith(f"| {start} |")
    ]


def test_the_page_is_what_the_records_say():
    assert page(RECORDS) == PAGE.read_text()


def test_its_distances_by_hand():
    of_budget = {}
    for path in RECORDS.glob("gan-s*.json"):
        record = json.loads(path.read_text())
        of_budget.setdefault(record["budget"]["amount"], []).append(record["quality"]["value"])
    (row,) = cells(PAGE.read_text(), "GAN")
    assert sorted(of_budget) == sorted(AMOUNTS)
    for cell, amount in zip(row, sorted(of_budget), strict=True):
        mean, sd = cell.replace(",", "").split(" ± ")
        assert len(of_budget[amount]) == 3
        assert float(mean) == pytest.approx(statistics.mean(of_budget[amount]), rel=2e-3)
        assert float(sd) == pytest.approx(statistics.stdev(of_budget[amount]), rel=0.06)


def test_known_laws_of_made_up_records(tmp_path):
    records = climb("vae", power(600, 0.5), bits=lambda flops: 3.0 + 0.1 * (flops / 7e12) ** -0.5)
    save([*records, *climb("gan", power(400, 0.25)), floor("real data", fd=27.0)], tmp_path, with_arrays=False)
    text = page(tmp_path)
    assert cells(text, "GAN")[0][4] == "400.0 ± 4.0"  # the seeds are 1 % below, at and above it
    assert len(cells(text, "GAN")) == 1  # it has no bits/dim
    assert cells(text, "VAE")[1][4] == "3.100 ± 0.031"
    assert "FD_5k (EfficientNet-Lite0) of GAN falls as C^-0.250" in text
    assert "Real training images have 27.0." in text


def test_records_that_are_no_whole_ladder_are_refused(tmp_path):
    save([at("gan", amount, 300.0) for amount in AMOUNTS[:4]], tmp_path / "few", with_arrays=False)
    with pytest.raises(UserError, match="make 0 ladders"):
        page(tmp_path / "few")
    save(climb("gan", power(400, 0.25))[:-1], tmp_path / "stopped", with_arrays=False)
    with pytest.raises(UserError, match=r"gan lacks seed 2 at 1.40.*run `equibench run scaling` to its end"):
        page(tmp_path / "stopped")
