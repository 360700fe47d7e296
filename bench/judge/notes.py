"""What a reader of the verdicts should know of a row beside its lines."""

from __future__ import annotations

from equibench.errors import nearest
from equibench.judge.gates import Gates
from equibench.judge.proof import first_difference
from equibench.judge.values import Row
from equibench.quantities.text import join
from equibench.summary.codes import code_of, same_weights
from equibench.summary.sort import RowKey, Rows


def notes_of(key: RowKey, baseline: Row, run: Row) -> list[str]:
    """Sentences without their full stop."""
    notes = [*_config(key, baseline, run), *_seeds(key, baseline, run), *_weights(key, baseline, run)]
    for whose, row in (("the baseline's", baseline), ("the run's", run)):
        notes += [f"{key}: {whose} {words}" for words in same_weights(list(row.values()))]
    codes = {code_of(one) for one in baseline.values() if one.code.sources_sha256}
    if len(codes) > 1:
        notes.append(f"{key}: the baseline's seeds come from {len(codes)} versions of the code; noise is within each")
    return notes


def notes_of_run(run: Rows) -> list[str]:
    """What a reader should know of the run as a whole."""
    firsts = {key: next(iter(row.values())) for key, row in run.items() if key.role == "entrant"}
    codes = {key: code_of(one) for key, one in firsts.items() if one.code.sources_sha256}
    if len(set(codes.values())) < 2:
        return []
    told = join(f"{key} from {code[:8]}" for key, code in codes.items())
    return [f"the run comes from {len(set(codes.values()))} versions of the code: {told}"]


def _config(key: RowKey, baseline: Row, run: Row) -> list[str]:
    old, new = (next((one.config for one in row.values() if one.config), {}) for row in (baseline, run))
    changed = [f"{name} {old.get(name)} -> {new.get(name)}" for name in sorted({*old, *new}) if _differ(name, old, new)]
    return [f"{key}: its config changed: {join(changed)}"] if changed and new else []


def _differ(name: str, old: object, new: object) -> bool:
    assert isinstance(old, dict)
    assert isinstance(new, dict)
    return bool(old.get(name) != new.get(name))


def _seeds(key: RowKey, baseline: Row, run: Row) -> list[str]:
    missing = sorted(set(baseline) - set(run))
    if not missing or not set(baseline) & set(run):  # other seeds altogether are another draw, none of them missing
        return []
    return [f"{key}: the run lacks seed{'s' * (len(missing) > 1)} {join(map(str, missing))} of the baseline"]


def _weights(key: RowKey, baseline: Row, run: Row) -> list[str]:
    """Seeds that trained to other weights on the baseline's machine, with what differs."""
    other = [
        seed
        for seed in sorted(set(baseline) & set(run))
        if (a := baseline[seed]).machine.key == (b := run[seed]).machine.key
        and a.weights_sha256
        and b.weights_sha256
        and a.weights_sha256 != b.weights_sha256
    ]
    if not other or not key.budget or key.budget.unit == "sec":
        return []
    why = first_difference(baseline[other[0]], run[other[0]])
    return [
        f"{key}: seed{'s' * (len(other) > 1)} {join(map(str, other))} gave other weights than in the baseline, on the "
        f"same machine: {why or 'the code, or its determinism, changed'}"
    ]


def notes_of_gates(gates: Gates, before: Rows, after: Rows) -> list[str]:
    """Entrants of a gates file that neither side has: it may serve several suites, or misspell a name."""
    names = sorted({key.entrant for key in (*before, *after)})
    return [
        f"the gates file has a table for {name}, which neither side has{nearest(name, names)}"
        for name in gates.entrant
        if name not in names
    ]
