"""Ladders of budgets: what makes one, what its laws and changes of order are, and what is said of them."""

from __future__ import annotations

import re
from pathlib import Path

import fixtures
import pytest
from climbing import AMOUNTS, SPENT_SHARE, at, climb, power
from fixtures import failed

from equibench.quantities.text import TIMES
from equibench.summary.ladders import ladders
from equibench.summary.order import orders
from equibench.summary.scaling import ladder_sentences
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise


def found_in(records):
    return ladders(summarise([FiledRecord(Path(f"{i}.json"), one) for i, one in enumerate(records)]))


def only(records):
    (ladder,) = found_in(records)
    return ladder


FALLING = climb("gan", power(400, 0.25))
STEEP = climb("vae", power(600, 0.6))  # falls below gan's at 2.2e13
CROSSING = climb("diffusion", power(503, 0.6, 2.8e12))  # falls below gan's between two budgets


def test_a_law_is_fitted_to_what_was_spent():
    (series,) = only(FALLING).series
    assert (series.label, series.measure.name) == ("gan", "FD_5k (EfficientNet-Lite0)")
    assert series.fit.law.exponent == pytest.approx(0.25, abs=1e-6)
    assert series.fit.law.at(SPENT_SHARE * 7e12) == pytest.approx(400, rel=1e-6)
    assert len(series.rungs) == 6
    assert ladder_sentences(only(FALLING)) == [
        "FD_5k (EfficientNet-Lite0) of GAN falls as C^-0.250 (95 % interval -0.250 to -0.250) from "
        f"6.00{TIMES}10¹¹ to 1.40{TIMES}10¹³ training FLOPs (6 budgets, 3 training seeds)."
    ]


def test_a_number_with_a_floor():
    records = climb("vae", power(900, 0.2), bits=lambda flops: 3.1 + 0.1 * (flops / 7e12) ** -0.5)
    bits = only(records).series[1]
    assert bits.measure.name == "Bits/dim (upper bound)"
    assert bits.fit.law.floor == pytest.approx(3.1, rel=1e-3)
    (sentence,) = [one for one in ladder_sentences(only(records)) if one.startswith("Bits/dim")]
    assert "of VAE falls as C^-0.5" in sentence
    assert "towards 3.1" in sentence


def test_numbers_that_rise_or_stay_are_called_so():
    (sentence,) = ladder_sentences(only(climb("gan", power(400, -0.1))))
    assert "of GAN rises as C^0.100" in sentence
    (sentence,) = ladder_sentences(only(climb("gan", lambda _: 400)))
    assert "of GAN shows no trend, C^0.000" in sentence
    assert "-0.000" not in ladder_sentences(only(climb("gan", lambda _: 400)))[0].split(" interval ")[0]


@pytest.mark.parametrize("n", [1, 4])
def test_fewer_than_five_budgets_are_no_ladder(n):
    assert found_in(climb("gan", power(400, 0.25), AMOUNTS[:n])) == []


def test_budgets_in_other_units_are_no_ladder():
    records = [
        one.model_copy(update={"budget": one.budget.model_copy(update={"unit": unit})})
        for unit in ("images", "updates")
        for one in FALLING
    ]
    assert found_in(records) == []


def test_caps_machines_and_data_are_ladders_of_their_own():
    other = fixtures.MACHINE.model_copy(update={"key": "0" * 12})
    data = fixtures.DATA.model_copy(update={"sha256": "0" * 64})
    more = [
        climb("gan", power(500, 0.3), cap=1_000_000),
        climb("gan", power(500, 0.35), machine=other),
        climb("gan", power(500, 0.45), data=data),
    ]
    found = found_in([*FALLING, *(one for records in more for one in records)])
    assert sorted(round(ladder.series[0].fit.law.exponent, 6) for ladder in found) == [0.25, 0.3, 0.35, 0.45]
    # six budgets over two caps are no ladder of six
    assert found_in([*FALLING[:9], *climb("gan", power(400, 0.25), AMOUNTS[3:], cap=1_000_000)]) == []


CHANGES = {
    "n_samples": lambda quality: {"n_samples": 2000},
    "n_reference": lambda quality: {"n_reference": 5000},
    "features": lambda quality: {"features": fixtures.INCEPTION},
    "options": lambda quality: {"options": {"steps": 20}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_distances_of_other_kinds_are_never_one_series(change):
    """Two of six budgets were measured otherwise: neither kind has five."""
    odd = [
        one.model_copy(update={"quality": one.quality.model_copy(update=CHANGES[change](one.quality))})
        for one in FALLING[:6]
    ]
    assert found_in([*odd, *FALLING[6:]]) == []
    # a fifth makes one of those that are alike, and the other is said
    ladder = only([*odd[:3], *FALLING[3:]])
    assert len(ladder.series[0].rungs) == 5
    assert ladder_sentences(ladder)[-1].endswith("of GAN: no law is fitted to 1 budget; it takes 5.")


def test_another_config_is_another_series():
    odd = [one.model_copy(update={"config": {**one.config, "width": 64}}) for one in FALLING[:3]]
    (series,) = only([*odd, *FALLING[3:]]).series
    assert len(series.rungs) == 5


def test_an_entrant_that_lacks_a_budget_is_compared_at_the_others():
    ladder = only([*FALLING, *CROSSING[3:]])
    assert [len(series.rungs) for series in ladder.series] == [6, 5]
    (order,) = orders(ladder)
    assert len(order.rungs) == 5


def test_failed_and_missed_cells_take_no_part():
    lost = [failed("gan", 7, "diverged", "x").model_copy(update={"budget": one.budget}) for one in FALLING[:1]]
    few = FALLING[0].spent.model_copy(update={"flops": 1e11})
    missed = [at("gan", AMOUNTS[0], 900, 9, status="budget missed", reason="x", spent=few)]
    (series,) = only([*FALLING, *lost, *missed]).series
    assert len(series.records) == 18
    assert series.fit.law.exponent == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e300])
def test_numbers_that_no_law_can_have_are_left_out(value):
    (series,) = only([at("gan", AMOUNTS[0], value), *FALLING[3:]]).series
    assert len(series.rungs) == 5


def test_the_order_changes_between_two_budgets_that_decide_it():
    (order,) = orders(only([*FALLING, *CROSSING]))
    assert [winner and winner.label for winner in order.lower] == ["gan"] * 3 + ["diffusion"] * 3
    (found,) = order.crossings
    assert (found.before.label, found.after.label) == ("gan", "diffusion")
    assert (found.low.amount, found.high.amount) == (2e12, 3.75e12)
    # 400 (C / 7e12)^-0.25 = 503 (C / 2.8e12)^-0.6
    crossing = (503 * 2.8e12**0.6 / (400 * 7e12**0.25)) ** (1 / 0.35)
    assert found.about_flops == pytest.approx(SPENT_SHARE * crossing, rel=1e-6)
    (sentence,) = [one for one in ladder_sentences(only([*FALLING, *CROSSING])) if "order changes" in one]
    assert sentence == (
        f"FD_5k (EfficientNet-Lite0): GAN is better than diffusion at 2.00{TIMES}10¹² training FLOPs, diffusion is "
        f"better than GAN at 3.75{TIMES}10¹²: the order changes between these budgets, and the means cross at about "
        f"2.79{TIMES}10¹²."
    )


def test_budgets_at_which_nothing_is_decided_widen_the_change():
    """At the middle budgets the seeds differ far more than the entrants."""
    wide = [
        at("diffusion", amount, [100.0, 400.0, 900.0][seed], seed) if amount in AMOUNTS[2:4] else record
        for record, (amount, seed) in zip(CROSSING, ((a, s) for a in AMOUNTS for s in range(3)), strict=True)
    ]
    ((crossing,),) = [order.crossings for order in orders(only([*FALLING, *wide]))]
    assert (crossing.low.amount, crossing.high.amount) == (1.1e12, 7e12)


def test_a_crossing_beyond_the_budgets_is_not_found():
    """The laws meet at 2.2e13, above the largest budget."""
    ladder = only([*FALLING, *STEEP])
    (order,) = orders(ladder)
    assert order.crossings == ()
    said = ladder_sentences(ladder)
    assert said[-1] == (
        "FD_5k (EfficientNet-Lite0): no change of order is shown between GAN and VAE "
        "(GAN is better than VAE at 6 of 6 budgets)."
    )
    assert not any("order changes" in one for one in said)


def test_an_order_that_changes_twice_is_two_changes():
    there_and_back = climb("vae", lambda flops: 300 if 1.5e12 < flops < 5e12 else 900)
    (order,) = orders(only([*climb("gan", lambda _: 500), *there_and_back]))
    assert [(crossing.before.label, crossing.after.label, crossing.low.amount) for crossing in order.crossings] == [
        ("gan", "vae", 1.1e12),
        ("vae", "gan", 3.75e12),
    ]


def test_few_seeds_claim_no_order_and_no_interval():
    records = [*climb("gan", power(400, 0.25), seeds=2), *climb("diffusion", power(503, 0.6, 2.8e12), seeds=2)]
    said = ladder_sentences(only(records))
    assert not any("interval " in one or "order changes" in one for one in said[:-1])
    assert "not decided at any of 6 budgets" in said[2]
    assert said[-1] == (
        "Intervals need at least 3 training seeds at every budget; there are none for GAN and diffusion."
    )
    (sentence, *_) = ladder_sentences(only(climb("gan", power(400, 0.25), seeds=1)))
    assert "; the budgets deviate from it by up to" in sentence
    assert "one seed does not tell whether by chance" in sentence


def test_bounds_are_called_bounds():
    records = [
        *climb("vae", power(900, 0.2), bits=power(3.2, 0.02)),
        *climb("flow", power(900, 0.2), bits=power(3.6, 0.02)),
    ]
    said = ladder_sentences(only(records))
    assert any("VAE has a lower bound than flow at 6 of 6 budgets" in one for one in said)


def test_a_curve_that_is_no_law_is_said():
    (sentence,) = ladder_sentences(only(climb("gan", lambda flops: 400 * (1 + (flops / 7e12) ** 2))))
    assert "the law does not hold: the budgets deviate from it by up to" in sentence
    (sentence,) = ladder_sentences(only(climb("gan", lambda flops: 900 if flops < 5e12 else 90)))
    assert re.search(r"by up to \d{3} %, more than their seeds explain", sentence)


def test_p_of_the_laws_are_corrected_by_holm():
    """One of four curves deviates a little: alone it is beyond its seeds, among four it is not."""
    bent = climb("gan", lambda flops: 400 * (flops / 7e12) ** -0.25 * (1.012 if flops in AMOUNTS[::2] else 0.988))
    alone = only(bent).series[0].fit
    others = [climb(family, power(600, 0.3)) for family in ("vae", "flow", "diffusion")]
    among = only([*bent, *(one for records in others for one in records)]).series[0].fit
    assert among.p_holds == pytest.approx(min(1, 4 * alone.p_holds))
