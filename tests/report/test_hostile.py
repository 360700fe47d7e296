"""No text of a record becomes more than text in what a report writes: each sink is read back by another parser."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import fixtures
import pytest
from fixtures import failed, make, save
from hostile import HOSTILE

from equibench.quantities.tex import tex
from equibench.record.files import filename
from equibench.report import write
from equibench.report.exports.raw import FORMULA
from equibench.report.pages.fill import markdown

ALL = " ".join(HOSTILE)


def hostile_records():
    """Every text of a record that a report shows, hostile; files have harmless names."""
    one = make("diffusion", 0)
    points = [p.model_copy(update={"label": text}) for p, text in zip(one.sampler_points, HOSTILE[:4], strict=True)]
    losses = dict(zip(HOSTILE[4:6], one.curve.losses.values(), strict=True))
    data = fixtures.DATA.model_copy(update={"name": ALL})
    machine = fixtures.MACHINE.model_copy(update={"device": ALL, "processor": ALL, "system": ALL, "precision": ALL})
    portrait = one.portrait.model_copy(
        update={
            **dict.fromkeys(("title", "concept", "structure", "differs"), ALL),
            "abilities": {text: text for text in HOSTILE},
            "numbers": dict.fromkeys(HOSTILE, 0.5),
            "pictures": {"interpolation": ALL},
        }
    )
    likelihood = one.likelihood.model_copy(update={"dequantization": HOSTILE[0]})
    changes = {
        "sampler_points": points, "curve": one.curve.model_copy(update={"losses": losses}), "portrait": portrait,
        "memory": one.memory.model_copy(update={"quantity": HOSTILE[1]}), "versions": {ALL: ALL},
        "out_of_distribution_bits_per_dim": dict.fromkeys(HOSTILE, 1.5), "likelihood": likelihood,
        "quality": one.quality.model_copy(update={"reference": HOSTILE[2], "reason": ALL}),
    }  # fmt: skip
    found = [one.model_copy(update={**changes, "entrant": text}) for text in (HOSTILE[1], HOSTILE[10])]
    found += [failed("gan", seed, "crashed", text) for seed, text in enumerate(HOSTILE)]
    return [x.model_copy(update={"data": data, "machine": machine, "key": f"{i:064}"}) for i, x in enumerate(found)]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        harmless = lambda _entrant, seed, key: filename("harmless", seed, key)[:-5] + key[-2:] + ".json"  # noqa: E731
        patch.setattr("equibench.record.files.filename", harmless)
        save(hostile_records(), root / "records")
    write.write([root / "records"], root / "out")
    return root / "out"


@pytest.mark.filterwarnings("ignore:Glyph")
def test_the_page_has_no_element_and_no_attribute_of_theirs(out):
    known = {"data-value", "data-unit", "data-low", "data-high", "data-stderr", "data-sd", "data-kind", "data-how"}
    known |= {"data-path", "data-over", "data-records", "data-against", "data-signature", "data-end", "title", "class"}
    known |= {"lang", "charset", "name", "content", "http-equiv", "id", "href", "src", "alt", "type", "tabindex"}
    known |= {"scope", "hidden"}
    known |= {"aria-label", "aria-hidden", "colspan", "rowspan", "width", "height", "popover", "popovertarget"}
    drawn = {"viewbox", "role", "d", "x", "y", "transform", "clip-path", "fill", "fill-opacity", "stroke", "opacity"}
    drawn |= {"stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linejoin", "font-size", "font-weight"}
    known |= drawn | {"text-anchor"}
    known |= {"aria-labelledby", "loading", "display", "rx", "cx", "cy", "r", "preserveaspectratio"}
    known |= {"mathvariant", "stretchy", "lspace", "rspace"}  # of formulas
    known |= {"data-name", "data-better", "data-seeds", "data-values", "data-setting"}
    known |= {"aria-hidden", "x1", "x2", "y1", "y2"}
    tags = []

    class Elements(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)
            assert {name for name, _ in attrs} <= known, (tag, attrs)

    page = (out / "index.html").read_text()
    Elements().feed(page)
    assert (tags.count("script"), tags.count("style"), tags.count("meta")) == (1, 1, 4)
    assert not {"b", "iframe", "object", "link", "base", "form"} & set(tags)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f‮⁦]", page)


def test_the_page_s_policy_admits_its_own_style_and_script_alone(out):
    page = (out / "index.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert page.index(policy) < page.index("<title>")


def test_cells_of_a_spreadsheet_are_no_formulas(out):
    for file in out.rglob("*.csv"):
        with file.open(newline="") as stream:
            lines = list(csv.reader(stream, strict=True))
        assert len({len(line) for line in lines}) <= 1
        for cell in (cell for line in lines for cell in line):
            if cell.startswith(FORMULA):
                float(cell)
    text = (out / "tables" / "cells.csv").read_text()
    assert "'=1+1" in text


def test_figures_are_well_formed_and_show_dollars(out):
    figures = sorted(out.rglob("*.svg"))
    assert len(figures) > 3
    for file in figures:
        ElementTree.parse(file)
    assert any(r"$\alpha_{ $ x }" in file.read_text() for file in figures)


def test_json_holds_the_texts_as_they_are(out):
    text = (out / "tables.json").read_text()
    assert json.loads(text)["sections"][0]["data"] == ALL


def test_markdown_shows_them_on_one_line(out):
    page = (out / "report.md").read_text()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f‮⁦]", page)
    assert not re.search(r"(?<!\\)<(script|img|b)\b", page)
    assert not re.search(r"(?<!\\)\]\((javascript|http)", page)
    assert (markdown("- x"), markdown("1. x"), markdown("-1.5"), markdown("$x$")) == (
        r"\- x", r"1\. x", "-1.5", r"\$x\$",
    )  # fmt: skip


@pytest.mark.parametrize("file", ["numbers.tex", "tables/headline.tex"])
def test_tex_has_no_character_beyond_ascii_and_no_command_of_theirs(out, file):
    found = re.sub(r"(?m)^%.*| % .*", "", (out / file).read_text())  # comments may hold what they like, on their line
    assert all(character == "\n" or " " <= character <= "~" for character in found)
    assert not re.search(r"\\(input|newcommand\{\\x\}|alpha)", found)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_tex_typesets_every_text(out, tmp_path):
    lines = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\input{numbers}", r"\begin{document}"]
    lines += [rf"\begin{{tabular}}{{l}} a \\ {tex(text)} \\ {tex(text)} \end{{tabular}}" for text in HOSTILE]
    lines += [tex("".join(map(chr, range(0x21, 0x180)))), r"\input{tables/headline}", r"\end{document}"]
    (tmp_path / "paper.tex").write_text("\n".join(lines))
    shutil.copytree(out / "tables", tmp_path / "tables")
    shutil.copy(out / "numbers.tex", tmp_path)
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-recorder", "paper.tex"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert made.returncode == 0, made.stdout[-2000:]
    assert "passwd" not in (tmp_path / "paper.fls").read_text()  # which names every file that was read
