"""Runs and baselines that a check compares, and what it says of them."""

from __future__ import annotations

import numpy as np
from fixtures import NUMBERS, make

from equibench.hashing import digest
from equibench.record.surroundings import Load, ReferenceWorkload, TimedBlock

SEEDS, OTHERS = (0, 1, 2), (3, 4, 5)


def changed(one, **parts):
    """A record with fields of its parts changed, e.g. quality={"value": 3.0}."""
    return one.model_copy(
        update={
            name: getattr(one, name).model_copy(update=update) if isinstance(update, dict) else update
            for name, update in parts.items()
        }
    )


def also(one, **factors):
    """The other metrics of a record times factors, by name."""
    return [x.model_copy(update={"value": x.value and x.value * factors.get(x.name, 1.0)}) for x in one.quality.also]


def scaled(one, fd=1.0, kd=1.0, recall=1.0, precision=1.0, latency=1.0, flops=1.0, nfe=1, slower=1.0, memory=1.0):
    """The record of another training, with its numbers times factors."""
    speed, peak = one.speed, one.memory.train_peak_bytes
    return changed(
        one,
        weights_sha256=digest([one.weights_sha256, "another"]),
        quality={"value": one.quality.value * fd, "also": also(one, KD=kd, recall=recall, precision=precision)},
        speed={
            "images_per_sec": speed.images_per_sec / slower,
            "latency_p50_sec": speed.latency_p50_sec * latency,
            "flops_per_image": speed.flops_per_image * flops,
            "network_evaluations": speed.network_evaluations * nfe,
        },
        memory={"train_peak_bytes": int(peak * memory)},
    )


def timed_by(one, sec, name="convolutions", others=0.01):
    """The record with a reference workload of so many seconds beside its speed, and so much other work."""
    beside = ReferenceWorkload(name=name, before_sec=[sec] * 3, after_sec=[sec] * 3)
    blocks = [
        TimedBlock(name=block, load=Load(others_cpu_share=others), reference=beside) for block in ("speed", "latency")
    ]
    return one.model_copy(update={"timed": blocks})


def draw(rng, family="vae", seeds=SEEDS, fd=1.0, bits=0.0, slower=1.0, more_memory=1.0):
    """Records as independent trainings give them, with noise between seeds and processes."""
    found = []
    for seed in seeds:
        one = make(family, seed)
        q, b, s, m = one.quality, one.likelihood, one.speed, one.memory
        fd_here = NUMBERS[family][0] * fd * (1 + 0.03 * rng.normal())
        also = [x.model_copy(update={"value": x.value and x.value * (1 + 0.03 * rng.normal())}) for x in q.also]
        sec = slower * np.exp(0.03 * rng.normal())
        batches, singles = (
            [x * sec * (1 + 0.02 * abs(rng.normal())) for x in part] for part in (s.repeats_sec, s.latency_repeats_sec)
        )
        drawn = b.bits_per_dim and 3.3 + bits + 0.02 * rng.normal()
        tighter = [x.model_copy(update={"bits_per_dim": drawn - 0.05, "usual_bits_per_dim": drawn}) for x in one.bounds]
        found.append(
            changed(
                one,
                bounds=tighter,
                weights_sha256=digest([family, seed, fd_here]),
                quality={"value": fd_here, "also": also},
                likelihood={"bits_per_dim": drawn},
                speed={
                    "repeats_sec": batches,
                    "latency_repeats_sec": singles,
                    "images_per_sec": s.batch_size / np.median(batches),
                    "latency_p50_sec": float(np.median(singles)),
                },
                memory={
                    "train_peak_bytes": int(m.train_peak_bytes * more_memory * (1 + 0.01 * rng.normal())),
                    "sample_peak_bytes": int(m.sample_peak_bytes * (1 + 0.01 * rng.normal())),
                },
            )
        )
    return found


def four(rng, seeds, **changes):
    return [one for family in NUMBERS for one in draw(rng, family, seeds, **changes)]


def verdicts(found):
    return {(line.row, line.number): line.verdict for line in found.lines}


def regressions(found):
    return {(line.row, line.number) for line in found.regressions}
