"""Writes a family of one's own that works as it stands, with a test of the contract and a suite to run it in."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

from equibench import atomic
from equibench.errors import UserError
from equibench_models import FAMILIES

EXAMPLE = Path(__file__).with_name("example.py")
TEST = '''"""{name}.py keeps the contract of the families, its claims included."""

import pytest

from equibench.conformance.entrant import named, validate

FINDINGS = validate(named("{name}:{cls}"), allow_code=True)


@pytest.mark.parametrize("finding", FINDINGS, ids=[finding.claim for finding in FINDINGS])
def test_it_keeps_the_contract(finding):
    if finding.holds is None:
        pytest.skip(finding.why)
    assert finding.holds, finding.why
'''


def class_name(name: str) -> str:
    """The class of the family in the module `name`."""
    return "".join(part.capitalize() for part in name.split("_"))


def write(name: str, folder: Path) -> list[Path]:
    """Write `NAME.py`, `test_NAME.py` and `NAME.toml` to the folder, and give their paths. Raises UserError for a name
    that no module can have or that another has, and where one of them is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UserError(f"{name!r} is no name of a module; use small letters, digits and _, beginning with a letter")
    if name in FAMILIES:
        raise UserError(f"{name!r} is the name of a family, which it stands beside; give another")
    cls = class_name(name)
    family = EXAMPLE.read_text().replace("Mixture", cls)
    contents = {
        f"{name}.py": family,
        f"test_{name}.py": TEST.format(name=name, cls=cls),
        f"{name}.toml": _suite(name, cls),
    }
    if there := [file for file in contents if (folder / file).exists()]:
        raise UserError(f"{folder / there[0]} is there already; give another name or --out")
    if _installed(name, folder):
        raise UserError(f"{name!r} is the name of a module that is installed here; give one that hides none")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in contents.items():
            atomic.write(folder / file, content.encode())
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); give another --out") from None
    return [folder / file for file in contents]


def _installed(name: str, folder: Path) -> bool:
    """Whether Python finds a module of this name elsewhere than in the folder or the one that it works in."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:  # none, or a folder without code
        return False
    return not spec.has_location or Path(spec.origin).resolve().parent not in (folder.resolve(), Path.cwd())


def _suite(name: str, cls: str) -> str:
    """The suite `quick` with one more entrant."""
    return (
        f'name = "{name}"\nabout = "{name} beside the four families, as in quick"\nextends = "quick"\n\n'
        f'[[entrant]]\nname = "{name}"\nfamily = "{name}:{cls}"\n'
    )
