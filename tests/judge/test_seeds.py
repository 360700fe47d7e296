"""`plan --detect`: how many seeds, invocations and samples a change takes."""

import math

import pytest
from fixtures import equibench, make, save
from judging import SEEDS, changed

from equibench import suite
from equibench.errors import UserError
from equibench.judge import power, seeds
from equibench.judge.gates import Gates

QUICK = suite.load("quick")
TARGET = seeds.Target(share=0.1, bits_per_dim=0.02)


def needs(records=(), target=TARGET, gates=Gates()):  # noqa: B008
    return {(need.entrant, need.number): need for need in seeds.needs(QUICK, target, gates, records)}


def noisy(family, sd, seeds_=(0, 1, 2, 3, 4)):
    """Records of distances with exactly that deviation, in logarithms; a tenth of the variance is the evaluation's."""
    steps = [step * sd / math.sqrt(2.5) for step in (-2, -1, 0, 1, 2)]
    error = math.sqrt(0.1) * sd
    return [
        changed(make(family, seed), quality={"value": 100 * math.exp(s), "stderr": 100 * math.exp(s) * error})
        for seed, s in zip(seeds_, steps, strict=True)
    ]


def test_without_records_the_prior_says_what_noise_is():
    found = needs()
    need = found["gan", "quality.value"]
    assert need.noise == "assumed 4 %"
    n = need.seeds
    df = 2 * (n - 1) if n >= 5 else 2 * n + 2

    def seen(n):
        return power.detectable(0.04 * math.sqrt(2 / n), df, power.critical(0.02, 4, df, n), math.log(1.03))

    assert seen(n) <= math.log(1.1) < seen(n - 1) + 0.02
    assert ("gan", "likelihood.bits_per_dim") not in found
    assert found["vae", "likelihood.bits_per_dim"].seeds > 1
    assert found["vae", "speed.images_per_sec"].unit == "invocations"
    assert {need.entrant for need in found.values()} == {"gan", "vae", "flow", "diffusion"}


def test_measured_noise_counts():
    records = [*noisy("gan", 0.01), *noisy("diffusion", 0.15)]
    found = needs(records)
    assert found["gan", "quality.value"].seeds < found["vae", "quality.value"].seeds
    assert found["vae", "quality.value"].seeds < found["diffusion", "quality.value"].seeds
    assert "4 d.f. measured, 4 assumed" in found["gan", "quality.value"].noise


def test_samples_are_the_fewest_that_do_with_these_seeds():
    need = needs(noisy("gan", 0.05))["gan", "quality.value"]
    assert 2 <= need.samples <= QUICK.measure.samples
    assert needs()["gan", "quality.value"].samples == QUICK.measure.samples  # of whose error nothing is known


def test_a_share_of_a_likelihood_is_of_what_was_measured():
    target = seeds.Target(share=0.01)
    assert "give --from-records" in needs(target=target)["vae", "likelihood.bits_per_dim"].why
    measured = needs([make("vae", seed) for seed in SEEDS], target)["vae", "likelihood.bits_per_dim"]
    bits = needs([make("vae", seed) for seed in SEEDS], seeds.Target(bits_per_dim=0.0342))[
        "vae", "likelihood.bits_per_dim"
    ]
    assert measured.seeds == bits.seeds > 0
    assert needs(target=seeds.Target(bits_per_dim=0.02))["vae", "quality.value"].why == (
        "no likelihood: give a share too, as --detect 5%"
    )


def test_what_is_counted_takes_one_invocation():
    records = [changed(make("vae"), memory={"quantity": "peak of live tensors"})]
    found = needs(records, target=seeds.Target(share=0.03))
    assert found["vae", "memory.train_peak_bytes"].seeds == 1
    assert found["flow", "memory.train_peak_bytes"].seeds == 1  # nothing but counts is recorded today
    before = needs([make("vae")], target=seeds.Target(share=0.03))  # of a quantity that has noise
    assert "within the tolerance" in before["vae", "memory.train_peak_bytes"].why
    assert needs(records, target=seeds.Target(share=0.005))["vae", "memory.train_peak_bytes"].seeds is None


def test_what_cannot_be_seen_says_why():
    found = needs(target=seeds.Target(share=0.02))
    assert "within the tolerance" in found["gan", "quality.value"].why
    assert found["gan", "quality.value"].seeds is None
    wide = Gates.model_validate({"quality": {"prior_sd": 5.0}})
    assert "more than 1,000" in needs(gates=wide, target=seeds.Target(share=0.05))["gan", "quality.value"].why


@pytest.mark.parametrize("text", ["much", "0", "-5%", "0bits", "xbits", "nan"])
def test_a_change_that_is_none_is_one_sentence(text):
    with pytest.raises(UserError, match=r"as a number|more than 0 and less than"):
        seeds.target([text])


def test_the_command_line(tmp_path):
    records = save(noisy("gan", 0.05), tmp_path / "records", with_arrays=False)
    done = equibench("plan", "quick", "--detect", "10%", "--detect", "0.02bits", "--from-records", records)
    assert done.returncode == 0, done.stderr
    assert "gan" in done.stdout
    assert "invocations" in done.stdout
    done = equibench(
        "plan", "quick", "--detect", "10%", "--from-records", save([make("vae", entrant="x")], tmp_path / "x")
    )
    assert done.returncode == 2
    assert "none of the suite's entrants" in done.stderr
    assert equibench("plan", "quick", "--from-records", records).returncode == 2
