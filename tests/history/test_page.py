"""The page: one file, nothing of a record's is markup in it, and nothing that was not ours is replaced."""

import json
import re
import warnings
from html.parser import HTMLParser

import pytest
from browsing import CHROMIUM, answer
from commits import at_commit, over_commits
from fixtures import MACHINE, equibench, save
from hostile import HOSTILE

from equibench.errors import UserError
from equibench.history import figure, output, page
from equibench.history.history import history
from equibench.record.files import filename

ALL = "".join(HOSTILE)


def saved(records, tmp_path):
    for place, one in enumerate(records):
        save([one], tmp_path / "results" / str(place), with_arrays=False)
    return history([tmp_path / "results"])


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.sources = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.sources += [value for name, value in attrs if name in ("src", "href")]


@pytest.mark.filterwarnings("ignore:Glyph")
def test_no_text_of_a_record_is_markup(tmp_path, monkeypatch):
    monkeypatch.setattr("equibench.record.files.filename", lambda _, seed, key: filename("x", seed, key))
    records = []
    for number, text in enumerate(HOSTILE):
        one = at_commit(number % 9, "vae", number)
        data = one.data.model_copy(update={"name": ALL})
        code = one.code.model_copy(update={"commit": text, "version": text})
        machine = MACHINE.model_copy(update={"key": text, "processor": text})
        memory = one.memory.model_copy(update={"quantity": text})
        about = {"code": code, "machine": machine, "memory": memory, "versions": {text: text}, "suite": text}
        records += [one.model_copy(update={**about, "entrant": name, "data": data}) for name in (text, ALL)]
    text = page.page(saved(records, tmp_path)).decode()
    found = Elements(text)
    assert (found.tags.count("script"), found.tags.count("style"), found.tags.count("meta")) == (1, 1, 5)
    assert not {"b", "iframe", "object", "link", "base", "form"} & set(found.tags)
    assert not [name for name in found.attributes if name.startswith("on") or name == "style"]
    assert {source[:5] for source in found.sources} == {"data:", "#step", "#numb", "#char", "#read"}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f‮⁦]", text)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def test_equal_records_give_equal_pages_with_a_chart_a_number(tmp_path):
    found = saved(over_commits(8, lambda number, seed: 100.0 + seed + 40 * (number >= 4)), tmp_path)
    text = page.page(found).decode()
    assert page.page(history([tmp_path / "results"])).decode() == text
    assert text.count("<img src=") == len({one.series.row for one in found.judged}) == 5
    assert "worse" in text
    assert "0004eeee" in text


def test_the_chart_has_points_levels_steps_and_breaks(tmp_path):
    other = MACHINE.model_copy(update={"key": "beef" * 3})
    found = saved(over_commits(8, lambda number, seed: 100.0 + seed + 40 * (number >= 4)), tmp_path)
    (distance,) = [[one] for one in found.judged if one.series.path == "quality.value"]
    (axes,) = figure.draw(distance, found.order).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"000{n}eeee" for n in range(8)]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    assert sorted(line.get_ydata()[0] for line in lines) == pytest.approx([101, 141], abs=0.1)
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [3.5]
    several = saved([at_commit(n, machine=other if n > 1 else MACHINE) for n in range(3)], tmp_path / "machines")
    speeds = [one for one in several.judged if one.series.path == "speed.images_per_sec"]
    (axes,) = figure.draw(speeds, several.order).axes
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [1.5]
    assert [text.get_text() for text in axes.texts] == ["machine beefbeef"]


@pytest.mark.parametrize(("value", "charts"), [(0.0, 5), (1e-300, 4), (5e-324, 5), (1e300, 4), (1.7e308, 4)])
def test_numbers_at_their_limits_have_a_page(tmp_path, value, charts):
    found = saved(over_commits(8, lambda number, seed: value / (1 + seed + 5 * (number >= 4))), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert page.page(found).count(b"<img src=") == charts
        json.dumps(output.as_json(found.judged, found.order, found.left_out), allow_nan=False)


def test_nothing_else_is_replaced(tmp_path):
    save(over_commits(2, lambda number, seed: 100.0 + seed), tmp_path / "results", with_arrays=False)
    mine = tmp_path / "mine.html"
    mine.write_text("<!doctype html><title>mine</title>")
    done = equibench("history", tmp_path / "results", "--out", mine)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not the page of a history of equibench; choose another --out" in done.stderr
    assert mine.read_text() == "<!doctype html><title>mine</title>"
    found = history([tmp_path / "results"])
    page.write(found, tmp_path / "page.html")
    page.write(found, tmp_path / "page.html")
    for wrong in (tmp_path, tmp_path / "mine.html" / "x.html"):
        with pytest.raises(UserError):
            page.write(found, wrong)


ENLARGE = """
  const zoom = document.querySelector('.zoom'), dialog = document.querySelector('dialog');
  const before = [dialog.open, zoom.querySelector('img').clientWidth];
  zoom.click();
  const image = dialog.querySelector('img');
  const open = [dialog.open, image.clientWidth, image.src === zoom.querySelector('img').src];
  dialog.click();
  return {before, open, after: dialog.open};
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_a_click_on_a_chart_enlarges_it(tmp_path):
    file = tmp_path / "history.html"
    file.write_bytes(page.page(saved(over_commits(4, lambda *_: 100.0), tmp_path)))
    found = answer(file, tmp_path, ENLARGE, "--window-size=700,900")
    closed, small = found["before"]
    opened, large, same = found["open"]
    assert (closed, opened, same, found["after"]) == (False, True, True, False)
    assert large > small
