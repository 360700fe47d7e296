"""Rows of a report: cells that differ in the seed alone, and what sets others apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures import BUDGET, make, save

from equibench.record.schema import Numerics
from equibench.report.tables.headline import headline
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import load_cells, summarise

ONE = make("vae")
FLOAT = Numerics(threads=2, training="float32", sampling="float32", features="float32", likelihood="float32")


def part(name, **fields):
    return {name: getattr(ONE, name).model_copy(update=fields)}


def rows_of(*records):
    (section,) = summarise([FiledRecord(Path(f"{i}.json"), one) for i, one in enumerate(records)])
    return [(row.label, row.seeds) for row in section.entrants]


CASES = {
    "learning rate": ({"config": {"width": 32, "learning_rate": 3e-4}}, "learning_rate=0.0002", "learning_rate=0.0003"),
    "weights": (
        {"bounds": [ONE.bounds[0].model_copy(update={"passes": 8})]}, "number of passes 4", "number of passes 8"
    ),
    "annealing": (
        part("decoder_likelihood", chains=3),
        "annealing 8 chains, 500 temperatures, 10 leapfrog steps, sigma 0.1",
        "annealing 3 chains, 500 temperatures, 10 leapfrog steps, sigma 0.1",
    ),
    "precision": (
        {"numerics": FLOAT.model_copy(update={"likelihood": "bfloat16"})},
        "precision of the measurement float32",
        "precision of the measurement bfloat16",
    ),
    "batch size of the memory": (part("memory", train_batch_size=7), "batch size 128", "batch size 7"),
    "samples": (part("quality", n_samples=2500), "number of images 5000", "number of images 2500"),
    "sampler": (part("quality", options={"steps": 4}), "sampler default", "sampler steps 4"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_differs_is_in_rows_of_its_own_that_say_how(case):
    changes, first, second = CASES[case]
    same = {"numerics": FLOAT}
    found = rows_of(make("vae", 0, **same), make("vae", 1, **{**same, **changes}), make("vae", 2, **same))
    assert sorted(seeds for _, seeds in found) == [(0, 2), (1,)]
    said = {seeds: label for label, seeds in found}
    for seeds, words in (((0, 2), first), ((1,), second)):
        assert said[seeds].startswith("vae")
        assert words in said[seeds]
    assert said[0, 2] != said[1,]


def test_what_differs_in_nothing_that_moves_a_number_is_one_row():
    other = make("vae", 1, suite="mine", created="2026-01-01T00:00:00Z", measuring_sha256="ab" * 32)
    assert rows_of(make("vae"), other) == [("vae", (0, 1))]


def test_a_seed_goes_with_the_row_that_it_differs_from_in_nothing():
    """One whose stages failed lacks numbers, and so is the same as any; the first takes it."""
    lost = {"status": "incomplete", "failures": {"memory": "x"}, "reason": "x", "memory": None, "bounds": []}
    other = make("vae", 2, **part("memory", train_batch_size=7))
    assert [seeds for _, seeds in rows_of(make("vae", 0, **lost), make("vae", 1), other)] == [(0, 1), (2,)]
    assert [seeds for _, seeds in rows_of(make("vae", 0), other, make("vae", 3, **lost))] == [(0, 3), (2,)]


def test_a_row_that_stands_apart_has_a_mean_of_its_own():
    other = make("vae", 2, **part("decoder_likelihood", chains=3))
    (section,) = summarise([FiledRecord(Path(f"{i}.json"), one) for i, one in enumerate((ONE, make("vae", 1), other))])
    table = headline(section)
    seeds = table.names.index("n_seeds")
    assert [line.entries[seeds].text for line in table.lines] == ["2", "1"]


def test_folders_that_hold_a_cell_twice_are_runs_even_where_a_stage_failed_in_one(tmp_path):
    lost = {"status": "incomplete", "failures": {"memory": "x"}, "reason": "x", "memory": None}
    for name, changes in (("a", {}), ("b", lost)):
        save([make("vae", 0, **changes)], tmp_path / name, with_arrays=False)
    assert {cell.run.label for cell in load_cells([tmp_path / "a", tmp_path / "b"])} == {"a", "b"}


def test_a_loaded_checkpoint_is_not_averaged_with_another():
    """Of one name, and of one config."""
    cells = [make("vae", seed, budget=None, weights_sha256=digits * 32) for seed, digits in enumerate(("ab", "cd"))]
    assert len(rows_of(*cells)) == 2
    assert len(rows_of(*[one.model_copy(update={"weights_sha256": "ab" * 32}) for one in cells])) == 1
    assert BUDGET is make("vae").budget


def test_training_s_precision_is_what_entrants_asked_for_and_of_old_records_their_machine_s():
    asked = FLOAT.model_copy(update={"training": "bfloat16"})
    records = [make("vae", numerics=FLOAT), make("gan", numerics=asked)]
    (section,) = summarise([FiledRecord(Path(f"{i}.json"), one) for i, one in enumerate(records)])
    assert set(section.training_precisions) == {"float32", "bfloat16"}
    machine = ONE.machine.model_copy(update={"precision": "bfloat16"})
    (section,) = summarise([FiledRecord(Path("0.json"), make("vae", machine=machine))])
    assert section.training_precisions == ["bfloat16"]
