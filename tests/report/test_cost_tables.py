"""Tables of cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures import make

from equibench.quantities.text import superscript
from equibench.record.cost import Energy, MatrixProducts, SpeedPoint
from equibench.record.surroundings import Load, TimedBlock
from equibench.report.pages.headline import headline_view
from equibench.report.tables import audit as audit_tables
from equibench.report.tables import cost as cost_tables
from equibench.report.tables.headline import headline
from equibench.report.tables.quality import samplers
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


def beside(name, share=0.02):
    return TimedBlock(name=name, load=Load(others_cpu_share=share))


def test_a_timing_of_a_busy_machine_is_marked_with_the_reason():
    """A GAN at 986 images/s instead of 14,125, as other jobs ran, was shown like any other."""
    timed = [beside("train"), beside("speed", 0.38), beside("latency")]
    busy, quiet, old = make("gan", timed=timed), make("vae", timed=[beside("speed")]), make("flow")
    section = section_of(busy, quiet, old)
    for table in (cost_tables.speed(section), headline(section)):
        marks = {name: entry.detail for name, entry in by_name(table, "images_per_sec").items()}
        assert "unsteady" in marks["GAN"]
        assert not any("unsteady" in marks[name] for name in ("VAE", "flow"))
        assert not any("unsteady" in entry.detail for entry in column(table, "latency_p50_sec"))
        (note,) = [note for note in table.notes if "not steady" in note]
        assert "as seed 0 was timed, other work took 38 % of the processor's time" in note
        assert marks["GAN"].endswith(superscript(table.notes.index(note) + 1))
    assert not [note for note in cost_tables.training(section).notes if "not steady" in note]


def test_the_mark_stays_in_sight_where_all_entrants_share_it():
    """Two cells at once on two cores: the page had the footnote, and nothing that referred to it."""
    section = section_of(*(make(family, timed=[beside("train", 0.51)]) for family in ("gan", "vae")))
    found = headline_view(headline(section)).view
    at = [head.name for head in found.heads].index("train_sec")
    assert found.details[at] == "unsteady²"  # the first note is on the GAN's likelihood
    assert not any(body.lines[0].cells[at].detail for body in found.bodies)


def test_each_timing_is_marked_by_its_own_block():
    timed = [beside("train", 0.5), beside("latency", 0.5), beside("speed, 5 steps", 0.5), beside("other modes", 0.5)]
    one = make("diffusion", timed=timed)
    mode = cost_tables.ModeSpeed(mode="compile", batch_size=256, images_per_sec=30.0, latency_p50_sec=0.1)
    section = section_of(one.model_copy(update={"speed": one.speed.model_copy(update={"other_modes": [mode]})}))
    marked = lambda table, name: ["unsteady" in entry.detail for entry in column(table, name)]  # noqa: E731
    speed = cost_tables.speed(section)
    assert (marked(speed, "images_per_sec"), marked(speed, "latency_p50_sec")) == ([False, True], [True, True])
    assert marked(cost_tables.training(section), "images_per_sec") == [True]
    assert marked(cost_tables.training(section), "utilization") == [False]  # of which nothing is known
    assert marked(headline(section), "train_sec") == [True]
    table = samplers(section)
    by_setting = dict(zip([e.text for e in column(table, "setting")], marked(table, "images_per_sec"), strict=True))
    assert [name for name, busy in by_setting.items() if busy] == ["5 steps"]


def by_name(table, name):
    return {line.entries[0].text: line.entries[table.names.index(name)] for line in table.lines}
