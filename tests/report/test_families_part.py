"""The four families' part of the page: every number in its sentences is the records' own."""

import re
from pathlib import Path

import numpy as np
import pytest
from fixtures import make

from equibench.record.anatomy import ModelPart, Structure
from equibench.report.parts import exhibits as of_exhibits
from equibench.report.parts import families as of_families
from equibench.report.parts.part import Whole
from equibench.report.tables.families import side_by_side
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import portraits, summarise

NUMBERS = {
    "gan": {"discriminator_accuracy_on_test": 0.875},
    "vae": {"kl_bits_per_dim": 0.25, "kl_bits_per_dim_of_z0": 0.1, "kl_bits_per_dim_of_z1": 0.15},
    "flow": {"inverse_max_abs_error": 0.5, "noise_std_of_logistic": 1.25},
}
PICTURES = {"gan": "interpolation", "vae": "latent_levels", "flow": "inverse"}


def cells(families, monkeypatch, seeds=(0,), structure=None, **changes):
    """Filed records with one picture of each portrait, whose arrays are read from here."""
    found = []
    for family in families:
        for seed in seeds:
            known = changes.get("family", family)
            one = make(family, seed)
            numbers = {name: value + 0.02 * seed for name, value in NUMBERS.get(family, {}).items()}
            portrait = one.portrait.model_copy(
                update={"numbers": numbers, "pictures": {PICTURES.get(family, "odd"): "A caption"}}
            )
            one = one.model_copy(update={"portrait": portrait, "structure": structure, "family": known})
            found.append(FiledRecord(Path(f"{family}-{seed}.json"), one))
    arrays = {key: np.zeros((2, 12, 1, 4, 4), np.uint8) for key in (*PICTURES.values(), "odd")}
    monkeypatch.setattr("equibench.record.files.read_arrays", lambda _path, _record: arrays)
    return found


def part_of(found):
    sections = summarise(found)
    return of_families.families(Whole(found, sections, list(range(len(sections))), [])).context


@pytest.mark.parametrize(("family", "said"), [
    ("gan", "the real image more in 88.5 ± 1.4 %; guessing would give 50 %."),
    ("vae", "z0 0.110 ± 0.014 and z1 0.160 ± 0.014."),
    ("flow", "The greatest error of any pixel is 67 of the 256 levels."),  # 0.52 * 128
])  # fmt: skip
def test_numbers_beside_a_picture_are_over_seeds(family, said, monkeypatch):
    (one,) = part_of(cells([family], monkeypatch, (0, 1)))["family_parts"]
    assert said in (one.of_players if family == "gan" else one.exhibits[0].numbers)


def test_without_the_numbers_there_is_the_picture_alone(monkeypatch):
    monkeypatch.setattr(__name__ + ".NUMBERS", {})
    for one in part_of(cells(["gan", "vae", "flow"], monkeypatch))["family_parts"]:
        assert [found.numbers for found in one.exhibits] == [""]


def test_older_records_have_no_drawing_and_the_words_of_today(monkeypatch):
    parts = part_of(cells(["gan", "diffusion"], monkeypatch))["family_parts"]
    assert [one.structure for one in parts] == [None, None]
    assert parts[0].concept.startswith("A generator turns random numbers into an image.")
    assert not re.search("sharp|stable", " ".join(one.concept + one.differs for one in parts))


def test_a_family_of_a_user_s_own_keeps_its_words_and_has_no_formula(monkeypatch):
    (one,) = part_of(cells(["vae"], monkeypatch, family="mine:Mine"))["family_parts"]
    assert one.objective is None
    assert one.differs == "It is none of the other three."
    assert one.name == "family-0"


@pytest.mark.parametrize(("params", "drawn"), [(0, True), (1, False)])
def test_a_structure_is_drawn_only_if_it_is_the_whole_model(params, drawn, monkeypatch):
    counted = make("gan").spent.params
    structure = Structure(
        parts=[ModelPart(name="a", params=counted - 10, follows=["noise"]), ModelPart(name="b", params=10 + params)]
    )
    (one,) = part_of(cells(["gan"], monkeypatch, structure=structure))["family_parts"]
    assert (one.structure is not None) == drawn
    assert (f"the {counted:,} parameters" in one.size) == drawn


def test_the_table_sets_abilities_and_means_side_by_side(monkeypatch):
    found = cells(["gan", "vae"], monkeypatch, (0, 1))
    sections = summarise(found)
    table = side_by_side(portraits(sections), sections)
    lines = {line.entries[0].raw: line.entries[1:] for line in table.lines}
    assert lines["encodes"][0].raw == "no"
    row = next(row for row in sections[0].ran if row.first.family == "vae")
    values = [cell.record.likelihood.bits_per_dim for cell in row.cells]
    assert lines["likelihood.bits_per_dim"][1].raw == pytest.approx(sum(values) / 2)
    assert lines["likelihood.bits_per_dim"][0].raw is None
    assert all(any(entry.raw is not None for entry in entries) for entries in lines.values())


def test_settings_are_listed_by_their_passes():
    sentence = of_exhibits._by_setting(
        next(row for row in summarise([FiledRecord(Path("d"), make("diffusion"))])[0].ran)
    )
    places = [sentence.index(f"{steps} steps") for steps in (5, 10, 25, 100) if f" {steps} steps" in sentence]
    assert places == sorted(places)
    assert len(places) == 4


def test_the_numbers_of_steps_that_a_diffusion_takes_elsewhere_are_named():
    found = make("diffusion")
    likelihood = found.likelihood.model_copy(update={"detail": {"chain_steps": 1000}})

    def said(**changes):
        (section,) = summarise([FiledRecord(Path("d"), found.model_copy(update=changes))])
        return of_exhibits._numbers_of_steps(section.ran[0])

    passes = round(found.speed.network_evaluations)
    words = f"Samples elsewhere take {passes} passes, bits/dim a chain of 1,000 steps."
    assert said(likelihood=likelihood) == words
    assert said(likelihood=likelihood.model_copy(update={"detail": {}})) == ""
    assert said(likelihood=likelihood, speed=None) == ""
