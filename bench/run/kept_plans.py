"""What planning found of a shipped family, kept in the user's cache for the processes that plan the same again: those
of a run's cells, and the next run. Building and counting take seconds each time.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from equibench import atomic
from equibench.cache import cache_folder
from equibench.hashing import digest
from equibench.machine.code import code_digest

Found = dict[str, Any]  # of JSON
Read = TypeVar("Read")


def remembered(question: Found, find: Callable[[], Found], read: Callable[[Found], Read]) -> Read:
    """What `read` makes of what `find` gives, which is kept under the hash of the question, this code and PyTorch's
    version. A file that cannot be read is found anew; a cache that cannot be written is no reason to stop.
    """
    identity = {"question": question, "code": code_digest(), "torch": torch.__version__}
    file = cache_folder() / f"plan-{digest(identity)}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return read(json.loads(file.read_bytes()))
    found = find()
    with contextlib.suppress(OSError):
        atomic.write(file, json.dumps(found).encode())
    return read(found)
