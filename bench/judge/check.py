"""The check for CI: is a run worse than its baseline? Records of both in, one line a number out. No torch.

What cannot be compared is refused in one sentence (another protocol, data, feature network, number of samples, sampler)
or skipped with one (speed and memory of another machine); nothing is compared in silence. What equal weights prove is
not tested; what is tested keeps the error rate of its category. docs/check.md has the rule in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from equibench.errors import UserError
from equibench.judge import older as older_noise
from equibench.judge.comparison import JUDGED
from equibench.judge.comparison import Check as Check
from equibench.judge.comparison import Comparison as Comparison
from equibench.judge.comparison import Verdict as Verdict
from equibench.judge.decide import Undecided, decide
from equibench.judge.floors import floor_lines
from equibench.judge.gates import Gates
from equibench.judge.matching import (
    matched,
    refuse_mixed_code,
    refuse_mixed_settings,
    refuse_other_data,
)
from equibench.judge.noisetest import Margins, Setting
from equibench.judge.notes import notes_of, notes_of_gates, notes_of_run
from equibench.judge.numbers import compared, number_lines
from equibench.judge.older import OlderNoise
from equibench.judge.proof import moved_besides
from equibench.judge.samenoise import Sides, arrays_beside, noise_lines
from equibench.judge.values import FOLDER, Row, stat_of_row
from equibench.judge.windows import window_lines
from equibench.quantities.glossary import known
from equibench.quantities.identity import name_of
from equibench.quantities.text import budget_words, join
from equibench.record import find
from equibench.record.schema import Record
from equibench.summary.sort import RowKey


def check(
    results: Sequence[Path],
    baseline: Sequence[Path],
    *,
    allow_vanished: bool = False,
    gates: Gates = Gates(),  # noqa: B008 (frozen)
    not_worse_than: Margins | None = None,
) -> Check:
    """Compare the records at `results` with those at `baseline`, in the noise of older baselines too where these left
    it. Raises UserError for what cannot be compared.
    """
    run, base = (find.read_all(list(paths)) for paths in (results, baseline))
    return compare(
        of_invocations(base),
        of_invocations(run),
        allow_vanished=allow_vanished,
        gates=gates,
        older=older_noise.read(baseline),
        not_worse_than=not_worse_than,
        arrays=Sides(arrays_beside(base), arrays_beside(run)),
    )


def compare(
    baseline: Sequence[Record],
    run: Sequence[Record],
    *,
    allow_vanished: bool = False,
    gates: Gates = Gates(),  # noqa: B008
    older: OlderNoise = OlderNoise(),  # noqa: B008
    not_worse_than: Margins | None = None,
    arrays: Sides | None = None,
) -> Check:
    """The same on records. `not_worse_than` are shares by category that the run is to be shown to be within; samples of
    the same noise are compared where `arrays` gives them. Raises UserError for what cannot be compared.
    """
    before, after = matched(baseline, run)
    setting = Setting(gates, older, not_worse_than or {})
    lines: list[Undecided] = []
    notes: list[str] = []
    for key in (key for key in before if key in after):
        refuse_other_data(key, before[key], after[key])
        lines += map(Undecided, _status(key, before[key], after[key]))
        if key.role == "floor":
            lines += map(Undecided, floor_lines(key, before[key], after[key]))
            continue
        for row, whose in ((before[key], "the baseline"), (after[key], "the run")):
            refuse_mixed_settings(key, row, whose)
        refuse_mixed_code(key, after[key])
        notes += notes_of(key, before[key], after[key])
        lines += _numbers(key, before[key], after[key], setting)
        if arrays:
            lines += map(Undecided, noise_lines(key, before[key], after[key], arrays, gates.same_noise))
    notes += [*notes_of_run(after), *notes_of_gates(gates, before, after)]
    for key in before:
        if key not in after:
            sentence = f"it vanished: the baseline has it with {budget_words(key.budget)}, the run does not"
            lines.append(
                Undecided(Comparison(str(key), "row", "skipped" if allow_vanished else "regression", sentence))
            )
    lines += [
        Undecided(
            Comparison(str(key), "row", "new", f"it is new: the baseline has none with {budget_words(key.budget)}")
        )
        for key in after
        if key not in before
    ]
    lines += map(Undecided, window_lines(gates.window, after))
    decided = decide(lines, gates)
    if setting.margins and all(line.margin is None for line in decided):
        raise UserError(f"no number of {join(setting.margins)} gates on both sides, so that nothing can be shown of it")
    if not any(line.verdict in JUDGED for line in decided):
        told = dict.fromkeys(line.sentence for line in decided if line.verdict != "reported")
        raise UserError("no number could be compared: " + ("; ".join(told) or "none gates"))
    return Check(decided, tuple(notes))


def read(paths: Sequence[Path]) -> list[Record]:
    """Records in files and folders, as `of_invocations` gives them."""
    return of_invocations(find.read_all(list(paths)))


def of_invocations(found: Sequence[tuple[Path, Record]]) -> list[Record]:
    """The records. Those that do not say which invocation they are of share one with their folder."""
    return [
        one if one.invocation else one.model_copy(update={"invocation": f"{FOLDER}{path.parent}"})
        for path, one in found
    ]


def _numbers(key: RowKey, baseline: Row, run: Row, setting: Setting) -> list[Undecided]:
    """The lines of an entrant's numbers: those that may gate, then all others that moved though the weights did not."""
    numbers = compared(key, baseline, run, setting.gates)
    lines = [line for number in numbers for line in number_lines(key, number, baseline, run, setting)]
    for path, proof in moved_besides(baseline, run, {number.path for number in numbers}):
        first = baseline[proof.moved[0]]
        had, has = ({seed: side[seed] for seed in proof.moved} for side in (baseline, run))
        quantity = known(path)
        lines.append(
            Undecided(
                Comparison(
                    str(key), name_of(first, path), "measurement error", proof.why, stat_of_row(path, had),
                    stat_of_row(path, has), quantity.category if quantity else None,
                )
            )
        )  # fmt: skip
    return lines


def _status(key: RowKey, baseline: Mapping[int, Record], run: Mapping[int, Record]) -> list[Comparison]:
    """Cells that are not ok, unless the baseline says the same of that seed."""
    if not any(one.status in ("ok", "incomplete") for one in baseline.values()):
        why = next(iter(baseline.values())).status
        return [Comparison(str(key), "row", "skipped", f"its baseline was {why}: there is nothing to be worse than")]
    lines = []
    for one in run.values():
        if one.status != "ok":
            known_before = one.seed in baseline and _ended_alike(baseline[one.seed], one)
            sentence = f"seed {one.seed} {one.status}: {one.reason or 'no reason was recorded'}"
            sentence += ", as in the baseline" if known_before else ""
            lines.append(Comparison(str(key), "row", "skipped" if known_before else "regression", sentence))
    return lines


def _ended_alike(before: Record, after: Record) -> bool:
    """Whether two cells that are not ok failed in the same way, in the same stages."""
    return before.status == after.status and before.failures.keys() >= after.failures.keys()
