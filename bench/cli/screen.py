"""Tables and sentences on a terminal, in a log or a pipe: whole, and with every name as it is."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
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

    def render_str(self, text: str, **options: Any) -> Text:
        """Called by rich for every string that it prints, in a table or outside."""
        return super().render_str(visible(text), **{**options, "emoji": False, "markup": False, "overflow": "fold"})
