"""The skeleton works as it is written, and the guide adds a fifth family in under 100 lines that is this one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures import equibench

from equibench import suite
from equibench.conformance.skeleton import EXAMPLE, class_name, write
from equibench.errors import UserError
from equibench_models import FAMILIES

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "own-models.md").read_text()


def test_what_is_written_keeps_the_contract_by_its_own_test(tmp_path):
    done = equibench("new-model", "my_flow", "--out", tmp_path / "mine")
    assert done.returncode == 0, done.stderr
    assert "equibench validate my_flow:MyFlow" in done.stdout
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_flow.py"],
        cwd=tmp_path / "mine", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout
    assert re.search(r"1[0-9] passed", tests.stdout)
    looked = equibench("validate", "my_flow:MyFlow", cwd=tmp_path / "mine")
    assert looked.returncode == 0, looked.stderr + looked.stdout
    assert "All claims that apply to my_flow:MyFlow hold." in looked.stdout


def test_its_suite_has_it_beside_the_four_families(tmp_path):
    write("mine", tmp_path)
    found = suite.load(str(tmp_path / "mine.toml"))
    assert [entrant.family for entrant in found.entrant] == [*FAMILIES, "mine:Mine"]
    assert found.budget == suite.load("quick").budget


def test_a_claim_that_fails_is_said_and_is_exit_code_1(tmp_path):
    write("mine", tmp_path)
    file = tmp_path / "mine.py"
    file.write_text(file.read_text().replace("return self._nats(images)", "return self._nats(images) - 1"))
    done = equibench("validate", "mine:Mine", cwd=tmp_path)
    assert done.returncode == 1
    assert "1 of 13 claims do not hold: the probabilities of all images sum to what is claimed." in done.stdout


@pytest.mark.parametrize("name", ["My", "a-b", "class", "1x", ""])
def test_a_name_that_no_module_can_have_is_a_sentence(tmp_path, name):
    with pytest.raises(UserError, match="is no name of a module"):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["torch", "json", "sys", "equibench"])
def test_a_name_that_would_hide_an_installed_module_is_a_sentence(tmp_path, name):
    with pytest.raises(UserError, match="is the name of a module that is installed here"):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_name_of_a_family_is_a_sentence(tmp_path, name):
    """In the suite it would stand in place of that entrant, not beside it."""
    with pytest.raises(UserError, match="is the name of a family, which it stands beside"):
        write(name, tmp_path)


def test_a_folder_here_of_that_name_is_no_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert write("mine", tmp_path)
    with pytest.raises(UserError, match=r"mine\.py is there already"):
        write("mine", tmp_path)


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "test_mine.py").write_text("kept")
    with pytest.raises(UserError, match=r"test_mine\.py is there already"):
        write("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]


def test_the_guide_shows_the_family_that_is_written():
    (shown,) = re.findall(r"```python\n(\"\"\"A family.*?)```", GUIDE, re.DOTALL)
    assert shown == EXAMPLE.read_text()
    assert len(shown.splitlines()) < 100
    assert class_name("two_words") == "TwoWords"
