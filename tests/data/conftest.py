"""Data sets are looked for where a test puts them, and nowhere else."""

import pytest

from equibench.data import sets


@pytest.fixture(autouse=True)
def _no_other_sources(monkeypatch, tmp_path_factory):
    """Neither a cache nor the Debian package, unless a test asks for it."""
    monkeypatch.setattr(sets, "_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(sets, "_DEBIAN", sets._CACHE / "debian")
