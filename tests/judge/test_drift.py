"""Same-noise drift: a small trained model sampled in several ways from one noise, and made-up records around it."""

import numpy as np
import pytest
import torch
from fixtures import MACHINE, make

from equibench.data import sets
from equibench.judge.drift import difference, drift
from equibench.record.anatomy import FixedNoise
from equibench.record.surroundings import Numerics
from equibench.run.stages import few_dims
from equibench_models import family as load_family

N = 64
NOISE = FixedNoise(n=N, noise_seed=5, pictures="noise_samples", features="noise_features")


@pytest.fixture(scope="module", params=["vae", "gan", "diffusion"])
def model(request):
    """Trained for a few updates, so that its samples have all levels."""
    torch.manual_seed(0)
    built = load_family(request.param).build({"width": 16}, (1, 28, 28))
    images = torch.from_numpy(sets.load().train[:64])
    for i in range(12):
        built.update(images, i / 12)
    return built


def sampled(model, seed=5, **options):
    return model.sample(N, torch.Generator().manual_seed(seed), **options).numpy()


def features(images):
    return few_dims(images.reshape(len(images), -1).astype(np.float32))


def record(images, **changes):
    """A record and its arrays."""
    made = make("vae", 0, fixed_noise=NOISE, **changes)
    return made, {"noise_samples": images, "noise_features": features(images)}


def judged(before, after, *, trainings=False, other_machines=False, **changes):
    (one, arrays), (other, others) = record(before), record(after, **changes)
    return drift(one, other, arrays, others, trainings=trainings, other_machines=other_machines)


def test_nothing_that_should_be_the_same_differs(model):
    """Repeated, with two threads for one, in batches of 32 for 64."""
    before = sampled(model)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        by_two = sampled(model)
    finally:
        torch.set_num_threads(threads)
    for after in (sampled(model), by_two, sampled(model, batch_size=32)):
        found = judged(before, after)
        assert found.found.kind in ("same", "rounding")
    found = judged(before, sampled(model))
    assert (found.kind, found.failed, found.judged) == ("same", False, True)
    assert found.sentence == "64 samples from the same noise are equal to the last byte"


def test_other_arithmetic_is_found(model):
    before = sampled(model)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = sampled(model)
    found = judged(before, rounded)
    assert (found.kind, found.failed, found.cause) == ("other arithmetic", True, "sampling")
    assert "the weights are equal, so sampling computes otherwise" in found.sentence
    assert 0 < found.found.feature_distance < 1
    other = judged(before, sampled(model, seed=6))
    assert other.found.share > found.found.share
    assert other.found.feature_distance > found.found.feature_distance


def test_weights_of_eight_bits_are_found(model):
    """The network's weights rounded after loading: the file is the same. And written: another file of one training."""
    before = sampled(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point() and value.ndim > 1:
                step = value.abs().max().clamp(min=1e-12) / 127
                value.copy_((value / step).round() * step)
    after = sampled(model)
    model.load_state_dict(state)
    found = judged(before, after)
    assert (found.kind, found.failed, found.cause) == ("other arithmetic", True, "sampling")
    found = judged(before, after, weights_sha256="8" * 64)
    assert (found.failed, found.cause) == (True, "weights")
    assert "changed after it" in found.sentence


IMAGES = np.random.default_rng(0).integers(20, 230, (N, 1, 28, 28), dtype=np.uint8)
TOTAL = IMAGES.size


def moved(count, by):
    """`count` bytes moved by so many levels."""
    flat = IMAGES.copy().reshape(-1)
    flat[np.random.default_rng(1).permutation(TOTAL)[:count]] += np.uint8(by)
    return flat.reshape(IMAGES.shape)


@pytest.mark.parametrize(
    ("count", "by", "kind"),
    [
        (0, 0, "same"),
        (1, 1, "rounding"),
        (TOTAL // 1000, 2, "rounding"),
        (TOTAL // 1000, 3, "between"),
        (TOTAL // 1000 + 1, 1, "between"),
        (TOTAL // 200, 1, "between"),
        (TOTAL // 200 + 1, 1, "other arithmetic"),
        (TOTAL, 1, "other arithmetic"),
    ],
)
def test_the_three_classes_by_hand(count, by, kind):
    found = difference(IMAGES, moved(count, by))
    assert found.kind == kind
    assert found.share == pytest.approx(count / TOTAL)
    assert found.mean_levels == pytest.approx(count * by / TOTAL)
    assert found.largest_levels == by


def test_levels_do_not_wrap_around():
    found = difference(np.zeros((2, 1, 4, 4), np.uint8), np.full((2, 1, 4, 4), 255, np.uint8))
    assert (found.share, found.mean_levels, found.largest_levels) == (1, 255, 255)


def test_a_little_rounding_passes_only_where_something_else_is_not_the_same():
    """With the same weights, machine, versions and settings every byte is the same."""
    few = moved(3, 1)
    found = judged(IMAGES, few)
    assert (found.kind, found.failed) == ("rounding", True)
    assert "though machine, versions and settings are the same" in found.sentence
    upgraded = judged(IMAGES, few, versions={"numpy": "2.0.0", "torch": "2.6.0"})
    assert (upgraded.failed, upgraded.judged) == (False, True)
    assert "torch of another version" in upgraded.sentence
    one, arrays = record(IMAGES, machine=MACHINE.model_copy(update={"device": "a GPU"}))
    assert not drift(one, one, arrays, {**arrays, "noise_samples": few}).failed
    threads = MACHINE.model_copy(update={"key": "f" * 12, "threads": 1})
    assert not judged(IMAGES, few, machine=threads).failed
    assert "threads 2 and 1" in judged(IMAGES, few, machine=threads).sentence
    many = moved(TOTAL // 10, 1)
    assert judged(IMAGES, many, versions={"numpy": "2.0.0", "torch": "2.6.0"}).failed
    assert judged(IMAGES, many, machine=threads).failed


def test_settings_that_differ_are_named():
    (one, arrays), (other, others) = record(IMAGES), record(moved(TOTAL, 1))
    one = one.model_copy(update={"numerics": Numerics(threads=2, sampling="float32")})
    other = other.model_copy(update={"numerics": Numerics(threads=2, sampling="bfloat16")})
    found = drift(one, other, arrays, others)
    assert found.failed
    assert "sampling float32 and bfloat16" in found.sentence


def test_another_machine_gives_no_verdict_unless_it_is_asked_for():
    other = MACHINE.model_copy(update={"key": "0" * 12, "processor": "another"})
    for count in (3, TOTAL):
        found = judged(IMAGES, moved(count, 1), machine=other)
        assert (found.failed, found.judged) == (False, False)
        assert "another machine" in found.sentence
    assert judged(IMAGES, moved(TOTAL, 1), machine=other, other_machines=True).failed
    assert not judged(IMAGES, moved(3, 1), machine=other, other_machines=True).failed


def test_another_training_is_told_and_judged_on_demand():
    """Weights of a training with the same seed and settings that went otherwise, by its losses."""
    curve = make("vae", 0).curve
    went = curve.model_copy(update={"losses": {name: [x + 1e-6 for x in of] for name, of in curve.losses.items()}})
    changes = {"weights_sha256": "7" * 64, "curve": went}
    found = judged(IMAGES, moved(TOTAL, 9), **changes)
    assert (found.failed, found.judged, found.cause, found.kind) == (False, False, "training", "other arithmetic")
    assert "the training computed otherwise" in found.sentence
    assert judged(IMAGES, moved(TOTAL, 9), trainings=True, **changes).failed
    assert not judged(IMAGES, IMAGES, **changes).failed


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fixed_noise": None}, "the run holds none"),
        ({"weights_sha256": "7" * 64, "seed": 3}, "nor is the seed"),
        ({"weights_sha256": "7" * 64, "config": {"width": 8}}, "nor is the configuration"),
        ({"protocol": "4"}, "the protocol is"),
        ({"fixed_noise": NOISE.model_copy(update={"noise_seed": 6})}, "not from the same noise"),
        ({"fixed_noise": NOISE.model_copy(update={"options": {"temperature": 0.5}})}, "sampler's options"),
    ],
)
def test_what_cannot_be_compared_says_why(changes, why):
    (one, arrays), (other, others) = record(IMAGES), record(IMAGES)
    found = drift(one, other.model_copy(update=changes), arrays, others)
    assert (found.failed, found.judged, found.found) == (False, False, None)
    assert why in found.sentence


def test_arrays_that_are_odd_are_no_crash():
    one, arrays = record(IMAGES)
    for odd in (
        {},
        {**arrays, "noise_samples": IMAGES[:0]},
        {**arrays, "noise_samples": IMAGES.astype(np.float32)},
        {**arrays, "noise_samples": IMAGES[0]},
        {**arrays, "noise_samples": IMAGES[:32]},
    ):
        assert drift(one, one, arrays, odd).found is None
    infinite, large = (np.full((N, 4), value, np.float32) for value in (np.inf, 3e38))
    half = large.copy()
    half[::2] = -3e38
    for features_of, expected in ((infinite, None), (arrays["noise_features"][:, :2], None)):
        found = drift(one, one, arrays, {**arrays, "noise_features": features_of})
        assert found.found.feature_distance is expected
    assert difference(IMAGES, IMAGES, half, half).feature_distance == 0
    assert difference(IMAGES, IMAGES, half, -half).feature_distance == pytest.approx(2)
    assert difference(IMAGES, IMAGES, large, large).feature_distance == 0
    assert difference(IMAGES, IMAGES, large, half).feature_distance is None


def test_distances_of_features_are_kept_on_few_directions():
    features_of = np.random.default_rng(0).normal(size=(200, 1280)).astype(np.float32)
    few = few_dims(features_of)
    assert few.shape == (200, 32)
    ratio = np.linalg.norm(few[1:] - few[:-1], axis=1) / np.linalg.norm(features_of[1:] - features_of[:-1], axis=1)
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert few_dims(features_of[:, :20]) is not few
    np.testing.assert_array_equal(few_dims(features_of[:, :20]), features_of[:, :20])
