"""What a cell spent of what its budget allowed, in numbers and in words. Units are those of the record."""

from __future__ import annotations

from equibench.record.schema import SPENT_FIELD, Record, budget_missed


def allowed(record: Record) -> dict[str, float]:
    """Caps of a cell's budget by field of `Spent`; other fields have none."""
    if record.budget is None:
        return {}
    return {"params": record.budget.params, SPENT_FIELD[record.budget.unit]: record.budget.amount}


def used_percent(record: Record, field: str) -> float | None:
    """Per cent of the cap on a field of `Spent` that was used; None without a cap."""
    cap = allowed(record).get(field)
    return None if cap is None or record.spent is None else 100 * float(getattr(record.spent, field)) / cap


def missed_budget(record: Record) -> str:
    """Why a cell's spending is not what its budget allows, in words; empty if it is, or if nothing is known."""
    if record.status == "budget missed":
        return record.reason or "no reason was recorded"
    if record.spent is None or record.budget is None:
        return ""
    return budget_missed(record.budget, record.spent) or ""
