"""Valid inputs made bad: bytes that are changed, cut, repeated and swapped; values of JSON that are of another kind, at
a limit, missing, or under another's name.
"""

from __future__ import annotations

import copy
import io
import struct
import warnings
import zipfile
from typing import Any

import numpy as np
from hostile import HOSTILE
from hypothesis import strategies as st

WHOLE = (0, 1, -1, 2, 255, 256, 2**31 - 1, 2**31, 2**32 - 1, 2**53 + 1, 2**62, 2**63 - 1, -(2**63))
TOO_LARGE = (2**63, 2**64, 10**30, -(10**400), 10**4000)
REAL = (0.0, -0.0, 0.5, 1.0, -1.0, 5e-324, 1e-300, 1e15, 1e16, 1e300, 1.7976931348623157e308, -1e308)
NOT_FINITE = (float("nan"), float("inf"), float("-inf"))
TEXTS = (
    *HOSTILE, "", " ", "\n", "/", "..", "../../x", "~", "\0", "x" * 5000, "é" * 300, "gan", "%s{}{0}", "nan", "1e999",
    "quality.value", "|", "=1|rec:", "a:b:c", "Ⅷ", "٣", "\u202e\u200b", "-", "C:\\nul",
)  # fmt: skip
WITHIN = ([], {}, [[]], [None], [1, "x", 2.5], {"": 0}, {"a": {"b": [1]}}, [[[[[[1]]]]]])

anything = st.one_of(
    *map(st.sampled_from, (WHOLE, TOO_LARGE, REAL, NOT_FINITE, TEXTS, WITHIN)),
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30),
)  # fmt: skip
_BYTES = st.one_of(st.sampled_from([0, 1, 2, 9, 10, 32, 34, 46, 0x7F, 0x80, 0xFE, 0xFF]), st.integers(0, 255))
_FIELDS = [
    struct.pack(form, number)
    for number in (0, 1, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
    for form in ("<H", ">H", "<I", ">I", "<Q", ">Q")
    if number < 256 ** struct.calcsize(form)
]


@st.composite
def damaged(draw: st.DrawFn, content: bytes, least: int = 1, most: int = 4) -> bytes:
    """`content` with a few places of it changed, most of them near its beginning, where files say what they are."""
    for _ in range(draw(st.integers(least, most))):
        content = _hurt(draw, content)
    return content


def _hurt(draw: st.DrawFn, content: bytes) -> bytes:
    size = len(content)
    at = draw(st.one_of(st.integers(0, min(size, 128)), st.integers(0, size), st.integers(max(size - 128, 0), size)))
    long = draw(st.one_of(st.integers(1, 16), st.integers(1, max(size, 1))))
    before, piece, after = content[:at], content[at : at + long], content[at + long :]
    kind = draw(st.sampled_from(["change", "field", "cut", "drop", "repeat", "insert", "swap", "zero"]))
    if kind == "change":
        return before + bytes([draw(_BYTES)]) + content[at + 1 :]
    if kind == "field":
        field = draw(st.sampled_from(_FIELDS))
        return before + field + content[at + len(field) :]
    if kind == "cut":
        return before
    if kind == "drop":
        return before + after
    if kind == "repeat":
        return before + piece * draw(st.integers(2, 4)) + after
    if kind == "insert":
        return before + draw(st.binary(max_size=16)) + content[at:]
    if kind == "swap":
        return before + after[:long] + piece + after[long:]
    return before + bytes(len(piece)) + after


@st.composite
def changed(draw: st.DrawFn, tree: Any, values: Any = anything, least: int = 1, most: int = 3) -> Any:
    """A JSON value with a few of its members replaced, gone, renamed, repeated or swapped."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(least, most))):
        holder, key = draw(st.sampled_from(_members(tree) or [([tree], 0)]))
        kind = draw(st.sampled_from(["value"] * 3 + ["gone", "renamed", "repeated", "swapped", "wrapped"]))
        if kind == "value":
            holder[key] = copy.deepcopy(draw(values))  # what is drawn from is changed no further
        elif kind == "gone":
            del holder[key]
        elif kind == "renamed" and isinstance(holder, dict):
            name = draw(st.one_of(st.sampled_from(sorted(holder)), st.sampled_from(TEXTS)))
            holder[name] = holder.pop(key)
        elif kind == "swapped":
            other, name = draw(st.sampled_from(_members(tree) or [([tree], 0)]))
            # copies: else a tree could come to hold itself
            holder[key], other[name] = copy.deepcopy(other[name]), copy.deepcopy(holder[key])
        elif kind == "wrapped":
            holder[key] = [holder[key]]
        elif isinstance(holder, list):
            holder += [copy.deepcopy(holder[key])] * draw(st.integers(1, 3))
    return tree


def _members(tree: Any) -> list[tuple[Any, Any]]:
    """Every member of every table and list of a tree: what holds it, and under which key."""
    found = []
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys]
    return found


@st.composite
def odd(draw: st.DrawFn, tree: Any, most: int = 4) -> Any:
    """A JSON value with a few members replaced by odd ones of their own kind, or by nothing."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, most))):
        members = _members(tree)
        if not members:
            break
        holder, key = draw(st.sampled_from(members))
        value = holder[key]
        if isinstance(value, bool):
            holder[key] = draw(st.sampled_from([True, False, None]))
        elif isinstance(value, int):
            holder[key] = draw(st.sampled_from(WHOLE))
        elif isinstance(value, float):
            holder[key] = draw(st.one_of(st.sampled_from(REAL), st.none(), st.floats(allow_nan=False)))
        elif isinstance(value, str):
            holder[key] = draw(st.one_of(st.sampled_from(TEXTS), st.none()))
        elif isinstance(value, list):
            holder[key] = draw(st.sampled_from([[], value[:1], value * 2, None]))
        elif isinstance(value, dict):
            holder[key] = draw(st.sampled_from([{}, None]))
    return tree


# headers of arrays, of which most are true and some are not
SHAPES = st.one_of(
    st.sampled_from([
        (4, 8, 8), (4, 8, 8, 3), (4, 3, 8, 8), (4, 1, 8, 8), (0, 8, 8), (4, 0, 8), (), (4,), (2, 2, 2, 2, 2), (6,),
        (6, 6), (1, 6), (6, 1), (1,), (1, 1), (2**40, 8, 8), (-1, 8, 8), (0, 2**70), (2**70, 0, 8), (0, 2**40, 2**40),
        (True, 8), (True, 4, 8, 8),
    ]),
    st.lists(st.integers(0, 9), max_size=5).map(tuple),
)  # fmt: skip
DTYPES = st.sampled_from([
    *3 * ["|u1"], *2 * ["<f4", "<f8", "<f2"], "|i1", "|b1", ">f4", ">f8", "<f16", "<i8", ">i8", "<u8", "<i4", ">u2",
    "<c8", "<c16", "|O", "<U9", "|S7", "|V3", "<M8[s]", "<m8[D]",
])  # fmt: skip


@st.composite
def npy_files(draw: st.DrawFn, shapes: Any = SHAPES, dtypes: Any = DTYPES) -> bytes:
    """An `.npy` file of any shape and type, whose content may be other than it says."""
    shape, name = draw(shapes), draw(dtypes)
    fortran = draw(st.sampled_from([False, False, True, None, 1]))
    count = np.prod([float(side) for side in shape])
    size = int(count) * np.dtype(name).itemsize if 0 <= count < 1e5 else 0
    filled = draw(st.sampled_from(["levels", "levels", "ones", "noise", "zeros"]))
    values = {
        "zeros": bytes(size),
        "ones": b"\xff" * size,
        "noise": np.random.default_rng(size).bytes(size),
        "levels": (np.arange(size) % 251 if name == "|u1" else np.zeros(size)).astype("u1").tobytes(),
    }[filled]
    if name[1:] in ("f2", "f4", "f8") and filled == "levels":  # f16 has bytes that nobody sets
        values = np.linspace(-1, 2, size // np.dtype(name).itemsize).astype(name).tobytes()
    version = draw(st.sampled_from([1, 1, 1, 2, 3, 4]))
    text = repr({"descr": name, "fortran_order": fortran, "shape": shape}).encode() + b" " * 30 + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    content = b"\x93NUMPY" + bytes([version, 0]) + length + text + values
    return draw(damaged(content, least=1, most=2)) if draw(st.integers(0, 3)) == 0 else content


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of these, names that are there twice among them."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


@st.composite
def npz_files(draw: st.DrawFn, names: tuple[str, ...], members: Any = None) -> bytes:
    """An `.npz` with some arrays of these names, that may be damaged within, without, or not at all."""
    members = npy_files() if members is None else members
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4))
    method = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
    inside = [(f"{name}.npy", draw(members)) for name in chosen]
    content = zipped(inside, method)
    return draw(damaged(content)) if draw(st.integers(0, 2)) == 0 else content
