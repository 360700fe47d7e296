"""The report: hand-computed numbers, nothing mixed that must not be, and the same bytes for the same records."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import fixtures
import pandas as pd
import pytest
import scipy.stats
from fixtures import failed, floor, make, save

from equibench import UserError
from equibench.quantities import text as formatting
from equibench.record import schema as record_files
from equibench.report import write as report
from equibench.report.figures import plots
from equibench.report.tables import audit as per_cell
from equibench.report.tables import headline as tables
from equibench.report.tables import likelihood as bound_tables
from equibench.stats import Stat
from equibench.summary import pairs
from equibench.summary import sort as summary
from equibench.summary.sections import Cell, value_at


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report on everything, with records and report side by side."""
    root = tmp_path_factory.mktemp("report")
    save(fixtures.everything(), root / "records")
    report.write([root / "records"], root / "out")
    return root


@pytest.fixture(autouse=True)
def fewer_kinds(monkeypatch, request):
    """PDF figures are made once, by the fixture `folder`: they take time."""
    if "folder" not in request.fixturenames:
        monkeypatch.setattr(plots, "KINDS", ("svg", "png"))


def sections_of(tmp_path, *records):
    return summary.summarise([Cell(tmp_path / f"{i}.json", found) for i, found in enumerate(records)])


def headline_of(tmp_path, *records):
    (section,) = sections_of(tmp_path, *records)
    return tables.headline(section)


def shown(table, label, column):
    """The text of one entry and its small print."""
    line = next(line for line in table.lines if line.entries[0].text == label)
    entry = line.entries[table.names.index(column)]
    return f"{entry.text} ({entry.detail})" if entry.detail else entry.text


# --- the same bytes, and all that is needed in them -------------------------------------------------------------


def test_same_records_give_the_same_bytes(folder, tmp_path):
    # Another order of paths, another folder and another process (with another hash seed) must not matter.
    records = sorted((folder / "records").glob("*.json"), reverse=True)
    code = "import sys; from pathlib import Path; from equibench.report import write as report\n"
    code += "report.write([Path(p) for p in sys.argv[2:]], Path(sys.argv[1]))\n"
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code, tmp_path, *records], check=True)
    files = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    out = folder / "out"
    assert files == {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_page_stands_alone(folder):
    page = (folder / "out" / "index.html").read_text()

    links = []

    class Links(HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag not in ("link", "iframe", "object")
            links.extend((f"{tag}.{name}", value) for name, value in attrs if name in ("src", "href", "srcset"))

    Links().feed(page)
    for where, value in links:
        assert value.startswith(
            {"img.src": "data:image/", "a.href": ("#", "tables/", "tables.json", "numbers.tex")}[where]
        ), (where, value)
    assert "@import" not in page
    assert "url(" not in page
    ids = set(re.findall(r' id="([^"]+)"', page))
    assert {value[1:] for _, value in links if value.startswith("#")} <= ids
    assert all((folder / "out" / value).exists() for _, value in links if value[0] not in "#d")


def test_markdown_finds_its_figures(folder):
    text = (folder / "out" / "report.md").read_text()
    found = re.findall(r"\]\((figures/[^)]+|tables/[^)]+)\)", text)
    assert len(found) > 10
    assert all((folder / "out" / name).exists() for name in found)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(not line.endswith("||") for line in rows)


def test_text_from_records_is_escaped(tmp_path):
    record = make("gan", entrant="<b>|gan|</b>", status="crashed", reason="<script>alert(1)</script>\n| a *b*")
    save([record.model_copy(update={"entrant": "gan"})], tmp_path / "records")
    path = next((tmp_path / "records").glob("*.json"))
    path.write_text(path.read_text().replace('"entrant": "gan"', '"entrant": "<b>|gan|</b>"'))
    report.write([path], tmp_path)
    page, text = (tmp_path / "index.html").read_text(), (tmp_path / "report.md").read_text()
    assert "<script>alert" not in page + text
    assert "<b>" not in page
    assert r"\<b\>\|gan\|\</b\>" in text


# --- numbers ----------------------------------------------------------------------------------------------------


def test_headline_by_hand(tmp_path):
    table = headline_of(tmp_path, *(make("vae", seed) for seed in range(3)), make("flow"))
    # 96.5 times 1, 1.02 and 1.04: mean 98.43, standard deviation 1.93; 3.41, 3.42 and 3.43: 3.42 and 0.01
    assert shown(table, "vae", "n_seeds") == "3"
    assert shown(table, "vae", "fd_5k_efficientnet_lite0") == "98.4 ± 1.9"
    assert shown(table, "vae", "bits_per_dim") == "3.420 ± 0.010 (upper bound)"
    assert shown(table, "vae", "latency_p50_sec") == "2.00"  # ms
    assert shown(table, "vae", "train_peak_bytes_peak_resident_above_import") == "260 (batch 128)"
    assert shown(table, "vae", "params") == "0.490"
    assert shown(table, "flow", "bits_per_dim") == "2.970 (upper bound, variational dequantization)"
    assert table.labels[2] == "FD_5k (EfficientNet-Lite0) ↓"


def test_budget_in_words():
    assert formatting.budget_words(fixtures.BUDGET) == (
        f"at most 0.5 M parameters and 2.00{formatting.TIMES}10¹³ training FLOPs"
    )
    budget = record_files.Budget(params=60_000, unit="updates", amount=4)
    assert formatting.budget_words(budget) == "at most 0.06 M parameters and 4 updates"


def test_stat_by_hand():
    assert Stat((2.0, 4.0, 9.0)).mean == 5
    assert Stat((2.0, 4.0, 9.0)).sd == pytest.approx(13**0.5)
    assert Stat((0.1, 0.1, 0.1)).sd == 0  # not 1.7e-17
    assert Stat((2.0,)).sd is None


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


def test_csv_loads_back_to_the_records_values(folder):
    out = folder / "out" / "tables"
    cells = pd.read_csv(out / "cells.csv").set_index("file")
    for file in (folder / "records").glob("*.json"):
        found = record_files.read(file)
        row = cells.loc[file.name]
        for path in ("seed", "quality.value", "likelihood.bits_per_dim", "spent.flops", "memory.train_peak_bytes"):
            value = value_at(found, path)
            column = path.replace(".", "_")
            assert pd.isna(row[column]) if value is None else row[column] == pytest.approx(value, rel=1e-15)
    headline = pd.read_csv(out / "headline.csv")
    vae = headline[(headline.entrant == "vae") & (headline.status == "ok")].iloc[0]
    assert vae.train_peak_bytes_peak_resident_above_import == 260 * 2**20
    assert vae.latency_p50_sec == 0.002
    assert vae.bits_per_dim_kind == "upper bound"
    assert vae.fd_5k_efficientnet_lite0_sd == pytest.approx(1.93)
    for path in out.glob("*.csv"):
        assert len(pd.read_csv(path)) > 0 or path.name == "comparison.csv"  # there is one setting


def test_frame_is_one_row_a_cell(tmp_path):
    cells = [Cell(tmp_path / f"{i}", found) for i, found in enumerate(fixtures.everything(2))]
    frame = summary.load_frame(cells)
    assert len(frame) == len(cells)
    assert frame.groupby("status").size().to_dict() == {"diverged": 1, "ok": 13, "out of memory": 1}
    assert frame.query("entrant == 'diffusion' and seed == 1").speed_network_evaluations.item() == 50


# --- what the headline says, and what it refuses to say -----------------------------------------------------------


def test_gan_has_a_footnote(tmp_path):
    table = headline_of(tmp_path, make("gan"), make("vae"))
    assert shown(table, "gan", "bits_per_dim") == "n/a¹"
    assert table.notes == ("A GAN samples without a density, so it has no likelihood.",)


def test_what_was_not_measured_says_why(tmp_path):
    memory = make("vae").memory.model_copy(update={"train_peak_bytes": None, "reason": "No GPU counter."})
    bare = make("vae", quality=None, likelihood=None, speed=None, spent=None, memory=memory)
    table = headline_of(tmp_path, bare, make("flow"))
    line = next(line for line in table.lines if line.entries[0].text == "vae")
    assert all(entry.text for entry in line.entries)
    assert shown(table, "vae", "images_per_sec") == f"{formatting.MISSING}³"
    assert table.notes[2] == "Speed was not measured."
    assert "No GPU counter." in table.notes


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
    report.write([tmp_path / "records"], tmp_path)
    assert (tmp_path / "figures" / "samples-c.png").exists()


def with_values(family, distances, bits=None):
    """A record a seed, with these distances and, where given, bits/dim."""
    for seed, value in enumerate(distances):
        found = make(family, seed)
        quality = found.quality.model_copy(update={"value": value})
        likelihood = found.likelihood.model_copy(update={"bits_per_dim": bits[seed]} if bits else {})
        yield found.model_copy(update={"quality": quality, "likelihood": likelihood})


def test_one_seed_speaks_of_the_trained_models_alone(tmp_path):
    vae, flow = make("vae"), make("flow")
    nearly = flow.likelihood.model_copy(update={"bits_per_dim": 3.405, "stderr_bits_per_dim": 0.003})
    (section,) = sections_of(tmp_path, vae, flow.model_copy(update={"likelihood": nearly}))
    distances, bits, caution = pairs.sentences(section)
    # The halves of all made-up records differ alike, so that nothing but the difference is left: p is 0.
    assert distances == (
        "FD_5k (EfficientNet-Lite0), for these trained models alone: vae is better than flow (p < 0.0001)."
    )
    # 3.410 and 3.405 with errors 0.004 and 0.003: one combined error of 0.005, so p = 2 Phi(-1) = 0.317
    assert bits == "Bits/dim (upper bound), for these trained models alone: vae and flow: not decided (p = 0.32)."
    assert "no ranking is claimed" in caution
    table = tables.headline(section)
    assert not any(entry.strong or "±" in entry.text for line in table.lines for entry in line.entries)


def test_two_seeds_claim_no_ranking(tmp_path):
    (section,) = sections_of(tmp_path, *(make(family, seed) for family in ("gan", "vae") for seed in (0, 1)))
    assert "no ranking is claimed" in pairs.sentences(section)[-1]
    assert not any(entry.strong for line in tables.headline(section).lines for entry in line.entries)


def test_three_seeds_speak_of_entrants(tmp_path):
    found = [*with_values("gan", [30, 31, 32]), *with_values("vae", [90, 91, 92]), *with_values("flow", [31, 32, 33])]
    (section,) = sections_of(tmp_path, *found)
    p = scipy.stats.ttest_ind([30, 31, 32], [31, 32, 33], equal_var=False).pvalue
    assert pairs.sentences(section)[0] == (
        "FD_5k (EfficientNet-Lite0), over 3 training seeds: gan is better than vae (p < 0.0001); "
        f"flow is better than vae (p < 0.0001); gan and flow: not decided (p = {p:.2f})."
    )
    assert not any(line.entries[2].strong for line in tables.headline(section).lines)
    (section,) = sections_of(tmp_path, *found[:6])
    assert [line.entries[2].strong for line in tables.headline(section).lines] == [True, False]


def test_holm_corrects_for_the_number_of_tests(tmp_path):
    # Against each of the others p is 0.030 alone (Welch, by scipy.stats): decided as one test, not as one of three.
    found = {family: list(with_values(family, v)) for family, v in OF_HOLM.items()}
    (section,) = sections_of(tmp_path, *found["gan"], *found["vae"])
    assert "gan is better than vae (p = 0.030)" in pairs.sentences(section)[0]
    (section,) = sections_of(tmp_path, *found["gan"], *found["vae"], *found["flow"])
    assert "gan and vae: not decided (p = 0.089)" in pairs.sentences(section)[0]


OF_HOLM = {"gan": [1.0, 2.0, 3.0], "vae": [3.7, 4.7, 5.7], "flow": [3.7, 4.7, 5.7]}


def test_a_bound_is_not_compared_with_an_exact_value(tmp_path):
    exact = [
        r.model_copy(update={"likelihood": r.likelihood.model_copy(update={"kind": "exact"})})
        for r in (make("flow", seed) for seed in range(3))
    ]
    (section,) = sections_of(tmp_path, *exact, *(make("vae", seed) for seed in range(3)))
    distances, bits = pairs.sentences(section)
    assert distances.startswith("FD_5k")
    assert bits.startswith("Bits/dim (exact) and Bits/dim (upper bound) are not compared")
    assert not any(entry.strong for line in tables.headline(section).lines for entry in line.entries[3:])


def test_what_failed_is_named_in_the_summary(tmp_path):
    (section,) = sections_of(tmp_path, *fixtures.everything(1))
    assert pairs.sentences(section)[-1] == "Not ranked: gan, seed 8 (diverged) and flow, seed 9 (out of memory)."


def test_a_seed_counts_once(tmp_path):
    with pytest.raises(UserError, match="a seed counts once"):
        sections_of(tmp_path, make("vae"), make("vae"))


def test_configs_of_one_name_are_not_averaged(tmp_path):
    wide = make("vae", 1, config={"width": 64, "learning_rate": 2e-4})
    table = headline_of(tmp_path, make("vae"), wide)
    assert [line.entries[0].text for line in table.lines] == ["vae, width=32", "vae, width=64"]


def test_a_cell_that_failed_early_keeps_its_name(tmp_path):
    early = failed("vae", 1, "crashed", "It broke.").model_copy(update={"config": {}})
    table = headline_of(tmp_path, make("vae"), early)
    assert [line.entries[0].text for line in table.lines] == ["vae", "vae"]


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
    bounds = bound_tables.bounds(section)
    assert len(bounds.lines) == 1
    assert shown(bounds, "vae", "bits_per_dim") == "3.360"
    assert shown(bounds, "vae", "usual_bits_per_dim") == "3.411"
    assert shown(bounds, "vae", "kind") == "upper bound"
    assert shown(bounds, "vae", "curve") == "1: 3.410, 2: 3.380, 4: 3.360"
    decoders = bound_tables.decoders(section)
    assert shown(decoders, "gan", "simulated_lower_nats") == "600.50"
    assert [line.entries[0].text for line in decoders.lines] == ["gan", "vae"]
    strange = bound_tables.out_of_distribution(section)
    assert shown(strange, "vae", "noise") == "11.00"
    assert shown(strange, "vae", "test_bits_per_dim") == "3.410"


# --- audit --------------------------------------------------------------------------------------------------------


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
    table = per_cell.audit(section)
    assert table.lines[0].entries[-1].text == verdict
    if not change:
        assert shown(table, "vae", "params") == "490,000 (98.0 % of 500,000)"
        assert shown(table, "vae", "images") == "199,808"


def test_missed_budget_is_marked_and_not_ranked(tmp_path):
    records = [make("gan"), make("vae", status="budget missed", reason="It stopped early.")]
    (section,) = sections_of(tmp_path, *records)
    assert shown(tables.headline(section), "vae", "entrant") == "vae (budget missed)"
    assert section.rankable == [section.ran[0]]
    assert per_cell.audit(section).lines[1].entries[-1].detail == "It stopped early."


# --- records as they come -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "records",
    [
        [floor("uniform", bits=8.0)],
        [floor("real data", fd=3.0)],
        [failed("gan", 0, "crashed", "It broke."), failed("vae", 1, "timed out", "It took too long.")],
        [make("flow"), make("diffusion")],
        [make("vae", quality=None, likelihood=None, speed=None, memory=None, curve=None, portrait=None, clock={})],
        [make("vae", budget=None, spent=None, family=None, entrant="checkpoint")],
    ],
    ids=["floor", "distance floor", "all failed", "two families", "nothing measured", "from outside"],
)
def test_copes_with(tmp_path, records):
    save(records, tmp_path / "records", with_arrays=False)
    files = report.write([tmp_path / "records"], tmp_path / "out")
    assert files == sorted(files)
    assert "No samples" in (tmp_path / "out" / "report.md").read_text()


def test_colour_images(tmp_path):
    path = record_files.write(make("vae"), tmp_path, fixtures.arrays(shape=(3, 32, 32)))
    assert tmp_path / "figures" / "samples.png" in report.write([path], tmp_path)


def test_pictures_must_be_pictures(tmp_path):
    path = record_files.write(make("vae"), tmp_path, {"samples": fixtures.arrays()["samples"][0]})
    with pytest.raises(UserError, match="samples"):
        report.write([path], tmp_path)


def test_folder_that_cannot_be_written(tmp_path):
    save([make("vae")], tmp_path / "records")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write the report"):
        report.write([tmp_path / "records"], tmp_path / "file")


def test_imports_no_torch():
    code = "import sys, equibench.report.write; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
