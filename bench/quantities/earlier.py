"""What signatures held before their form 2, so that those in print still verify: by the rules that they were made by.

Until then, a signature did not say its form; nothing is compared or averaged by these rules any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from equibench.hashing import digest
from equibench.quantities import glossary
from equibench.quantities.identity import KEY_DIGITS, along
from equibench.quantities.metric import bits_kind
from equibench.quantities.settings import Fields, hashed, machine_words
from equibench.quantities.text import settings
from equibench.record.cost import Memory, Speed
from equibench.record.schema import Budget, Likelihood, Quality, Record

# numbers that had a machine in their signature before the glossary said which are timed
_TIMED = re.compile(r"^(speed|memory|clock)\.|^spent\.(train|compile)_sec$|images_per_sec$")


def earlier_identities(record: Record, path: str) -> Iterator[Fields]:
    """What a signature of the number at `path` said, by each earlier rule, the latest first."""
    known = glossary.known(path)
    for tried, timed in (
        (True, bool(known and known.timed)),
        (True, bool(_TIMED.search(path))),
        (False, bool(_TIMED.search(path))),
    ):
        yield _identity(record, path, tried, timed)


def _identity(record: Record, path: str, tried: bool, timed: bool) -> Fields:
    """`tried`: the batch sizes that were tried, else the fastest of them; `timed`: with the machine."""
    fields = {"entrant": record.entrant}
    for part in along(record, path):
        match part:
            case Quality():
                split = f"{record.data.name}-{part.reference}"
                fields["n"] = str(part.n_samples)
                there = part.reference_sha256
                fields["ref"] = hashed(split, there) if there else f"{split},{part.n_reference}"
                if part.features:
                    fields["fx"] = hashed(part.features.name, part.features.weights_sha256)
                    fields["prep"] = digest(part.features.preprocessing)[:KEY_DIGITS]
                fields["sampler"] = settings(part.options)
            case Likelihood():
                fields |= {"n": str(part.n_images), "ref": hashed(f"{record.data.name}-test", record.data.sha256)}
                fields["kind"] = bits_kind(part)
            case Speed():
                sizes = {part.batch_size} | ({point.batch_size for point in part.sweep} if tried else set())
                fields["batch"] = "1" if "latency" in path else ",".join(map(str, sorted(sizes)))
                fields["sampler"] = settings(part.options)
            case Memory():
                batch = part.train_batch_size if "train" in path else part.sample_batch_size
                fields |= {"quantity": part.quantity, "batch": str(batch)}
            case _:
                pass
    if "ref" not in fields:
        fields["data"] = hashed(record.data.name, record.data.sha256)
    fields["budget"] = _budget(record.budget)
    return fields | ({"machine": machine_words(record.machine)} if timed else {})


def _budget(budget: Budget | None) -> str:
    if budget is None:
        return "none"
    return f"{budget.amount:g}{budget.unit},{budget.params / 1e6:g}M".replace("e+", "e")
