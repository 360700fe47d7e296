"""Screenshots of a page at the widths that readers have, light and dark.

    python -m studies.screenshots PAGE --out FOLDER

Chromium draws the whole height of the page. It is no dependency of equibench: apt-get install chromium.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

WIDTHS = (1440, 1024, 390)
MODES = {"light": 1, "dark": 0}  # as chromium's settings have them
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# no window, no network, no first-run pages; root needs to do without the sandbox
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-sync",
    "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=4000",
    "--allow-file-access-from-files",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="a page, or the folder of a report")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    given = parser.parse_args()
    page = given.page / "index.html" if given.page.is_dir() else given.page
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        parser.error("there is no chromium here; install it with apt-get install chromium")
    if not page.is_file():
        parser.error(f"{page} is no file; name a page, or the folder of a report")
    given.out.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        height = height_of(browser, page, width)
        for mode, setting in MODES.items():
            file = given.out / f"{page.stem}-{width}-{mode}.png"
            shoot(browser, page, file, width, height, setting)
            print(f"{file}: {width} x {height} pixels")


def height_of(browser: str, page: Path, width: int) -> int:
    """The page's height at a width, in CSS pixels."""
    with tempfile.TemporaryDirectory() as folder:
        code = "document.title = this.contentDocument.documentElement.scrollHeight"
        text = _run(browser, _framed(Path(folder), page, width, 900, code), "--dump-dom", "--window-size=1600,1000")
    found = re.search(r"<title>(\d+)</title>", text)
    if found is None:
        raise SystemExit(f"{browser} did not load {page}; open it by hand to see why")
    return int(found[1])


def shoot(browser: str, page: Path, file: Path, width: int, height: int, mode: int) -> None:
    """A picture of the page's whole height. A window is never narrower than 500 pixels: the page stands in a frame."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        frame = _framed(Path(folder), page, width, height)
        size = f"--window-size={max(width, 500)},{height}"
        _run(browser, frame, f"--screenshot={file.resolve()}", size, f"--blink-settings=preferredColorScheme={mode}")
    with Image.open(file) as image:
        image.crop((0, 0, width, height)).save(file)


def _framed(folder: Path, page: Path, width: int, height: int, onload: str = "") -> Path:
    frame = folder / "frame.html"
    # an inner page takes the mode of the outer one's colour scheme
    frame.write_text(
        '<!doctype html><meta name="color-scheme" content="light dark"><style>body { margin: 0 } iframe { border: 0; '
        f'display: block }}</style><iframe src="{page.resolve().as_uri()}" width="{width}" height="{height}" '
        f'onload="{onload}"></iframe>'
    )
    return frame


def _run(browser: str, page: Path, *options: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


if __name__ == "__main__":
    main()
