"""docs/check.md says what the check does: its limits, its example, its gates file."""

import re
from pathlib import Path

import pytest
from fixtures import make
from judging import SEEDS, changed

from equibench.judge import gatesfile
from equibench.judge.check import compare
from equibench.judge.gates import ALPHAS, USUAL

PAGE = (Path(__file__).parent.parent.parent / "docs" / "check.md").read_text()
OTHERS = [make(family, seed) for family in ("vae", "flow", "diffusion") for seed in SEEDS]


def gan(values, first):
    return [
        changed(make("gan", first + i, speed=None, memory=None), quality={"value": value, "stderr": 2.0})
        for i, value in enumerate(values)
    ]


def numbers_after(words, n):
    """The next numbers of the page after some words of its example."""
    _, _, rest = " ".join(PAGE.split()).partition(words)
    return [float(found) for found in re.findall(r"\d+\.\d+", rest)[:n]]


FIRST = numbers_after("The GAN's FD is", 6)


@pytest.mark.parametrize("run", [FIRST[3:], numbers_after("Had the run given", 3)])
def test_the_example_is_what_the_check_says(run):
    baseline = FIRST[:3]
    found = compare([*gan(baseline, 0), *OTHERS], [*gan(run, 3), *OTHERS])
    line = next(line for line in found.lines if (line.row, line.number) == ("gan", "FD_5k"))
    assert f"> {line.verdict}: {line.sentence}\n" in PAGE
    if line.verdict == "passed":
        assert f"The mean is {100 * line.worse_by:.1f} % higher" in PAGE
        assert f"p after Holm's correction is {line.p:.3f}, above {line.alpha:g}" in PAGE


def test_the_table_has_the_usual_limits():
    for category, alpha in ALPHAS.items():
        (row,) = re.findall(rf"^\| {category} \|.*$", PAGE, re.MULTILINE)
        limits, scale = USUAL[category], 1 if category == "likelihood" else 100
        assert f"| {100 * alpha:g} % |" in row
        assert f"| {scale * limits.tolerance:g} {'bits/dim' if scale == 1 else '%'} |" in row
        assert f"{scale * limits.prior.sd:g} " in row
        assert f"({limits.prior.df:g} d.f.)" in row


def test_the_gates_file_is_one(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "gates.toml").write_text(text)
    gates = gatesfile.read(tmp_path / "gates.toml")
    assert gates.limits("diffusion", "quality.value").prior == (0.07, 20)
    assert gates.gated("gan", "quality") == ["quality.value", "quality.also.recall"]
    assert gates.window[0].high == 416
