"""What a release is made of: the files of the wheel, one version in all places, and the container's requirements."""

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from equibench.protocol import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements" / "lock.txt").read_text()
CONTAINER = (ROOT / "Containerfile").read_text()
EXTRAS = ("cluster", "datasets", "diffusers", "energy", "hub", "tune")  # that the container has
PINS = [
    (canonicalize_name(name), version, (marker or "").strip(), hashes)
    for name, version, marker, hashes in re.findall(
        r"^([\w.-]+)==(\S+)(?: ;([^\\\n]*))?((?: *\\\n    --hash=sha256:[0-9a-f]{64})+)", LOCK, re.MULTILINE
    )
]


@pytest.mark.parametrize(("package", "folder"), [("equibench", "bench"), ("equibench_models", "models")])
def test_every_file_of_the_packages_is_in_the_wheel(package, folder):
    """What is no module is named by a pattern; without its templates or weights an installed copy would fail."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"][package]
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [str(Path(file).relative_to(folder)) for file in listed.splitlines() if not file.endswith(".py")]
    assert files
    assert not [file for file in files if not any(fnmatch.fnmatch(file, pattern) for pattern in patterns)]


def test_one_version_stands_in_all_places():
    assert PROJECT["project"]["version"] == __version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).group(1) == __version__


def test_the_lock_file_has_names_versions_and_hashes_and_no_address():
    stated = [line for line in LOCK.splitlines() if line and not line.startswith(("#", "    --hash="))]
    assert len(PINS) == len(stated) > 60
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-|@)(?!-hash)", LOCK, re.MULTILINE)


def test_the_lock_file_fits_what_is_asked_for():
    """On Linux, whose packages the container has. A requirement that was changed since shows `make lock` to be due."""
    here = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "extra": ""}
    here |= {"python_version": "3.11", "python_full_version": "3.11.9"}
    locked = {name: version for name, version, marker, _ in PINS if not marker or Marker(marker).evaluate(here)}
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(one for name in EXTRAS for one in project["optional-dependencies"][name])]
    for one in map(Requirement, wanted):
        assert one.specifier.contains(locked[canonicalize_name(one.name)]), one
    command = re.search(r"^lock:.*?\n\n", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL).group()
    assert re.findall(r"--extra (\w+)", command) == list(EXTRAS)


def test_the_container_copies_what_is_there_and_installs_by_hash_alone():
    sources = [source for line in re.findall(r"^COPY (.*)", CONTAINER, re.MULTILINE) for source in line.split()[:-1]]
    assert all((ROOT / source).exists() for source in sources)
    installs = re.findall(r"pip install ([^\\\n&]*)", CONTAINER)
    assert all("--require-hashes" in one or "--no-build-isolation /tmp/equibench" in one for one in installs)
    assert all("--no-deps" in one for one in installs)
    assert {
        "bench",
        "models",
        "pyproject.toml",
        "LICENSE",
        PROJECT["project"]["readme"].split("/")[0] + "/package.md",
    } <= {*sources}


def test_the_libraries_of_cuda_are_a_layer_and_a_part_of_the_lock_file():
    """Each is there whole, with its hashes, and nothing else is."""
    done = subprocess.run(
        ["awk", "-f", "requirements/cuda.awk", "requirements/lock.txt"], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    blocks = re.split(r"\n(?=\S)", done.stdout.rstrip("\n"))
    assert len(blocks) > 10
    assert all(re.match(r"(nvidia|cuda|triton)", block) for block in blocks)
    assert all(block in LOCK for block in blocks)
    names = {pin[0] for pin in PINS if pin[0].startswith(("nvidia", "cuda", "triton"))}
    assert {canonicalize_name(block.split("==")[0]) for block in blocks} == names
