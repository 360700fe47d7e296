"""The report: the same bytes from the same records, and records as they come."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import fixtures
import pandas as pd
import pytest
from fixtures import failed, floor, make, save

from equibench.errors import UserError
from equibench.record import files as record_files
from equibench.record.paths import value_at
from equibench.record.reading import content_sha256
from equibench.report import write
from equibench.report.figures import style
from equibench.summary.frame import load_frame
from equibench.summary.sections import FiledRecord


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report on everything, with records and report side by side."""
    root = tmp_path_factory.mktemp("report")
    save(fixtures.everything(), root / "records")
    write.write([root / "records"], root / "out")
    return root


@pytest.fixture(autouse=True)
def fewer_kinds(monkeypatch, request):
    """PDF figures are made once, by the fixture `folder`: they take time."""
    if "folder" not in request.fixturenames:
        monkeypatch.setattr(style, "KINDS", ("svg", "png"))


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
            {
                "img.src": "data:image/",
                "a.href": ("#", "tables/", "figures/", "tables.json", "numbers.tex", "https://arxiv.org/abs/"),
                "use.href": "#",
                "image.href": "data:image/png;base64,",
            }[where]
        ), (where, value)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    ids = set(re.findall(r' id="([^"]+)"', page))
    assert {value[1:] for _, value in links if value.startswith("#")} <= ids
    assert all((folder / "out" / value).exists() for _, value in links if value[0] not in "#dh")


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
    value = json.loads(path.read_text()) | {"entrant": "<b>|gan|</b>"}
    path.write_text(json.dumps(value | {"content_sha256": content_sha256(value)}))
    write.write([path], tmp_path)
    page, text = (tmp_path / "index.html").read_text(), (tmp_path / "report.md").read_text()
    assert "<script>alert" not in page + text
    assert "<b>" not in page
    assert r"\<b\>\|gan\|\</b\>" in text


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
        # there is one setting and one feature space; what makes the distance, and classes, have tests of their own
        elsewhere = ("comparison", "distance", "spaces", "by_class", "classifiers", "probes")
        assert len(pd.read_csv(path)) > 0 or path.stem in elsewhere


def test_frame_is_one_row_a_cell(tmp_path):
    cells = [FiledRecord(tmp_path / f"{i}", found) for i, found in enumerate(fixtures.everything(2))]
    frame = load_frame(cells)
    assert len(frame) == len(cells)
    assert frame.groupby("status").size().to_dict() == {"diverged": 1, "ok": 13, "out of memory": 1}
    assert frame.query("entrant == 'diffusion' and seed == 1").speed_network_evaluations.item() == 50


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
    files = write.write([tmp_path / "records"], tmp_path / "out")
    assert files == sorted(files)
    assert "No samples" in (tmp_path / "out" / "report.md").read_text()


def test_colour_images(tmp_path):
    path = record_files.write(make("vae"), tmp_path, fixtures.arrays(shape=(3, 32, 32)))
    assert tmp_path / "out" / "figures" / "samples.png" in write.write([path], tmp_path / "out")


def test_pictures_must_be_pictures(tmp_path):
    path = record_files.write(make("vae"), tmp_path, {"samples": fixtures.arrays()["samples"][0]})
    with pytest.raises(UserError, match="samples"):
        write.write([path], tmp_path / "out")


def test_folder_that_cannot_be_written(tmp_path):
    save([make("vae")], tmp_path / "records")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write the report"):
        write.write([tmp_path / "records"], tmp_path / "file")


def test_imports_no_torch():
    code = "import sys, equibench.report.write; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
