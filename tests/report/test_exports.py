"""What a report gives to other programs: JSON and CSV load back, LaTeX compiles and typesets what the tables show."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import subprocess
import sys

import fixtures
import numpy as np
import pandas as pd
import pytest
from fixtures import make, save
from PIL import Image

import equibench
from equibench.quantities import text as formatting
from equibench.quantities.tex import tex
from equibench.report import write
from equibench.report.exports import latex
from equibench.report.figures import draw, style
from equibench.report.figures import images as pictures
from equibench.report.tables.table import Entry, Line, Table

WHY = "no pdflatex here: apt-get install texlive-latex-base texlive-latex-recommended"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report without figures on everything in two budgets."""
    root = tmp_path_factory.mktemp("exports")
    half = fixtures.BUDGET.model_copy(update={"amount": 1e13})
    save([*fixtures.everything(), *(make(f, 0, budget=half) for f in fixtures.NUMBERS)], root / "records")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "FIGURES", {})
        write.write([root / "records"], root / "out")
    return root


def test_csv_and_json_hold_the_same_values(folder):
    out = folder / "out"
    tables = json.loads((out / "tables.json").read_text())["tables"]
    for name, of_sections in tables.items():
        frame = pd.read_csv(out / "tables" / f"{name}.csv", dtype=object, keep_default_na=False)
        lines = [(i, line) for i, table in enumerate(of_sections, 1) for line in table["lines"]]
        assert len(frame) == len(lines)
        for (_, row), (section, line) in zip(frame.iterrows(), lines, strict=True):
            assert int(row["section"]) == section
            for column, value in line["values"].items():
                if isinstance(value, float | int) and not isinstance(value, bool):
                    assert float(row[column]) == value, (name, column)  # to the last bit
                else:
                    text = "" if value is None else str(value)
                    assert row[column] == f"'{text}"[not text.startswith("-") :], (name, column)  # no formula


def test_macros_are_named_by_letters_and_hold_the_numbers(folder):
    text = (folder / "out" / "numbers.tex").read_text()
    macros = dict(re.findall(r"^\\newcommand\{\\([^}]*)\}\{(.*?)\}(?: %.*)?$", text, re.M))
    assert len(macros) > 400
    assert all(re.fullmatch("[A-Za-z]+", name) for name in macros)
    assert len(re.findall(r"\\newcommand", text)) == len(macros)  # none is defined twice
    assert not any("AgainAgain" in name for name in macros)  # lines are told apart by their words
    # 96.5 times 1, 1.02 and 1.04: the budget of 1e13 is section A, that of 2e13 section B
    assert macros["eqbHeadlineBVaeFdFiveKEfficientnetLiteZero"] == r"98.4 \ensuremath{\pm} 1.9"
    assert float(macros["eqbHeadlineBVaeFdFiveKEfficientnetLiteZeroRaw"]) == pytest.approx(96.5 * 1.02)
    assert macros["eqbHeadlineAVaeFdFiveKEfficientnetLiteZero"] == "96.50"
    assert macros["eqbLikelihoodBVaeTwoBitsPerDim"] == "3.430"  # seed 2
    assert "% quality.value" in text


def test_latex_escapes_all_that_it_reads_as_markup():
    assert tex("50 % of $a_b & {c} #1~\\x^2") == (
        r"50 \% of \$a\_b \& \{c\} \#1\textasciitilde{}\textbackslash{}x\textasciicircum{}2"
    )
    assert (
        tex(f"1.99{formatting.TIMES}10⁻¹³ ↓")
        == r"1.99\ensuremath{\times}10\textsuperscript{-13} \ensuremath{\downarrow}"
    )
    assert tex("\N{SNOWMAN}") == "?"
    assert latex.letters("FD_5k (Lite0), 2 steps") == "FDFiveKLiteZeroTwoSteps"


def test_lines_alike_in_their_words_have_macros_of_their_own():
    line = Line((Entry("vae", "vae"), Entry("1", 1)))
    text = latex.numbers([(Table("audit", ("entrant", "n"), ("", ""), (line, line)), "")])
    assert r"\newcommand{\eqbAuditVaeN}{1}" in text
    assert r"\newcommand{\eqbAuditVaeNAgain}{1}" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason=WHY)
def test_latex_compiles(folder, tmp_path):
    out = folder / "out"
    tables = sorted((out / "tables").glob("*.tex"))
    assert len(tables) > 15
    assert {"headline-column-a", "headline-page-b"} <= {table.stem for table in tables}
    lines = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\usepackage{graphicx}"]
    lines += [r"\input{numbers}", r"\begin{document}", r"\typeout{HERE \eqbHeadlineAVaeNSeeds{} seeds}"]
    lines += [rf"\noindent\resizebox{{\linewidth}}{{!}}{{\input{{tables/{table.stem}}}}}\clearpage" for table in tables]
    (tmp_path / "paper.tex").write_text("\n".join([*lines, r"\end{document}"]))
    shutil.copytree(out / "tables", tmp_path / "tables")
    shutil.copy(out / "numbers.tex", tmp_path)
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert made.returncode == 0, made.stdout[-2000:]
    assert "HERE 1 seeds" in made.stdout.replace("{}", "")
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason=WHY)
def test_the_headline_fits_a_column_and_a_page(folder, tmp_path):
    lines = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\setlength{\textwidth}{7in}", r"\begin{document}"]
    for name, width in (("column", "3.3in"), ("page", "7in")):
        table = rf"\input{{{(folder / 'out' / 'tables' / f'headline-{name}-b').as_posix()}}}"
        lines += [rf"\setbox0\hbox{{{table}}}\typeout{{WIDE {name} \the\wd0}}"]
        lines += [rf"\noindent\begin{{minipage}}{{{width}}}{table}\end{{minipage}}\clearpage"]
    (tmp_path / "paper.tex").write_text("\n".join([*lines, r"\end{document}"]))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert made.returncode == 0, made.stdout[-2000:]
    widths = {name: float(points) for name, points in re.findall(r"WIDE (\w+) ([\d.]+)pt", made.stdout)}
    assert 100 < widths["column"] <= 3.3 * 72.27
    assert widths["column"] < widths["page"] <= 7 * 72.27
    assert "Overfull" not in made.stdout, made.stdout
    text = (folder / "out" / "tables" / "headline-page-b.tex").read_text()
    assert r"98.4 {\tiny \ensuremath{\pm}1.9}" in text  # of 96.5, 98.43 and 100.36


def test_figures_are_of_three_kinds(tmp_path):
    save([make("gan"), make("vae")], tmp_path / "records")
    files = write.write([tmp_path / "records"], tmp_path / "out")
    kinds = {}
    for file in files:
        if file.parent.name == "figures" and not file.name.startswith("portrait"):
            kinds.setdefault(file.stem, {})[file.suffix] = file.read_bytes()
    assert set(kinds) == set(draw.FIGURES)
    for of_figure in kinds.values():
        assert set(of_figure) == {".svg", ".pdf", ".png"}
        assert of_figure[".pdf"].startswith(b"%PDF")
        assert of_figure[".png"].startswith(b"\x89PNG")
        assert b"<svg" in of_figure[".svg"][:1000]


def test_samples_are_drawn_pixel_for_pixel():
    images = fixtures.arrays(n=24)["samples"]
    figure = pictures.samples([("gan", images)])
    for kind in style.KINDS:  # one kind must not change the next
        content = style.render(figure, kind)
    found = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    tiles = [
        [np.pad(images[12 * row + column, 0], ((0, 1), (0, 1)), constant_values=255) for column in range(12)]
        for row in range(2)
    ]
    expected = np.block(tiles).repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(found[-expected.shape[0] :, -expected.shape[1] :], expected)


# --- in a notebook --------------------------------------------------------------------------------------------------


def test_load_results_is_one_row_a_cell(folder):
    frame = equibench.load_results(folder / "records")
    assert len(frame) == len(list((folder / "records").glob("*.json")))
    row = frame.query("entrant == 'vae' and seed == 2 and budget_amount == 2e13").iloc[0]
    assert math.isclose(row.quality_value, 96.5 * 1.04)
    assert (row.likelihood_kind, row.likelihood_bits_per_dim, row.spent_train_sec) == ("upper bound", 3.43, 202.0)
    assert row.run == ""


def test_figures_take_the_frame(folder):
    frame = equibench.load_results(folder / "records")
    with pytest.raises(equibench.UserError, match="a figure shows one setting, and these are 2"):
        draw.draw("memory", frame)
    figure = draw.draw("memory", frame[frame.budget_amount == 1e13])
    names = ["GAN", "VAE", "flow", "diffusion"]
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text() in names] == names
    with pytest.raises(equibench.UserError, match="did you mean 'memory'"):
        draw.draw("memmory", frame)
    with pytest.raises(equibench.UserError, match="nothing for the figure 'discriminator'"):
        draw.draw("discriminator", frame[frame.entrant == "vae"].query("budget_amount == 1e13"))


def test_load_results_brings_no_pandas_before_it_is_called():
    code = "import equibench, sys; sys.exit(bool({'pandas', 'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
