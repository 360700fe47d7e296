"""Do 50,000 images of 256 x 256 stay within 2 GiB of memory, in every form that samples and data sets come in?

    python -m studies.input_memory
    python -m studies.input_memory --images 5000 --forms npz --dims 1280

Makes them up, as a folder of PNG files, an `.npy` and a compressed `.npz`, and measures `equibench measure` on each:
all images as samples against all of the same file. The feature network is trivial (averages, and products of these
where more numbers are asked for), so that the time is that of reading. Printed are seconds and the peak of resident
memory of all processes together, sampled every 20 ms. The forms of 50,000 images take about 11 GB of the disk. On two
cores beside other work, with 16 numbers an image, a folder of 50,000 took 238 s and 1,213 MiB, a compressed `.npz`
152 s and 1,141 MiB.
"""

from __future__ import annotations

import argparse
import io
import os
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import psutil

SIDE, CHANNELS = 256, 3
FORMS = ("png", "npy", "npz")
LIMIT_BYTES = 2 * 2**30
NETWORK = """
import torch

def features(images):
    few = torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, (1, {columns})).flatten(1)
    wide = few[:, :, None] * few[:, None, :]
    return torch.cat([few, wide.flatten(1)], dim=1)[:, :{dims}]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--dims", type=int, default=16, help="of the features, at most 9,000")
    parser.add_argument("--forms", default=",".join(FORMS))
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        columns = 6 if options.dims <= 300 else 32
        (Path(folder) / "trivial.py").write_text(NETWORK.format(dims=options.dims, columns=columns))
        for form in options.forms.split(","):
            path = write(Path(folder) / f"images.{form}", options.images, form)
            seconds, peak = measure(path)
            print(
                f"{form}: {options.images:,} images, {seconds:.0f} s, {peak / 2**20:,.0f} MiB at the peak", flush=True
            )
            failed = failed or peak > LIMIT_BYTES
    if failed:
        sys.exit(f"the limit is {LIMIT_BYTES / 2**30:g} GiB")


def measure(path: Path) -> tuple[float, int]:
    """Wall seconds of `equibench measure`, and the peak of the resident bytes of all its processes."""
    start, peak = time.perf_counter(), 0
    command = [sys.executable, "-m", "equibench", "measure", path.name, "--dataset", path.name, "--split", "all"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(path.parent / f"cache-{path.suffix[1:]}")}
    with subprocess.Popen(
        [*command, "--extractor", "trivial:features"], cwd=path.parent, env=environment, stdout=subprocess.DEVNULL
    ) as started:
        process = psutil.Process(started.pid)
        while started.poll() is None:
            peak = max(peak, _resident(process))
            time.sleep(0.02)
    if started.returncode:
        sys.exit(f"{' '.join(command)} ended with {started.returncode}")
    return time.perf_counter() - start, peak


def _resident(process: psutil.Process) -> int:
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def write(path: Path, images: int, form: str) -> Path:
    """`images` of vertical stripes, each of its own: the first row repeated."""
    rows = np.random.default_rng(0).integers(0, 256, (images, 1, SIDE, CHANNELS), np.uint8)
    if form == "png":
        path.mkdir()
        for i, row in enumerate(rows):
            (path / f"{i:06}.png").write_bytes(_png(row.tobytes()))
        return path
    header = io.BytesIO()
    layout = {"descr": "|u1", "fortran_order": False, "shape": (images, SIDE, SIDE, CHANNELS)}
    np.lib.format.write_array_header_1_0(header, layout)
    if form == "npy":
        with path.open("wb") as plain:
            plain.write(header.getvalue())
            for row in rows:
                plain.write(row.tobytes() * SIDE)
        return path
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("images.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for row in rows:
            member.write(row.tobytes() * SIDE)
    return path


def _png(row: bytes) -> bytes:
    """A PNG of one row: each of the others is filtered as equal to the one above it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    lines = b"\0" + row + (b"\2" + bytes(len(row))) * (SIDE - 1)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines, 1)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


if __name__ == "__main__":
    main()
