"""Families by the names that installed packages give them: read without importing anything, and never in two ways."""

import re

import pytest

from equibench import suite
from equibench.errors import UserError
from equibench.suite import code_in
from equibench.usercode import entry_point


def install(folder, package, points):
    """A package's metadata, as pip leaves it."""
    place = folder / f"{package}-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (place / "entry_points.txt").write_text(f"[equibench.entrants]\n{lines}")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def with_family(name):
    return suite.changed(suite.load("smoke"), entrant=[{"name": "one", "family": name}])


def test_an_entry_point_names_a_class_that_nothing_imports_before_consent(site):
    (site / "broken_plugin.py").write_text("raise RuntimeError('it was imported')")
    install(site, "plugin", {"theirs": "broken_plugin:Theirs"})
    chosen = with_family("theirs")
    assert chosen.entrant[0].family == "broken_plugin:Theirs"
    assert code_in(chosen) == ["broken_plugin:Theirs"]


def test_an_editable_install_beside_another_is_one_and_a_clash_is_said(site):
    install(site, "plugin", {"theirs": "a:B"})
    install(site / "again", "plugin", {"theirs": "a:B"})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site / "again"))
        assert entry_point("theirs") == "a:B"
    install(site, "rival", {"theirs": "c:D"})
    with pytest.raises(UserError, match=re.escape("plugin and rival both name an entrant 'theirs'; uninstall one")):
        with_family("theirs")


def test_what_nobody_names_is_unknown(site):
    install(site, "plugin", {"theirs": "a:B"})
    assert entry_point("their") is None
    with pytest.raises(UserError, match="unknown family 'their'"):
        with_family("their")
