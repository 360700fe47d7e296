"""Suites, records, signatures and reports: whatever they say, they are read or refused."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import tomllib
import typing
import warnings
from pathlib import Path
from typing import Any

import fixtures
import pytest
from attack import OUT, attack
from damage import REAL, TEXTS, WHOLE, anything, changed, damaged, npz_files, odd, zipped
from fixtures import everything, make
from hypothesis import strategies as st
from pydantic import ValidationError

from equibench import suite
from equibench.cite import citation, methods, names
from equibench.cite.printed import parse
from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.judge import check, output, verify
from equibench.quantities.text import TIMES, spread
from equibench.record import find
from equibench.record.schema import Record, Status
from equibench.report import write
from equibench.stats import Stat
from equibench.summary.ladders import ladders
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import load_cells, summarise

SUITES = [tomllib.loads(path.read_text()) for path in suite.shipped().values()]
RECORDS = [one.model_dump(mode="json") for one in everything(seeds=2)]
ONE = make("diffusion").model_dump(mode="json")
KEYS = sorted({key for record in RECORDS for key in record})


def toml(value: Any) -> str:
    """A value as TOML writes it, tables in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {toml(held)}" for key, held in value.items() if held is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(held) for held in value if held is not None) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    return json.dumps(str(text), ensure_ascii=False).replace("\x7f", "\\u007f")


@st.composite
def suites(draw):
    tree = draw(st.sampled_from(SUITES))
    tree = draw(st.one_of(st.just(tree), changed(tree), changed(tree)))
    text = "\n".join(f"{quoted(key)} = {toml(value)}" for key, value in tree.items() if value is not None)
    content = text.encode("utf-8", "surrogatepass")
    return draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content


def write_suite(content, folder):
    (folder / "mine.toml").write_bytes(content)
    return folder / "mine.toml"


@attack(suites(), write_suite, few=25, many=3000)
def test_suites(path):
    found = suite.load(str(path))
    assert len({cell.key("0", fixtures.LITE0, "0") for cell in suite.cells(found)}) == len(list(suite.cells(found)))
    suite.code_in(found)
    suite.changed(found, seeds=[1])


def text_of(tree):
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


@st.composite
def records(draw):
    """The bytes of a record, and the name of its file."""
    tree = draw(st.sampled_from([ONE, *RECORDS]))
    newer = changed({**tree, "schema_version": 99})
    content = text_of(draw(st.one_of(changed(tree), odd(tree), newer)))
    content = draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content
    encoding = draw(st.sampled_from(["", "", "", "utf-16", "utf-8-sig", "utf-32"]))
    if encoding:
        content = content.decode("utf-8", "replace").encode(encoding)
    return draw(st.sampled_from(["gan-s0-1a2b3c4d.json", "gan-s0-1a2b3c4d.json", "other.json"])), content


def write_record(found, folder):
    (folder / found[0]).write_bytes(found[1])
    return folder


@attack(records(), write_record, few=25, many=3000)
def test_records(folder):
    find.read_all([folder])


GOOD = [make("vae", seed) for seed in range(2)]
SIGNATURES = [
    signature(GOOD, path)
    for path in ("quality.value", "likelihood.bits_per_dim", "speed.images_per_sec", "quality.also.KD", "spent.flops")
]


@st.composite
def signatures(draw):
    text = draw(st.sampled_from(SIGNATURES))
    if draw(st.booleans()):
        return draw(damaged(text.encode())).decode("utf-8", "replace")
    parts = text.split("|")
    place = draw(st.integers(0, len(parts) - 1))
    name, mark, _ = parts[place].partition(":")
    kind = draw(st.sampled_from(["value", "gone", "twice", "swapped", "name"]))
    if kind == "value":
        parts[place] = f"{name}{mark}{draw(st.one_of(anything.map(str), st.sampled_from(TEXTS)))}"
    elif kind == "name":
        parts[0] = f"{draw(st.sampled_from(TEXTS))}={draw(st.one_of(st.floats().map(str), st.sampled_from(TEXTS)))}"
    elif kind == "twice":
        parts.insert(0, parts[place])
    elif kind == "swapped":
        parts[0], parts[place] = parts[place], parts[0]
    else:
        del parts[place]
    return "|".join(parts)


def write_good(text, folder):
    fixtures.save(GOOD, folder, with_arrays=False)
    return text, folder


@attack(signatures(), write_good, few=15, many=1000)
def test_signatures(given):
    text, folder = given
    parse(text)
    verify.verify(text, [folder])


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


@attack(odd_results(), write_files, few=15, many=1000)
def test_cite(folder):
    found = citation.gather([folder])
    for one in found[:2]:
        for path in list(names.numbers(one)):
            try:
                cited = citation.cite(path, one.entrant, [folder])
            except UserError:
                continue
            for form in citation.FORMATS:
                citation.write(cited, form)
            for citing in cited[:1]:
                assert verify.verify(citing.signature, [folder])[0].holds
    methods.methods(found)


@attack(odd_results(), write_files, few=15, many=1500)
def test_check(folder):
    files = sorted(folder.glob("*.json"))
    for one, other in ((files, files), (files[:1], files), (files, files[:1])):
        try:
            found = check.check(one, other)
        except UserError:
            continue
        json.dumps(output.as_json(found), allow_nan=False)
        list(output.github_commands(found))


def _tables(cells):
    sections = summarise(cells)
    write.all_tables(sections, ladders(sections))


@attack(odd_results(), write_files, few=15, many=1500)
def test_tables(folder):
    _tables(load_cells([folder]))


@pytest.mark.parametrize(
    ("values", "mean", "sd", "shown"),
    [
        ((1e308, 1.5e308), 1.25e308, 3.5355339059327e307, "∞ ± ∞"),
        ((1e300, 3e300), 2e300, 1.4142135623731e300, f"2.00{TIMES}10³⁰³ ± 1.41{TIMES}10³⁰³"),
    ],
)
def test_means_and_spreads_at_the_limits(values, mean, sd, shown):
    """Sums and squares leave the range of floats before they do, and a unit may."""
    found = Stat(values)
    assert (found.mean, found.sd) == (pytest.approx(mean), pytest.approx(sd, rel=1e-9))
    assert spread(found, unit=1e-3) == shown


def test_repeats_of_no_images_are_left_out():
    """Such a record divides by nothing."""
    one = make("vae")
    none = one.model_copy(update={"speed": one.speed.model_copy(update={"batch_size": 0})})
    assert check.compare([none], [none]).lines


TEXT = zipped([("interpolation.npy", b"text")])  # where numpy gives bytes, not an array
PICTURED = make("gan", arrays_sha256=hashlib.sha256(TEXT).hexdigest()).model_dump(mode="json")
NO_PICTURES = {"gan-s0-00000000.json": text_of(PICTURED), "gan-s0-00000000.npz": TEXT}


@attack(odd_results(most_records=3), write_files, few=3, many=100, found=[NO_PICTURES])
def test_reports(folder):
    write.write([folder], folder.parent / OUT)


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 5e-324, 1.7976931348623157e308, -1e308, 0, -1], ids=str)
def test_each_number_at_its_limits(value):
    """Every number of a record in turn, on one side and on both, in the check of those that have it and the tables of
    all.
    """
    warnings.simplefilter("ignore")
    usual = [Record.model_validate(one) for one in RECORDS]
    for place in PLACES:
        trees = [put(one, place, value) for one in RECORDS]
        odd_ones = [Record.model_validate(tree) for tree in trees if is_valid(tree)]
        with_it = {one["entrant"] for one, tree in zip(RECORDS, trees, strict=True) if tree != one and is_valid(tree)}
        if not with_it:
            continue
        odd, plain = ([one for one in side if one.entrant in with_it] for side in (odd_ones, usual))
        for one, other in ((odd, plain), (plain, odd), (odd, odd)):
            with contextlib.suppress(UserError):
                found = check.compare(one, other)
                json.dumps(output.as_json(found), allow_nan=False)
                list(output.github_commands(found))
        with contextlib.suppress(UserError):
            _tables([FiledRecord(Path(f"{i}.json"), one) for i, one in enumerate(odd_ones)])
