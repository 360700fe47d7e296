"""The page in a real browser: Debian's chromium without a window, on the file itself and with no network.

What a click does is seen by a script that is added to a copy of the page, clicks, and writes what it finds into it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess

import fixtures
import numpy as np
import pytest
from fixtures import save
from PIL import Image

from equibench.report import write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
# No window, no network, no first-run pages; root needs to do without the sandbox.
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=4000",
)  # fmt: skip


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


def browse(page, tmp_path, *options, script=""):
    """Load the page, with a script at its end; returns the page as it then is, and what the browser logged."""
    if script:
        # The outcome is written as text, so that it stands in the page as the browser prints it.
        code = f"<script>addEventListener('load', () => {{ const answer = (() => {{ {script} }})(); "
        code += "const out = document.createElement('pre'); out.id = 'answer'; "
        code += "out.textContent = JSON.stringify(answer); document.body.append(out); });</script></body>"
        copy = tmp_path / "clicked.html"
        whole = page.read_text().replace("</body>", code)
        own = base64.b64encode(hashlib.sha256(code.split("<script>")[1].split("</script>")[0].encode()).digest())
        assert "script-src '" in whole
        copy.write_text(whole.replace("script-src '", f"script-src 'sha256-{own.decode()}' '", 1))  # the page admits it
        page = copy
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


def answer(page, tmp_path, script, *options):
    text, _ = browse(page, tmp_path, "--dump-dom", *options, script=script)
    found = re.search(r'<pre id="answer">(.*?)</pre>', text, re.S)[1]
    return json.loads(found.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


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


SORT = """
  const table = document.querySelector('table[aria-label=headline]');
  const heads = [...table.querySelectorAll('thead button')];
  const names = () => [...table.querySelectorAll('tbody.entrant th')].map(th => th.innerText.trim());
  const bodies = () => [...table.tBodies].map(body => body.className);
  const found = [names()];
  const speed = heads.find(head => head.innerText.includes('images/s'));
  speed.click(); found.push(names());
  speed.click(); found.push(names());
  heads[0].click(); found.push(names());
  return {found, bodies: bodies(), sort: heads[0].parentElement.getAttribute('aria-sort')};
"""


def test_a_click_on_a_heading_sorts(page, tmp_path):
    found = answer(page, tmp_path, SORT)
    assert found["found"] == [
        ["gan", "vae", "flow", "diffusion"],
        ["diffusion", "flow", "gan", "vae"],  # 24, 640, 2,100 and 2,600 images/s: as numbers, not as text
        ["vae", "gan", "flow", "diffusion"],
        ["diffusion", "flow", "gan", "vae"],  # by name
    ]
    assert found["bodies"] == ["entrant", "floor", "failed"]
    assert found["sort"] == "ascending"


ENLARGE = """
  const zoom = document.querySelector('.zoom'), dialog = document.querySelector('dialog');
  const before = [dialog.open, zoom.querySelector('img').clientWidth];
  zoom.click();
  const image = dialog.querySelector('img');
  const open = [dialog.open, image.clientWidth, image.src === zoom.querySelector('img').src, image.alt];
  dialog.click();
  return {before, open, after: dialog.open};
"""


def test_a_click_on_a_figure_enlarges_it(page, tmp_path):
    found = answer(page, tmp_path, ENLARGE, "--window-size=1400,900")
    closed, small = found["before"]
    opened, large, same, alt = found["open"]
    assert (closed, opened, same, found["after"]) == (False, True, True, False)
    assert large > small
    assert alt == "From one image to another, a row a pair."


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
  return {n: cells.length, bare: cells.filter(cell => !cell.title.includes(cell.dataset.records)).length};
"""


def test_numbers_say_on_hover_where_they_came_from(page, tmp_path):
    found = answer(page, tmp_path, HOVER)
    assert found["n"] > 300
    assert found["bare"] == 0


def test_it_prints(page, tmp_path):
    browse(page, tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer")
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 4 < len(re.findall(rb"/Type\s*/Page\b", content)) < 40
