"""What lies on the Hugging Face hub, named by its commit: from the hub's own cache, or fetched where that is asked for.

Imports neither torch nor the hub's library before it is needed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from equibench.errors import UserError, first_line

PREFIX = "hub:"
Kind = Literal["model", "dataset"]
EXTRAS: dict[Kind, str] = {"model": "diffusers", "dataset": "datasets"}
_PART = r"[A-Za-z0-9_][\w.-]*"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubId:
    """OWNER/NAME at a commit, and of a data set one of its configurations."""

    repository: str
    commit: str
    configuration: str | None = None

    def __str__(self) -> str:
        inner = f"/{self.configuration}" if self.configuration else ""
        return f"{PREFIX}{self.repository}{inner}@{self.commit}"


def is_hub_id(name: str) -> bool:
    return name.startswith(PREFIX)


def hub_id(name: str) -> HubId:
    """What `hub:OWNER/NAME@COMMIT`, or `hub:OWNER/NAME/CONFIGURATION@COMMIT`, stands for.

    Raises UserError for another form, and for a branch or a tag in place of the commit: it may move.
    """
    found = re.fullmatch(rf"{PREFIX}({_PART}/{_PART})(?:/({_PART}))?(?:@([^@]*))?", name)
    if found is None or ".." in name:
        raise UserError(f"{name} is no name on the hub; give one as hub:OWNER/NAME@COMMIT")
    repository, configuration, commit = found.groups()
    if not commit or not _COMMIT.fullmatch(commit):
        what = f"the revision {commit!r} may move" if commit else "without a revision it is another one tomorrow"
        raise UserError(
            f"{name} is not pinned, as {what}; give the 40 digits of a commit, hub:{repository}@COMMIT, which its page "
            "on the hub shows under Files, History"
        )
    return HubId(repository, commit, configuration)


def folder_of(one: HubId, kind: Kind, download: bool, patterns: tuple[str, ...]) -> Path:
    """The folder with its files, of those that match `patterns`, from the hub's cache; with `download` what is missing
    there is fetched first. Raises UserError.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        raise UserError(
            f"{one} takes the hub's library; install it with `pip install 'equibench[{EXTRAS[kind]}]'`"
        ) from None
    try:
        found = snapshot_download(
            one.repository,
            repo_type=kind,
            revision=one.commit,
            local_files_only=not download,
            allow_patterns=list(patterns),
        )
    except LocalEntryNotFoundError:
        if download:
            raise UserError(f"{one} cannot be fetched, as the hub is out of reach; try again") from None
        raise UserError(f"{one} is not on this machine; pass --download to fetch it from the hub") from None
    except Exception as error:  # of the hub's library and of the network's
        raise UserError(f"cannot fetch {one} ({first_line(error)})") from None
    return Path(found)


def said_of(path: Path) -> str:
    """What a file or folder is called in a record: its own name, or OWNER/NAME@COMMIT in the hub's cache."""
    inside = path.relative_to(root_of(path))
    if len(inside.parts) == 1:
        return path.name
    return f"{PREFIX}{inside.parts[0].removeprefix('models--').replace('--', '/', 1)}@{path.name}"


def root_of(path: Path) -> Path:
    """The folder from which on a path's name says what it is, wherever it is copied to: that of the hub's cache for
    what lies in one.
    """
    *_, repository, snapshots, commit = ("", "", *path.parts)
    of_hub = snapshots == "snapshots" and repository.startswith("models--") and _COMMIT.fullmatch(commit)
    return path.parent.parent.parent if of_hub else path.parent
