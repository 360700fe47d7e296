"""Report, check and cite ask one function whether two records may be compared on a number."""

from pathlib import Path

import pytest
from fixtures import BUDGET, INCEPTION, MACHINE, make

from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.judge.check import compare
from equibench.quantities import glossary
from equibench.quantities.identity import FIELDS, differs
from equibench.record.cost import SpeedPoint
from equibench.summary.changes import changes_between
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise

BEFORE = make("vae")


def changed(part, **fields):
    return make("vae", **{part: getattr(BEFORE, part).model_copy(update=fields)})


def fastest_at(batch_size):
    sweep = [SpeedPoint(batch_size=size, images_per_sec=1.0) for size in (64, 256)]
    return changed("speed", batch_size=batch_size, sweep=sweep)


CASES = {
    "equal": (BEFORE, BEFORE, glossary.BITS, None),
    "another fastest batch size of the same that were tried": (
        fastest_at(64),
        fastest_at(256),
        "speed.images_per_sec",
        None,
    ),
    "another count": (BEFORE, changed("quality", n_samples=2500), "quality.value", "n"),
    "another feature network": (BEFORE, changed("quality", features=INCEPTION), "quality.value", "fx"),
    "another reference": (BEFORE, changed("quality", reference="train"), "quality.value", "ref"),
    "another sampler": (BEFORE, changed("quality", options={"steps": 5}), "quality.value", "sampler"),
    "another kind": (BEFORE, changed("likelihood", kind="exact"), glossary.BITS, "kind"),
    "fewer test images": (BEFORE, changed("likelihood", n_images=100), glossary.BITS, "n"),
    "another sampler of the speed": (BEFORE, changed("speed", options={"steps": 5}), "speed.images_per_sec", "sampler"),
    "other batch sizes tried": (BEFORE, changed("speed", batch_size=64), "speed.images_per_sec", "batch"),
    "another time limit": (BEFORE, changed("speed", limit_sec=3.0), "speed.images_per_sec", "limit"),
    "another sampler of the memory": (
        BEFORE,
        changed("memory", options={"a": 1}),
        "memory.sample_peak_bytes",
        "sampler",
    ),
    "more passes": (BEFORE, changed("likelihood", passes=5), glossary.BITS, "passes"),
    "another output for fixed images": (
        BEFORE,
        changed("quality", features=BEFORE.quality.features.model_copy(update={"probe_sha256": "ab" * 32})),
        "quality.value",
        "probe",
    ),
    "another batch of the memory": (BEFORE, changed("memory", train_batch_size=7), "memory.train_peak_bytes", "batch"),
    "another quantity of memory": (BEFORE, changed("memory", quantity="x"), "memory.sample_peak_bytes", "quantity"),
}


@pytest.mark.parametrize("case", CASES)
def test_report_check_and_cite_agree(case):
    before, after, path, field = CASES[case]
    found = differs(before, after, path)
    assert (found and found.field) == field

    twice = BUDGET.model_copy(update={"amount": 2 * BUDGET.amount})
    both = [before.model_copy(update={"budget": twice}), after]
    base, section = summarise([FiledRecord(Path(f"{i}.json"), one) for i, one in enumerate(both)])
    (change,) = [one for one in changes_between(base, section) if one.quantity.path == path]
    assert (change.why_not and change.why_not.field) == field

    if field:
        with pytest.raises(UserError, match=FIELDS[field][0]):
            compare([before], [after])
    else:
        assert not compare([before], [after]).regressions

    seeds = [before, after.model_copy(update={"seed": 1})]
    if field:
        with pytest.raises(UserError, match="cite them apart"):
            signature(seeds, path)
    else:
        assert signature(seeds, path)


@pytest.mark.parametrize(
    ("path", "timed"),
    [("speed.images_per_sec", True), ("memory.train_peak_bytes", True), ("spent.train_sec", True), ("clock.wall", True),
     ("speed.flops_per_image", False), ("speed.network_evaluations", False), (glossary.BITS, False)],
)  # fmt: skip
def test_what_the_machine_moves_is_compared_on_one_machine_alone(path, timed):
    other = make("vae", machine=MACHINE.model_copy(update={"key": "feedbeef"}))
    found = differs(BEFORE, other, path)
    assert (found is not None and found.field == "machine") == timed


def test_rows_of_the_glossary_by_hand():
    assert glossary.heading("speed.latency_p50_sec") == "Latency p50, ms ↓"
    assert glossary.heading(glossary.BITS) == "Bits/dim ↓"
    assert glossary.heading("memory.train_peak_bytes", "Training, peak") == "Training, peak, MiB ↓"
    assert glossary.heading("clock.*", "features") == "features, s"
    assert glossary.of("speed.images_per_sec").column == "speed_images_per_sec"
    assert glossary.of("sampler_points.DDIM, 2.5 steps.quality.value").label == "Distance"
    assert glossary.of("quality.also.KD.value") is glossary.of("quality.also.KD")
    assert glossary.known("config.learning_rate") is None
    with pytest.raises(KeyError):
        glossary.of("machine.cores")


def test_paths_and_errors_of_the_glossary_are_a_record_s():
    from equibench.record.paths import value_at

    one = make("vae")
    for quantity in glossary.GLOSSARY:
        if quantity.derived or "*" in quantity.path:
            continue
        for path in filter(None, (quantity.path, quantity.error)):
            value_at(one, path)  # raises AttributeError for a field that no record has
