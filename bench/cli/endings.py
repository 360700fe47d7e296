"""How a command ends: its exit code (docs/exit-codes.md), and the sentence that says why."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import traceback
import warnings
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from equibench.errors import Remark, UserError, first_line
from equibench.terminal import visible

if TYPE_CHECKING:
    from typing_extensions import Buffer

WORSE = 1  # the verdict of `check`; that of `verify` is that something does not hold
FAILED = 2  # a mistake, a failing environment or a fault: nothing was judged
CELLS_NOT_OK = 3  # of `run`
SIGNALLED = 128  # and the signal's number on top, as shells show it
TRACEBACK = "EQUIBENCH_TRACEBACK"


class OutputError(OSError):
    """What was printed could not be written: unlike any other file's, this failure is of the one who reads."""


class Terminated(KeyboardInterrupt):
    """A signal other than Ctrl-C's that asks to end; whoever cleans up after the one does so after the other."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def prepare() -> None:
    """Streams that take every character, remarks as lines, and signals that end a command in good order."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: else the next file that is opened would be taken for the terminal
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 (open as long as the process is, as these three are)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, io.TextIOWrapper):
        raw = _Output(sys.stdout.fileno(), "wb", closefd=False)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw), sys.stdout.encoding, "backslashreplace", line_buffering=raw.isatty()
        )
    show_remarks()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # not where someone asked to ignore it, as `nohup` does
            signal.signal(number, _terminate)


def show_remarks() -> None:
    """Remarks become lines on stderr, each once; other warnings are shown as ever."""
    usual, seen = warnings.showwarning, set()

    def show(message: Warning | str, category: type[Warning], *rest: object, **named: object) -> None:
        if not issubclass(category, Remark):
            usual(message, category, *rest, **named)  # type: ignore[arg-type]
        elif (text := str(message)) not in seen:
            seen.add(text)
            say(f"note: {text}")

    warnings.showwarning = show
    warnings.simplefilter("always", Remark)


def say(sentence: str) -> None:
    """Print a sentence on stderr, in one line; where that cannot be written either, no one is there to tell."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(f"equibench: {visible(sentence)}", err=True)


def code_of(error: BaseException) -> int:
    """The exit code of what ended a command, said in a sentence where it is not a verdict."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        number = error.number if isinstance(error, Terminated) else signal.SIGINT
        say("stopped; what is finished is kept, and the same command goes on")
        return SIGNALLED + number
    if isinstance(error, UserError):
        say(str(error))
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    elif isinstance(error, click.ClickException):
        say(_usage(error))
    elif isinstance(error, OutputError):
        if error.errno == errno.EPIPE:
            return SIGNALLED + signal.SIGPIPE  # whoever read has seen enough
        say(f"cannot write the output ({error.strerror}); make room, or send it elsewhere")
    else:
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        say(_unforeseen(error))
    return FAILED


class _Output(io.FileIO):
    """Standard output, whose failures are told from those of files."""

    def write(self, content: Buffer, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from None


def leave(code: int) -> NoReturn:
    """End the process, and say nothing of an output that nobody takes."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _terminate(number: int, _: FrameType | None) -> NoReturn:
    raise Terminated(number)


def _usage(error: click.ClickException) -> str:
    """A mistake in options or arguments."""
    if isinstance(error, click.NoSuchOption):
        guess = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        text = f"no such option {error.option_name}{guess}"
    else:
        text = " ".join(error.format_message().split()).rstrip(".")
        text = text[:1].lower() + text[1:]
    context = getattr(error, "ctx", None)
    return f"{text} (`{context.command_path if context else 'equibench'} --help` shows what there is)"


def _unforeseen(error: BaseException) -> str:
    """What nothing else answers for: the environment where the system says so, or else a fault of ours."""
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename!s})" if error.filename is not None else ""
        return f"the system says: {error.strerror}{where}; mend that, and run the same command again"
    if _is_out_of_memory(error):
        return "there is not enough memory for this; close other programs, or give it less at once"
    if isinstance(error, SystemExit):
        return f"code that was called ended the program (exit code {error.code}); it has to return instead"
    return (
        f"this is a fault of equibench: {type(error).__name__}: {first_line(error)}; run it again with {TRACEBACK}=1 "
        "to see where, and report that"
    )


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if "torch" not in sys.modules or not isinstance(error, Exception):
        return False
    from equibench.machine.device import is_out_of_memory

    return is_out_of_memory(error)
