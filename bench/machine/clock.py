"""A clock with named parts that sum to the wall time, and repeated timing of one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from equibench.record.schema import Part, TrainingPart


class Clock:
    """Accumulates seconds by part. Parts do not nest; what lies in no part is `other`.

    `now` is a monotonic clock in seconds, `synchronize` waits for the device: it runs at both edges of a part, so
    that queued work is charged to the part that queued it.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.perf_counter,
        synchronize: Callable[[], None] = lambda: None,
        before: Mapping[str, float] | None = None,
    ) -> None:
        """`before`: seconds of parts, `other` among them, that ended as the clock was made."""
        self._now = now
        self._synchronize = synchronize
        self._seconds: dict[str, float] = dict(before or {})
        self._start = now() - sum(self._seconds.values())
        self._seconds.pop("other", None)  # what lies in no part: `seconds` works it out
        self._open: str | None = None

    @contextmanager
    def part(self, name: Part | TrainingPart) -> Iterator[None]:
        """Charge the block to `name`. Raises RuntimeError inside another part: its time would count twice."""
        if self._open is not None:
            raise RuntimeError(f"part {name!r} inside part {self._open!r}")
        self._open = name
        try:
            self._synchronize()  # which is where a GPU tells of what went wrong in work that was queued before
            begin = self._now()
            try:
                yield
            finally:
                self._synchronize()
                self._seconds[name] = self._seconds.get(name, 0.0) + self._now() - begin
        finally:
            self._open = None

    def add(self, name: Part | TrainingPart, sec: float) -> None:
        """Charge `sec` seconds to `name` that passed before the clock was made."""
        self._seconds[name] = self._seconds.get(name, 0.0) + sec
        self._start -= sec

    def elapsed(self, without: str = "") -> float:
        """Seconds since the clock was made, work still queued on the device left out; without those of one part."""
        return self._now() - self._start - self._seconds.get(without, 0.0)

    def parts(self) -> dict[str, float]:
        """`seconds` without `wall`: what the clock of another process goes on from, as its `before`."""
        found = self.seconds()
        del found["wall"]
        return found

    def seconds(self) -> dict[str, float]:
        """Seconds of each part, of `other`, and of `wall`, which is their sum."""
        wall = self._now() - self._start
        return {**self._seconds, "other": wall - sum(self._seconds.values()), "wall": wall}


def repeat(
    call: Callable[[], object],
    synchronize: Callable[[], None],
    *,
    warmup: int,
    repeats: int,
    limit_sec: float,
    now: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Seconds of each of up to `repeats` calls after `warmup` dropped ones; stops early once `limit_sec` is spent
    (never before two repeats).
    """
    for _ in range(warmup):
        call()
    taken: list[float] = []
    while len(taken) < repeats and (len(taken) < 2 or sum(taken) < limit_sec):
        synchronize()
        begin = now()
        call()
        synchronize()
        taken.append(now() - begin)
    return taken
