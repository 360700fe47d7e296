"""docs/earlier.md, against the records it is made from and against made-up ones."""

import json
import statistics

from fixtures import make, save

from equibench_models import FAMILIES
from studies.earlier import BASELINE, PAGE, RECORDS, page


def test_the_page_is_what_the_records_say():
    assert page(RECORDS, BASELINE) == PAGE.read_text()


def test_a_few_of_its_numbers_by_hand():
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text().splitlines() if "|" in line]
    (recall,) = [line for line in lines if line[:2] == ["vae", "recall_5k"]]
    before, now = (
        statistics.mean(
            also["value"]
            for path in folder.glob("vae-s*.json")
            for also in json.loads(path.read_text())["quality"]["also"]
            if also["name"] == "recall"
        )
        for folder in (BASELINE, RECORDS)
    )
    assert recall[4] == f"{now / before - 1:+.1%}".replace("%", " %")  # more of it is better
    (updates,) = [line for line in lines if line[:2] == ["gan", "Updates"]]
    record = json.loads(next(RECORDS.glob("gan-s0-*.json")).read_text())
    assert updates[3] == f"{record['spent']['updates']:,}"


def test_what_got_worse_is_named(tmp_path):
    def records(vae):
        found = [make(family, seed) for family in FAMILIES for seed in range(3)]
        return [
            one.model_copy(
                update={
                    "quality": one.quality.model_copy(
                        update={"value": (vae if one.family == "vae" else 300.0) + one.seed}
                    ),
                    "weights_sha256": f"{vae}{one.entrant}{one.seed}",
                }
            )
            for one in found
        ]

    before, worse = save(records(200.0), tmp_path / "before"), save(records(400.0), tmp_path / "worse")
    text = page(worse, before)
    assert "**Worse than before: vae FD_5k.**" in text
    assert "| vae | FD_5k | 201.0 ± 1.0 | 401.0 ± 1.0 | -99.5 % | regression |" in text
    assert "images/s" not in text.split("## What it costs")[0]
    assert "No entrant got worse" in page(before, worse)
