"""A check as GitHub-flavoured Markdown: the verdict, what failed, what got better, and all lines folded away."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from equibench import outputs
from equibench.errors import UserError
from equibench.judge.check import Check, Comparison
from equibench.judge.comparison import FAILING
from equibench.judge.output import amount, label, percent, verdict
from equibench.quantities.text import MISSING, number
from equibench.terminal import visible

SUMMARY = "GITHUB_STEP_SUMMARY"
LARGEST_SUMMARY_BYTES = 2**20  # of a step's summary: GitHub shows nothing of a larger one
WAY_OUT = "give another file with --markdown"
MARK = "<!-- equibench summary -->"  # tells our files from others, which are not replaced
HEAD = ("entrant", "number", "baseline", "run", "worse by", "fails from", "p", "verdict", "why")


def text(check: Check, title: str = "equibench check", most_bytes: int = LARGEST_SUMMARY_BYTES) -> str:
    """The summary, of at most so many bytes in UTF-8: of what is longer the last lines are counted, not shown."""
    failed = [*check.errors, *check.regressions, *check.not_shown]
    parts = [MARK, f"## {_plain(title)}", _plain(verdict(check)), *_table(failed)]
    if better := [line for line in check.lines if _better(line)]:
        parts += ["**Better than the baseline**, by more than is allowed for worse:", *_table(better)]
    notes = "\n".join(f"- {_plain(note)}." for note in check.notes)
    if notes:
        parts.append(f"<details><summary>Notes ({len(check.notes)})</summary>\n\n{notes}\n\n</details>")
    whole = "\n\n".join(parts) + "\n"
    rest = _folded(check.lines, most_bytes - len(whole.encode()))
    return _cut(whole + rest, most_bytes)


def write(check: Check, path: Path, title: str = "equibench check") -> None:
    """The summary at `path`: appended to what GITHUB_STEP_SUMMARY names, printed for `-`, else a file of its own.

    Raises UserError as `refuse` does, and for a file that cannot be written.
    """
    if is_output(path):
        click.echo(text(check, title), nl=False)
    elif _is_step_summary(path):
        try:
            there = path.stat().st_size if path.exists() else 0
            said = text(check, title, LARGEST_SUMMARY_BYTES - there - 1)
            with path.open("a", encoding="utf-8") as stream:
                stream.write("\n" + said if there and said else said)
        except OSError as error:
            raise UserError(f"cannot write {path} ({error.strerror}); {WAY_OUT}") from None
    else:
        refuse(path)
        outputs.put(path, text(check, title).encode(), WAY_OUT)


def is_output(path: Path | None) -> bool:
    """Whether the summary is printed, in place of all else."""
    return str(path) == "-"


def refuse(path: Path, as_json: bool = False) -> None:
    """Raises UserError for a place where `write` may not write, before anything is compared."""
    if is_output(path):
        if as_json:
            raise UserError("--json and --markdown - would both be printed; give --markdown a file")
    elif not _is_step_summary(path):
        outputs.refuse_foreign(path, _is_ours, "a summary in Markdown", WAY_OUT)


def _is_step_summary(path: Path) -> bool:
    named = os.environ.get(SUMMARY)
    return bool(named) and os.path.abspath(path) == os.path.abspath(named or "")


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(MARK)) == MARK.encode()
    except OSError:
        return False


def _better(line: Comparison) -> bool:
    return (
        line.verdict in ("passed", "within")
        and line.worse_by is not None
        and line.tolerance is not None
        and line.worse_by < -line.tolerance
    )


def _table(lines: Sequence[Comparison]) -> Iterator[str]:
    if lines:
        yield "\n".join([*_head(), *map(_cells, lines)])


def _head() -> list[str]:
    return [_row(HEAD), _row([":---"] * len(HEAD))]


def _folded(lines: Sequence[Comparison], most_bytes: int) -> str:
    """All lines, as far as they fit."""
    head = "\n".join([f"\n<details><summary>All {len(lines)} lines</summary>\n", *_head(), ""])
    tail = "\n</details>\n"
    shown: list[str] = []
    left = most_bytes - len((head + tail).encode()) - 100
    for line in lines:
        row = _cells(line) + "\n"
        left -= len(row.encode())
        if left < 0:
            break
        shown.append(row)
    missing = len(lines) - len(shown)
    more = f"\n{missing:,} more lines are not shown; `--json` gives all.\n" if missing else ""
    return head + "".join(shown) + more + tail


def _cut(whole: str, most_bytes: int) -> str:
    """What failed alone may be too long; GitHub would show nothing of it."""
    content = whole.encode()
    if len(content) <= most_bytes:
        return whole
    kept = content[: max(most_bytes - 100, 0)].decode(errors="ignore").rpartition("\n")[0]
    return f"{kept}\n\nThe rest is too long for a summary; `--json` gives all.\n" if kept else ""


def _cells(line: Comparison) -> str:
    return _row(
        [
            _plain(line.row),
            _plain(label(line)),
            amount(line, line.baseline),
            amount(line, line.run),
            MISSING if line.worse_by is None else _plain(percent(line.worse_by)),
            MISSING if line.fails_from is None else _plain(percent(line.fails_from)),
            MISSING if line.p is None else number(line.p, 2),
            f"**{line.verdict}**" if line.verdict in FAILING else line.verdict,
            _plain(line.sentence),
        ]
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(said: str) -> str:
    """Text that Markdown, HTML and GitHub's own marks (@name, #1, :emoji:, links) leave as it is."""
    escaped = re.sub(r"[\\`*_{}\[\]<>&|~$!^=+]", lambda found: f"&#{ord(found[0])};", visible(said))
    escaped = re.sub(r"(?<!&)([@#])(?=\w)", r"\1<!-- -->", escaped)  # not that of &#42;
    escaped = re.sub(r":(?=[/\w+-])", ":<!-- -->", escaped)
    escaped = re.sub(r"(?i)\bwww\.", "www<!-- -->.", escaped)
    return re.sub(r"^(\s*)([-#>]|\d+(?=[.)]))", r"\1<!-- -->\2", escaped)
