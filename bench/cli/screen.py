"""Tables and sentences on a terminal, in a log or a pipe: whole, and with every name as it is."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from equibench.terminal import visible

LOG_COLUMNS = 100_000  # a log or a pipe does not say how wide it is: no table is wrapped or cut there


class Screen(Console):
    """A console that takes no text for markup, emoji or control codes, and cuts nothing off: what is too long for a
    terminal goes on in the next line. Style comes from `rich.text.Text` alone.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream is not None and stream.isatty() else LOG_COLUMNS
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def print(self, *things: Any, **options: Any) -> None:
        """A table that has not room for its words is printed row by row, a cell a line."""
        super().print(*(self._fitting(one) for one in things), **options)

    def _fitting(self, thing: Any) -> Any:
        if not isinstance(thing, Table):
            return thing
        unlimited = self.options.update(max_width=LOG_COLUMNS)
        return thing if thing.__rich_measure__(self, unlimited).minimum <= self.width else self._by_row(thing)

    def _by_row(self, table: Table) -> Group:
        columns = [(self.render_str(str(column.header)), list(column.cells)) for column in table.columns]
        lines: list[Any] = [self.render_str(str(table.title))] if table.title else []
        for row in range(table.row_count):
            (_, first), *others = ((header, cells[row]) for header, cells in columns)
            lines.append(self._cell(first))
            for header, cell in others:
                if (shown := self._cell(cell)).plain:
                    head = Text.assemble(header, ": ") if table.show_header and header.plain else Text()
                    lines.append(Padding(Text.assemble(head, shown, overflow="fold"), (0, 0, 0, 2)))
        return Group(*lines)

    def _cell(self, cell: Any) -> Text:
        return cell if isinstance(cell, Text) else self.render_str(str(cell))

    def render_str(self, text: str, **options: Any) -> Text:
        """Called by rich for every string that it prints, in a table or outside."""
        return super().render_str(visible(text), **{**options, "emoji": False, "markup": False, "overflow": "fold"})
