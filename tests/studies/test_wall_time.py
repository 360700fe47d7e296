"""Where the wall time goes: sums by hand, and the published records."""

import fixtures
import pytest
from click.testing import CliRunner

from equibench.errors import UserError
from equibench.record import files
from studies import wall_time

GAN = [
    {"train": 80.0, "features": 10.0, "other": 10.0, "wall": 100.0},
    {"train": 90.0, "features": 10.0, "sample": 2.0, "other": 18.0, "wall": 120.0},
]


def records():
    gan = [fixtures.make("gan", seed, clock=clock) for seed, clock in enumerate(GAN)]
    vae = fixtures.make("vae", clock={"train": 60.0, "other": 1.0, "wall": 61.0})
    floor = fixtures.floor("uniform", bits=8.0).model_copy(update={"clock": {"likelihood": 0.5, "wall": 0.5}})
    return [*gan, vae, floor]


def test_seeds_are_averaged_and_entrants_added():
    found = wall_time.seconds(records())
    assert found["gan"] == {"train": 85.0, "features": 10.0, "sample": 1.0, "other": 14.0, "wall": 110.0}
    total = wall_time.sums(found)
    assert total == {
        "train": 145.0, "other": 15.0, "features": 10.0, "sample": 1.0, "likelihood": 0.5, "wall": 171.5,
    }  # fmt: skip
    assert list(total)[-1] == "wall"
    assert sum(total.values()) == 2 * total["wall"]


def test_the_table_has_a_line_a_part_and_what_was_before():
    found = wall_time.seconds(records())
    lines = wall_time.table(found, {"train": 100.0, "annealing": 7.0, "wall": 107.0}).splitlines()
    assert lines[0] == "| Seconds | gan | vae | all others | sum | share | before |"
    assert "| train | 85.0 | 60.0 | 0.0 | 145.0 | 84.5 % | 100.0 |" in lines
    assert "| annealing | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 % | 7.0 |" in lines
    assert lines[-1] == "| wall | 110.0 | 61.0 | 0.5 | 171.5 | 100.0 % | 107.0 |"


def test_the_command_reads_folders_and_refuses_what_holds_no_clock(tmp_path):
    for record in records():
        files.write(record, tmp_path / "run")
    shown = CliRunner().invoke(wall_time.main, [str(tmp_path / "run"), "--before", str(tmp_path / "run")])
    assert shown.exit_code == 0
    assert "| wall | 110.0 | 61.0 | 0.5 | 171.5 | 100.0 % | 171.5 |" in shown.output
    missing = CliRunner().invoke(wall_time.main, [str(tmp_path / "none")])
    assert missing.exit_code == 2
    with pytest.raises(UserError, match="none of these records has a clock"):
        wall_time.seconds([fixtures.make("gan", clock={})])
