"""What the study keeps of each step, as JSON, and where in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from equibench.errors import UserError
from equibench.quantities.text import slug
from equibench.record.base import Strict
from equibench.record.surroundings import Load

Side = Literal["ours", "theirs"]
Kept = TypeVar("Kept", bound=Strict)
# by family, the class of each peer, which only the peers' environment imports
PEERS = {
    "gan": "studies.peers.dcgan:DCGAN",
    "vae": "studies.peers.vae:PythaeVAE",
    "flow": "studies.peers.glow:Glow",
    "diffusion": "studies.peers.ddpm:DDPM",
}


class Settings(Strict):
    """All that both sides have in common; one folder holds results of one of these."""

    dataset: str
    seconds: float  # of training
    params: int  # at most
    samples: int  # for the distance, of each way of sampling
    likelihood_images: int  # of the test split, drawn


class Trained(Strict):
    """A peer after its training."""

    title: str
    settings: str
    ways: list[str]  # of sampling
    versions: dict[str, str]
    threads: int
    width: int
    params: int
    updates: int
    images: int
    train_sec: float
    load: Load
    bits_per_dim: float | None  # None: it has no density
    stderr_bits_per_dim: float | None


class Timed(Strict):
    """Sampling of both sides in turns: seconds of each batch, by side and way."""

    batch_size: int
    threads: int
    ours_sec: dict[str, list[float]]
    theirs_sec: dict[str, list[float]]
    load: Load


class Place:
    """Where things lie in the study's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings, self.suite = folder / "settings.json", folder / "suite.toml"
        self.environment, self.records = folder / "environment", folder / "ours"

    def split(self, name: str) -> Path:
        """Images of the data set, `train` or `test`."""
        return self.folder / "data" / f"{name}.npy"

    def trained(self, family: str, seed: int) -> Path:
        """A peer's results; its weights lie beside them."""
        return self.folder / "theirs" / f"{family}-s{seed}.json"

    def drawn(self, side: Side, family: str, seed: int, way: str) -> Path:
        return self.folder / "drawn" / f"{side}-{family}-s{seed}-{slug(way)}.npy"

    def measured(self, side: Side, family: str, seed: int, way: str) -> Path:
        return self.folder / "measured" / f"{side}-{family}-s{seed}-{slug(way)}.json"

    def timed(self, family: str, seed: int) -> Path:
        return self.folder / "timed" / f"{family}-s{seed}.json"


def read(path: Path, kind: type[Kept]) -> Kept:
    """Raises UserError where the file is not as this study writes it."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        raise UserError(f"{path} cannot be read as this study wrote it; delete it, so that it is made again") from None
