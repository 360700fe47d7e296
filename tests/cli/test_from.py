"""Several files in one command: each an entrant of the run, and said before anything is measured."""

from files_of_images import pixels, write_pngs
from fixtures import equibench


def test_several_files_are_several_entrants(tmp_path):
    for name in ("one", "two"):
        write_pngs(tmp_path / name, pixels(40, 28, 28))
    given = ["--from", tmp_path / "one", "--from", tmp_path / "two"]
    done = equibench("run", "smoke", *given, "--device", "cpu", "--dry-run", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for name in ("one", "two"):
        assert f"{name} would be measured on fashion-mnist-10k, without training." in done.stdout
    assert "FLOPs an update" not in done.stdout  # of a plan without anything to train


def test_a_file_that_is_nothing_of_use_is_a_sentence(tmp_path):
    (tmp_path / "x.txt").write_text("nothing")
    done = equibench("run", "smoke", "--from", tmp_path / "x.txt", "--device", "cpu", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot read the checkpoint" in done.stderr
    assert not (tmp_path / "out").exists()
