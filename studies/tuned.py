"""What the studies of the shipped suites found: `python -m studies.tuned` writes docs/tuned.md from their files."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from equibench.quantities.text import number
from equibench.record.study import Study, Training, inline_table, read
from equibench.stats import Stat
from equibench.tune.study import left

ROOT = Path(__file__).parent.parent
FOLDER, PAGE = ROOT / "bench" / "suites" / "studies", ROOT / "docs" / "tuned.md"


def over_seeds(values: Sequence[float | None], digits: int) -> str:
    """Mean ± standard deviation; empty where a run has no number."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return ""
    found = Stat(tuple(known))
    return number(found.mean, digits) + (f" ± {number(found.sd, 2)}" if found.sd else "")


def finalist(study: Study, runs: Sequence[Training]) -> str:
    """A row: a candidate's full runs."""
    candidate = runs[0].candidate
    chosen = study.chosen is not None and study.chosen.candidate.number == candidate.number
    trial = next((one for one in study.trials if one.candidate.number == candidate.number), None)
    settings = {**candidate.config, **candidate.sampler}
    cells = [
        "as it stood" if candidate.number == study.start.number else f"trial {candidate.number + 1}",
        f"`{inline_table(settings)}`" if settings else "",
        number(trial.distance, 3) if trial and trial.distance is not None else "",
        over_seeds([one.distance for one in runs], 3),
        over_seeds([one.bits_per_dim for one in runs], 4),
    ]
    return f"| {' | '.join(f'**{cell}**' if chosen and cell and '`' not in cell else cell for cell in cells)} |"


def section(study: Study) -> str:
    """One entrant: what was tried, and how the finalists did."""
    numbers = list(dict.fromkeys(one.candidate.number for one in study.full_runs))
    rows = [finalist(study, [one for one in study.full_runs if one.candidate.number == n]) for n in numbers]
    distances = sorted(one.distance for one in study.trials if one.distance is not None)
    failed = len(study.trials) - len(distances)
    told = (
        f"distances from {number(distances[0], 3)} to {number(distances[-1], 3)}, half of them below "
        f"{number(distances[len(distances) // 2], 3)}"
        if distances
        else "none ended well"
    )
    space = ", ".join(f"`{name}`" for name in (*study.space.config, *study.space.sampler))
    minutes = number((study.train_sec or 0.0) / 60, 2)
    spent = f" All of it took {minutes} minutes of training ({study.machine.hardware})." if study.train_sec else ""
    commits = list(dict.fromkeys(code.commit[:8] for code in (study.code, *study.other_code) if code.commit))
    code = f" Code: {' and then '.join(commits)}." if commits else ""
    trials_left, full_left = (many for many, _ in left(study))
    unfinished = f" Unfinished, so that nothing is chosen: trials left {trials_left}, full runs left {full_left}."
    said = (
        f"Searched: {space}. {len(study.trials)} trials{f', of which {failed} failed' if failed else ''}, at "
        f"{study.search.share:g} of the budget: {told}. {len(study.full_runs)} full runs.{spent}{code}"
        f"{'' if study.chosen else unfinished}"
    )
    return "\n".join([f"## {study.suite}: {study.entrant}", "", textwrap.fill(said, 120), "", *HEAD, *rows])


HEAD = (
    "| Candidate | Settings | Distance as a trial | Distance at the whole budget | Bits/dim |",
    "| :--- | :--- | ---: | ---: | ---: |",
)
TEXT = """# What tuning found

`python -m studies.tuned` wrote this page from the studies in `bench/suites/studies`. [tuning.md](tuning.md) has the
rule. Distances and bits/dim are of validation images, and of models that trained on the other three quarters of the
training images: they are not those of a report. At the whole budget they are means ± standard deviations over the seeds
of the study. What was chosen is bold. A processor did other work as well, so its times are long.

{sections}
"""


def page(folder: Path) -> str:
    """Raises UserError where a file is no study."""
    return TEXT.format(sections="\n\n".join(section(read(path)) for path in sorted(folder.glob("*/*.json"))))


if __name__ == "__main__":
    PAGE.write_text(page(FOLDER))
