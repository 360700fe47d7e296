"""Entrants that lie on the Hugging Face hub: their folders in the hub's cache, fetched where that is asked for."""

from __future__ import annotations

from pathlib import Path

from equibench import hub
from equibench.errors import UserError
from equibench.outside.kind import PIPELINE
from equibench.suite import Entrant, Suite, name_from

PATTERNS = ("*.json", "*.safetensors")  # no format that could run code


def place_of(load: str, download: bool) -> Path:
    """Where what an entrant loads lies on this machine, a path or `hub:OWNER/NAME@COMMIT`. Raises UserError."""
    if not hub.is_hub_id(load):
        return Path(load)
    one = hub.hub_id(load)
    folder = hub.folder_of(one, "model", download, PATTERNS)
    if not (folder / PIPELINE).is_file():
        raise UserError(f"{one} is no pipeline of diffusers, as it has no {PIPELINE}; give one that has")
    return folder


def located(suite: Suite, download: bool) -> Suite:
    """The suite with the place on this machine of everything that its entrants load. Raises UserError."""
    return suite.model_copy(update={"entrant": [located_one(one, download) for one in suite.entrant]})


def located_one(entrant: Entrant, download: bool) -> Entrant:
    """The same of one entrant."""
    if entrant.load is None or not hub.is_hub_id(entrant.load):
        return entrant
    return entrant.model_copy(update={"load": str(place_of(entrant.load, download))})


def name_of(load: str) -> str:
    """A name for an entrant, after what it loads."""
    return name_from(Path(hub.hub_id(load).repository if hub.is_hub_id(load) else load))
