"""Names and versions that are certain, hashes only where someone hashed the file, and nothing that is an address."""

import hashlib
import importlib
import json
import re

import pytest
from packaging.requirements import Requirement

from equibench.archive.requirements import Package, packages, text_of
from equibench.errors import UserError

A, B, C = "a" * 64, "b" * 64, "c" * 64


def installed(folder, name, version, requires=(), files=(), url=None):
    """A package as an installer leaves it."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
    (info / "RECORD").write_text("".join(f"{line}\n" for line in files))
    if url is not None:
        (info / "direct_url.json").write_text(json.dumps(url))
    return info


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A place with a few packages, and no others to be seen."""
    folder = tmp_path / "site"
    needs = ["alpha>=1", 'Beta.Two[fast]; python_version > "3"', 'never; extra == "dev"']
    installed(folder, "equibench", "0.1.0", needs)
    installed(folder, "alpha", "1.5", ["gamma"], ["alpha/x.py,sha256=abc,3", "alpha/y.pyc,,", "../../bin/a,sha256=d,4"])
    installed(folder, "beta-two", "2.0", ['delta; extra == "fast"', 'never; extra == "slow"'])
    for name in ("gamma", "delta", "never", "other"):
        installed(folder, name, "3.0")
    monkeypatch.setattr("sys.path", [str(folder)])
    importlib.invalidate_caches()
    return folder


def named(found):
    return {one.name: one.version for one in found}


def test_what_equibench_needs_and_no_more():
    assert named(packages({})) == {"alpha": "1.5", "beta-two": "2.0", "delta": "3.0", "gamma": "3.0"}


def test_versions_of_the_records_count():
    found = {one.name: one for one in packages({"Beta_Two": "1.9", "torch": "2.5+cpu"})}
    assert (found["beta-two"].version, found["beta-two"].recorded) == ("1.9", True)
    assert (found["torch"].version, found["torch"].files_sha256) == ("2.5+cpu", None)
    assert not found["alpha"].recorded


def test_what_is_no_name_or_version_is_left_out():
    odd = {"--index-url http://x": "1", "x": "1 --hash=sha256:0", "y": "2\n-r z", "../z": "1"}
    assert named(packages(odd)).keys() == {"alpha", "beta-two", "delta", "gamma"}


def test_the_list_of_installed_files_is_that_of_the_wheel(place):
    """By hand: one line, without byte code, scripts and what an installer wrote of itself."""
    before = next(one for one in packages({}) if one.name == "alpha").files_sha256
    assert before == hashlib.sha256(b"alpha/x.py,sha256=abc").hexdigest()
    with (place / "alpha-1.5.dist-info" / "RECORD").open("a") as stream:
        stream.write("alpha-1.5.dist-info/INSTALLER,sha256=e,4\nalpha-1.5.dist-info/RECORD,,\n")
    assert next(one for one in packages({}) if one.name == "alpha").files_sha256 == before


def test_no_hash_is_made_up():
    found = packages({})
    assert [one.hashes for one in found] == [()] * 4
    text = text_of(found, ["about"])
    assert "--hash" not in text
    assert not re.search(r"[0-9a-f]{64}", text)
    assert "# alpha, beta-two, delta, gamma." in text
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "alpha==1.5", "beta-two==2.0", "delta==3.0", "gamma==3.0",
    ]  # fmt: skip


LOCKS = {
    "requirements.txt": f"alpha==1.5 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n    # via x\n"
    f"Beta_Two[fast]==2.0 ; python_version > '3' --hash=sha256:{C}\ngamma==9.9 --hash=sha256:{A}\n-e .\n",
    "pylock.toml": "lock-version = '1.0'\n[[packages]]\nname = 'alpha'\nversion = '1.5'\n"
    f"sdist = {{ url = 'https://x.invalid/a', hashes = {{ sha256 = '{A}' }} }}\n"
    f"wheels = [{{ name = 'a.whl', hashes = {{ sha256 = '{B}' }} }}]\n"
    f"[[packages]]\nname = 'beta-two'\nversion = '2.0'\narchive = {{ path = 'x', hashes = {{ sha256 = '{C}' }} }}\n"
    f"[[packages]]\nname = 'gamma'\nversion = '9.9'\nwheels = [{{ hashes = {{ sha256 = '{A}' }} }}]\n",
    "uv.lock": f"[[package]]\nname = 'alpha'\nversion = '1.5'\nsdist = {{ url = 'u', hash = 'sha256:{A}' }}\n"
    f"wheels = [{{ url = 'u', hash = 'sha256:{B}' }}]\n"
    f"[[package]]\nname = 'beta-two'\nversion = '2.0'\nwheels = [{{ hash = 'sha256:{C}' }}]\n[[package]]\nname = 'x'\n",
    "poetry.lock": "[[package]]\nname = 'alpha'\nversion = '1.5'\n"
    f"files = [{{ file = 'a', hash = 'sha256:{A}' }}, {{ file = 'b', hash = 'sha256:{B}' }}]\n"
    f"[[package]]\nname = 'Beta_Two'\nversion = '2.0'\nfiles = [{{ file = 'a', hash = 'sha256:{C}' }}]\n",
}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_gives_the_hashes_of_the_versions_that_match(tmp_path, name):
    (tmp_path / name).write_text(LOCKS[name])
    found = {one.name: one.hashes for one in packages({}, locks=[tmp_path / name])}
    assert found == {"alpha": (A, B), "beta-two": (C,), "delta": (), "gamma": ()}
    text = text_of(packages({}, locks=[tmp_path / name]), [])
    assert "http" not in text
    assert "--hash=" not in text  # pip would refuse the packages that have none
    assert f"alpha==1.5\n    # sha256:{A}\n    # sha256:{B}\n" in text
    assert "Hashes of 2 of 4 packages" in text


def test_where_all_hashes_are_known_pip_checks_them():
    text = text_of([Package("alpha", "1.5", True, None, (A, B), "x"), Package("beta", "2", False, None, (C,), "x")], [])
    lines = [line for line in text.replace("\\\n", "").splitlines() if not line.startswith("#")]
    assert [Requirement(line.split(" ")[0]).name for line in lines] == ["alpha", "beta"]
    assert lines[0].split()[1:] == [f"--hash=sha256:{A}", f"--hash=sha256:{B}"]
    assert "# In the records: alpha." in text


def test_wheels_at_hand_are_hashed(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    contents = {
        "alpha-1.5-py3-none-any.whl": b"one",
        "alpha-1.5.tar.gz": b"two",
        "alpha-1.4-py3-none-any.whl": b"three",
        "Beta_Two-2.0-cp311-cp311-linux_x86_64.whl": b"four",
        "alpha-extra-1.5.tar.gz": b"five",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    found = {one.name: set(one.hashes) for one in packages({}, wheels=[folder]) if one.hashes}
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert found == {
        "alpha": {sha256["alpha-1.5-py3-none-any.whl"], sha256["alpha-1.5.tar.gz"]},
        "beta-two": {sha256["Beta_Two-2.0-cp311-cp311-linux_x86_64.whl"]},
    }
    with pytest.raises(UserError, match="cannot look for wheels"):
        packages({}, wheels=[tmp_path / "none"])


@pytest.mark.parametrize(
    "info",
    [
        {"url": "file:///home/me/x.whl", "archive_info": {"hash": f"sha256={A}"}},
        {"url": "https://me:secret@x.invalid/x.whl", "archive_info": {"hashes": {"sha256": A}}},
    ],
)
def test_what_pip_noted_counts_without_its_address(place, info):
    installed(place, "epsilon", "4.0", url=info)
    assert next(one for one in packages({"epsilon": "4.0"}) if one.name == "epsilon").hashes == (A,)
    assert next(one for one in packages({"epsilon": "4.1"}) if one.name == "epsilon").hashes == ()
    text = text_of(packages({"epsilon": "4.0"}), [])
    assert A in text
    assert not re.search("home|secret|://", text)


@pytest.mark.parametrize("info", [[], {"archive_info": []}, {"archive_info": {"hash": "md5=x"}}, {"dir_info": {}}])
def test_a_note_without_a_hash_gives_none(place, info):
    installed(place, "epsilon", "4.0", url=info)
    assert next(one for one in packages({"epsilon": "4.0"}) if one.name == "epsilon").hashes == ()


@pytest.mark.parametrize(("name", "content"), [("x.lock", b"\xff\xfe"), ("pylock.toml", b"[[["), ("x.txt", b"\xff")])
def test_a_file_that_is_no_lock_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="as a lock file"):
        packages({}, locks=[tmp_path / name])
    with pytest.raises(UserError, match="as a lock file"):
        packages({}, locks=[tmp_path / "missing"])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "package = 3",
        "[[package]]\nname = 3",
        "[package]\nname = 'x'",
        "[[package]]\nname='alpha'\nversion='1.5'\nfiles=3\nsdist=[1]\nwheels=[{hash=1}]",
    ],
)
def test_a_lock_file_of_another_make_gives_no_hash(tmp_path, content):
    (tmp_path / "odd.lock").write_text(content)
    assert [one.hashes for one in packages({}, locks=[tmp_path / "odd.lock"])] == [()] * 4
