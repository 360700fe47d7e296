"""The verdict, the tiles and the findings: their words for any winner, ties, failures, few seeds and odd entrants."""

from __future__ import annotations

import fixtures
import pytest
from fixtures import failed, floor, make

from equibench.record.cost import Memory
from equibench.record.surroundings import Load, TimedBlock
from equibench.summary import sort
from equibench.summary.findings import findings
from equibench.summary.sections import FiledRecord
from equibench.summary.standing import named_first, standings
from equibench.summary.verdict import verdict

NOISE = (0.99, 1.0, 1.01)


def section_of(tmp_path, *records):
    (section,) = sort.summarise([FiledRecord(tmp_path / f"{i}.json", found) for i, found in enumerate(records)])
    return section


def entrant(name, fd, bits=None, speed=100.0, mib=100, seeds=3, like=None, **changes):
    """Records of an entrant, a seed each, one per cent of noise between them."""
    family = like or (name if name in fixtures.NUMBERS else "flow")
    for seed, shift in enumerate(NOISE[:seeds]):
        found = make(family, seed)
        kind = {"kind": "upper bound", "bits_per_dim": bits * shift} if bits else {"kind": "none", "bits_per_dim": None}
        changed = {
            "entrant": name,
            "quality": found.quality.model_copy(update={"value": fd * shift, "also": []}),
            "likelihood": found.likelihood.model_copy(update=kind),
            "bounds": [],
            "along": [],
            "sampler_points": [],
            "speed": found.speed.model_copy(update={"images_per_sec": speed * shift}),
            "memory": Memory(quantity="peak of live tensors", train_peak_bytes=mib * 2**20, train_batch_size=64,
                             sample_peak_bytes=2**20, sample_batch_size=64,
                             train_resident_bytes=round(1.5 * mib * shift * 2**20)),
        }  # fmt: skip
        yield found.model_copy(update={**changed, "key": f"{name}{seed}".ljust(64, "0")[:64], **changes})


def all_words(section):
    found = verdict(section)
    tiles = [word for tile in found.tiles for word in (tile.winner, tile.value, tile.apart, tile.sure)]
    said = [sentence for one in findings(section) for sentence in (one.claim, *one.sentences)]
    return [found.sentence, found.sure, *tiles, *said]


def test_effect_sizes_of_every_winner(tmp_path):
    section = section_of(
        tmp_path, *entrant("gan", 100, speed=900, mib=300), *entrant("vae", 200, bits=3.0, speed=300, mib=100)
    )
    assert verdict(section).sentence == (
        "The GAN makes the best samples (FD_5k 100; the VAE, next, has 2.0 times that) and samples fastest (3.0 times "
        "as fast as the VAE); the VAE trains in the least memory (the GAN, next, takes 3.0 times that)."
    )
    section = section_of(
        tmp_path, *entrant("diffusion", 100, bits=3.0, speed=1), *entrant("mine", 150, bits=3.5, speed=2, mib=50)
    )
    assert verdict(section).sentence == (
        "Diffusion makes the best samples (FD_5k 100; mine, next, has 1.5 times that) and has the lowest upper bound "
        "on bits/dim (3.000; mine, next, is 0.50 higher); mine samples fastest (2.0 times as fast as diffusion) and "
        "trains in the least memory (diffusion, next, takes 2.0 times that)."
    )


def test_what_the_process_held_stands_beside_its_tensors(tmp_path):
    section = section_of(tmp_path, *entrant("gan", 100, mib=300), *entrant("vae", 200, bits=3.0, mib=100))
    memory = next(one for one in findings(section) if one.topic == "memory")
    assert any(
        "in training (values, not tests): 150.0 ± 1.5 for the VAE and 450.0 ± 4.5 for the GAN." in x
        for x in memory.sentences
    )
    gone = [
        one.model_copy(update={"memory": one.memory.model_copy(update={"train_resident_bytes": None})})
        for one in (*entrant("gan", 100), *entrant("vae", 200))
    ]
    assert "process" not in " ".join(
        sentence for one in findings(section_of(tmp_path, *gone)) for sentence in one.sentences
    )


def test_tiles_say_how_much_and_how_sure(tmp_path):
    quality, likelihood, speed, memory = verdict(
        section_of(tmp_path, *entrant("gan", 100, speed=900, mib=300), *entrant("vae", 200, bits=3.0, speed=300))
    ).tiles
    assert (quality.winner, quality.value, quality.family) == ("GAN", "100", "gan")
    # Welch on logarithms of 0.99, 1, 1.01 times each: 2 times or divided by exp(t(4) 0.01 sqrt(2/3)), t = 2.776
    assert "95 % interval 1.96 to 2.05" in quality.sure
    assert [(bar.name, bar.share) for bar in quality.bars] == [("GAN", 0.5), ("VAE", 1.0)]
    assert likelihood.apart == "Nothing to compare it with."
    assert [(bar.name, bar.text) for bar in likelihood.bars] == [("VAE", "3.000"), ("GAN", "no likelihood")]
    assert "without a density" in likelihood.bars[1].why
    assert speed.apart == "3.0 times as fast as the VAE, next."
    assert (memory.winner, memory.value) == ("VAE", "100")


def test_what_is_not_told_apart_is_what_the_interval_is_of(tmp_path):
    """A model between the best and one whose seeds differ wildly is behind the best; the wild one may not be."""
    wild = [
        one.model_copy(update={"quality": one.quality.model_copy(update={"value": fd})})
        for one, fd in zip(entrant("gan", 0), (2058.0, 761.0, 607.0), strict=True)
    ]
    found = verdict(section_of(tmp_path, *entrant("diffusion", 129), *entrant("vae", 257), *wild))
    assert found.tiles[0].apart == "Diffusion and the GAN are not told apart."
    # by scipy's Welch test on the logarithms
    assert "95 % interval 1.5 to 38" in found.tiles[0].sure
    far = "the GAN has 7.62 times the FD_5k of diffusion (95 % interval 1.52 to 38.3, which decides nothing)"
    assert far in found.sure
    assert "the VAE has" not in found.sure


@pytest.mark.parametrize(
    ("seeds", "words"),
    [(1, "Of one training seed: another training may give other numbers."), (3, "Means over 3 training seeds.")],
)
def test_of_one_entrant_no_test_is_spoken_of(tmp_path, seeds, words):
    assert verdict(section_of(tmp_path, *entrant("gan", 100, seeds=seeds))).sure == words


def test_names_of_a_user_s_own_keep_their_letters(tmp_path):
    names = [f"my-flow-{i}" for i in range(8)]
    section = section_of(tmp_path, *(one for name in names for one in entrant(name, 100)))
    assert named_first(section.rankable).startswith("my-flow-0, my-flow-1, ")
    assert named_first(section.rankable).endswith(", my-flow-5 and 2 more")


def test_equal_numbers_of_one_seed_have_no_winner(tmp_path):
    section = section_of(tmp_path, *entrant("gan", 100, seeds=1), *entrant("vae", 120, seeds=1))
    found = verdict(section)
    assert "the highest sampling speed is not decided (99.0 for the GAN and 99.0 for the VAE)" in found.sentence
    assert found.tiles[2].winner == "Not decided"
    assert found.tiles[2].apart == "The GAN and the VAE are not told apart."
    claims = {one.topic: one.claim for one in findings(section)}
    assert claims["speed"].startswith("Not decided between the GAN and the VAE")


def test_a_tie_is_not_decided(tmp_path):
    section = section_of(tmp_path, *entrant("gan", 100), *entrant("vae", 100), *entrant("flow", 300))
    found = verdict(section)
    assert found.sentence == (
        "The best sample quality is not decided (FD_5k of 100 for the GAN and 100 for the VAE); the highest sampling "
        "speed is not decided (100 for the GAN, 100 for the VAE and 100 for the flow); the least training memory is "
        "not decided (100 for the GAN, 100 for the VAE and 100 for the flow)."
    )
    assert [tile.winner for tile in found.tiles[::2]] == ["Not decided"] * 2
    claims = {one.topic: one.claim for one in findings(section)}
    assert claims["quality"] == (
        "Not decided between the GAN and the VAE: whose samples are nearest to the test images."
    )
    assert "The tests put the flow behind the GAN." in all_words(section)


@pytest.mark.parametrize(("seeds", "words"), [(1, "one training seed"), (2, "two training seeds")])
def test_the_first_words_say_what_few_seeds_allow(tmp_path, seeds, words):
    section = section_of(tmp_path, *entrant("gan", 100, seeds=seeds, speed=900), *entrant("vae", 200, seeds=seeds))
    found = verdict(section)
    assert found.sentence.startswith(f"With {words} nothing is ranked. Of these trained models alone: the GAN makes")
    assert found.tiles[2].sure == "Not tested: it takes three seeds."
    assert "speed and memory are values of this run, not tested" in found.sure
    claims = {one.topic: one.claim for one in findings(section)}
    assert claims["quality"].startswith("Of these trained models: the GAN")
    assert claims["speed"] == "In this run, not tested: the GAN samples fastest."


def test_what_failed_or_missed_its_budget_is_named_in_the_bars(tmp_path):
    few = make("flow").spent.model_copy(update={"flops": 2e12})
    missed = [one.model_copy(update={"status": "budget missed", "spent": few}) for one in entrant("flow", 10)]
    section = section_of(
        tmp_path, *entrant("gan", 100), *entrant("vae", 200), *missed, failed("diffusion", 0, "diverged", "nan.")
    )
    assert verdict(section).sentence.startswith("The GAN makes the best samples")
    bars = {bar.name: bar.text for bar in verdict(section).tiles[0].bars}
    assert bars == {"GAN": "100", "VAE": "200", "flow": "missed budget", "diffusion": "diverged"}
    section = section_of(tmp_path, failed("gan", 0, "diverged", "nan."), failed("vae", 0, "out of memory", "16 GiB."))
    assert verdict(section).sentence == "No entrant has a result: GAN (diverged) and VAE (out of memory)."
    assert verdict(section_of(tmp_path, *missed)).sentence == "Nothing is ranked: no entrant kept to the budget (flow)."


def test_one_entrant_and_none(tmp_path):
    section = section_of(tmp_path, *entrant("mine", 100, bits=3.0))
    assert verdict(section).sentence == (
        "Only mine has FD_5k of 100, bits/dim of at most 3.000, sampling of 100 images/s and train memory of 100 MiB: "
        "there is nothing to compare it with."
    )
    section = section_of(tmp_path, floor("uniform", bits=8.0))
    assert verdict(section).sentence == "There is no entrant here: these are floors, by which a number is read."
    assert verdict(section).tiles == ()


def test_twelve_entrants_with_long_names(tmp_path):
    names = [f"an-entrant-with-a-very-long-name-that-somebody-chose-{i:02}" for i in range(12)]
    section = section_of(tmp_path, *(one for i, name in enumerate(names) for one in entrant(name, 100 * 1.5**i)))
    found = verdict(section)
    assert found.sentence.startswith(f"{names[0]} makes the best samples (FD_5k 100; {names[1]}, next, has 1.5 times")
    assert "the highest sampling speed is not decided (12 entrants)" in found.sentence
    assert [len(tile.bars) for tile in found.tiles] == [6] * 4
    assert found.tiles[0].bars[-1].name == "and 7 more"
    assert all(len(sentence) < 1200 for sentence in all_words(section))


def test_a_busy_machine_is_said(tmp_path):
    block = TimedBlock(name="speed", load=Load(others_cpu_share=0.5))
    section = section_of(tmp_path, *entrant("gan", 100, speed=900, timed=[block]), *entrant("vae", 200))
    assert "(9.0 times as fast as the VAE, timed on an unsteady machine)" in verdict(section).sentence
    assert "not steady as the GAN ran" in verdict(section).sure
    assert verdict(section).tiles[2].sure.endswith("The GAN was timed on an unsteady machine: do not trust its value.")
    third = entrant("flow", 400, speed=10, timed=[block])
    section = section_of(tmp_path, *entrant("gan", 100, speed=900), *entrant("vae", 200), *third)
    assert "(9.0 times as fast as the VAE)" in verdict(section).sentence  # which the flow has no part in
    assert "not steady as the flow ran" in verdict(section).sure


def with_way(records, label, fd):
    """The same records with another way of sampling, and the usual one beside it, on 1,500 samples."""
    for one, shift in zip(records, NOISE, strict=True):
        points = [
            fixtures.schema.SamplerPoint(
                label=name,
                options={} if name == "headline" else {"way": name},
                quality=one.quality.model_copy(
                    update={
                        "value": value * shift,
                        "n_samples": 1500,
                        "options": {} if name == "headline" else {"way": name},
                    }
                ),
                images_per_sec=100.0,
                network_evaluations=1,
                flops_per_image=1e6,
            )
            for name, value in (("headline", one.quality.value / shift * 1.1), (label, fd))
        ]
        yield one.model_copy(update={"sampler_points": points})


@pytest.mark.parametrize(
    ("fd", "claim", "word"),
    [
        (250, "changes its distance, and not the order of entrants", "No other way to sample that was measured brings"),
        (
            110,
            "changes which entrants the tests tell apart",
            "the VAE is not told apart from the GAN (FD 110 and 110, of 1,500",
        ),
        (50, "changes the order of entrants", "the VAE is ahead of the GAN (FD 50.0 and 110, of 1,500 samples)"),
    ],
)
def test_ways_of_sampling_change_the_order_or_not(tmp_path, fd, claim, word):
    gan = with_way(list(entrant("gan", 100)), "other noise", 110)
    section = section_of(tmp_path, *gan, *with_way(list(entrant("vae", 300)), "mean decoding", fd))
    assert word in verdict(section).sure
    (found,) = [one for one in findings(section) if one.topic == "ways"]
    assert claim in found.claim
    assert "Whether “other noise” changes the FD_1500 of the GAN (from 110 to 110) is not decided." in found.sentences


def test_a_way_with_as_many_samples_as_the_headline_is_compared_on_those(tmp_path):
    """And the verdict names it where its distance is the lowest of all."""
    vae = []
    for one, shift in zip(with_way(list(entrant("vae", 300)), "mean decoding", 80), NOISE, strict=True):
        options = {"way": "mean decoding"}
        quality = one.quality.model_copy(update={"value": 50 * shift, "options": options})
        passes = one.speed.network_evaluations
        changes = {"quality": quality, "options": options, "network_evaluations": passes}
        point = one.sampler_points[1].model_copy(update=changes)
        vae.append(one.model_copy(update={"ways": [point]}))
    section = section_of(tmp_path, *with_way(list(entrant("gan", 100)), "other noise", 110), *vae)
    found = verdict(section)
    assert "(FD_5k 100; the VAE, next, has 3.0 times that; by “mean decoding”, the VAE has 50.0)" in found.sentence
    assert "the VAE is ahead of the GAN (FD 50.0 and 100, of 5,000 samples)" in found.sure
    (ways,) = [one for one in findings(section) if one.topic == "ways"]
    assert "“mean decoding” lowers the FD_5k of the VAE from 300 to 50.0." in ways.sentences
    assert "Whether “other noise” changes the FD_1500 of the GAN (from 110 to 110) is not decided." in ways.sentences


@pytest.mark.parametrize(("recall", "said"), [(0.95, True), (0.0, False)])
def test_another_way_that_covers_more_than_the_best_is_named(tmp_path, recall, said):
    records = [fixtures.make(name, seed) for name in ("gan", "vae") for seed in range(3)]
    for i, one in enumerate(records[3:], 3):
        also = [m.model_copy(update={"value": recall}) if m.name == "recall" else m for m in one.quality.also]
        quality = one.quality.model_copy(update={"also": also})
        cost = {"images_per_sec": 100.0, "network_evaluations": 1, "flops_per_image": 1e6}
        point = fixtures.schema.SamplerPoint(label="mean decoding", options={"way": "m"}, quality=quality, **cost)
        records[i] = one.model_copy(update={"ways": [point]})
    (found,) = [one for one in findings(section_of(tmp_path, *records)) if one.topic == "diversity"]
    words = "Sampled by “mean decoding”, the VAE has a recall of 0.950 (a value, not a test)."
    assert (words in found.sentences) == said
    assert any("has a recall of" in sentence for sentence in found.sentences) == said


def many(tmp_path):
    yield section_of(tmp_path, *fixtures.everything(3))
    yield section_of(tmp_path, *fixtures.everything(1))
    yield section_of(tmp_path, *fixtures.everything(2))
    yield section_of(tmp_path, *entrant("gan", 100), *entrant("vae", 101, bits=3.0), *entrant("flow", 99, bits=3.01))
    yield section_of(tmp_path, *entrant("gan", 100, budget=None), *entrant("vae", 200, budget=None))


def test_every_claim_rests_on_its_evidence(tmp_path):
    """A claim that something is best stands beside tests of it against every other, all decided over seeds, or says
    that it is of these models, or untested; one that nothing is decided has a test that is not.
    """
    claims = 0
    for section in many(tmp_path):
        for one in findings(section):
            decided = [found.p_holm is not None and found.p_holm <= 0.05 for found in one.evidence]
            if one.topic not in ("quality", "likelihood", "speed") or not one.evidence:
                continue
            claims += 1
            here = one.evidence[: sum(not found.label.startswith("single image") for found in one.evidence)]
            if one.claim.startswith("Not decided"):
                assert not all(decided)
            elif one.claim.startswith("In this run, not tested"):
                assert all(found.p_holm is None for found in one.evidence)
            else:
                assert all(found.decided for found in here), one
                assert one.claim.startswith("Of these trained models: ") != all(found.over_seeds for found in here)
                for found in here:
                    assert found.effect.value > (1 if found.effect.is_ratio else 0)
                    assert found.effect.low is None or not found.effect.crosses
    assert claims > 8


def test_every_sentence_is_whole(tmp_path):
    for section in many(tmp_path):
        for sentence in filter(None, [*verdict(section).sentence.split("\n"), verdict(section).sure]):
            assert sentence.endswith(".")
        for one in findings(section):
            assert one.claim.endswith(".")
            assert all(sentence.endswith(".") and "  " not in sentence for sentence in one.sentences), one
            assert all("None" not in sentence and "nan" not in sentence for sentence in one.sentences)


def test_the_best_has_the_best_mean(tmp_path):
    for section in many(tmp_path):
        for one in standings(section):
            means = [one.stat(row).mean for row in one.rows]
            assert means == sorted(means, reverse=one.measure.higher)


def test_a_tile_is_of_the_number_in_its_title(tmp_path):
    """Where no training memory was measured, the memory of sampling does not stand in for it."""
    memory = Memory(quantity="peak of live tensors", train_peak_bytes=None, train_batch_size=64,
                    sample_peak_bytes=2**20, sample_batch_size=64)  # fmt: skip
    found = verdict(section_of(tmp_path, *entrant("gan", 100, memory=memory), *entrant("vae", 200, memory=memory)))
    assert "memory" not in found.sentence
    tile = found.tiles[-1]
    assert (tile.title, tile.value) == ("Training memory", "Training memory was not measured")
