"""The page in a real browser: Debian's chromium without a window, on the file itself and with no network.

What a click does is seen by a script that is added to a copy of the page, clicks, and writes what it finds into it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import fixtures
import numpy as np
import pytest
from browsing import CHROMIUM, answer, browse
from fixtures import save
from PIL import Image

from equibench.report import write

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "quick"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report on everything in three seeds, alone in a folder: it must need no other file."""
    root = tmp_path_factory.mktemp("browser")
    save(fixtures.everything(), root / "records")
    write.write([root / "records"], root / "out")
    alone = root / "alone" / "index.html"
    alone.parent.mkdir()
    shutil.copy(root / "out" / "index.html", alone)
    return alone


def picture(page, tmp_path, name, size, *options):
    file = tmp_path / name
    browse(page, tmp_path, f"--screenshot={file}", f"--window-size={size[0]},{size[1]}", *options)
    return np.asarray(Image.open(file).convert("RGB"))


def test_the_page_loads_without_an_error_or_a_request(page, tmp_path):
    text, log = browse(page, tmp_path, "--dump-dom")
    assert "Image generative models under equal budgets" in text
    assert "CONSOLE" not in log, log
    script = "return {resources: performance.getEntriesByType('resource').map(r => r.name).filter(n => !n.startsWith("
    script += "'data:')), images: [...document.images].filter(i => i.src && !(i.complete && i.naturalWidth)).length}"
    assert answer(page, tmp_path, script) == {"resources": [], "images": 0}


def test_an_error_would_be_seen(page, tmp_path):
    _, log = browse(page, tmp_path, "--dump-dom", script="undefined.x")
    assert "CONSOLE" in log


def test_the_published_report_is_a_page_that_one_reads_to_the_end(tmp_path):
    """Four entrants with three seeds and every part: less than 15,000 pixels high on a desk, and less than 3 MB."""
    write.write([PUBLISHED], tmp_path / "out")
    page = tmp_path / "out" / "index.html"
    height = answer(page, tmp_path, "return document.documentElement.scrollHeight", "--window-size=1440,900")
    assert 5_000 < height < 15_000
    assert page.stat().st_size < 3_000_000


SORT = """
  const table = document.querySelector('table[data-name=headline]');
  const heads = [...table.querySelectorAll('thead .sort')];
  const names = () => [...table.querySelectorAll('tbody.entrant th')].map(th => th.innerText.trim());
  const bodies = () => [...table.tBodies].map(body => body.className);
  const found = [names()];
  const speed = heads.find(head => head.parentElement.innerText.includes('images/s'));
  speed.click(); found.push(names());
  speed.click(); found.push(names());
  heads[0].click(); found.push(names());
  return {found, bodies: bodies(), sort: heads[0].parentElement.getAttribute('aria-sort')};
"""


def test_a_click_on_a_heading_sorts(page, tmp_path):
    found = answer(page, tmp_path, SORT)
    assert found["found"] == [
        ["GAN", "VAE", "flow", "diffusion"],
        ["VAE", "GAN", "flow", "diffusion"],  # 2,600, 2,100, 640 and 24 images/s: as numbers, the better side first
        ["diffusion", "flow", "GAN", "VAE"],
        ["diffusion", "flow", "GAN", "VAE"],  # by name
    ]
    assert found["bodies"] == ["entrant"] * 4 + ["failed"] * 2
    assert found["sort"] == "ascending"


@pytest.mark.parametrize("width", [400, 700, 1400])
def test_nothing_is_wider_than_the_window(page, tmp_path, width):
    # The browser's own window is never narrower than 500 pixels: the page stands in a frame of the width.
    frame = tmp_path / "frame.html"
    code = "const d = document.querySelector('iframe').contentDocument.documentElement; "
    code += "document.title = [d.clientWidth, d.scrollWidth, d.querySelectorAll('table').length].join(' ')"
    frame.write_text(
        f'<iframe src="{page.as_uri()}" width={width} height=900 style="border:0" onload="{code}"></iframe>'
    )
    text, _ = browse(frame, tmp_path, "--dump-dom", "--allow-file-access-from-files", "--window-size=1600,1000")
    client, scroll, tables = map(int, re.search(r"<title>(.*?)</title>", text)[1].split())
    assert (client, scroll) == (width, width)
    assert tables > 10


def test_dark_is_dark(page, tmp_path):
    light = picture(page, tmp_path, "light.png", (900, 700))
    dark = picture(page, tmp_path, "dark.png", (900, 700), "--blink-settings=preferredColorScheme=0")
    assert light[5, 5].mean() > 240
    assert dark[5, 5].mean() < 40
    assert dark.max() > 200  # there is light text on it


HOVER = """
  const cells = [...document.querySelectorAll('td[data-records]')];
  return {n: cells.length, bare: cells.filter(cell => !cell.title.includes(cell.dataset.path)).length};
"""


def test_numbers_say_on_hover_where_they_came_from(page, tmp_path):
    found = answer(page, tmp_path, HOVER)
    assert found["n"] > 300
    assert found["bare"] == 0


OPEN = """
  const button = document.querySelector('table[data-name=headline] tbody td .num'), seen = {};
  button.focus(); button.click();
  const source = document.getElementById('source');
  seen.open = source.matches(':popover-open'); seen.text = source.innerText;
  seen.inside = source.contains(document.activeElement);
  source.hidePopover();
  seen.back = document.activeElement === button;
  button.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
  seen.next = document.activeElement !== button && document.activeElement.className === 'num';
  const label = document.querySelector('table[data-name=headline] thead .h');
  label.click();
  const meaning = document.querySelector('.pop:popover-open');
  seen.meaning = meaning.innerText; meaning.hidePopover();
  const box = document.querySelector('.unfold'), row = box.closest('tbody').querySelector('.seed');
  document.querySelectorAll('details').forEach(one => { one.open = true; });
  seen.folded = row.checkVisibility(); box.click(); seen.unfolded = row.checkVisibility();
  seen.data = button.closest('td').dataset;
  seen.end = document.querySelectorAll('#ends li')[seen.data.end].textContent;
  return seen;
"""


def test_a_number_tells_where_it_came_from_by_keyboard_and_touch(page, tmp_path):
    found = answer(page, tmp_path, OPEN)
    assert found["open"]
    assert found["inside"]
    assert found["back"]
    assert found["next"]
    assert all(record in found["text"] for record in found["data"]["records"].split())
    assert f"{found['data']['signature']}|{found['end']}" in found["text"]
    assert "Copy the signature" in found["text"]
    assert "A model that takes part" in found["meaning"]
    assert (found["folded"], found["unfolded"]) == (False, True)


GROUPS = """
  return ['.tiles', '.strip', 'ul.evidence'].map(name => {
    const group = document.querySelector(name), all = [...group.querySelectorAll('.num')];
    const source = document.getElementById('source');
    all[0].focus(); all[0].click();
    const records = all[0].closest('[data-value]').dataset.records.split(' ');
    const told = records.every(one => source.innerText.includes(one));
    source.hidePopover();
    all[0].dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true}));
    return {n: all.length, stops: all.filter(one => one.tabIndex === 0).length, told,
            next: document.activeElement === all[1]};
  });
"""


def test_numbers_beside_the_tables_are_reached_the_same_way(page, tmp_path):
    for group in answer(page, tmp_path, GROUPS):
        assert group["n"] > 1
        assert (group["stops"], group["told"], group["next"]) == (1, True, True)


def test_it_prints(page, tmp_path):
    browse(page, tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer")
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 < len(re.findall(rb"/Type\s*/Page\b", content)) <= 14
