"""The command line: parses, makes frozen values, calls one function. What takes long to import is imported by verbs."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from equibench.cli import (
    archive,
    cache,
    conformance,
    endings,
    export,
    history,
    judge,
    look,
    measure,
    plan,
    report,
    run,
    selftest,
    status,
    tune,
    turns,
)
from equibench.errors import UserError, nearest
from equibench.machine.cores import limit_threads
from equibench.protocol import PROTOCOL, __version__

PROGRAM, COMPLETE = "equibench", "_EQUIBENCH_COMPLETE"
EXIT_CODES = (
    "Exit codes: 0 done, and as it should be; 1 worse, or does not hold (check, turns, verify, validate, selftest); "
    "2 a mistake, a failing environment or a fault; 3 a cell is not ok (run); 128 and more: stopped by "
    "a signal (130 by Ctrl-C). "
    "\n\n\b\nMore of them: docs/exit-codes.md"
)


class Verbs(click.Group):
    """Answers an unknown verb with the nearest known one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise UserError(f"unknown command {args[0]!r}{nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="equibench", message=f"%(prog)s %(version)s, protocol {PROTOCOL}")
def cli() -> None:
    """Compare GAN, VAE, normalizing flow and diffusion under equal budgets.

    \b
    A first session:
      equibench doctor                      what is on this machine
      equibench plan quick                  what a run would cost
      equibench run quick                   train, measure and report; resumes if it was stopped
      equibench status results/quick        what is done, running, failed and remaining
      equibench baseline results/quick --out results/baseline      what a check compares with
      equibench check results/quick --baseline results/baseline    worse than before?
      equibench measure samples/ --dataset fashion-mnist-10k    samples of any tool
    """


ROOMS = (
    plan, run, tune, status, measure, report, history, archive, export, look, selftest, judge, turns, conformance,
    cache,
)  # fmt: skip
for room in ROOMS:
    for verb in room.VERBS:
        cli.add_command(verb)


def main() -> None:
    """Entry point: whatever is no verdict ends in one sentence on stderr."""
    if COMPLETE in os.environ:  # a shell asks what may follow
        cli.main(prog_name=PROGRAM)
    try:
        endings.prepare()
        limit_threads()
        with cli.make_context(PROGRAM, sys.argv[1:]) as context:
            cli.invoke(context)
        sys.stdout.flush()
        code = 0
    except BaseException as error:
        try:
            code = endings.code_of(error)
        except KeyboardInterrupt as again:  # from someone who does not wait
            code = endings.code_of(again)
    endings.leave(code)
