"""axe-core finds nothing on the page: wide and as on a phone, light and dark, with all that is folded opened."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
from pathlib import Path

import fixtures
import pytest
from browsing import CHROMIUM, browse
from fixtures import save

from equibench.report import write

AXE = importlib.util.find_spec("axe_core_python")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.skipif(AXE is None, reason="no axe-core here: pip install -e '.[dev]'"),
]
RUN = """
document.querySelectorAll('details').forEach(one => { one.open = true; });
document.querySelectorAll('.unfold').forEach(one => { one.checked = true; });
axe.run(document, {resultTypes: ['violations']}).then(({violations}) => parent.postMessage(JSON.stringify(
  violations.map(({id, nodes}) => [id, nodes.length, nodes.slice(0, 3).map(node => node.html.slice(0, 200))])), '*'));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("axe")
    save(fixtures.everything(), root / "records")
    write.write([root / "records"], root / "out")
    return root / "out" / "index.html"


def violations(page, tmp_path, width, mode, more=""):
    """What axe-core finds on the page in a frame of the width: rule, count, and the first places."""
    code = "addEventListener('load', () => { " + (Path(AXE.origin).parent / "axe.min.js").read_text() + RUN + " });"
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    whole = page.read_text().replace("</body>", f"{more}<script>{code}</script></body>")
    inner, outer = tmp_path / "inner.html", tmp_path / "outer.html"
    inner.write_text(whole.replace("script-src '", f"script-src 'sha256-{digest}' '", 1))
    outer.write_text(
        '<!doctype html><meta name="color-scheme" content="light dark"><pre id="answer"></pre><script>'
        "addEventListener('message', event => { document.getElementById('answer').textContent = event.data; });"
        f'</script><iframe src="inner.html" width={width} height=900></iframe>'
    )
    # a page of ten thousand elements takes axe its time, and virtual time stands still meanwhile
    options = ("--dump-dom", f"--blink-settings=preferredColorScheme={mode}", "--window-size=1600,1000")
    text, _ = browse(outer, tmp_path, *options, "--virtual-time-budget=60000")
    found = re.search(r'<pre id="answer">(.+?)</pre>', text, re.S)
    assert found, "axe did not answer"
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.mark.parametrize("mode", [1, 0], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing(page, tmp_path, width, mode):
    assert violations(page, tmp_path, width, mode) == []


def test_axe_would_find_something(page, tmp_path):
    found = violations(
        page, tmp_path, 1440, 1, more='<main><p><font color="#ddd">too pale</font></p><img src="data:,">'
    )
    assert {"color-contrast", "image-alt"} <= {rule for rule, *_ in found}
