"""What a training took to come to a target, and where the order of entrants changes with the unit."""

import math
import re
from pathlib import Path

import pytest
from fixtures import make

from equibench.record.surroundings import Load, TimedBlock
from equibench.report.tables.along import along, to_target
from equibench.summary.along import Spending, lead_sentences, metrics, order_sentences, spending
from equibench.summary.equal_seconds import distance_at, equal_second_sentences
from equibench.summary.findings import findings
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise

SHARES = (0.125, 0.25, 0.5, 1.0)


def trained(name, seed, distances, flops=1e12, sec=100.0, images=1e5, **changes):
    """A record with these distances at the points of its training, which took so much in all."""
    example = make(name, seed)
    quality = example.along[0].quality
    points = [
        example.along[0].model_copy(
            update={
                "label": f"{100 * share:g} %",
                "share": share,
                "flops": flops * share,
                "train_sec": sec * share,
                "images": int(images * share),
                "quality": quality.model_copy(update={"value": distance}),
            }
        )
        for share, distance in zip(SHARES, distances, strict=True)
    ]
    return make(name, seed, along=points, **changes)


def section_of(*records):
    (section,) = summarise([FiledRecord(Path(f"{r.entrant}-{r.seed}"), r) for r in records])
    return section


def power(factor, exponent=0.5):
    return [factor * share**-exponent for share in SHARES]


ONE = trained("gan", 0, power(100))
METRIC = metrics(section_of(ONE))[0]


@pytest.mark.parametrize("target", [101.0, 150.0, 199.9, 250.0])
def test_between_points_a_power_law_is_followed_exactly(target):
    """FD = 100 (C / C_end)^(-1/2), so C = C_end (FD / 100)^(-2)."""
    for unit, whole in (("flops", 1e12), ("train_sec", 100.0), ("images", 1e5)):
        found = spending(ONE, METRIC, unit, target)
        assert not found.at_most
        assert found.cost == pytest.approx(whole * (target / 100) ** -2, rel=1e-9)


def test_the_first_time_counts_and_what_was_never_reached_is_none():
    rises = trained("gan", 0, [400.0, 200.0, 300.0, 100.0])
    assert spending(rises, METRIC, "train_sec", 250.0).cost == pytest.approx(12.5 * 2 ** (math.log(1.6) / math.log(2)))
    assert spending(ONE, METRIC, "flops", 99.0) is None
    assert spending(ONE, METRIC, "flops", 100.0) == Spending(1e12)
    assert spending(ONE, METRIC, "flops", 1000.0) == Spending(1.25e11, at_most=True)


def test_distances_of_other_numbers_of_images_never_mix():
    other = METRIC._replace(n_samples=5000)
    assert spending(ONE, other, "flops", 150.0) is None
    assert METRIC.n_samples == 1300
    assert METRIC in metrics(section_of(ONE))


def three(name, factor, spread=0.02, **cost):
    return [trained(name, seed, power(factor * (1 + spread * (seed - 1))), **cost) for seed in range(3)]


def test_the_order_that_changes_with_the_unit_is_said_where_seeds_tell_it():
    """At 100, where the VAE ends, the GAN is with 0.64 of the FLOPs, at three times the seconds for each."""
    section = section_of(*three("gan", 80, sec=300.0), *three("vae", 100))
    (found,) = order_sentences(section)
    assert found.startswith("To reach FD_1300 (EfficientNet-Lite0) of 102.0, as every training here does, ")
    assert found.endswith("that is so over training seeds.")
    assert "the GAN takes fewer training FLOPs and training images than the VAE" in found
    assert "and the VAE fewer seconds of training than the GAN (p at most 0.0" in found


def test_no_sentence_where_the_order_is_the_same_or_seeds_do_not_tell_it():
    assert order_sentences(section_of(*three("gan", 80), *three("vae", 100))) == []
    # as above, but seeds of one entrant lie as far apart as the two do
    assert order_sentences(section_of(*three("gan", 80, 0.25, sec=220.0), *three("vae", 100, 0.25))) == []
    assert order_sentences(section_of(*three("gan", 80, sec=300.0))) == []
    assert order_sentences(section_of(make("gan", along=[]), make("vae", along=[]))) == []


def crossing(name, factor, exponent, seeds=3):
    return [trained(name, seed, power(factor * (1 + 0.02 * (seed - 1)), exponent)) for seed in range(seeds)]


def test_who_has_the_lowest_distance_along_training_is_said_where_that_changes():
    """100 C^-1 and 120 C^-0.5 cross at a share of 0.69, and 118 C^-0.5 is never the lowest."""
    rows = [*crossing("gan", 100, 1.0), *crossing("vae", 120, 0.5), *crossing("flow", 123, 0.5)]
    (found,) = lead_sentences(section_of(*rows))
    assert found.startswith(
        "Along training the lowest mean FD_1300 (EfficientNet-Lite0) is that of the VAE at 12.5 %, 25 % and 50 % and "
        "that of the GAN at 100 % of the budget. The seeds tell the one ahead from the other at 12.5 % (the VAE, p "
    )
    assert re.search(r" and 100 % \(the GAN, p = 0\.0\d+\)\.$", found)
    tested = [ground for ground in found.grounds if ground.how == "p"]
    assert tested[0].path == "along.12.5 %.quality.value"
    assert f"at 12.5 % (the VAE, p {tested[0].said})" in found
    assert len(found.grounds) == 4
    assert lead_sentences(section_of(*crossing("gan", 100, 0.5), *crossing("vae", 120, 0.5))) == []
    (one_seed,) = lead_sentences(section_of(*crossing("gan", 100, 1.0, 1), *crossing("vae", 120, 0.5, 1)))
    assert one_seed.endswith("So few seeds do not tell whether another training would go the same way.")
    near = [trained("gan", seed, [300.0 + 30 * seed, 250, 150, 100]) for seed in range(3)]
    far = [trained("vae", seed, [305.0 + 20 * seed, 250, 160, 110]) for seed in range(3)]
    (open_one,) = lead_sentences(section_of(*near, *far))
    assert "the VAE, p" not in open_one  # who is ahead at first, the seeds do not tell
    assert open_one.endswith("50 % (the GAN, p < 0.0001) and 100 % (the GAN, p < 0.0001).")
    wide = [trained("gan", seed, power(100 + 40 * seed, 1.0)) for seed in range(3)]
    (untold,) = lead_sentences(section_of(*wide, *[trained("vae", s, power(120 + 50 * s, 0.5)) for s in range(3)]))
    assert untold.endswith("At none of these shares do the seeds tell the VAE and the GAN apart.")
    assert {ground.how for ground in [*one_seed.grounds, *untold.grounds]} == {"test"}


def test_a_lead_has_changed_only_where_the_seeds_tell_both_leaders():
    def claim(*records):
        (found,) = [one for one in findings(section_of(*records)) if one.topic == "along"]
        return found.claim

    changed = claim(*crossing("gan", 100, 1.0), *crossing("vae", 120, 0.5))
    assert changed == "Which entrant has the lowest distance changes along training."
    near = [trained("gan", seed, [300.0 + 30 * seed, 250, 150, 100]) for seed in range(3)]
    far = [trained("vae", seed, [305.0 + 20 * seed, 250, 160, 110]) for seed in range(3)]
    undecided = "Not decided: which entrant has the lowest distance at each share of the training."
    assert claim(*near, *far) == undecided


def test_with_one_seed_it_is_a_word_on_these_models_alone():
    gan, vae = trained("gan", 0, power(80), sec=300.0), trained("vae", 0, power(100))
    (only,) = order_sentences(section_of(gan, vae))
    assert "for these trained models alone, without a test over seeds" in only
    assert "p at most" not in only


def test_seconds_of_an_unsteady_machine_decide_nothing():
    """The GAN and the flow take fewer FLOPs and more seconds than the VAE, the GAN beside other work."""
    busy = [TimedBlock(name="train", load=Load(others_cpu_share=0.5))]
    gan, vae = trained("gan", 0, power(80), sec=300.0, timed=busy), trained("vae", 0, power(100))
    assert order_sentences(section_of(gan, vae)) == []
    steady = trained("flow", 0, power(80), sec=300.0)
    changes, unsteady = order_sentences(section_of(gan, vae, steady))
    assert "the VAE takes fewer seconds of training than the flow" in changes
    assert "than the GAN" not in changes
    assert unsteady == "The machine was not steady as the GAN trained: its seconds are not compared."


def test_who_took_more_than_an_upper_bound_is_not_said_to_have_taken_less():
    """The GAN is at the target at its first point already: how much sooner, nobody knows."""
    gan, vae = trained("gan", 0, power(20), sec=3000.0), trained("vae", 0, power(100))
    assert spending(gan, METRIC, "train_sec", 100.0).at_most
    assert order_sentences(section_of(gan, vae)) == []


def test_who_leads_at_equal_seconds_is_said_where_it_is_another():
    """80 s^-1/2 at a third of the seconds' speed: when the VAE is done at 100 s, the GAN is at 80 x 3^(1/2) = 139."""
    gan, vae = three("gan", 80, sec=300.0), three("vae", 100)
    assert distance_at(gan[1], METRIC, 100.0) == pytest.approx(80 * math.sqrt(3))
    assert distance_at(gan[1], METRIC, 300.0) == distance_at(gan[1], METRIC, math.inf) == pytest.approx(80)
    assert distance_at(gan[1], METRIC, 300.0 * SHARES[0] - 1) is None
    (found,) = equal_second_sentences(section_of(*gan, *vae))
    assert found.startswith(
        "After 100 s of training, when the VAE has used its budget, the VAE has the lowest FD_1300 (EfficientNet-Lite0)"
        "; at the end of the budget the GAN has. At that moment the seeds tell the two apart (p "
    )
    (one_seed,) = equal_second_sentences(section_of(gan[0], vae[0]))
    assert one_seed.endswith("So few seeds do not tell whether another training would go the same way.")
    (untold,) = equal_second_sentences(section_of(*three("gan", 80, 0.4, sec=300.0), *three("vae", 100, 0.4)))
    assert untold.endswith("The seeds do not tell the VAE from the GAN at that moment.")


def test_equal_seconds_are_not_compared_where_nothing_changes_or_they_cannot_be():
    assert equal_second_sentences(section_of(*three("gan", 80, sec=120.0), *three("vae", 100))) == []
    assert equal_second_sentences(section_of(make("gan", along=[]))) == []
    late = three("gan", 80, sec=1000.0)  # its first point comes when the VAE is done
    assert equal_second_sentences(section_of(*late, *three("vae", 100))) == []
    busy = [TimedBlock(name="train", load=Load(others_cpu_share=0.5))]
    gan, vae = trained("gan", 0, power(80), sec=300.0, timed=busy), trained("vae", 0, power(100))
    assert equal_second_sentences(section_of(gan, vae)) == []


def column(table, name):
    return [line.entries[table.names.index(name)] for line in table.lines]


def test_the_table_of_targets_says_who_comes_where_others_end():
    section = section_of(*three("gan", 80), *three("vae", 100))
    table = to_target(section)
    names = [(a.raw, b.raw) for a, b in zip(column(table, "entrant"), column(table, "ended"), strict=True)]
    assert names == [("gan", "vae"), ("vae", "vae"), ("gan", "gan"), ("vae", "gan")]
    assert [entry.raw for entry in column(table, "target")] == pytest.approx([102.0, 102.0, 81.6, 81.6])
    flops = column(table, "flops")
    by_hand = [1e12 * (102 / (80 * factor)) ** -2 for factor in (0.98, 1, 1.02)]
    assert flops[0].raw == pytest.approx(sum(by_hand) / 3)
    assert flops[3].text == "not reached"
    assert flops[3].raw is None


def test_some_seeds_that_do_not_come_are_named():
    section = section_of(*three("gan", 80, 0.2), *three("vae", 70, 0.0))
    table = to_target(section)
    texts = {
        (line.entries[0].raw, line.entries[1].raw): line.entries[table.names.index("flops")].text
        for line in table.lines
    }
    assert texts["gan", "vae"] == "not reached by seed 1 and 2"


def test_the_table_of_points_names_the_number_of_images():
    section = section_of(*three("gan", 80), *three("vae", 100))
    table = along(section)
    assert [entry.raw for entry in column(table, "point")] == ["12.5 %", "25 %", "50 %", "100 %"] * 2
    assert {entry.raw for entry in column(table, "metric")} == {"FD_1300 (EfficientNet-Lite0)"}
    last = table.lines[3].entries
    distance = last[table.names.index("distance")]
    assert distance.raw == pytest.approx(80)
    assert distance.more["_sd"] == pytest.approx(1.6)
    assert distance.source.path == "along.100 %.quality.value"
    assert last[table.names.index("bits_per_dim")].raw is None
    assert "It has no likelihood." in table.notes
