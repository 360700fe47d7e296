"""Text as a terminal may show it."""

import pytest

from equibench.terminal import visible, visible_lines


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
