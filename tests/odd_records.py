"""Records that are odd, most of them valid, and what is tried on them."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import typing

from damage import REAL, TEXTS, WHOLE, npz_files, odd
from fixtures import everything
from hypothesis import strategies as st
from pydantic import ValidationError

from equibench.record.schema import Record, Status
from equibench.report import write
from equibench.summary.ladders import ladders
from equibench.summary.sort import summarise

RECORDS = [one.model_dump(mode="json") for one in everything(seeds=2)]
KEYS = sorted({key for record in RECORDS for key in record})


def text_of(tree):
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


def is_valid(tree):
    try:
        Record.model_validate(tree)
    except ValidationError:
        return False
    return True


def places_of_numbers(tree, place=()):
    """Where the numbers of a record are."""
    members = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in members:
        if isinstance(value, float | int) and not isinstance(value, bool):
            yield (*place, key)
        yield from places_of_numbers(value, (*place, key))


PLACES = sorted({place for one in RECORDS for place in places_of_numbers(one) if place[0] != "curve"}, key=str)


def put(tree, place, value):
    """The tree with a value where there is one; else as it was."""
    tree = copy.deepcopy(tree)
    holder = tree
    with contextlib.suppress(KeyError, TypeError, IndexError):
        for key in place[:-1]:
            holder = holder[key]
        if holder[place[-1]] is not None:
            holder[place[-1]] = value
    return tree


@st.composite
def odd_results(draw, most_records=5):
    """Records that are odd, most of them valid, and arrays beside them."""
    some = st.lists(st.sampled_from(RECORDS), min_size=1, max_size=most_records, unique_by=lambda one: one["key"])
    files = {}
    extreme = draw(st.lists(st.sampled_from(PLACES), max_size=2))  # the same numbers of every record
    for i, one in enumerate(draw(some)):
        tree = draw(st.one_of(st.just(one), odd(one), odd(one)))
        for key in draw(st.lists(st.sampled_from(KEYS), max_size=2)):
            tree.pop(key, None) if tree is not one else None
        if draw(st.integers(0, 3)) == 0:
            tree = {**tree, "entrant": draw(st.sampled_from(TEXTS))}
        if draw(st.integers(0, 3)) == 0:
            tree = {
                **tree,
                "status": draw(st.sampled_from(typing.get_args(Status))),
            }
        for place in extreme:
            tree = put(tree, place, draw(st.sampled_from(REAL + WHOLE)))
        tree = tree if draw(st.integers(0, 19)) == 0 or is_valid(tree) else one
        arrays = b""
        if draw(st.integers(0, 3)) == 0:
            arrays = draw(npz_files(("samples", "real", "interpolation")))
            tree = {**tree, "arrays_sha256": hashlib.sha256(arrays).hexdigest()}
        name = f"cell{i}-s0-{i:08x}"
        files[f"{name}.json"] = text_of(tree)
        if arrays:
            files[f"{name}.npz"] = arrays
    return files


def write_files(found, folder):
    for name, content in found.items():
        (folder / name).write_bytes(content)
    return folder


def tables_of(cells):
    sections = summarise(cells)
    write.all_tables(sections, ladders(sections))
