"""What a cell spent of what its budget allowed, in numbers and in words. Units are those of the record."""

from __future__ import annotations

from equibench.protocol import LEAST_SHARE_OF_CAP, MOST_OF_SECONDS
from equibench.record.schema import Budget, BudgetUnit, Record, Spent

SPENT_FIELD: dict[BudgetUnit, str] = {"flops": "flops", "images": "images", "sec": "train_sec", "updates": "updates"}


def allowed(record: Record) -> dict[str, float]:
    """Caps of a cell's budget by field of `Spent`; other fields have none."""
    if record.budget is None:
        return {}
    return {"params": record.budget.params, SPENT_FIELD[record.budget.unit]: record.budget.amount}


def used_percent(record: Record, field: str) -> float | None:
    """Per cent of the cap on a field of `Spent` that was used; None without a cap."""
    cap = allowed(record).get(field)
    return None if cap is None or record.spent is None else 100 * float(getattr(record.spent, field)) / cap


def kept_budget(record: Record) -> bool:
    """Whether a cell that was measured may be ranked: not where it missed its budget, a failed stage besides or not."""
    return record.status == "ok" or (record.status == "incomplete" and not missed_budget(record))


def missed_budget(record: Record) -> str:
    """Why a cell's spending is not what its budget allows, in words; empty if it is, or if nothing is known."""
    if record.status == "budget missed":
        return record.reason or "no reason was recorded"
    if record.spent is None or record.budget is None:
        return ""
    return budget_missed(record.budget, record.spent) or ""


def budget_missed(budget: Budget, spent: Spent) -> str | None:
    """Why the budget counts as missed, or None. Training stops before the update that would overspend, so that up to a
    whole update may be left over. Seconds may be overspent a little, as the last update may be the slowest.
    """
    if not LEAST_SHARE_OF_CAP * budget.params <= spent.params <= budget.params:
        return f"{spent.params} parameters are not 95 to 100 % of the cap of {budget.params}"
    used = float(getattr(spent, SPENT_FIELD[budget.unit]))
    most = budget.amount * (MOST_OF_SECONDS if budget.unit == "sec" else 1)
    if used > most or used < LEAST_SHARE_OF_CAP * budget.amount - used / max(spent.updates, 1):
        return f"{used:g} {budget.unit} were spent of {budget.amount:g}"
    return None
