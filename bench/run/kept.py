"""A training kept on disk as it goes, from which it goes on to the same end, bit for bit: one file of tensors in the
format of safetensors, and the sha256 of it behind.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as deserialize
from safetensors.torch import save as serialize

from equibench import atomic
from equibench.run.course import Course
from equibench.run.ranks import Team
from equibench.run.state import NotResumableError, Plain, Tensors, capture, restore
from equibench_models.contract import Model

ABOUT = "about"  # the tensor that holds, as JSON, what is no tensor
MOST_HEADER_BYTES = 100_000_000  # as in safetensors itself
_DIGEST_BYTES = hashlib.sha256().digest_size
TIMES_ITS_COST = 60.0  # a save comes when training took so many times what the last save did: below 2 % of it


@dataclass
class Keeping:
    """Where and how often a training is kept. `identity` is of all that must be the same for it to go on to the same
    end: code, versions, threads, machine, cell.
    """

    file: Path
    identity: str
    every_sec: float
    resumed_sec: float = field(default=0.0, init=False)  # that the training had taken when it went on
    _last_sec: float = field(default=0.0, init=False)  # of training, when it was saved
    _cost_sec: float = field(default=0.0, init=False)  # of the last save

    def is_due(self, trained_sec: float) -> bool:
        """Whether to save after `trained_sec` of training."""
        return trained_sec - self._last_sec > max(self.every_sec, TIMES_ITS_COST * self._cost_sec)

    def save(self, model: Model, course: Course, device: torch.device) -> None:
        """Put the training's state in place of the one before. A model whose state cannot be kept is not: it starts
        again. Raises OSError.
        """
        before_sec = course.clock.elapsed("measurement")
        tensors, plain = course.state()
        try:
            of_model, rest = capture(model, device)
        except NotResumableError:
            self._last_sec = float("inf")
            return
        about = json.dumps({"identity": self.identity, "model": rest, "course": plain}).encode()
        held = {f"model {name}": tensor for name, tensor in of_model.items()}
        held |= {f"course {name}": tensor for name, tensor in tensors.items()}
        content = serialize({**held, ABOUT: torch.frombuffer(bytearray(about), dtype=torch.uint8)})
        atomic.write(self.file, content + hashlib.sha256(content).digest())
        self._last_sec = course.clock.elapsed("measurement")
        self._cost_sec = self._last_sec - before_sec

    def forget(self) -> None:
        """The training is over, and its weights are where they belong."""
        self.file.unlink(missing_ok=True)

    def load(self, model: Model, course: Course, device: torch.device) -> bool:
        """Whether a training was kept that this one goes on from; if not, model and course are as they were. A file
        that is damaged, or is of other code, versions or threads, is as good as none.
        """
        try:
            held = self.file.read_bytes()
            content = held[:-_DIGEST_BYTES]
            if hashlib.sha256(content).digest() != held[-_DIGEST_BYTES:]:
                return False
            tensors = deserialize(content)
            about = json.loads(tensors.pop(ABOUT).numpy().tobytes())
            if about["identity"] != self.identity:
                return False
            before = capture(model, device)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError, NotResumableError):
            return False
        parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "course": {}}
        try:
            for name, tensor in tensors.items():
                part, _, rest = name.partition(" ")
                parts[part][rest] = tensor
            restore(model, device, parts["model"], about["model"])
            course.restore(parts["course"], about["course"])
        except Exception:  # a sum that holds over what no training wrote may lead to any
            restore(model, device, *before)
            return False
        self._last_sec, self.resumed_sec = course.clock.elapsed("measurement"), course.clock.elapsed()
        return True


def start_alike(team: Team, model: Model, course: Course, device: torch.device) -> None:
    """Have all processes of a team go on from where the first one's training is."""
    if team.ranks.rank == 0:
        of_model, of_course = capture(model, device), course.state()
        team.share([_on_cpu(*of_model), _on_cpu(*of_course)])
    else:
        (tensors, plain), of_course = team.share(None)
        restore(model, device, tensors, plain)
        course.restore(*of_course)


def _on_cpu(tensors: Tensors, plain: Plain) -> tuple[Tensors, Plain]:
    return {name: tensor.cpu() for name, tensor in tensors.items()}, plain


class Peek(NamedTuple):
    """What a kept training says of itself, without its weights."""

    identity: str
    updates: int


def peek(file: Path) -> Peek | None:
    """None where there is no such file, or it is damaged."""
    try:
        with file.open("rb") as stream:
            header_bytes = int.from_bytes(stream.read(8), "little")  # the format of safetensors
            begin, end = json.loads(stream.read(min(header_bytes, MOST_HEADER_BYTES)))[ABOUT]["data_offsets"]
            stream.seek(8 + header_bytes + begin)
            about = json.loads(stream.read(min(end - begin, MOST_HEADER_BYTES)))
        return Peek(str(about["identity"]), int(about["course"]["meter"]["updates"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
