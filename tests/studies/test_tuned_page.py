"""docs/tuned.md, against the studies' own numbers."""

import json
import statistics

import pytest

from studies.tuned import FOLDER, PAGE, page

STUDIES = sorted(FOLDER.glob("*/*.json"))
UNFINISHED = [path for path in STUDIES if json.loads(path.read_text())["chosen"] is None]
FINISHED = [path for path in STUDIES if path not in UNFINISHED]


def name(path):
    return f"{path.parent.name}-{path.stem}"


def test_the_page_is_what_the_studies_say():
    assert page(FOLDER) == PAGE.read_text()


def sections(path):
    return [part for part in PAGE.read_text().split("\n## ") if part.startswith(f"{path.parent.name}: {path.stem}\n")]


@pytest.mark.parametrize("path", UNFINISHED, ids=name)
def test_where_a_study_is_unfinished_nothing_is_bold_and_what_is_left_is_said(path):
    study = json.loads(path.read_text())
    (section,) = sections(path)
    assert "**" not in section
    full_runs = (1 + study["search"]["best"]) * len(study["search"]["seeds"])
    trials_left = study["search"]["trials"] - len(study["trials"])
    said = f"trials left {trials_left}, full runs left {full_runs - len(study['full_runs'])}."
    assert said in " ".join(section.split())


@pytest.mark.parametrize("path", FINISHED, ids=name)
def test_what_was_chosen_is_bold_and_has_the_least_mean_of_those_that_keep_their_likelihood(path):
    study = json.loads(path.read_text())
    runs = {}
    for run in study["full_runs"]:
        runs.setdefault(run["candidate"]["number"], []).append(run)
    means = {n: statistics.mean(run["distance"] for run in found) for n, found in runs.items()}
    bits = {n: statistics.mean(run["bits_per_dim"] or 0.0 for run in found) for n, found in runs.items()}
    kept = [n for n in runs if bits[n] <= bits[0] + study["search"]["worse_bits_per_dim"]]
    best = min(kept, key=means.get)
    assert study["chosen"]["candidate"]["number"] == best
    (section,) = sections(path)
    (bold,) = [line for line in section.splitlines() if line.startswith("| **")]
    sd = statistics.stdev(run["distance"] for run in runs[best])
    assert f"**{means[best]:.0f} ± {sd:.2g}**" in bold
    assert bold.startswith("| **as it stood**" if best == 0 else f"| **trial {best + 1}**")
