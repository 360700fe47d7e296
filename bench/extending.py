"""Suites that extend another: what a file takes over, what it changes and what it takes away. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from equibench.errors import UserError, nearest

Values = Mapping[str, Any]
ENTRANTS = "entrant"
CHOSEN = {"family", "config", "sampler", "labels"}  # of an entrant, by a study of it
SEARCHED = {"budget", "dataset", "more_datasets", "train_images"}  # of a suite, for which studies chose
OWN = ("name", "about")  # which a suite says of itself, and takes over from none


def base_of(path: Path, extends: str, shipped: Mapping[str, Path], through: Sequence[Path]) -> Path:
    """The file that the suite at `path` extends: a shipped one by name, or a `.toml` file, relative to `path`.
    `through` are the files that led to `path`.

    Raises UserError where there is none, and where the way leads back to a file on it.
    """
    found = shipped.get(extends)
    if found is None and not extends.endswith(".toml"):
        raise UserError(
            f"suite {path}: extends {extends!r}, an unknown suite{nearest(extends, shipped)}, or give the path of a "
            ".toml file"
        )
    if found is None:
        found = path.parent / extends
        try:
            there = found.is_file()
        except (OSError, ValueError):  # of a name that no file can have
            there = False
        if not there:
            raise UserError(f"suite {path}: extends {extends!r}, and there is no such file; paths are from this one's")
    way = [*through, path]
    if found.resolve() in [one.resolve() for one in way]:
        names = ", which extends ".join(one.name for one in (*way, found))
        raise UserError(f"suite {path}: extends itself ({names}); let one of these stand alone")
    return found


def laid_over(below: Values, above: Values, path: Path) -> dict[str, Any]:
    """What a suite with the values `above`, in the file at `path`, is, where it extends one with the values `below`.

    What `without` names is taken away from below first. Then tables merge key by key, entrants go by their names, and
    every other value, lists among them, stands in place of the one below. What was tuned for other settings, data or
    budgets no longer says so. Raises UserError for what `without` names and is not there.
    """
    left = {key: value for key, value in below.items() if key not in OWN}
    for name in above.get("without", []):
        _take_away(left, name, path, str(above["extends"]))
    left["about"] = f"{above['extends']}, changed"
    if not SEARCHED.isdisjoint(above):
        left[ENTRANTS] = [{key: value for key, value in one.items() if key != "tuned"} for one in left[ENTRANTS]]
    return _merged(left, {key: value for key, value in above.items() if key not in ("extends", "without")})


def _merged(below: Values, above: Values) -> dict[str, Any]:
    found = dict(below)
    for key, value in above.items():
        there = found.get(key)
        if key == ENTRANTS and isinstance(value, list) and isinstance(there, list):
            found[key] = _entrants(there, value)
        elif isinstance(value, dict) and isinstance(there, dict):
            found[key] = _merged(there, value)
        else:
            found[key] = value
    return found


def _entrants(below: Sequence[Any], above: Sequence[Any]) -> list[Any]:
    """The entrants below, each changed where one above has its name, then the others above. One that is there twice
    above stays so, and the suite's own check finds it.
    """
    names = [one["name"] for one in below]
    found, changed = list(below), set()
    for one in above:
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name in names and name not in changed:
            changed.add(name)
            there = dict(found[names.index(name)])
            if not CHOSEN.isdisjoint(one):
                there.pop("tuned", None)
            found[names.index(name)] = _merged(there, one)
        else:
            found.append(one)
    return found


def _take_away(values: dict[str, Any], name: str, path: Path, base: str) -> None:
    """An entrant by its name, or a value by its key, with the keys of the tables that it is in before it."""
    entrants = values[ENTRANTS]
    others = [one for one in entrants if one["name"] != name]
    if len(others) < len(entrants):
        values[ENTRANTS] = others
        return
    *tables, key = name.split(".")
    there = values
    for table in tables:
        inner = there.get(table)
        there[table] = dict(inner) if isinstance(inner, dict) else {}
        there = there[table]
    if key not in there:
        known = [one["name"] for one in entrants] + [f"measure.{one}" for one in values.get("measure", {})]
        raise UserError(f"suite {path}: without names {name!r}, which {base} does not have{nearest(name, known)}")
    del there[key]
