"""Data sets that another library has: `torchvision:NAME`, `hub:OWNER/NAME@COMMIT`, or a folder that `datasets` saved.

A side in pixels may stand behind a name, as in `torchvision:Food101:64`, to which all images are brought.
"""

from __future__ import annotations

from pathlib import Path

from equibench import hub
from equibench.cache import TORCHVISION_FOLDER, cache_folder
from equibench.data import from_hub, from_torchvision, own
from equibench.data.library import Gathered, gathered
from equibench.data.listing import shown
from equibench.errors import UserError

TORCHVISION = from_torchvision.PREFIX
LISTED = (  # as `equibench ls` shows them
    ("torchvision:NAME", "a data set of torchvision, such as SVHN", "pass --download, or --data-root FOLDER"),
    ("hub:OWNER/NAME@COMMIT", "a data set of the Hugging Face hub", "pass --download"),
)


def is_named(name: str) -> bool:
    """Whether `name` is that of another library's data set."""
    return name.startswith((TORCHVISION, hub.PREFIX)) or from_hub.is_saved(own.expanded(name))


def by_name(name: str, root: Path | None, download: bool) -> Gathered:
    """The data set, its files in `root`, or else equibench's cache, where they are torchvision's, and in the hub's own
    where they are the hub's; fetched first with `download`. Raises UserError.
    """
    if not name.startswith((TORCHVISION, hub.PREFIX)):
        folder = own.expanded(name)
        return gathered(shown(folder.resolve().name), *from_hub.saved_splits(folder), None)
    plain, side = side_of(name)
    if name.startswith(hub.PREFIX):
        return gathered(name, *from_hub.splits(plain, download), side)
    return gathered(name, *from_torchvision.splits(plain, root or cache_folder() / TORCHVISION_FOLDER, download), side)


def side_of(name: str) -> tuple[str, int | None]:
    """The name without the side behind it, and that side. Raises UserError."""
    prefix, _, rest = name.partition(":")
    plain, colon, side = rest.partition(":")
    if colon and not (side.isascii() and side.isdecimal() and len(side) < 5 and int(side)):
        raise UserError(f"{name} ends in no side in pixels; give one as {prefix}:{plain}:64, or leave it out")
    return f"{prefix}:{plain}", int(side) if colon else None
