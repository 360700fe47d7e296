"""Entrants that were there already beside the four families: in the same tables, figures and findings, never ranked."""

from __future__ import annotations

import re

import pytest
import torch
from files_of_images import pixels, write_pngs
from fixtures import make
from generators import StyleGenerator, save_pipeline, script
from toys import extractor

from equibench import suite
from equibench.cite import methods
from equibench.data.sets import Dataset
from equibench.record.surroundings import Loaded
from equibench.report.parts.claims import contradicted
from equibench.report.tables.differences import pairs
from equibench.report.tables.headline import headline
from equibench.report.write import write
from equibench.run.cell import run_here
from equibench.run.loaded import resolved
from equibench.run.session import Session
from equibench.summary.findings import findings
from equibench.summary.pairs import told_best
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import load_cells, summarise
from equibench.summary.verdict import verdict

CPU = torch.device("cpu")
UNKNOWN = ["its training data", "the cost of training"]
OTHERS = {"styles": "torchscript", "theirs": "samples"}  # that the tests make by hand


def loaded(name, kind, fd, like="gan", **changes):
    """The record of something that was loaded, with the distance `fd`; samples have no cost."""
    found = make(like)
    alone = {"speed": None, "memory": None, "sampler_points": []} if kind == "samples" else {}
    return found.model_copy(
        update={
            "entrant": name,
            "family": kind,
            "key": name.ljust(64, "0"),
            "budget": None,
            "spent": None,
            "curve": None,
            "portrait": None,
            "along": [],
            "loaded": Loaded(kind=kind, source=f"{name}.pt", unknown=UNKNOWN),
            "quality": found.quality.model_copy(update={"value": fd}),
            **alone,
            **changes,
        }
    )


def sections_of(tmp_path, *records):
    return summarise([FiledRecord(tmp_path / f"{i}.json", found) for i, found in enumerate(records)])


def trained():
    return [make(family, seed) for family in ("gan", "vae") for seed in range(3)]


def test_what_was_loaded_stands_in_the_section_of_what_was_trained_and_is_not_ranked(tmp_path):
    alone = sections_of(tmp_path, *trained())[0]
    (section,) = sections_of(tmp_path, *trained(), *(loaded(name, kind, 1.0) for name, kind in OTHERS.items()))
    assert [row.name for row in section.entrants] == ["GAN", "VAE", "styles (loaded)", "theirs (loaded)"]
    # a distance of 1 beats all that was trained, and takes nothing from it: the verdict, the bold, the tests stay
    assert verdict(section).sentence == verdict(alone).sentence
    best = told_best(section)("quality.value", section.rankable)
    assert best is not None
    assert best.label == "gan"
    ranked = [one for one in findings(section) if one.topic not in ("loaded", "likelihood")]
    assert ranked == [one for one in findings(alone) if one.topic != "likelihood"]


def test_the_words_say_that_its_budget_is_unknown(tmp_path):
    (section,) = sections_of(
        tmp_path, *trained(), loaded("styles", "torchscript", 82.4), loaded("theirs", "samples", 9)
    )
    (found,) = [one for one in findings(section) if one.topic == "loaded"]
    assert found.claim == "Not ranked, as their budgets are unknown: styles (loaded) and theirs (loaded)."
    words = " ".join(found.sentences)
    assert re.search(
        r"styles \(loaded\) has FD_5k \(.*?\) of 82\.4, [\d.]+ times that of the GAN, the best that was trained", words
    )
    assert "styles (loaded) samples 2,100 images/s" in words
    assert not re.search(r"theirs \(loaded\) samples", words)
    assert "not known: its training data and the cost of training. So each may have cost more, or have seen" in words
    assert {one.over_seeds for one in found.evidence} == {False}
    bars = {tile.title: {bar.name: bar.text for bar in tile.bars} for tile in verdict(section).tiles}
    assert bars["Sample quality"]["theirs (loaded)"] == "9.00"
    assert bars["Sampling speed"]["theirs (loaded)"] == "not measured"
    lines = {line.entries[0].text: dict(zip(headline(section).names, line.entries, strict=True))
             for line in headline(section).lines}  # fmt: skip
    line = lines["theirs (loaded)"]
    assert line["entrant"].raw == "theirs"
    assert line["entrant"].detail.startswith("budget unknown")
    assert line["images_per_sec"].text.startswith("not measured")
    assert any("Not known: its training data and the cost of training." in note for note in headline(section).notes)
    tested = {(line.entries[0].raw, line.entries[1].raw) for line in pairs(section).lines}
    assert ("theirs", "gan") in tested


def test_it_joins_every_budget_of_its_data_and_machine_alone(tmp_path):
    twice = [one.model_copy(update={"budget": one.budget.model_copy(update={"amount": 4e13})}) for one in trained()]
    elsewhere = make("gan").machine.model_copy(update={"key": "f" * 48})
    sections = sections_of(
        tmp_path,
        *trained(),
        *twice,
        loaded("styles", "torchscript", 50),
        loaded("far", "samples", 50, machine=elsewhere),
    )
    assert [[row.label for row in one.entrants] for one in sections] == [
        ["far"], ["gan", "vae", "styles"], ["gan", "vae", "styles"],
    ]  # fmt: skip


def test_where_nothing_was_trained_models_are_compared_and_none_is_ranked(tmp_path):
    (section,) = sections_of(tmp_path, loaded("one", "torchscript", 50), loaded("other", "torchscript", 90, like="vae"))
    found = verdict(section)
    assert found.sentence.startswith(
        "Nothing is ranked, as nothing was trained here. Of these models alone: one (loaded)"
    )
    assert "No budget of any is known" in found.sure


def test_methods_say_what_was_loaded_and_what_is_not_known():
    words = methods.methods([*trained(), loaded("styles", "torchscript", 50), loaded("theirs", "samples", 50)])
    assert "Each of GAN and VAE was given" in words
    assert (
        "styles (a TorchScript file, styles.pt) and theirs (samples alone, theirs.pt) were loaded and not trained"
        in words
    )
    assert "; not known of each: its training data and the cost of training." in words


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The four families, two updates each, beside what other tools made, on images of 8x8 pixels."""
    pytest.importorskip("diffusers", reason="the extra [diffusers] is not installed")
    made, out = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("results")
    script(StyleGenerator().eval(), made / "styles.pt")
    save_pipeline(made / "ddpm")
    write_pngs(made / "pngs", pixels(40, 8, 8, seed=5))
    smoke = suite.load("smoke")
    given = [
        {"name": "styles", "load": str(made / "styles.pt"), "generator": {"noise": [8]}},
        {"name": "pipeline", "load": str(made / "ddpm"), "sampler": {"steps": 10}},
        {"name": "theirs", "load": str(made / "pngs")},
    ]
    small = {"annealing": None, "bound": [], "out_of_distribution": [], "along": None, "memorization_images": 60}
    small["sweep_evaluations"] = 10
    chosen = suite.changed(
        smoke,
        train_images=120,
        test_images=110,
        entrant=[*smoke.entrant, *given],
        budget=[smoke.budget[0].model_copy(update={"amount": 2})],
        measure={**smoke.measure.model_dump(), **small},
    )
    data = Dataset("toys", pixels(120, 1, 8, 8), pixels(110, 1, 8, 8, seed=1))
    session = Session(resolved(chosen, data, CPU, allow_code=True), data, CPU, extractor(), out, allow_code=True)
    for cell in session.cells:
        run_here(cell, session)
    return out


@pytest.mark.slow
def test_a_report_of_a_real_run_holds_them_all(results, tmp_path):
    write([results], tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    (section,) = summarise(load_cells([results]))
    assert {row.label for row in section.ran} == {"gan", "vae", "flow", "diffusion", "styles", "pipeline", "theirs"}
    assert {row.label for row in section.rankable} == {"gan", "vae", "flow", "diffusion"}
    main = re.search(r'<table class="main".*?</table>', page, re.DOTALL).group()
    for name in ("GAN", "VAE", "flow", "diffusion", "styles (loaded)", "pipeline (loaded)", "theirs (loaded)"):
        assert f">{name}</" in main, name
    theirs = next(row for row in re.findall(r"<tr>.*?</tr>", main, re.DOTALL) if "theirs (loaded)" in row)
    assert theirs.count("not measured") >= 5
    text = re.sub(r"<[^>]+>", " ", page)
    assert "Not ranked, as their budgets are unknown: pipeline (loaded), styles (loaded) and theirs (loaded)." in text
    assert "may have cost more, or have seen the test images" in text
    # of what the families' texts claim, their own runs contradict one sentence: the GAN has as many numbers of noise as
    # an image this small has pixels
    found = [one.words for row in section.rankable for one in contradicted(row.first)]
    assert found == ["Fewer random numbers than pixels"]
    assert found[0] not in text
    assert "the noise has as many numbers as the image" in text
    front = (tmp_path / "report" / "tables" / "samplers.csv").read_text()
    assert "DDIM, 10 steps" in front
    assert "styles" in (tmp_path / "report" / "tables" / "pairs.csv").read_text()
