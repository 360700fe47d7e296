"""The front of quality against cost."""

from __future__ import annotations

from pathlib import Path

from fixtures import make

from equibench.record import schema
from equibench.record.schema import USUAL
from equibench.report.tables import quality as quality_tables
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise


def section_of(*records):
    (section,) = summarise([FiledRecord(Path(one.key), one) for one in records])
    return section


def column(table, name):
    return [line.entries[table.names.index(name)] for line in table.lines]


def test_the_front_is_what_nothing_beats():
    quality = make("diffusion").quality

    def points(*found):
        return [
            schema.SamplerPoint(
                label=label,
                options={"label": label},
                quality=quality.model_copy(update={"value": fd, "n_samples": 2000, "options": {"label": label}}),
                images_per_sec=images_per_sec,
                network_evaluations=1,
                flops_per_image=flops,
            )
            for label, fd, images_per_sec, flops in found
        ]

    section = section_of(
        make("gan", sampler_points=points((USUAL, 50.0, 100.0, 10.0))),
        make(
            "diffusion", sampler_points=points((USUAL, 30.0, 5.0, 80.0), ("a", 60.0, 50.0, 5.0), ("b", 30.0, 4.0, 90.0))
        ),
    )
    table = quality_tables.samplers(section)
    named = [
        (entry.text, setting.text)
        for entry, setting in zip(column(table, "entrant"), column(table, "setting"), strict=True)
    ]
    by_time, by_flops = ([e.raw for e in column(table, f"front_by_{x}")] for x in ("time", "flops"))
    swept = [i for i, found in enumerate(by_time) if found is not None]
    assert [named[i] for i in swept] == [
        ("GAN", USUAL), ("diffusion", USUAL), ("diffusion", "a"), ("diffusion", "b"),
    ]  # fmt: skip
    assert [by_time[i] for i in swept] == [True, True, False, False]  # "a" is slower and worse than the GAN
    assert [by_flops[i] for i in swept] == [True, True, True, False]  # but takes fewer FLOPs
