"""What is taken for a version, and what is said of one that does not answer."""

import os
import sys

import pytest
from fixtures import ROOT

from equibench.errors import UserError
from equibench.judge import sides
from equibench.judge.sides import Side, side_at


def executable(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return path


def test_an_executable_an_environment_and_a_checkout(tmp_path):
    python = executable(tmp_path / "env" / "bin" / "python", "exit 0")
    links = tmp_path / "links"
    assert side_at("old", python, links, own=False).python == str(python)
    assert side_at("old", tmp_path / "env", links, own=False).python == str(python)
    found = side_at("old", ROOT, links, own=False)
    assert found.python == sys.executable
    assert found.path == (str(links),)
    assert (links / "equibench").resolve() == ROOT / "bench"
    assert (links / "equibench_models").resolve() == ROOT / "models"


def test_an_environment_s_link_is_not_followed(tmp_path):
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "python").symlink_to(sys.executable)
    assert side_at("new", tmp_path / "env", tmp_path / "links", own=False).python == str(tmp_path / "env/bin/python")


def test_a_project_of_one_s_own_gives_its_modules_and_is_where_it_runs(tmp_path):
    (tmp_path / "mine.py").touch()
    found = side_at("old", tmp_path, tmp_path / "links", own=True)
    assert found.folder == tmp_path
    assert found.path[0] == str(tmp_path)


@pytest.mark.parametrize("own", [False, True])
def test_anything_else_is_refused(tmp_path, own):
    with pytest.raises(UserError, match=r"there is no .*nowhere; give a Python executable, an environment's folder"):
        side_at("old", tmp_path / "nowhere", tmp_path / "links", own)
    if not own:
        with pytest.raises(UserError, match=r"is neither an environment .* nor a checkout of equibench"):
            side_at("old", tmp_path, tmp_path / "links", own)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo Oh >&2; echo no >&2; exit 7", r"ended as it was timed with gan, with code 7 \(no\)"),
        ("exit 0", r"with code 0 \(without a word\)"),
        ("echo 5", r"with code 0 \(without a word\)"),
        ('echo \'{"too_old": "it has no x"}\'', "the old version, .*, is too old for this, .*: it has no x"),
        ('echo \'{"failed": "Bad: luck"}\'', r"failed as it was timed with gan \(Bad: luck\)"),
    ],
)
def test_a_version_that_gives_no_answer_is_a_sentence(tmp_path, script, sentence):
    side = Side("old", tmp_path, str(executable(tmp_path / "python", script + "\n")))
    with pytest.raises(UserError, match=sentence) as found:
        side.turn({}, "gan")
    assert "\n" not in str(found.value)


def test_what_is_no_program_and_what_hangs(tmp_path, monkeypatch):
    (tmp_path / "python").touch()
    with pytest.raises(UserError, match=r"cannot run .*python \(Permission denied\)"):
        Side("new", tmp_path, str(tmp_path / "python")).turn({}, "gan")
    monkeypatch.setattr(sides, "LIMIT_SEC", 0.1)
    with pytest.raises(UserError, match="took more than 0 s for a turn of gan"):
        Side("new", tmp_path, str(executable(tmp_path / "python", "exec sleep 60\n"))).turn({}, "gan")


def test_what_python_finds_by_its_path_is_not_put_in_place_of_both_versions(tmp_path, monkeypatch):
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    (tmp_path / "with" / "equibench").mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "with"), str(tmp_path / "without")]))
    side = Side("old", tmp_path, str(executable(tmp_path / "python", 'echo "{\\"path\\": \\"$PYTHONPATH\\"}"\n')))
    assert side.turn({}, "gan")["path"] == str(tmp_path / "without")
