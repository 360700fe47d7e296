"""The study of the gate: faults can be planted in the code as it is, and its page counts what checks name."""

import tomllib

import pytest
from fixtures import make, save

from studies import gate, gate_page

STUDY = gate_page.Design.model_validate(tomllib.loads(gate.PLAN.read_text()))


@pytest.mark.parametrize("fault", STUDY.fault, ids=lambda fault: fault.name)
def test_each_fault_changes_one_file_of_a_copy(fault, tmp_path):
    clean, planted = gate.tree(tmp_path / "clean", None), gate.tree(tmp_path / "planted", fault)
    changed = []
    for file in clean.rglob("*.py"):
        other = planted / file.relative_to(clean)
        if file.read_bytes() != other.read_bytes():
            changed.append(other)
            compile(other.read_text(), str(other), "exec")
    assert len(changed) == 1


def test_a_fault_whose_text_is_gone_stops_the_study(tmp_path):
    gone = STUDY.fault[0].model_copy(update={"before": "no such text"})
    with pytest.raises(SystemExit, match=r"resize: .* has its text 0 times"):
        gate.tree(tmp_path / "planted", gone)


def test_the_page_counts_what_is_named_of_the_kinds_that_a_fault_touches(tmp_path):
    faults = [
        STUDY.fault[1].model_copy(update={"runs": 4, "entrant": "vae"}),
        STUDY.fault[4].model_copy(update={"runs": 4, "entrant": "vae", "categories": ["memory"]}),
    ]
    design = gate_page.Design(suite="ci", baseline=2, equal=5, disturbed_every=5, draws=1, fault=faults)
    for folder, seed in [("baseline/0", 8), ("baseline/1", 9), *((f"equal/{i}", i) for i in range(5))]:
        alike = {name: getattr(make("vae", 0), name) for name in ("quality", "likelihood", "bounds", "speed")}
        save([make("vae", seed, **alike)], tmp_path / folder, with_arrays=False)
    for seed in range(4):
        usual = make("vae", seed)
        for fault, times, more in ((faults[0], 1.04, {}), (faults[1], 3, {"weights_sha256": f"{seed}" * 64})):
            quality = usual.quality.model_copy(update={"value": times * make("vae", 0).quality.value})
            save([make("vae", seed, quality=quality, **more)], tmp_path / fault.name / f"{seed}", with_arrays=False)
    none, disturbed, first, second = gate_page.rows(design, tmp_path)
    assert [row.failed(found) for row in (none, disturbed) for found in (row.found, row.confirmed)] == [0, 0, 0, 0]
    # equal weights, another number: no fresh seed acquits it
    assert [first.failed(found) for found in (first.found, first.confirmed)] == [4, 4]
    assert [second.failed(found) for found in (second.found, second.confirmed)] == [0, 0]
    assert "vae FD_5k (4)" in str(second)  # its quality is named, which this fault is not looked for in
    begin = "| metric factor | the Frechet distance is 1.04 times too large |  | 4 of 4 | 4 of 4 | "
    assert str(first).startswith(begin)


def test_the_faulty_entrant_shares_the_error_rate_with_all_others(tmp_path):
    """As in any check of the suite: with one entrant alone more would be named than a user's check names."""
    names = ("gan", "vae", "flow", "diffusion")
    for folder, seed in [(f"baseline/{seed}", seed) for seed in range(5)] + [("equal/0", 9)]:
        save([make(name, seed) for name in names], tmp_path / folder, with_arrays=False)
    quality = make("vae", 9).quality
    worse = make("vae", 9, quality=quality.model_copy(update={"value": 3 * quality.value}), weights_sha256="c" * 64)
    save([worse], tmp_path / "fault/0", with_arrays=False)
    paths = gate_page.whole(tmp_path / "fault/0", tmp_path / "equal/0", "vae")
    assert len(paths) == len(names)
    baseline = [tmp_path / "baseline" / str(seed) for seed in range(5)]
    found, usual = (gate_page.checked(run, baseline, gate_page.Gates()) for run in (paths, [tmp_path / "equal/0"]))
    judged = [
        {line.number: (line.alpha, line.verdict) for line in one.lines if line.row == "vae" and line.p is not None}
        for one in (found, usual)
    ]
    assert gate_page.moved(STUDY.fault[4], [found]).startswith("FD_5k +240.5 % (+14.0 %; +18.4 %); bits_per_dim ")
    assert judged[0]["FD_5k"] == (judged[1]["FD_5k"][0], "regression")


@pytest.mark.slow
def test_a_vae_whose_divergence_costs_nothing_is_named_against_the_committed_baseline(tmp_path):
    fault = next(one for one in STUDY.fault if one.name == "KL weight 0")
    step = gate.Step(tmp_path / "run", gate.tree(tmp_path / "planted", fault), 1, fault.entrant)
    gate.take(step, STUDY.suite)
    found = gate_page.checked([step.out], [gate.ROOT / "baselines" / "ci"], gate_page.Gates())
    assert {(line.row, line.category) for line in found.regressions} >= {("vae", "quality"), ("vae", "likelihood")}
