"""Suites, records and signatures: whatever they say, they are read or refused."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import fixtures
from attack import attack
from damage import TEXTS, anything, changed, damaged, odd
from fixtures import make
from hypothesis import strategies as st
from odd_records import RECORDS, text_of

from equibench import suite
from equibench.cite.printed import parse
from equibench.cite.signature import signature
from equibench.judge import verify
from equibench.record import find

SUITES = [tomllib.loads(path.read_text()) for path in suite.shipped().values()]
ONE = make("diffusion").model_dump(mode="json")


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


@attack(suites(), write_suite, few=25, many=750)
def test_suites(path):
    found = suite.load(str(path))
    assert len({cell.key("0", fixtures.LITE0, "0") for cell in suite.cells(found)}) == len(list(suite.cells(found)))
    suite.code_in(found)
    suite.changed(found, seeds=[1])


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


@attack(records(), write_record, few=25, many=750)
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


@attack(signatures(), write_good, few=15, many=250)
def test_signatures(given):
    text, folder = given
    parse(text)
    verify.verify(text, [folder])
