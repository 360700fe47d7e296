"""Tables and sentences of every verb: whole in logs, names as they are."""

import io
import re
import sys

import pytest
from fixtures import equibench
from rich.table import Table

from equibench.cli.options import console


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def printed(monkeypatch, stream, *things):
    monkeypatch.setattr(sys, "stdout", stream)
    screen = console()
    for thing in things:
        screen.print(thing)
    return stream.getvalue()


NAME = "ref[step=100]v[b]x[/] :smile: 12 'q'"


def test_text_of_users_is_no_markup(monkeypatch):
    table = Table("na[i]me", "value")
    table.add_row(NAME, "\x1b[2J\n")
    shown = printed(monkeypatch, io.StringIO(), table, f"against {NAME}", "a\nb\udcff")
    assert shown.count(NAME) == 2
    assert "na[i]me" in shown
    assert r"\x1b[2J\n" in shown
    assert r"a\nb\xff" in shown
    assert "\x1b" not in shown


def test_a_log_gets_whole_tables(monkeypatch):
    table = Table("name", "value")
    table.add_row("x" * 500, "y z " * 200)
    shown = printed(monkeypatch, io.StringIO(), table, "word " * 300)
    assert "x" * 500 in shown
    assert ("y z " * 200).strip() in shown
    assert ("word " * 300).strip() in shown
    assert "…" not in shown


def test_a_terminal_cuts_nothing(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    table = Table("name", "value")
    table.add_row("name", "y z " * 50)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", printed(monkeypatch, Terminal(), table)).splitlines()
    assert max(map(len, lines)) <= 40
    cells = [line.split("│") for line in lines]
    assert "".join(row[2] for row in cells if len(row) == 4).split() == ["y", "z"] * 50


def test_a_table_without_room_for_its_words_is_printed_row_by_row(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    table = Table("name", "value", "nothing", title="Both")
    table.add_row("abcdefghij" * 10, "y" * 100, "")
    table.add_row("short", "[b]12", "")
    shown = printed(monkeypatch, Terminal(), table)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 40
    assert "…" not in shown
    assert "│" not in shown
    words = "".join("".join(lines).split())
    assert words == "Both" + "abcdefghij" * 10 + "value:" + "y" * 100 + "shortvalue:[b]12"


@pytest.mark.parametrize("words", [["ls"], ["doctor"]])
def test_verbs_that_print_tables_print_them_whole(words):
    done = equibench(*words)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert len(rows) > 3
    assert "…" not in done.stdout
    assert all(line.split("│")[1].strip() for line in rows)  # no row goes on in the next line
