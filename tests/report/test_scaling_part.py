"""What a report shows of a ladder of budgets: tables that can be computed again, a figure, a part of the page."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from climbing import AMOUNTS, SPENT_SHARE, at, climb, power
from fixtures import floor, save

import equibench
from equibench.report import write
from equibench.report.figures import draw, style
from equibench.summary.sort import load_cells, portraits, summarise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two entrants whose order changes, one with bits/dim, real data, and the report on them without other figures."""
    root = tmp_path_factory.mktemp("scaling")
    records = [
        *climb("gan", power(400, 0.25)),
        *climb("diffusion", power(503, 0.6, 2.8e12), bits=lambda flops: 3.2 + 0.2 * (flops / 7e12) ** -0.4),
        floor("real data", fd=26.7),
    ]
    save(records, root / "records", with_arrays=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "FIGURES", {})
        patch.setattr(style, "KINDS", ("svg",))
        write.write([root / "records"], root / "out")
    return root


def test_the_table_s_law_gives_the_points_again(folder):
    laws = pd.read_csv(folder / "out" / "tables" / "scaling.csv")
    points = pd.read_csv(folder / "out" / "tables" / "scaling_points.csv")
    assert list(laws.entrant) == ["gan", "diffusion", "diffusion"]
    assert list(points.flops[:6]) == pytest.approx([SPENT_SHARE * amount for amount in AMOUNTS])
    for _, law in laws.iterrows():
        mine = points[(points.entrant == law.entrant) & (points.measure == law.measure)]
        again = (0 if math.isnan(law.floor) else law.floor) + law.factor * mine.flops**-law.exponent
        assert list(mine.by_law) == pytest.approx(list(again), rel=1e-9)
        assert list(mine.value) == pytest.approx(list(again), rel=1e-3)
        assert list(mine.deviation) == pytest.approx(list(mine.value / mine.by_law - 1), abs=1e-9)
        assert law.exponent_low <= law.exponent <= law.exponent_high
        assert (law.from_flops, law.to_flops) == (AMOUNTS[0], AMOUNTS[-1])
    assert list(laws.exponent) == pytest.approx([0.25, 0.6, 0.4], abs=0.01)


def test_the_change_of_order_is_a_line(folder):
    order = pd.read_csv(folder / "out" / "tables" / "scaling_order.csv")
    (line,) = [line for _, line in order.iterrows()]
    assert (line.low_flops, line.high_flops) == (2e12, 3.75e12)
    assert line.about_flops == pytest.approx(2.8e12, rel=0.01)
    assert line.verdict == "GAN is better than diffusion below, diffusion is better than GAN above"


def test_numbers_name_their_records(folder):
    tables = json.loads((folder / "out" / "tables.json").read_text())["tables"]
    (laws,) = tables["scaling"]
    assert len(laws["lines"][0]["from"]["exponent"]["records"]) == 18
    assert laws["lines"][0]["from"]["exponent"]["path"] == "quality.value"
    macros = (folder / "out" / "numbers.tex").read_text()
    assert "eqbScalingGanFDFiveKEfficientNetLiteZeroAFExponentRaw" in macros
    assert "Again" not in macros.split("eqbScaling", 1)[1].split("eqbComparison")[0]


def test_the_pages_show_it(folder):
    text, page = ((folder / "out" / name).read_text() for name in ("report.md", "index.html"))
    assert "## Quality against compute" in text
    assert "](figures/scaling-1.svg)" in text
    assert (folder / "out" / "figures" / "scaling-1.svg").exists()
    assert '<section id="scaling">' in page
    assert '<a href="#scaling">' in page
    assert "the order changes between these budgets" in text
    assert "the order changes between these budgets" in page


def test_the_largest_budget_leads_and_the_pages_show_three_whole(folder):
    """Of six settings the first, the last and one between have figures and all tables, each with its own numbers."""
    text, page = ((folder / "out" / name).read_text() for name in ("report.md", "index.html"))
    assert text.split("# Image generative models under equal budgets")[1].strip().startswith("**F. ")
    assert page.index('<h1 class="verdict">') < page.index("at most 0.5 M parameters and 2.00")
    assert "There are 6 settings. Figures and all tables are shown for settings A, C and F;" in text
    findings = text.split("## Findings")[1].split("\n## ")[0]
    assert [line[4] for line in findings.splitlines() if line.startswith("### ")] == ["A", "C", "F"]
    every = text.split("## All tables")[1].split("\n## ")[0]
    of_setting = {part[:1]: part for part in every.split("### ")[1:]}
    for letter, amount in zip("ACF", (AMOUNTS[0], AMOUNTS[2], AMOUNTS[5]), strict=True):
        assert f"| GAN | {power(400, 0.25)(amount):.1f} ± " in of_setting[letter]
    names = {path.name for path in (folder / "out" / "tables").glob("quality-*.tex")}
    assert names == {"quality-a.tex", "quality-c.tex", "quality-f.tex"}
    assert text.index("## Quality against compute") < text.index("## Findings")
    assert page.index('<section id="scaling">') < page.index('<section id="results">')
    assert "Figure 1" in page.split('<section id="scaling">')[1].split("</section>")[0]
    results = text.split("## Results")[1].split("## What changed")[0]
    assert [line[4] for line in results.splitlines() if line.startswith("### ")] == list("ABCDEF")


def test_beside_a_setting_of_another_kind_no_budget_leads(tmp_path):
    save([*climb("gan", power(400, 0.25)), at("gan", 7e12, 300.0, cap=1_000_000)], tmp_path / "records", False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "FIGURES", {})
        write.write([tmp_path / "records"], tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.split("# Image generative models under equal budgets")[1].strip().startswith("**A. ")


def test_a_family_is_shown_by_its_largest_budget(folder):
    found = portraits(summarise(load_cells([folder / "records"])))
    assert [(cell.record.family, cell.record.budget.amount) for cell in found] == [
        ("gan", AMOUNTS[-1]),
        ("diffusion", AMOUNTS[-1]),
    ]


def test_without_a_ladder_nothing_is_said(tmp_path):
    save(climb("gan", power(400, 0.25), AMOUNTS[:4], seeds=1), tmp_path / "records", with_arrays=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "FIGURES", {})
        files = write.write([tmp_path / "records"], tmp_path / "out")
    assert not [file for file in files if "scaling" in file.name]
    assert "against compute" not in (tmp_path / "out" / "report.md").read_text()


def test_the_figure_draws_laws_over_their_budgets_alone(folder):
    frame = equibench.load_results(folder / "records")
    figure = draw.draw("scaling", frame)
    distances, _ = figure.axes
    assert distances.get_xscale() == distances.get_yscale() == "log"
    spent = [SPENT_SHARE * AMOUNTS[0], SPENT_SHARE * AMOUNTS[-1]]
    laws = [line for line in distances.lines if len(line.get_xdata()) > 50]
    assert len(laws) == 2
    for line in laws:
        assert [line.get_xdata()[0], line.get_xdata()[-1]] == pytest.approx(spent)
    titles = [text.get_text() for text in figure.texts]
    assert [title.split()[0] for title in titles] == ["FD_5k", "Bits/dim"]
    with pytest.raises(equibench.UserError, match="it takes 5 budgets in FLOPs"):
        draw.draw("scaling", frame[frame.budget_amount < 7e12])
    with pytest.raises(equibench.UserError, match="a figure shows one setting"):
        draw.draw("memory", frame)


def test_two_ladders_are_two_figures(tmp_path):
    records = [*climb("gan", power(400, 0.25)), *climb("gan", power(300, 0.25), cap=1_000_000)]
    save(records, tmp_path, with_arrays=False)
    with pytest.raises(equibench.UserError, match="one ladder of budgets, and these are 2"):
        draw.draw("scaling", tmp_path)
