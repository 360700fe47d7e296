"""Pages in a real browser: Debian's chromium without a window, on files and with no network.

What a page does is seen by a script that is added to a copy of it and writes what it finds into it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# No window, no network, no first-run pages; root needs to do without the sandbox.
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=4000",
)  # fmt: skip


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
