"""Plans an entrant of a user's own in a process apart: to count an update is to run code that may end or hang it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection

import torch

from equibench.errors import UserError
from equibench.machine import processes
from equibench.run.plan import Plan, plan
from equibench.run.train import Allowance
from equibench.suite import Cell
from equibench_models import FAMILIES
from equibench_models.contract import Shape

LIMIT_SEC = 120.0
LOOK_SEC = 1.0


def isolated_plan(cell: Cell, shape: Shape, alive: Callable[[], None] = lambda: None) -> Plan | None:
    """`plan`, which may raise UserError; None where the entrant's own code ended its process, or hung: what it does in
    its cell is that cell's reason. `alive` is called about every second meanwhile.
    """
    assert cell.entrant is not None
    assert cell.budget is not None
    if cell.entrant.family in FAMILIES:
        return plan(cell, shape)
    receiver, sender = get_context("forkserver").Pipe(duplex=False)
    before = processes.children()
    process = processes.start(_plan, (sender, cell, shape, torch.get_num_threads()))
    sender.close()
    try:
        deadline_sec = time.monotonic() + LIMIT_SEC
        while not connection.wait([receiver, process.sentinel], timeout=LOOK_SEC) and time.monotonic() < deadline_sec:
            alive()
        if not receiver.poll(0):
            return None
        found = json.loads(receiver.recv_bytes())
    except (EOFError, OSError, ValueError):
        return None
    finally:
        processes.end(process, before)
        receiver.close()
    if "mistake" in found:
        raise UserError(found["mistake"])
    batch_size, flops_per_update, cycle = found["allowance"]
    allowance = Allowance(cell.budget, batch_size, flops_per_update, tuple(cycle))
    return Plan(cell, found["config"], found["params"], allowance, found["state_bytes"])


def _plan(sender: Connection, cell: Cell, shape: Shape, threads: int) -> None:
    processes.settle()
    torch.set_num_threads(threads)
    try:
        found = plan(cell, shape)
        allowance = found.allowance.batch_size, found.allowance.flops_per_update, found.allowance.cycle
        answer = {
            "config": found.config, "params": found.params, "allowance": allowance, "state_bytes": found.state_bytes,
        }  # fmt: skip
    except UserError as error:
        answer = {"mistake": str(error)}
    sender.send_bytes(json.dumps(answer).encode())
