"""Text as a terminal may show it."""

import json

import pytest

from equibench.terminal import ascii_json, visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ref[step=100]v[b] :smile: [/] 'x' \\n é 猫 👩‍💻", "ref[step=100]v[b] :smile: [/] 'x' \\n é 猫 👩‍💻"),
        ("\x1b[2J\x07\x00\x7f\x9b", r"\x1b[2J\x07\x00\x7f\x9b"),
        ("a\nb\tc\rd\x0b", r"a\nb\tc\rd\x0b"),
        ("gpj.\u202eexe\u2066\u200f\u2028\ufeff", r"gpj.\u202eexe\u2066\u200f\u2028\ufeff"),
        (b"caf\xe9.json".decode("utf-8", "surrogateescape"), r"caf\xe9.json"),
        ("\ud800", r"\ud800"),
    ],
)
def test_names_stay_as_they_are_and_controls_are_seen(text, shown):
    assert visible(text) == shown
    assert visible(text).isprintable() or "‍" in text
    visible(text).encode()  # no half characters are left


def test_lines_stay_lines():
    assert visible_lines("a\n\x1bb\n") == "a\n\\x1bb\n"


@pytest.mark.parametrize("value", ["±", "👩‍💻\x7f\x9b\u2028", "\ud800", {"é": ["a\nb", 1.5]}])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_beyond_ascii_is_the_same_json(value, indent):
    text = ascii_json(json.dumps(value, ensure_ascii=False, indent=indent))
    assert text.isascii()
    assert json.loads(text) == value
