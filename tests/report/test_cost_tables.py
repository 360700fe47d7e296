"""Tables of cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures import make

from equibench.record.cost import Energy, MatrixProducts, SpeedPoint
from equibench.report.tables import audit as audit_tables
from equibench.report.tables import cost as cost_tables
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise


def section_of(*records):
    (section,) = summarise([FiledRecord(Path(one.key), one) for one in records])
    return section


def column(table, name):
    return [line.entries[table.names.index(name)] for line in table.lines]


def test_training_is_set_against_matrix_products():
    spent = make("vae").spent.model_copy(
        update={
            "flops": 6e12,
            "images": 3000,
            "train_sec": 60.0,
            "parts_sec": {"data": 6.0, "update": 53.0, "other": 1.0, "measurement": 2.0},
            "energy": Energy(joules=900.0, quantity="processor packages (RAPL)", images=3000),
        }
    )
    products = MatrixProducts(precision="float32", flops_per_sec={512: 1e11, 1024: 2.5e11, 2048: 2e11})
    one = make("vae", spent=spent, matrix_products=products, clock={"train": 62.0, "write": 2.0, "wall": 64.0})
    table = cost_tables.training(section_of(one, make("gan")))
    first = {name: found[-1] for name in table.names if (found := column(table, name))}
    assert first["utilization"].raw == pytest.approx(0.4)
    assert first["images_per_sec"].raw == 50
    assert first["matrix_flops_per_sec"].detail == "float32, side 1024"
    shares = [first[f"{part}_share"].raw for part in cost_tables.PARTS]
    assert shares == pytest.approx([6 / 64, 53 / 64, 2 / 64, 2 / 64, 1 / 64])
    assert (first["joules"].text, first["joules_per_image"].raw) == ("900", pytest.approx(0.3))
    assert column(table, "joules")[0].text.startswith("not measured")


def test_speed_has_a_line_a_batch_size_and_mode():
    speed = make("gan").speed.model_copy(
        update={
            "batch_size": 64,
            "sweep": [
                SpeedPoint(batch_size=16, repeats_sec=[0.1], images_per_sec=160.0),
                SpeedPoint(batch_size=64, repeats_sec=[0.2, 0.2], images_per_sec=320.0),
                SpeedPoint(batch_size=256, reason="out of memory"),
            ],
            "other_modes": [
                cost_tables.ModeSpeed(mode="compile", batch_size=64, compile_sec=9.0, images_per_sec=700.0),
                cost_tables.ModeSpeed(mode="cuda graph", batch_size=64, reason="CUDA graphs need a CUDA device"),
            ],
        }
    )
    table = cost_tables.speed(section_of(make("gan", speed=speed)))
    assert [entry.raw for entry in column(table, "images_per_sec")] == [160, 320, None, 700, None]
    assert [entry.strong for entry in column(table, "images_per_sec")] == [False, True, False, False, False]
    assert [entry.raw for entry in column(table, "latency_repeats")] == [None, 5, None, None, None]
    assert {"Out of memory.", "CUDA graphs need a CUDA device."} < set(table.notes)


def test_overhead_is_all_that_is_not_work():
    one = make("gan", clock={"train": 60.0, "sample": 20.0, "start": 5.0, "memory": 15.0, "wall": 100.0})
    sentence = audit_tables.overhead(section_of(one))
    assert "20.0 % of 100 s" in sentence
    assert "memory (15.0 s) and start (5.0 s)" in sentence
