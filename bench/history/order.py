"""In which order commits come: that of a repository, where one that knows them is given, else that of their records."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from equibench.errors import UserError, first_line
from equibench.history.points import CodeKey
from equibench.quantities.text import join

_LIMIT_SEC = 120


@dataclass(frozen=True)
class Order:
    """`place` and `date` are those of commits in a repository; both are empty where records alone decide."""

    place: dict[str, int] = field(default_factory=dict)
    date: dict[str, datetime] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return "the repository" if self.place else "the time of their first record"

    def key(self, code: CodeKey, created: datetime) -> tuple[float | str, ...]:
        """By which points are sorted; files that were changed come after their commit."""
        place = self.place.get(code.commit or "", 0)
        return (place, code.dirty if self.place else False, created.timestamp(), *map(str, code))

    def date_of(self, code: CodeKey, created: datetime) -> datetime:
        return self.date.get(code.commit or "", created)

    def between(self, before: CodeKey, after: CodeKey) -> int | None:
        """Commits that the repository has between two, at which nothing was measured; None where that is not known."""
        if not self.place or before.commit is None or after.commit is None:
            return None
        return max(self.place[after.commit] - self.place[before.commit] - 1, 0)


def of_repository(folder: Path, codes: Collection[CodeKey]) -> Order:
    """The order of the commits of `codes` in the git repository at `folder`, parents before children. Raises UserError
    where it is none, or does not know one of them.
    """
    commits = {code.commit for code in codes if code.commit is not None}
    if any(code.commit is None for code in codes):
        raise UserError("some records do not name their commit; leave out --repository to go by when they were created")
    odd = sorted(commit for commit in commits if not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", commit))
    asked = "".join(f"{commit}^{{commit}}\n" for commit in sorted(commits - set(odd)))
    answers = _git(folder, "cat-file", "--batch-check=%(objecttype)", given=asked).splitlines()
    unknown = odd + [one for one, found in zip(sorted(commits - set(odd)), answers, strict=True) if found != "commit"]
    if unknown:
        raise UserError(
            f"the repository at {folder} does not know {join(one[:8] for one in unknown[:3])}; fetch all its "
            "history, or leave out --repository to go by when records were created"
        )
    lines = _git(folder, "rev-list", "--topo-order", "--reverse", "--timestamp", "--stdin", given="\n".join(commits))
    place, date = {}, {}
    for number, line in enumerate(lines.splitlines()):
        sec, _, commit = line.partition(" ")
        if commit in commits:
            place[commit], date[commit] = number, datetime.fromtimestamp(int(sec), UTC)
    return Order(place, date)


def _git(folder: Path, *arguments: str, given: str) -> str:
    # the repository that was named, whatever the environment says, and no object that is not here is fetched
    environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    environment |= {"GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=_LIMIT_SEC, check=False, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"cannot ask git at {folder} ({first_line(error)}); leave out --repository") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it does not say why"])[0]
        raise UserError(f"git at {folder} says {said!r}; name the folder of a repository, or leave out --repository")
    return done.stdout
