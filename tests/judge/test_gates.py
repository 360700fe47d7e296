"""What gates and by which limits: the usual ones, a gates file, options; what a mistake in them says."""

import pytest
from fixtures import equibench, make, save
from judging import SEEDS, changed, regressions, scaled, verdicts

from equibench.errors import UserError
from equibench.judge import gatesfile
from equibench.judge.check import compare
from equibench.judge.gates import Gates, tolerance_in

BEFORE = [make("vae", seed) for seed in SEEDS]


def read(tmp_path, text):
    path = tmp_path / "equibench-gates.toml"
    path.write_text(text)
    return gatesfile.read(path)


def line(found, number):
    return next(line for line in found.lines if line.number == number)


def test_one_number_of_each_category_gates_and_the_others_are_reported():
    other = [scaled(one, kd=1.5, recall=0.5, latency=3.0, flops=2.0) for one in BEFORE]
    found = compare(BEFORE, other)
    assert not found.failed
    of = verdicts(found)
    assert {of["vae", n] for n in ("KD_5k", "recall_5k", "speed.latency_p50_sec", "speed.flops_per_image")} == {
        "reported"
    }
    assert line(found, "recall_5k").worse_by == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "change", "number"),
    [
        ("KD", {"kd": 1.8}, "KD_5k"),
        ("recall", {"recall": 0.05}, "recall_5k"),
        ("latency", {"latency": 3.0}, "speed.latency_p50_sec"),
        ("flops_per_image", {"flops": 1.02}, "speed.flops_per_image"),
        ("NFE", {"nfe": 2}, "speed.network_evaluations"),
        ("precision", {"precision": 0.5}, "precision_5k"),
    ],
)
def test_another_number_gates_when_asked(tmp_path, name, change, number):
    other = [scaled(one, **change) for one in BEFORE]
    assert not compare(BEFORE, other).failed
    assert regressions(compare(BEFORE, other, gates=Gates().with_options(also=[name]))) == {("vae", number)}
    category = {"KD": "quality", "recall": "quality", "precision": "quality", "latency": "speed"}.get(name, "cost")
    in_file = read(tmp_path, f'[{category}]\nalso = "{name}"')
    assert regressions(compare(BEFORE, other, gates=in_file)) == {("vae", number)}


def test_a_number_that_gates_beside_the_primary_one_takes_part_in_the_correction():
    other = [scaled(one, fd=1.1) for one in BEFORE]
    alone = line(compare(BEFORE, other), "FD_5k").p
    assert line(compare(BEFORE, other, gates=Gates().with_options(also=["recall"])), "FD_5k").p == pytest.approx(
        2 * alone
    )
    with_speed = Gates().with_options(also=["latency"])
    assert line(compare(BEFORE, other, gates=with_speed), "FD_5k").p == pytest.approx(alone)  # another category


def test_a_primary_number_may_be_another_or_none(tmp_path):
    other = [scaled(one, fd=2.0) for one in BEFORE]
    by_kd = read(tmp_path, '[quality]\nprimary = "KD"')
    found = compare(BEFORE, other, gates=by_kd)
    assert verdicts(found)["vae", "FD_5k"] == "reported"
    assert verdicts(found)["vae", "KD_5k"] == "passed"
    assert not compare(BEFORE, other, gates=read(tmp_path, "[quality]\nprimary = []")).failed
    own = read(tmp_path, '[entrant.vae.quality]\nprimary = "KD"\n')
    assert verdicts(compare(BEFORE, other, gates=own))["vae", "FD_5k"] == "reported"
    assert compare(BEFORE, other, gates=read(tmp_path, '[entrant.gan.quality]\nprimary = "KD"\n')).failed


def test_tolerances_and_priors_of_a_file_are_those_of_the_check(tmp_path):
    other = [scaled(one, fd=1.5) for one in BEFORE]
    assert regressions(compare(BEFORE, other)) == {("vae", "FD_5k")}
    for text in (
        "[quality]\ntolerance = 0.6",
        "[quality]\nprior_sd = 0.5",
        "[number.FD]\ntolerance = 0.6",
        "[entrant.vae.quality]\nprior_sd = 0.5",
        "[entrant.vae.number.FD]\ntolerance = 0.6",
        "[quality]\nalpha = 1e-9\n",
    ):
        assert not compare(BEFORE, other, gates=read(tmp_path, text)).failed, text
    assert compare(BEFORE, other, gates=read(tmp_path, "[entrant.gan.quality]\nprior_sd = 0.5")).failed
    assert not compare(BEFORE, other, gates=Gates().with_options(tolerances=["quality=60"])).failed
    assert line(compare(BEFORE, other, gates=read(tmp_path, "[number.FD]\ntolerance = 0.6")), "FD_5k").tolerance == (
        pytest.approx(0.6)
    )
    assert line(compare(BEFORE, other, gates=read(tmp_path, "[quality]\nprior_df = 100")), "FD_5k").df == 104


def test_the_usual_limits_of_an_entrant_are_laid_over_one_by_one(tmp_path):
    gates = read(
        tmp_path,
        "[quality]\ntolerance = 0.1\nprior_df = 6\n"
        "[number.recall]\nprior_sd = 0.5\n[entrant.gan.quality]\nprior_sd = 0.02",
    )
    assert gates.limits("gan", "quality.value")[1:3] == (0.1, (0.02, 6))
    assert gates.limits("vae", "quality.value")[1:3] == (0.1, (0.04, 6))
    assert gates.limits("vae", "quality.also.recall")[1:3] == (0.1, (0.5, 4))
    assert gates.limits("vae", "speed.latency_p50_sec")[1:3] == (0.05, (0.10, 8))


def test_a_window_holds_numbers_of_fixed_weights_in_both_directions(tmp_path):
    one = BEFORE[0]
    window = '[[window]]\nentrant = "vae"\nnumber = "FD"\nweights_sha256 = "{}"\nlow = {}\nhigh = {}\n'
    value = one.quality.value
    inside = read(tmp_path, window.format(one.weights_sha256[:12], value - 1, value + 1))
    found = compare(BEFORE, BEFORE, gates=inside)
    assert not found.failed
    assert "the window of its weights is 95.5 to 97.5" in found.lines[-1].sentence
    for low, high in ((value + 1, value + 2), (value - 2, value - 1)):
        outside = read(tmp_path, window.format(one.weights_sha256[:12], low, high))
        (line,) = compare(BEFORE, BEFORE, gates=outside).errors
        assert line.number == "FD_5k"
        assert line.sentence == (
            f"96.5000, where the window of its weights is {low:g} to {high:g}: the measurement changed, not the model"
        )
    elsewhere = compare(BEFORE, BEFORE, gates=read(tmp_path, window.format("0" * 12, 0, 1)))
    assert not elsewhere.failed
    assert elsewhere.lines[-1].verdict == "skipped"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[qualty]\ntolerance = 0.1", "unknown key 'qualty'; did you mean 'quality'?"),
        ("[quality]\ntolerence = 0.1", "unknown key 'quality.tolerence'; did you mean 'tolerance'?"),
        ("[entrant.gan.quality]\nalpha = 0.1", "unknown key 'entrant.gan.quality.alpha'"),
        ('[quality]\nprimary = "FDD"', "unknown number 'FDD'; did you mean 'FD'?"),
        ('[quality]\nalso = "latency"', "speed.latency_p50_sec is no number of quality, but of speed"),
        ("[number.recal]\ntolerance = 1", "unknown number 'recal'; did you mean 'recall'?"),
        ("[quality]\ntolerance = -1", "quality.tolerance must be at least 0, not -1"),
        ("[quality]\ntolerance = true", "quality.tolerance must be a number, not true"),
        ("[quality]\ntolerance = 5", "quality.tolerance must be a share, such as 0.05 for 5 %"),
        ("[quality]\ntolerance = 2020-01-01", "quality.tolerance must be a number, not 2020-01-01"),
        ("[same_noise]\ngate = 'no'", "same_noise.gate must be true or false, not 'no'"),
        ("[number.FD]\n[number.'quality.value']", "'FD' and 'quality.value' are the same number"),
        (
            "[[window]]\nentrant = 'vae'\nnumber = 'FD'\nweights_sha256 = '740d'\nlow = 1",
            "window 1: weights_sha256 must be the first 8 to 64 digits (0-9, a-f)",
        ),
        ("[quality]\nprior_sd = 0", "quality.prior_sd must be more than 0, not 0"),
        ("[quality]\nalpha = 0.9", "quality.alpha must be at most 0.5, not 0.9"),
        ("[quality]\nprior_sd = inf", "quality.prior_sd must be a finite number"),
        ('[[window]]\nentrant = "a"\nnumber = "FD"\nweights_sha256 = "00000000"', "neither low nor high"),
        (
            '[[window]]\nentrant = "a"\nnumber = "FD"\nweights_sha256 = "00000000"\nlow = 5\nhigh = 4',
            "the window of a ends at 4, below its low of 5",
        ),
        ("quality", "is not valid TOML"),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError) as found:
        read(tmp_path, text)
    assert sentence in str(found.value)
    assert "\n" not in str(found.value)


def test_a_file_that_is_none_is_said(tmp_path):
    with pytest.raises(UserError, match="cannot read the gates file"):
        gatesfile.read(tmp_path / "nowhere.toml")
    with pytest.raises(UserError, match="cannot read the gates file"):
        gatesfile.read(tmp_path)
    (tmp_path / "latin.toml").write_bytes("# größer".encode("latin-1"))
    with pytest.raises(UserError, match="is not in UTF-8"):
        gatesfile.read(tmp_path / "latin.toml")


@pytest.mark.parametrize("text", ["qualty=3", "quality", "quality=a", "quality=-1", "quality=inf", "likelihood=1%"])
def test_bad_tolerances_are_one_sentence(text):
    with pytest.raises(
        UserError, match=r"did you mean .quality.|per cent as a number|bits per dimension as a number|at least 0"
    ):
        Gates().with_options(tolerances=[text])


def test_tolerances_are_per_cent_and_of_a_likelihood_bits():
    assert tolerance_in("quality=5") == tolerance_in("quality=5%") == ("quality", 0.05)
    assert tolerance_in("likelihood=0.01") == tolerance_in("likelihood=0.01bits") == ("likelihood", 0.01)


def test_an_unknown_number_to_gate_is_one_sentence():
    with pytest.raises(UserError, match="unknown number 'recal'; did you mean 'recall'"):
        Gates().with_options(also=["recal"])


def test_the_command_line_takes_a_file_and_options(tmp_path):
    good = save(BEFORE, tmp_path / "good", with_arrays=False)
    worse = [scaled(one, fd=1.5) for one in BEFORE]
    bad = save(worse, tmp_path / "bad", with_arrays=False)
    (tmp_path / "gates.toml").write_text("[quality]\ntolerance = 0.6\n")
    for options, code in (((), 1), (("--gates", tmp_path / "gates.toml"), 0), (("--tolerance", "quality=60"), 0)):
        done = equibench("check", bad, "--baseline", good, *options)
        assert done.returncode == code, done.stdout + done.stderr
    done = equibench("check", bad, "--baseline", good, "--gates", tmp_path / "none.toml")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_an_entrant_that_neither_side_has_is_told():
    gates = Gates.model_validate({"entrant": {"vaee": {"quality": {"prior_sd": 0.1}}, "vae": {}}})
    told = [note for note in compare(BEFORE, BEFORE, gates=gates).notes if "gates file" in note]
    assert told == [
        "the gates file has a table for vaee, which neither side has; did you mean 'vae'? (choices: vae)",
    ]


def test_a_counted_cost_has_no_noise():
    dearer = changed(BEFORE[0], speed={"flops_per_image": BEFORE[0].speed.flops_per_image * 1.02}, weights_sha256=None)
    gates = Gates().with_options(also=["flops_per_image"])
    assert regressions(compare(BEFORE[:1], [dearer], gates=gates)) == {("vae", "speed.flops_per_image")}
    assert not compare(BEFORE[:1], [dearer], gates=gates.with_options(tolerances=["cost=5"])).failed


def test_memory_that_is_counted_has_no_noise_either():
    counted = [changed(one, memory={"quantity": "peak of live tensors"}) for one in BEFORE]
    more = [scaled(one, memory=1.02) for one in counted]
    assert regressions(compare(counted, more)) == {("vae", "memory.train_peak_bytes")}
    assert not compare(BEFORE, [scaled(one, memory=1.02) for one in BEFORE]).failed  # resident: within the noise
    assert not compare(counted, more, gates=Gates().with_options(tolerances=["memory=5"])).failed
