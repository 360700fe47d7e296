"""A version of equibench, or of a user's own models, as something that can be asked for a turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equibench.errors import UserError
from equibench.terminal import visible

SCRIPT = Path(__file__).with_name("one_turn.py")
LIMIT_SEC = 600.0  # for one turn, its start among it
PACKAGES = {"equibench": "bench", "equibench_models": "models"}  # folders of a checkout


@dataclass(frozen=True)
class Side:
    """How a version is run. `path`: what comes before all else on the search path of modules."""

    which: str  # "old" or "new"
    place: Path
    python: str = sys.executable
    path: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path.cwd)

    def turn(self, task: Mapping[str, Any], entrant: str) -> Mapping[str, Any]:
        """What the version answers to the task. Raises UserError where it cannot."""
        try:
            done = subprocess.run(
                [self.python, "-P", str(SCRIPT)],  # -P: nothing beside the script is taken for a module
                input=json.dumps(task),
                capture_output=True,
                text=True,
                errors="replace",
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([*self.path, *_inherited()])},
                timeout=LIMIT_SEC,
                check=False,
            )
            answer = json.loads(done.stdout)
            if not isinstance(answer, dict):
                raise ValueError("no answer")
        except OSError as error:
            raise UserError(
                f"cannot run {self.python} ({error.strerror}); give a Python with equibench in it"
            ) from None
        except subprocess.TimeoutExpired:
            raise UserError(f"{self._who} took more than {LIMIT_SEC:.0f} s for a turn of {entrant}") from None
        except ValueError:
            words = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["without a word"]
            raise UserError(
                f"{self._who} ended as it was timed with {entrant}, with code {done.returncode} "
                f"({visible(words[-1])[:200]}); see that equibench runs there"
            ) from None
        if reason := answer.get("too_old"):
            raise UserError(f"{self._who} is too old for this, or has other models: {reason}; compare a later one")
        if reason := answer.get("failed"):
            raise UserError(f"{self._who} failed as it was timed with {entrant} ({reason}); mend that first")
        found: dict[str, Any] = answer
        return found

    @property
    def _who(self) -> str:
        return f"the {self.which} version, {self.place},"


def side_at(which: str, place: Path, links: Path, own: bool) -> Side:
    """The version at `place`: a Python executable, an environment that holds one, a checkout of equibench, or, where
    the models are a user's `own`, a checkout of the project that they lie in. `links` is a folder for links to a
    checkout's packages. Raises UserError for anything else.
    """
    here = place.absolute()  # an environment's executable is a link, which must not be followed
    if here.is_file():
        return Side(which, place, str(here))
    if not here.is_dir():
        raise UserError(f"there is no {place}; give a Python executable, an environment's folder or a checkout")
    if all((here / folder / "__init__.py").is_file() for folder in PACKAGES.values()):
        links.mkdir()
        for name, folder in PACKAGES.items():
            (links / name).symlink_to(here / folder)
        return Side(which, place, path=(str(links),))
    for python in (here / "bin" / "python", here / "Scripts" / "python.exe"):
        if python.is_file():
            return Side(which, place, str(python))
    if (here / "equibench" / "__init__.py").is_file():
        return Side(which, place, path=(str(here),))
    if own:
        with_equibench = tuple(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
        return Side(which, place, path=(str(here), *with_equibench), folder=here)
    raise UserError(
        f"{place} is neither an environment (with bin/python) nor a checkout of equibench (with bench and models); "
        "give one of these, or a Python executable"
    )


def _inherited() -> list[str]:
    """PYTHONPATH without what would put one equibench in the place of both."""
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return [entry for entry in entries if not any((Path(entry) / name).exists() for name in PACKAGES)]
