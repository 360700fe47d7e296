"""What the machine did beside a record's timed blocks: whether a timing is to be trusted, and the reference workload.

Without torch; what fills `Record.timed` is bench/machine/beside.py.
"""

from __future__ import annotations

import statistics

from equibench.record.schema import Record
from equibench.record.surroundings import ReferenceWorkload, TimedBlock

# Of all cores' time. A machine that does nothing else takes 1 to 3 % for itself; one more process with one thread takes
# 1 of N cores, which is more than this on up to ten cores, where it shares caches and memory with the cell.
BUSY_CPU_SHARE = 0.1
# The processor only feeds a GPU, which is held up once threads have to wait for a core.
BUSY_CPU_SHARE_BESIDE_GPU = 0.5
BUSY_GPU_SHARE = 0.05  # of the GPU's time: kernels of two programs take turns
# Between the medians before and after a block: repeats of equal work on a quiet machine lie within 2 to 5 %.
REFERENCE_DRIFT = 0.1


def busy(record: Record, block: str) -> str | None:
    """Why the timing of that block ("train", "speed", "latency") is not to be trusted, as a clause such as "other work
    took 38 % of the processor's time"; None where the machine was quiet, or nothing is known of it.
    """
    found = _block(record, block)
    if found is None:
        return None
    if load := found.load:
        on_gpu = record.machine.device != "cpu"
        most = BUSY_CPU_SHARE_BESIDE_GPU if on_gpu else BUSY_CPU_SHARE
        if load.others_gpu_share is not None and load.others_gpu_share > BUSY_GPU_SHARE:
            return f"other work took {load.others_gpu_share:.0%} of the GPU's time".replace("%", " %")
        if load.others_cpu_share is not None and load.others_cpu_share > most:
            return f"other work took {load.others_cpu_share:.0%} of the processor's time".replace("%", " %")
    return _drift(found.reference) if found.reference else None


def reference_sec(record: Record, block: str) -> float | None:
    """Median seconds of the reference workload beside that block; comparable only where `reference_name` is equal."""
    found = _block(record, block)
    repeats = [*found.reference.before_sec, *found.reference.after_sec] if found and found.reference else []
    return statistics.median(repeats) if repeats else None


def reference_name(record: Record, block: str) -> str | None:
    """What the reference workload beside that block is; another definition, or precision, has another name."""
    found = _block(record, block)
    return found.reference.name if found and found.reference else None


def _block(record: Record, name: str) -> TimedBlock | None:
    return next((block for block in record.timed if block.name == name), None)


def _drift(reference: ReferenceWorkload) -> str | None:
    if not reference.before_sec or not reference.after_sec:
        return None
    before, after = statistics.median(reference.before_sec), statistics.median(reference.after_sec)
    if min(before, after) <= 0 or max(before, after) <= (1 + REFERENCE_DRIFT) * min(before, after):
        return None
    longer, shorter = ("after", "before") if after > before else ("before", "after")
    percent = 100 * (max(before, after) / min(before, after) - 1)
    return f"the reference workload took {percent:.0f} % longer right {longer} it than right {shorter} it"
