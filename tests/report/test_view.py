"""What a page shows of a table: means over seeds, one number of decimals a column, and columns that never vary."""

from __future__ import annotations

import re

import fixtures
import pytest
from fixtures import failed, make, save

from equibench.quantities import text as formatting
from equibench.quantities.glossary import GLOSSARY
from equibench.quantities.meanings import MEANINGS, meaning
from equibench.record.schema import SamplerPoint
from equibench.report import write
from equibench.report.pages.headline import headline_view
from equibench.report.pages.view import view
from equibench.report.tables import cost, headline, quality
from equibench.report.tables.seeds import constants, means
from equibench.summary import sort
from equibench.summary.sections import FiledRecord


def section_of(tmp_path, *records):
    (section,) = sort.summarise([FiledRecord(tmp_path / f"{i}.json", found) for i, found in enumerate(records)])
    return section


def with_ways(seed, label="mean", value=50.0):
    record = make("vae", seed)
    point = SamplerPoint(
        label=label,
        options={"decoding": label},
        quality=record.quality.model_copy(update={"value": value + seed, "options": {"decoding": label}}),
        images_per_sec=3000.0,
        network_evaluations=1,
        flops_per_image=2e7,
    )
    return make("vae", seed, ways=[point])


def test_means_by_hand(tmp_path):
    table = quality.quality(section_of(tmp_path, *(make("vae", seed) for seed in range(3)), make("flow")))
    found = means(table)
    assert "seed" not in found.table.names
    assert [line.entries[0].text for line in found.table.lines] == ["VAE", "flow"]
    assert [len(seeds) for seeds in found.seeds] == [3, 0]
    mean = found.table.lines[0].entries[found.table.names.index("distance")]
    assert mean.raw == pytest.approx(96.5 * 1.02)
    assert mean.more["_sd"] == pytest.approx(1.93)
    assert (mean.source.how, len(mean.source.records)) == ("mean", 3)
    assert mean.detail == ""  # an interval is of one seed
    assert [line.entries[0].text for line in found.seeds[0]] == ["seed 0", "seed 1", "seed 2"]


def test_seeds_that_lack_a_number_are_told(tmp_path):
    records = [make("vae", 0), make("vae", 1), make("vae", 2, status="incomplete", memory=None)]
    table = means(cost.memory(section_of(tmp_path, *records))).table
    assert table.lines[0].entries[0].detail == ""  # the third has no row: two of two
    assert table.lines[0].entries[table.names.index("train_peak_bytes")].raw == 260 * 2**20


def test_what_never_varies_is_said_once(tmp_path):
    found = view(cost.memory(section_of(tmp_path, make("vae"), make("gan"))), 200)
    said = {head.name: entry.text for head, entry in found.said}
    assert said["train_batch_size"] == "128"
    assert said["quantity"] == "peak resident above import"
    assert "train_batch_size" not in found.table.names
    assert constants(found.table) == []
    alone = view(cost.memory(section_of(tmp_path / "one", make("vae"))), 200)
    assert alone.said == []  # of one row nothing varies


def test_one_number_of_decimals_a_column(tmp_path):
    records = [make(family, seed) for family in fixtures.NUMBERS for seed in range(3)]
    found = headline_view(headline.headline(section_of(tmp_path, *records))).view
    names = [head.name for head in found.heads]
    for name in ("fd_5k_efficientnet_lite0", "bits_per_dim", "latency_p50_sec"):
        shown = [body.lines[0].cells[names.index(name)] for body in found.bodies]
        values = [cell.value.lstrip("≤") for cell in shown if re.match("[≤0-9]", cell.value)]
        assert len({value.partition(".")[2].__len__() for value in values}) == 1, values
        assert len({cell.slot for cell in shown}) == 1
    bits = [body.lines[0].cells[names.index("bits_per_dim")] for body in found.bodies]
    assert [cell.value for cell in bits] == ["n/a¹", "≤3.420", "≤2.980", "≤3.130"]
    assert [cell.spread for cell in bits[1:]] == ["±0.010"] * 3
    assert all(cell.bar is None for cell in bits)  # zero bits say nothing
    speeds = [body.lines[0].cells[names.index("images_per_sec")].bar for body in found.bodies]
    assert speeds == pytest.approx([100 * 2100 / 2600, 100, 100 * 640 / 2600, 100 * 24 / 2600])


@pytest.mark.parametrize(
    ("values", "digits", "decimals"),
    [([417.3, 1092.1], 4, 0), ([0.0271, 0.0971], 3, 4), ([0.77, 30.7], 3, 2), ([], 3, 0), ([1e-9, 5.0], 3, 4)],
)
def test_decimals_of_a_column(values, digits, decimals):
    assert formatting.decimals_of(values, digits) == decimals


def test_a_spread_that_would_vanish_says_so():
    assert formatting.fixed_spread(0.04, 1) == "<0.1"
    assert formatting.fixed_spread(0.06, 1) == "0.1"
    assert formatting.fixed(0.004, 1) == formatting.number(0.004)  # not 0.0


def test_another_way_to_sample_is_the_second_row_of_its_entrant(tmp_path):
    section = section_of(tmp_path, *(with_ways(seed) for seed in range(3)), make("gan"))
    found = headline_view(headline.headline(section)).view
    (vae,) = [body for body in found.bodies if len(body.lines) == 2]
    names = [head.name for head in found.heads]
    first, second = vae.lines
    assert second.line.way == "mean"
    assert second.cells[names.index("fd_5k_efficientnet_lite0")].value.startswith("51")
    for name in ("bits_per_dim", "train_sec"):  # of the model, however it is sampled
        assert first.cells[names.index(name)].rows == 2
        assert second.cells[names.index(name)] is None


def test_twelve_entrants_with_long_names_and_a_failure(tmp_path):
    names = [f"a-family-of-my-own-with-a-rather-long-name-{i}" for i in range(12)]
    records = [make("gan", seed, entrant=name, family=name) for name in names for seed in range(2)]
    broken = failed("gan", 0, "crashed", "It broke in the first update.").model_copy(update={"entrant": "<other>"})
    save([*records, broken], tmp_path / "records", with_arrays=False)
    write.write([tmp_path / "records"], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    head = page.split('data-name="headline"')[1].split("</table>")[0]
    assert all(name in head for name in names)
    assert "crashed (seed 0): It broke in the first update." in head
    assert "<other>" not in page


def test_every_number_has_a_meaning_and_every_meaning_a_number():
    for quantity in GLOSSARY:
        assert meaning(quantity).endswith(".")
    paths = [quantity.path for quantity in GLOSSARY]
    assert not [end for end in MEANINGS if not any(f".{path}".endswith(f".{end}") for path in paths)]


def test_tables_are_numbered_in_order_and_their_anchors_differ(tmp_path):
    half = fixtures.BUDGET.model_copy(update={"amount": 1e13})
    save([make("gan"), make("vae"), make("gan", budget=half), make("vae", budget=half)], tmp_path / "records")
    write.write([tmp_path / "records"], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    numbers = [int(found) for found in re.findall(r'class="no">Table (\d+)\.', page)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 20
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    targets = re.findall(r' popovertarget="([^"]+)"', page)
    assert set(targets) <= set(ids)
