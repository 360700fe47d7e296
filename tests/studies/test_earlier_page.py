"""docs/earlier.md, against the records it is made from and against made-up ones."""

import json
import statistics

import fixtures
import pytest
from fixtures import make, save

from equibench.errors import UserError
from equibench_models import FAMILIES
from studies.earlier import BASELINE, PAGE, RECORDS, page


def test_the_page_is_what_the_records_say():
    assert page(RECORDS, BASELINE) == PAGE.read_text()


def means(folder, family, of):
    """The mean over three seeds at the budget of `quick`."""
    found = [json.loads(path.read_text()) for path in folder.glob(f"{family}-s*.json")]
    values = [of(record) for record in found if record["budget"]["amount"] == 7e12]
    assert len(values) == 3
    return statistics.mean(values)


def test_a_few_of_its_numbers_by_hand():
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text().splitlines() if "|" in line]
    row = {tuple(line[:2]): line[2:] for line in lines}

    def recall(record):
        return next(also["value"] for also in record["quality"]["also"] if also["name"] == "recall")

    before, now = (means(folder, "vae", recall) for folder in (BASELINE, RECORDS))
    assert row["vae", "recall_5k"][2] == f"{100 * (now / before - 1):+.1f} %"  # more of it is better
    before, now = (means(folder, "flow", lambda r: r["quality"]["value"]) for folder in (BASELINE, RECORDS))
    assert row["flow", "FD_5k"][2] == f"{100 * (1 - now / before):+.1f} %"  # less is better
    before, now = (
        means(folder, "diffusion", lambda r: r["likelihood"]["bits_per_dim"]) for folder in (BASELINE, RECORDS)
    )
    assert row["diffusion", "Bits/dim"][2] == f"{before - now:.3f}"
    before, now = (means(folder, "gan", lambda r: r["spent"]["updates"]) for folder in (BASELINE, RECORDS))
    assert row["gan", "Updates"] == [f"{before:,.0f}", f"{now:,.0f}", f"{100 * (now / before - 1):+.1f} %"]


def records(vae, memory=1.0):
    """Three seeds of each family; the VAE's distance, and the factor of all memories."""
    found = []
    for family in FAMILIES:
        for seed in range(3):
            one = make(family, seed)
            value = (vae if family == "vae" else 300.0) + seed
            grown = {"train_peak_bytes": int(memory * one.memory.train_peak_bytes)}
            changes = {
                "quality": one.quality.model_copy(update={"value": value}),
                "memory": one.memory.model_copy(update=grown),
                "weights_sha256": f"{vae}{one.entrant}{seed}",
            }
            found.append(one.model_copy(update=changes))
    return found


def test_what_got_worse_is_named(tmp_path):
    before, worse = save(records(200.0), tmp_path / "before"), save(records(400.0), tmp_path / "worse")
    text = page(worse, before)
    assert "**`equibench check` finds regressions: FD_5k of vae.**" in text
    assert "| vae | FD_5k | 201.0 ± 1.0 | 401.0 ± 1.0 | -99.5 % | < 0.0001 |" in text
    assert "finds no regression in these records" in page(before, worse)
    larger = save(records(190.0, memory=1.5), tmp_path / "larger")
    assert "finds regressions in memory alone" in page(larger, before)


def test_sides_of_two_machines_are_refused(tmp_path):
    other = fixtures.MACHINE.model_copy(update={"key": "feedbeef"})
    moved = [one.model_copy(update={"machine": other}) for one in records(200.0)]
    with pytest.raises(UserError, match="of several machines; make both anew"):
        page(save(moved, tmp_path / "moved"), save(records(200.0), tmp_path / "before"))
