"""Several runs in one report: what may be compared is, what may not is shown with the reason."""

from __future__ import annotations

import math

import fixtures
import numpy as np
import pytest
import scipy.stats
from climbing import climb, power
from fixtures import make, save

from equibench.errors import UserError
from equibench.protocol import PROTOCOL
from equibench.report import write
from equibench.report.figures import draw
from equibench.report.tables import differences
from equibench.summary import changes as compare
from equibench.summary.frame import load_frame
from equibench.summary.sort import load_cells, summarise

FAMILIES = ("gan", "vae")


def lines_of(sections):
    table = differences.comparison(sections)
    names = table.names
    return [{n: e.raw for n, e in zip(names, line.entries, strict=True)} for line in table.lines]


def line_of(sections, entrant, quantity):
    (found,) = [x for x in lines_of(sections) if x["entrant"] == entrant and x["quantity"].startswith(quantity)]
    return found


def slower(record, **changes):
    """The record after some change: worse distance, other commit."""
    quality = record.quality.model_copy(update={"value": record.quality.value * 1.5})
    code = record.code.model_copy(update={"commit": "feedbeef" * 5, "dirty": False})
    return record.model_copy(update={"quality": quality, "code": code, **changes})


@pytest.fixture
def before_and_after(tmp_path):
    """The same six cells in two folders: every distance half as much again in the second."""
    old = [make(family, seed) for family in FAMILIES for seed in range(3)]
    save(old, tmp_path / "before")
    save([slower(found) for found in old], tmp_path / "after")
    return tmp_path / "before", tmp_path / "after"


def test_before_and_after_are_runs_in_the_order_given(before_and_after):
    sections = summarise(load_cells(list(before_and_after)))
    assert [(s.letter, s.run.label, len(s.ran)) for s in sections] == [("A", "before", 2), ("B", "after", 2)]
    found = line_of(sections, "gan", "FD_5k")
    old = [41.2, 41.2 * 1.02, 41.2 * 1.04]
    assert found["before"] == pytest.approx(sum(old) / 3)
    assert found["after"] == pytest.approx(1.5 * sum(old) / 3)
    assert (found["from"], found["to"], found["verdict"]) == ("A", "B", "worse")
    p = [
        scipy.stats.ttest_ind(np.log(x), np.log(x) + math.log(1.5), equal_var=False).pvalue
        for x in (old, [96.5, 96.5 * 1.02, 96.5 * 1.04])
    ]
    assert found["p_holm"] == pytest.approx(min(1, 2 * p[0]))  # equal p: both times two
    (said,) = compare.differences(sections)
    assert (
        said
        == "B differs from A in the folder (before → after) and the code (abcdef01 and abcdef01 (dirty) → feedbeef)."
    )
    (other, *_) = [s.letter for s in summarise(load_cells(list(reversed(before_and_after)))) if s.run.label == "after"]
    assert other == "A"


def test_what_did_not_change_is_equal(before_and_after):
    sections = summarise(load_cells(list(before_and_after)))
    assert line_of(sections, "vae", "Bits/dim (upper bound)")["verdict"] == "compared by a tighter bound, below"
    assert line_of(sections, "vae", "Bits/dim (upper bound by importance weighting")["verdict"] == "equal"
    assert line_of(sections, "vae", "Latency")["verdict"] == "not tested"


def test_folders_with_other_seeds_are_pooled(tmp_path):
    save([make("vae", 0)], tmp_path / "a")
    save([make("vae", 1)], tmp_path / "b")
    (section,) = summarise(load_cells([tmp_path / "a", tmp_path / "b"]))
    assert section.ran[0].seeds == (0, 1)
    assert differences.comparison([section]).lines == ()


def test_a_folder_given_twice_counts_once(tmp_path):
    save([make("vae", 0)], tmp_path / "a")
    (section,) = summarise(load_cells([tmp_path / "a", tmp_path / "b" / ".." / "a"]))
    assert section.ran[0].seeds == (0,)


def test_folders_of_one_name_are_told_apart(tmp_path):
    for name in ("old", "new"):
        save([make("vae")], tmp_path / name / "quick")
    sections = summarise(load_cells([tmp_path / "old" / "quick", tmp_path / "new" / "quick"]))
    assert [section.run.label for section in sections] == ["old/quick", "new/quick"]


def test_speeds_of_other_machines_are_not_compared(tmp_path):
    other = fixtures.MACHINE.model_copy(update={"key": "feedbeef"})
    save([make("vae"), make("vae", machine=other)], tmp_path)
    sections = summarise(load_cells([tmp_path]))
    for quantity in ("Sampling, images/s", "Latency", "Train memory", "Sample memory", "Train time"):
        found = line_of(sections, "vae", quantity)
        assert found["verdict"] == "not compared: another machine"
        assert found["difference"] is None
        assert found["before"] is not None
    assert line_of(sections, "vae", "FD_5k")["verdict"] == "equal"
    assert "differs from A in the machine" in compare.differences(sections)[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"n_samples": 10_000}, "another number of images (5000, 10000)"),
        ({"features": fixtures.INCEPTION}, "another feature network (EfficientNet-Lite0@"),
        ({"reference": "train"}, "another reference ("),
    ],
)
def test_other_metrics_are_not_compared(tmp_path, change, why):
    twice = fixtures.BUDGET.model_copy(update={"amount": 4e13})
    quality = make("vae").quality.model_copy(update=change)
    save([make("vae"), make("vae", budget=twice, quality=quality)], tmp_path)
    found = line_of(summarise(load_cells([tmp_path])), "vae", "F")
    assert found["verdict"].startswith(f"not compared: {why}")
    assert (found["difference"], found["p_holm"]) == (None, None)


def test_kinds_of_bits_are_not_compared(tmp_path):
    twice = fixtures.BUDGET.model_copy(update={"amount": 4e13})
    exact = make("vae").likelihood.model_copy(update={"kind": "exact"})
    save([make("vae"), make("vae", budget=twice, likelihood=exact)], tmp_path)
    found = line_of(summarise(load_cells([tmp_path])), "vae", "Bits/dim")
    assert found["verdict"] == "not compared: another kind (upper bound, exact)"


def test_other_data_are_shown_apart(tmp_path):
    data = fixtures.DATA.model_copy(update={"name": "digits", "sha256": "0" * 64})
    save([make("vae"), make("vae", data=data)], tmp_path)
    sections = summarise(load_cells([tmp_path]))
    assert lines_of(sections) == []
    assert compare.differences(sections) == ["B is on other data (digits) and compared with no section before it."]


def test_each_section_is_compared_with_the_nearest(tmp_path):
    machine = fixtures.MACHINE.model_copy(update={"key": "feedbeef"})
    twice = fixtures.BUDGET.model_copy(update={"amount": 4e13})
    settings = [{}, {"machine": machine}, {"budget": twice}, {"budget": twice, "machine": machine}]
    save([make("vae", **setting) for setting in settings], tmp_path)
    sections = summarise(load_cells([tmp_path]))
    assert [(a.letter, b.letter) for a, b in compare.opposed(sections)] == [("A", "B"), ("A", "C"), ("B", "D")]


def test_budgets_are_compared_with_the_nearest(tmp_path):
    """By ratio; and the sentences on changes are not without end."""
    save(climb("gan", power(400, 0.25)) + climb("vae", power(600, 0.6)) + climb("flow", power(700, 0.5)), tmp_path)
    sections = summarise(load_cells([tmp_path]))
    pairs = [a.letter + b.letter for a, b in compare.opposed(sections)]
    assert pairs == ["AB", "BC", "CD", "DE", "EF"]
    found = compare.change_sentences(sections)
    assert len(found) == compare.MOST_SAID
    assert found[-1] == "4 more changes that a test decides are in the table."


def test_protocols_are_refused_across_folders(tmp_path):
    save([make("vae")], tmp_path / "a")
    save([make("vae", protocol="0")], tmp_path / "b")
    with pytest.raises(UserError, match=f"records of protocols 0 and {PROTOCOL} cannot be compared"):
        write.write([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_the_page_shows_runs_and_differences(before_and_after, tmp_path, monkeypatch):
    monkeypatch.setattr(draw, "FIGURES", {})
    write.write(list(before_and_after), tmp_path / "out")
    for name in ("index.html", "report.md"):
        text = (tmp_path / "out" / name).read_text()
        assert "B differs from A in the folder (before → after)" in text
        assert "What changed" in text
    assert set(load_frame(load_cells(list(before_and_after))).run) == {"before", "after"}
