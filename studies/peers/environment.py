"""The environment that the peers are installed in, made once: their packages, and those of the one that runs the study.

It reads the packages of the running environment through a `.pth` file, so that torch, which takes gigabytes, is there
once, and the same for both sides. What pip installs lies in it alone: nothing is written to the running environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import equibench
import equibench_models
from equibench import atomic
from equibench.errors import UserError

ROOT = Path(__file__).parent.parent.parent
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
SHARED = Path("shared.pth")
# sources that the peers' programs use too: timing, load, drawing of batches
PACKAGES = {
    "equibench": Path(equibench.__file__).parent,
    "equibench_models": Path(equibench_models.__file__).parent,
    "studies": ROOT / "studies",
}


def make(place: Path) -> None:
    """Make the environment at `place`, unless what is there has the same requirements already. One that was not
    finished is made anew. Raises UserError with what pip said last.
    """
    wanted = REQUIREMENTS.read_bytes()
    mark = place / "installed.txt"
    if not (mark.exists() and mark.read_bytes() == wanted and interpreter(place).exists()):
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(place)], "make an environment")
        here = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        (_site_packages(place) / SHARED).write_text("".join(f"{folder}\n" for folder in sorted(here)))
        _run([str(interpreter(place)), "-m", "pip", "install", "-r", str(REQUIREMENTS)], "install the peers")
        atomic.write(mark, wanted)
    tree = place / "tree"
    tree.mkdir(exist_ok=True)
    for name, folder in PACKAGES.items():  # anew each time: another checkout may have made it
        (tree / name).unlink(missing_ok=True)
        (tree / name).symlink_to(folder, target_is_directory=True)


def interpreter(place: Path) -> Path:
    """Its Python."""
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(place: Path, arguments: Sequence[str]) -> None:
    """`python -m studies.peers.theirs` in the environment, on the processor. Raises UserError where it fails; what it
    says itself stands above.
    """
    surroundings = {
        **os.environ,
        "PYTHONPATH": str(place / "tree"),
        "CUDA_VISIBLE_DEVICES": "",  # both sides compute on the processor
        "TQDM_DISABLE": "1",
    }
    command = [str(interpreter(place)), "-W", "ignore", "-m", "studies.peers.theirs", *arguments]
    if subprocess.run(command, env=surroundings, check=False).returncode:
        raise UserError(f"the peers' part failed: {' '.join(arguments)}; what it said is above")


def _site_packages(place: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(place), "platbase": str(place)}))


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise UserError(f"cannot {what} ({said[-1]}); see that package registries can be reached, and try again")
