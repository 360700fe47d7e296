"""Entrants of `smoke` fitted to a budget."""

from __future__ import annotations

from equibench import suite
from equibench.run import plan
from equibench.suite import Cell, Entrant


def planned(family, budget, images, **config):
    entrant = Entrant(name=family, family=family, config={"batch_size": 8, **config})
    return plan.plan(Cell(suite.load("smoke"), family, 0, entrant, budget), images.shape)
