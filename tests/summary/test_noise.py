"""The spread over seeds taken apart, by hand and on made-up seeds whose two parts are known."""

from pathlib import Path

import numpy as np
import pytest
from fixtures import make

from equibench.quantities.metric import metric_of
from equibench.report.tables.differences import noise
from equibench.summary.noise import noise_of, noise_of_bits
from equibench.summary.sections import FiledRecord, Row
from equibench.summary.sort import summarise


def seeds(values, errors):
    records = []
    for seed, (value, error) in enumerate(zip(values, errors, strict=True)):
        record = make("gan", seed)
        quality = record.quality.model_copy(update={"value": value, "stderr": error})
        records.append(record.model_copy(update={"quality": quality}))
    return Row("gan", tuple(FiledRecord(Path(f"{r.seed}.json"), r) for r in records))


def test_by_hand():
    row = seeds([10.0, 14.0, 18.0], [1.0, 2.0, 3.0])  # variance 16; errors' mean square 14/3
    found = noise_of(row, metric_of(row.first.quality))
    assert (found.mean, found.total) == (14, 4)
    assert found.evaluation == pytest.approx((14 / 3) ** 0.5)
    assert found.training == pytest.approx((16 - 14 / 3) ** 0.5)


def test_seeds_that_agree_better_than_their_samples_show_no_training_noise():
    row = seeds([10.0, 10.1], [1.0, 1.0])
    assert noise_of(row, metric_of(row.first.quality)).training == 0


def test_known_parts_are_found():
    rng = np.random.default_rng(0)
    values = 100 + rng.normal(0, 3, 4000) + rng.normal(0, 4, 4000)  # training 3, evaluation 4
    row = seeds(values, [4.0] * 4000)
    found = noise_of(row, metric_of(row.first.quality))
    assert found.total == pytest.approx(5, rel=0.05)
    assert found.training == pytest.approx(3, rel=0.1)


def test_bits_per_dim_by_hand():
    """Variance 0.0004 over seeds, 0.0001 of it by the draws; the error over images is of the same images for all."""
    records = []
    for seed, bits in enumerate([3.0, 3.02, 3.04]):
        record = make("diffusion", seed)
        likelihood = record.likelihood.model_copy(
            update={"bits_per_dim": bits, "stderr_bits_per_dim": 0.5, "stderr_monte_carlo_bits_per_dim": 0.01}
        )
        records.append(record.model_copy(update={"likelihood": likelihood}))
    row = Row("diffusion", tuple(FiledRecord(Path(f"{r.seed}.json"), r) for r in records))
    found = noise_of_bits(row)
    assert (found.mean, found.evaluation) == (pytest.approx(3.02), pytest.approx(0.01))
    assert found.total == pytest.approx(0.02)
    assert found.training == pytest.approx(0.0003**0.5)
    (section,) = summarise(list(row.cells))
    assert [line.entries[1].text for line in noise(section).lines][-1] == "Bits/dim"
    assert noise_of_bits(seeds([1.0, 2.0], [1.0, 1.0])) is None  # a GAN has none


def test_one_seed_has_no_line():
    cells = [FiledRecord(Path(f"{name}.json"), make(name)) for name in ("gan", "vae")]
    cells.append(FiledRecord(Path("gan1.json"), make("gan", 1)))
    (section,) = summarise(cells)
    table = noise(section)
    assert [line.entries[0].raw for line in table.lines] == ["gan"]
    assert table.lines[0].entries[2].raw == 2
