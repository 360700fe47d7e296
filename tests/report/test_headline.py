"""What the headline says, and what it refuses to say."""

from __future__ import annotations

import fixtures
import pytest
from fixtures import failed, floor, make, save

from equibench.errors import UserError
from equibench.quantities import text as formatting
from equibench.record import schema
from equibench.report import write
from equibench.report.tables import audit as audit_tables
from equibench.report.tables import headline as tables
from equibench.report.tables import likelihood as likelihood_tables
from equibench.summary import sort
from equibench.summary.sections import FiledRecord


def sections_of(tmp_path, *records):
    return sort.summarise([FiledRecord(tmp_path / f"{i}.json", found) for i, found in enumerate(records)])


def headline_of(tmp_path, *records):
    (section,) = sections_of(tmp_path, *records)
    return tables.headline(section)


def shown(table, label, column):
    """The text of one entry and its small print."""
    line = next(line for line in table.lines if line.entries[0].text == label)
    entry = line.entries[table.names.index(column)]
    return f"{entry.text} ({entry.detail})" if entry.detail else entry.text


def test_headline_by_hand(tmp_path):
    table = headline_of(tmp_path, *(make("vae", seed) for seed in range(3)), make("flow"))
    # 96.5 times 1, 1.02 and 1.04: mean 98.43, standard deviation 1.93; 3.41, 3.42 and 3.43: 3.42 and 0.01
    assert shown(table, "VAE", "n_seeds") == "3"
    assert shown(table, "VAE", "fd_5k_efficientnet_lite0") == "98.4 ± 1.9"
    assert shown(table, "VAE", "bits_per_dim") == "3.420 ± 0.010 (upper bound)"
    assert shown(table, "VAE", "latency_p50_sec") == "2.00"  # ms
    assert shown(table, "VAE", "train_peak_bytes_peak_resident_above_import") == "260 (batch 128)"
    assert shown(table, "VAE", "params") == "0.490"
    assert shown(table, "flow", "bits_per_dim") == "2.970 (upper bound, variational dequantization)"
    assert table.labels[2] == "FD_5k (EfficientNet-Lite0) ↓"


def test_budget_in_words():
    assert formatting.budget_words(fixtures.BUDGET) == (
        f"at most 0.5 M parameters and 2.00{formatting.TIMES}10¹³ training FLOPs"
    )
    budget = schema.Budget(params=60_000, unit="updates", amount=4)
    assert formatting.budget_words(budget) == "at most 0.06 M parameters and 4 updates"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (3.14159, "3.14"),
        (0.0, "0"),
        (0.01234, "0.0123"),
        (-0.5, "-0.500"),
        (12345.6, "12,346"),
        (2e13, f"2.00{formatting.TIMES}10¹³"),
        (9.999e12, f"1.00{formatting.TIMES}10¹³"),
        (1e-7, f"1.00{formatting.TIMES}10⁻⁷"),
    ],
)
def test_number(value, text):
    assert formatting.number(value) == text


def test_the_best_is_bold_in_speed_and_memory_where_the_tests_of_ratios_tell_it(tmp_path):
    names = ("images_per_sec", "latency_p50_sec", "train_peak_bytes_peak_resident_above_import")
    three = [make(family, seed) for family in ("gan", "vae") for seed in range(3)]
    for records, bold in ((three, {"GAN": [], "VAE": [*names]}), (three[:2], {"GAN": []})):
        table = headline_of(tmp_path, *_steady(records))
        found = {}
        for line in table.lines:
            entries = dict(zip(table.names, line.entries, strict=True))
            found[line.entries[0].text] = [name for name in names if entries[name].strong]
        assert found == bold


def _steady(records):
    """With speed and memory that differ between the two by a fifth, and by a per cent from seed to seed."""
    for one in records:
        shift = (1.2 if one.entrant == "vae" else 1.0) * (1 + 0.01 * (one.seed - 1))
        speed = {"images_per_sec": 1000 * shift, "latency_p50_sec": 1e-3 / shift}
        memory = {"train_peak_bytes": round(2**30 / shift)}
        yield one.model_copy(
            update={"speed": one.speed.model_copy(update=speed), "memory": one.memory.model_copy(update=memory)}
        )


def test_gan_has_a_footnote(tmp_path):
    table = headline_of(tmp_path, make("gan"), make("vae"))
    assert shown(table, "GAN", "bits_per_dim") == "n/a¹"
    assert table.notes == ("A GAN samples without a density, so it has no likelihood.",)


def test_what_was_not_measured_says_why(tmp_path):
    memory = make("vae").memory.model_copy(update={"train_peak_bytes": None, "reason": "No GPU counter."})
    bare = make("vae", quality=None, likelihood=None, speed=None, spent=None, memory=memory)
    table = headline_of(tmp_path, bare, make("flow"))
    line = next(line for line in table.lines if line.entries[0].text == "VAE")
    assert all(entry.text for entry in line.entries)
    assert shown(table, "VAE", "images_per_sec") == f"{formatting.MISSING}⁴"
    assert table.notes[3] == "Speed was not measured."
    assert "No GPU counter." in table.notes


def test_a_stage_that_failed_says_why_and_the_rest_counts(tmp_path):
    broken = make("vae", 1, status="incomplete", memory=None, failures={"memory": "OSError: no pipe"}, reason="x")
    table = headline_of(tmp_path, make("vae", 0), broken, make("vae", 2))
    line = table.lines[0]
    assert shown(table, "VAE", "entrant") == "VAE (incomplete)"
    assert shown(table, "VAE", "n_seeds") == "3"
    assert line.entries[table.names.index("fd_5k_efficientnet_lite0")].raw == pytest.approx(96.5 * 1.02)
    assert "2 seeds" in shown(table, "VAE", "train_peak_bytes_peak_resident_above_import")
    alone = headline_of(tmp_path / "alone", broken)
    assert "OSError: no pipe" in alone.notes


def test_floor_that_could_not_be_measured_says_why(tmp_path):
    quality = make("vae").quality.model_copy(update={"value": None, "reason": "Too few images."})
    real = floor("real data", fd=1.0).model_copy(update={"quality": quality})
    table = headline_of(tmp_path, make("gan"), real)
    assert shown(table, "real data", "fd_5k_efficientnet_lite0") == f"{formatting.MISSING}²"
    assert table.notes[1] == "Too few images."


def test_failed_rows_are_last(tmp_path):
    table = headline_of(tmp_path, *fixtures.everything(1))
    assert [line.kind for line in table.lines] == ["entrant"] * 4 + ["floor"] * 5 + ["failed"] * 2
    assert table.lines[-1].span == "out of memory (seed 9): A batch of 128 did not fit in 16 GiB."


def test_two_extractors_make_two_columns(tmp_path):
    quality = make("vae").quality.model_copy(update={"metric": "FID", "features": fixtures.INCEPTION, "value": 7.0})
    table = headline_of(tmp_path, make("gan"), make("vae", quality=quality))
    assert table.labels[2:4] == ("FD_5k (EfficientNet-Lite0) ↓", "FID_5k (Inception-v3) ↓")
    assert [e.text for e in table.lines[0].entries[2:4]] == ["41.20", f"{formatting.MISSING}¹"]
    assert [e.text for e in table.lines[1].entries[2:4]] == [f"{formatting.MISSING}¹", "7.000"]
    assert "another" in table.notes[0]


@pytest.mark.parametrize("change", [{"n_samples": 10_000}, {"n_reference": 9}, {"reference": "train"}])
def test_any_difference_in_the_metric_makes_two_columns(tmp_path, change):
    quality = make("vae").quality.model_copy(update=change)
    table = headline_of(tmp_path, make("gan"), make("vae", quality=quality))
    names = [name for name in table.names if name.startswith("fd_")]
    assert len(set(names)) == 2


def test_other_data_budget_or_machine_is_another_section(tmp_path):
    data = fixtures.DATA.model_copy(update={"name": "digits", "sha256": "0" * 64})
    budget = fixtures.BUDGET.model_copy(update={"amount": 1e12})
    machine = fixtures.MACHINE.model_copy(update={"key": "other"})
    records = [make("vae"), make("vae", data=data), make("vae", budget=budget), make("vae", machine=machine)]
    records.append(floor("uniform", bits=8.0))
    found = sections_of(tmp_path, *records)
    assert [len(section.ran) for section in found] == [1] * 4
    assert [len(section.floors) for section in found] == [1, 1, 1, 0]  # a floor stays with its data
    save(records, tmp_path / "records")
    write.write([tmp_path / "records"], tmp_path)
    shown = {letter for letter in "abcd" if (tmp_path / "figures" / f"samples-{letter}.png").exists()}
    assert shown == {"a", "b", "d"}  # the first, the last and one between


def test_a_seed_counts_once(tmp_path):
    with pytest.raises(UserError, match="a seed counts once"):
        sections_of(tmp_path, make("vae"), make("vae"))


def test_configs_of_one_name_are_not_averaged(tmp_path):
    wide = make("vae", 1, config={"width": 64, "learning_rate": 2e-4})
    table = headline_of(tmp_path, make("vae"), wide)
    assert [line.entries[0].text for line in table.lines] == ["VAE, width=32", "VAE, width=64"]


def test_a_cell_that_failed_early_keeps_its_name(tmp_path):
    early = failed("vae", 1, "crashed", "It broke.").model_copy(update={"config": {}})
    table = headline_of(tmp_path, make("vae"), early)
    assert [line.entries[0].text for line in table.lines] == ["VAE", "VAE"]


def test_seeds_sampled_in_different_ways_are_not_averaged(tmp_path):
    quality = make("diffusion", 1).quality
    records = [make("diffusion", i, quality=quality.model_copy(update={"options": {"steps": 9 + i}})) for i in (1, 2)]
    table = headline_of(tmp_path, *records)
    assert [line.entries[0].text for line in table.lines] == ["diffusion, steps=10", "diffusion, steps=11"]


def test_kinds_of_bits_are_not_averaged(tmp_path):
    exact = make("vae", 1).likelihood.model_copy(update={"kind": "exact", "n_images": 100})
    table = headline_of(tmp_path, make("vae"), make("vae", 1, likelihood=exact))
    column = table.names.index("bits_per_dim")
    found = [line.entries[column].detail for line in table.lines]
    assert sorted(found) == ["exact, 100 images", "upper bound, 10,000 images"]


def test_oracle_is_a_floor(tmp_path):
    data = fixtures.DATA.model_copy(update={"entropy_bits_per_dim": 1.25})
    table = headline_of(tmp_path, make("vae", data=data))
    assert table.lines[1].kind == "floor"
    assert shown(table, "oracle (entropy of the data)", "bits_per_dim") == "1.250 (exact)"


def test_other_likelihoods_stand_in_tables_of_their_own(tmp_path):
    (section,) = sections_of(tmp_path, make("gan"), make("vae"), floor("uniform", bits=8.0))
    bounds = likelihood_tables.bounds(section)
    assert len(bounds.lines) == 1
    assert shown(bounds, "VAE", "bits_per_dim") == "3.360"
    assert shown(bounds, "VAE", "usual_bits_per_dim") == "3.411"
    assert shown(bounds, "VAE", "kind") == "upper bound"
    assert shown(bounds, "VAE", "curve") == "1: 3.410, 2: 3.380, 4: 3.360"
    decoders = likelihood_tables.decoders(section)
    assert shown(decoders, "GAN", "simulated_lower_nats") == "600.50"
    assert [line.entries[0].text for line in decoders.lines] == ["GAN", "VAE"]
    strange = likelihood_tables.out_of_distribution(section)
    assert shown(strange, "VAE", "noise") == "11.00"
    assert shown(strange, "VAE", "test_bits_per_dim") == "3.410"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "OK"),
        ({"flops": 1.5e13, "updates": 3}, "OK"),  # a fourth update would overspend
        ({"flops": 1.5e13}, "missed"),
        ({"flops": 2.001e13}, "missed"),
        ({"params": 501_000}, "missed"),
        ({"params": 400_000}, "missed"),
    ],
)
def test_audit(tmp_path, change, verdict):
    spent = make("vae").spent.model_copy(update=change)
    (section,) = sections_of(tmp_path, make("vae", spent=spent))
    table = audit_tables.audit(section)
    assert table.lines[0].entries[-1].text == verdict
    if not change:
        assert shown(table, "VAE", "params") == "490,000 (98.0 % of 500,000)"
        assert shown(table, "VAE", "images") == "199,808"


def test_missed_budget_is_marked_and_not_ranked(tmp_path):
    records = [make("gan"), make("vae", status="budget missed", reason="It stopped early.")]
    (section,) = sections_of(tmp_path, *records)
    assert shown(tables.headline(section), "VAE", "entrant") == "VAE (budget missed)"
    assert section.rankable == [section.ran[0]]
    assert audit_tables.audit(section).lines[1].entries[-1].detail == "It stopped early."
