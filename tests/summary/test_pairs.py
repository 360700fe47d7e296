"""Which entrants the numbers tell apart, and the sentences that say so."""

from __future__ import annotations

import fixtures
import numpy as np
import pytest
import scipy.stats
from fixtures import make

from equibench.report.tables import headline as tables
from equibench.report.tables.differences import pairs as pairs_table
from equibench.stats import Stat
from equibench.summary import pairs, sort
from equibench.summary.findings import findings
from equibench.summary.sections import FiledRecord


def sections_of(tmp_path, *records):
    return sort.summarise([FiledRecord(tmp_path / f"{i}.json", found) for i, found in enumerate(records)])


def bold_bits(section):
    """Whether the bits/dim of each row are bold."""
    table = tables.headline(section)
    return [line.entries[table.names.index("bits_per_dim")].strong for line in table.lines if not line.span]


def words(section):
    """All that the findings say."""
    return " ".join(sentence for one in findings(section) for sentence in (one.claim, *one.sentences))


def test_stat_by_hand():
    assert Stat((2.0, 4.0, 9.0)).mean == 5
    assert Stat((2.0, 4.0, 9.0)).sd == pytest.approx(13**0.5)
    assert Stat((0.1, 0.1, 0.1)).sd == 0  # not 1.7e-17
    assert Stat((2.0,)).sd is None


def with_values(family, distances, bits=None):
    """A record a seed, with these distances and, where given, bits/dim."""
    for seed, value in enumerate(distances):
        found = make(family, seed)
        quality = found.quality.model_copy(update={"value": value})
        likelihood = found.likelihood.model_copy(update={"bits_per_dim": bits[seed]} if bits else {})
        yield found.model_copy(update={"quality": quality, "likelihood": likelihood})


def test_one_seed_speaks_of_the_trained_models_alone(tmp_path):
    vae, flow = make("vae", bounds=[]), make("flow", bounds=[])
    nearly = flow.likelihood.model_copy(update={"bits_per_dim": 3.405, "stderr_bits_per_dim": 0.003})
    (section,) = sections_of(tmp_path, vae, flow.model_copy(update={"likelihood": nearly}))
    distances, bits = pairs.tests(section)
    assert (distances.better.label, distances.over_seeds) == ("vae", False)
    assert distances.p_holm < 1e-4
    # 3.410 and 3.405 with errors 0.004 and 0.003: one combined error of 0.005, so p = 2 Phi(-1) = 0.317
    assert bits.p_holm == pytest.approx(0.3173, abs=1e-4)
    claims = {one.topic: one for one in findings(section)}
    assert claims["quality"].claim == ("Of these trained models: the VAE makes the samples nearest to the test images.")
    assert claims["likelihood"].claim == (
        "Not decided between the flow and the VAE, as trained here: who has the lowest upper bound on bits/dim."
    )
    assert "All of these are upper bounds, each above the true value by an unknown amount" in words(section)
    assert "no ranking is claimed" in words(section)
    table = tables.headline(section)
    assert not any(entry.strong or "±" in entry.text for line in table.lines for entry in line.entries)


def test_two_models_distances_are_told_apart_by_their_errors_over_samples():
    """701 +- 3 and 710 +- 4: 9 apart with an error of 5, so p = 2 Phi(-1.8) = 0.0719. With one split of the samples,
    as in the suite `ci`, halves would have a single degree of freedom, and nothing would be decided.
    """

    def model(value, stderr):
        changes = {"value": value, "stderr": stderr, "stderr_method": "jackknife", "halves": [value + 9, value - 20]}
        found = make("vae")
        return found.model_copy(update={"quality": found.quality.model_copy(update=changes)})

    assert pairs.p_of_distances(model(701, 3), model(710, 4)) == pytest.approx(0.0719, abs=1e-4)
    assert pairs.p_of_distances(model(701, 3), model(1260, 4)) < 1e-10
    none = model(701, None)
    no_halves = none.model_copy(update={"quality": none.quality.model_copy(update={"halves": []})})
    assert pairs.p_of_distances(no_halves, model(710, 4)) is None


def test_two_seeds_claim_no_ranking(tmp_path):
    (section,) = sections_of(tmp_path, *(make(family, seed) for family in ("gan", "vae") for seed in (0, 1)))
    assert "no ranking is claimed" in words(section)
    assert not any(bold_bits(section))


def test_three_seeds_speak_of_entrants(tmp_path):
    found = [*with_values("gan", [30, 31, 32]), *with_values("vae", [90, 91, 92]), *with_values("flow", [31, 32, 33])]
    (section,) = sections_of(tmp_path, *found)
    p = scipy.stats.ttest_ind(np.log([30, 31, 32]), np.log([31, 32, 33]), equal_var=False).pvalue
    tested = {(pair.a.label, pair.b.label): pair for pair in pairs.tests(section) if pair.measure.category == "quality"}
    assert {names: pair.better.label for names, pair in tested.items() if pair.decided} == {
        ("gan", "vae"): "gan", ("vae", "flow"): "flow",
    }  # fmt: skip
    assert tested["gan", "flow"].p_holm == pytest.approx(p)
    assert not any(line.entries[2].strong for line in tables.headline(section).lines)
    (section,) = sections_of(tmp_path, *found[:6])
    assert [line.entries[2].strong for line in tables.headline(section).lines] == [True, False]


def test_holm_corrects_for_the_number_of_tests(tmp_path):
    # Against each of the others p is 0.030 alone (Welch, of logarithms): decided as one test, not as one of three.
    found = {family: list(with_values(family, v)) for family, v in OF_HOLM.items()}
    (section,) = sections_of(tmp_path, *found["gan"], *found["vae"])
    first = pairs.tests(section)[0]
    alone = scipy.stats.ttest_ind(*map(np.log, list(OF_HOLM.values())[:2]), equal_var=False).pvalue
    assert first.decided
    assert first.p_holm == pytest.approx(alone)
    (section,) = sections_of(tmp_path, *found["gan"], *found["vae"], *found["flow"])
    first = pairs.tests(section)[0]
    assert first.p_holm == pytest.approx(3 * alone)
    assert not first.decided


OF_HOLM = {"gan": [11.0, 12.0, 13.0], "vae": [13.8, 14.8, 15.8], "flow": [13.8, 14.8, 15.8]}


def test_a_bound_is_not_compared_with_an_exact_value(tmp_path):
    exact = [
        r.model_copy(update={"likelihood": r.likelihood.model_copy(update={"kind": "exact"})})
        for r in (make("flow", seed) for seed in range(3))
    ]
    (section,) = sections_of(tmp_path, *exact, *(make("vae", seed) for seed in range(3)))
    assert "likelihood" not in {pair.measure.category for pair in pairs.tests(section)}
    assert "Bits/dim (exact) and Bits/dim (upper bound) are not compared" in words(section)
    assert not any(bold_bits(section))


def test_bounds_are_compared_by_the_tightest_that_both_have(tmp_path):
    """Of vae and flow the usual bounds say the contrary of importance weighting; diffusion has no other bound."""
    weighted = {"vae": [3.1, 3.11, 3.12], "flow": [3.3, 3.31, 3.32]}

    def bounds(name, seed):
        if name not in weighted:
            return []
        changed = {"bits_per_dim": weighted[name][seed], "usual_bits_per_dim": 3.5}
        return [make(name, seed).bounds[0].model_copy(update=changed)]

    usual = {"vae": [3.6, 3.61, 3.62], "flow": [3.4, 3.41, 3.42], "diffusion": [3.8, 3.81, 3.82]}
    records = [
        one.model_copy(update={"bounds": bounds(name, one.seed)})
        for name, bits in usual.items()
        for one in with_values(name, [50, 51, 52], bits)
    ]
    (section,) = sections_of(tmp_path, *records)
    found = {
        (pair.a.label, pair.b.label): (pair.measure.name, pair.better.label, pair.decided)
        for pair in pairs.tests(section)
        if pair.measure.category == "likelihood"
    }
    assert found == {
        ("vae", "flow"): ("Bits/dim (upper bound by importance weighting, K = 4, on 64 images)", "vae", True),
        ("vae", "diffusion"): ("Bits/dim (upper bound)", "vae", True),
        ("flow", "diffusion"): ("Bits/dim (upper bound)", "flow", True),
    }
    # no usual number is marked as the lowest, as the pair was told apart by others
    assert not any(bold_bits(section))
    table = pairs_table(section)
    measure = table.names.index("measure")
    assert sum("importance weighting" in line.entries[measure].text for line in table.lines) == 1


def test_seeds_of_two_codes_are_named(tmp_path):
    codes = [make("vae").code.model_copy(update={"sources_sha256": digit * 64}) for digit in "112"]
    (section,) = sections_of(tmp_path, *(make("vae", seed, code=code) for seed, code in enumerate(codes)))
    note = "The VAE: not all seeds are of one code: seeds 0 and 1 by sources 11111111, seed 2 by sources 22222222."
    assert note in words(section)
    (section,) = sections_of(tmp_path, *(make("vae", seed, code=codes[0]) for seed in range(3)))
    assert "one code" not in words(section)


def test_what_is_incomplete_is_named_in_the_summary(tmp_path):
    broken = make("vae", 1, status="incomplete", memory=None, failures={"memory": "OSError"}, reason="memory: OSError")
    (section,) = sections_of(tmp_path, make("vae", 0), broken)
    assert "The VAE, seed 1, is incomplete: memory: OSError." in words(section)


def test_what_failed_is_named_in_the_summary(tmp_path):
    (section,) = sections_of(tmp_path, *fixtures.everything(1))
    assert findings(section)[-1].sentences[-1] == "Not ranked: GAN, seed 8 (diverged) and flow, seed 9 (out of memory)."


def test_a_seed_without_a_likelihood_stays_in_its_row(tmp_path):
    why = {"likelihood": "RuntimeError: x"}
    for lacking in (0, 2):  # whether the first of the row or the last
        lost = {"likelihood": None, "status": "incomplete", "failures": why, "reason": "likelihood: x"}
        records = [make("vae", seed, **(lost if seed == lacking else {})) for seed in range(3)]
        (section,) = sections_of(tmp_path / str(lacking), *records)
        (row,) = section.entrants
        assert row.seeds == (0, 1, 2)
        assert row.stat("likelihood.bits_per_dim").n == 2


def test_what_missed_its_budget_is_not_ranked_because_a_stage_failed_too(tmp_path):
    few = make("flow").spent.model_copy(update={"flops": 2e12})
    lost = {"status": "incomplete", "failures": {"memory": "x"}, "memory": None, "reason": "x", "spent": few}
    missed = [make("flow", seed, **lost) for seed in range(3)]
    (section,) = sections_of(tmp_path, *[make("vae", seed) for seed in range(3)], *missed)
    assert [row.label for row in section.rankable] == ["vae"]
    assert pairs.tests(section) == []
    assert "nothing is ranked" in words(section)
