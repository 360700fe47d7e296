"""Work in a process of its own that is waited for: where it crashes, hangs or leaves its device in disorder, nothing of
it reaches what comes after.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from equibench.errors import first_line
from equibench.machine import processes
from equibench.machine.device import asked_precision, is_out_of_memory, multiplying_in, work_on


@dataclass(frozen=True)
class Answer:
    """What the work gave, as JSON holds it, or the reason why it gave nothing."""

    value: Any = None
    reason: str | None = None


def apart(work: Callable[..., Any], arguments: tuple[Any, ...], device: torch.device, limit_sec: float) -> Answer:
    """`work(device, *arguments)` in a fresh process that works on `device` with as many threads as this one, and
    multiplies in the same precision; ended after `limit_sec`. `work` is a function of a module that the process can
    import, and gives what JSON holds.

    Raises UserError where the system gives no process.
    """
    if not processes.available():
        return Answer(reason="this system has no fork server (Python's multiprocessing), in which it is measured")
    # its children start with nothing but what it imported, and have never touched a device
    receiver, sender = multiprocessing.get_context("forkserver").Pipe(duplex=False)
    kills = processes.out_of_memory_kills()
    process = processes.start(_work, (sender, torch.get_num_threads(), asked_precision(), str(device), work, arguments))
    sender.close()
    try:
        if not receiver.poll(limit_sec):
            return Answer(reason=f"no answer within {limit_sec:.0f} s")
        return Answer(**json.loads(receiver.recv_bytes()))
    except EOFError:  # the process died without a word
        process.join()
        return Answer(reason=processes.ending(process.exitcode, kills)[1])
    finally:
        receiver.close()
        processes.stop(process)


def _work(
    sender: Connection,
    threads: int,
    precision: str | None,
    device_name: str,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    processes.settle(Path(os.devnull))
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    try:
        work_on(device)
        with multiplying_in(precision):
            answer = {"value": work(device, *arguments)}
    except Exception as error:  # a user's own family may raise anything; what is not sent is a reason nobody hears
        answer = {"reason": "out of memory" if is_out_of_memory(error) else first_line(error)}
    sender.send_bytes(json.dumps(answer).encode())
