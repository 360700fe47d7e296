"""A command that writes samples: another program, which is told how many, from which seed, and where to."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

from equibench.errors import LONGEST_REASON
from equibench.terminal import visible


class CommandError(Exception):
    """A command that should write samples did not."""


def written_by(command: str, folder: Path, n: int, seed: int) -> Path:
    """Run the command, with {out}, {n} and {seed} filled in, and give what it wrote: a folder at {out}, or an `.npz` or
    `.npy` file of that name. Its words go to a file in `folder`, which is made anew.

    Raises CommandError where it fails or writes nothing.
    """
    out, said = folder / "samples", folder / "command.txt"
    places = {"{out}": str(out), "{n}": str(n), "{seed}": str(seed)}
    parts = shlex.split(command)
    for place, value in places.items():
        parts = [part.replace(place, value) for part in parts]
    if folder.exists():  # of a run of it that was stopped: what that wrote is not told from what this one writes
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with said.open("wb") as stream:
        try:
            done = subprocess.run(parts, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=False)
        except OSError as error:
            raise CommandError(f"cannot run {parts[0]} ({error.strerror})") from None
    if done.returncode:
        raise CommandError(f"the command ended with code {done.returncode}{_last_words(said)}")
    found = [path for path in (out, out.with_suffix(".npz"), out.with_suffix(".npy")) if path.exists()]
    if not found:
        raise CommandError("the command ended well but wrote nothing to {out}, neither a folder nor an .npz or .npy")
    return found[0]


def _last_words(said: Path) -> str:
    lines = said.read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {visible(last)[:LONGEST_REASON]}" if last else ""
