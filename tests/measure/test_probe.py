"""The digest of what a feature network does: the same on machines that round differently, another for other code."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from equibench.errors import UserError
from equibench.measure.features import efficientnet as shipped
from equibench.measure.features import probe
from equibench.measure.features.efficientnet import efficientnet
from equibench.measure.features.extractor import make_extractor
from equibench.measure.quality.reference import features_of

CPU = torch.device("cpu")
# of EfficientNet-Lite0 as it is shipped; another one says that its features moved, which PROTOCOL has to count
LITE0 = "11875053bed9360e494afe8d664a0f9b03e90ffc52b30ee2880156ec6fe42a25"


@pytest.fixture(scope="module")
def lite0():
    return efficientnet(CPU)


def digest(network):
    return probe.probe_sha256(network, CPU)


def test_the_fixed_images_are_whole_number_formulas():
    images = probe.probe_images()
    assert [image.shape for image in images] == [(1, *shape) for shape in probe.SHAPES]
    assert all(image.dtype == np.uint8 and len(np.unique(image)) > 150 for image in images)
    # by hand: the corner shows the gradient at its start, in each channel a third further
    assert images[1][0, :, 0, 0].tolist() == [255, abs(340 - 255), abs(680 % 510 - 255)]
    # x = 9, y = 0 of 28 is in the ninth of stripes: 255 where (9 + 0) // 3 is odd
    assert images[0][0, 0, 0, 10] == 255
    assert images[0][0, 0, 0, 12] == 0


def test_the_shipped_network_is_known_by_its_digest(lite0):
    assert lite0.info.probe_sha256 == LITE0


def test_threads_and_libraries_round_below_it(lite0):
    """The same digest, and not by luck: no number is within 100 times the difference of where it would flip."""

    def numbers():
        with torch.inference_mode():
            found = [lite0.network(torch.from_numpy(image)).double().numpy().ravel() for image in probe.probe_images()]
        monkey = pytest.MonkeyPatch()
        with monkey.context() as patch:
            patch.setattr(probe, "STEP", probe.STEP / 1000)
            fine = probe.coarse(found)
        sums = [number for one in fine[1:] for number in one[1:]]
        return np.array([fine[0], *sums]) / 1000

    before, threads = numbers(), torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        others = [numbers()]
        torch._C._set_mkldnn_enabled(False)  # as torch.backends.mkldnn.flags, which warns of something else
        others.append(numbers())
        assert digest(lite0.network) == LITE0
        assert digest(lite0.network) == LITE0
    finally:
        torch._C._set_mkldnn_enabled(True)
        torch.set_num_threads(threads)
    to_flip = np.abs(before - np.floor(before) - 0.5).min()
    assert to_flip > 0.02
    assert max(np.abs(other - before).max() for other in others) <= 0.002


@pytest.mark.parametrize(
    "changed", [{"size": (96, 96)}, {"size": (113, 113)}, {"antialias": False}, {"mode": "bicubic"}]
)
def test_another_resize_with_equal_weights_is_another_feature_space(changed, monkeypatch, lite0, tmp_path):
    resize = F.interpolate
    monkeypatch.setattr(shipped.F, "interpolate", lambda x, **options: resize(x, **{**options, **changed}))
    other = efficientnet(CPU)
    assert other.info.weights_sha256 == lite0.info.weights_sha256
    assert other.info != lite0.info
    # and does not meet the features that the former one left
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 28, 28), dtype=np.uint8)
    for network in (lite0, other, other):
        features_of(images, network, tmp_path)
    assert len(list(tmp_path.glob("features-*.npz"))) == 2


def pooled(images):
    return torch.cat(
        [
            F.adaptive_avg_pool2d(images.expand(-1, 3, -1, -1).float(), 4).flatten(1),
            images.float().std((1, 2, 3))[:, None],
        ],
        1,
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda images: pooled(images) * (255 / 256),
        lambda images: 1.01 * pooled(images),
        lambda images: pooled(images) + 0.01 * pooled(images).mean(),
        lambda images: pooled(images.flip(1)),
        lambda images: pooled(images.flip(3)),
        lambda images: pooled(images.transpose(2, 3)),
        lambda images: pooled(images[:, :, 1:, 1:]),
        lambda images: pooled(images)[:, :-1],
        lambda images: pooled(images).roll(1, dims=1),
        lambda images: pooled(images).square(),
    ],
    ids=[
        "scale 256",
        "1 %",
        "shift",
        "channels",
        "mirrored",
        "turned",
        "cropped",
        "a feature less",
        "order",
        "squares",
    ],
)
def test_small_changes_of_the_code_are_found(change):
    assert digest(change) != digest(pooled)


def test_rounding_is_not_found():
    noise = torch.Generator().manual_seed(0)
    for _ in range(20):
        assert digest(lambda images: pooled(images) * (1 + 1e-6 * torch.randn(49, generator=noise))) == digest(pooled)


def test_what_a_network_refuses_is_part_of_what_it_does():
    def small(images):
        if images.shape[2] > 32:
            raise UserError("too large")
        return pooled(images)

    assert digest(small) == digest(small) != digest(pooled)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), 1e38, 1e-40])
def test_features_at_the_limits_have_a_digest(value):
    def constant(images):
        return torch.full((len(images), 3), value)

    assert digest(constant) == digest(constant) != digest(pooled)
    assert digest(lambda images: constant(images)[:, :0]) != digest(constant)
    made = make_extractor("x", "0" * 64, "none", 3, constant, CPU, False)
    assert made.info.probe_sha256 == digest(constant)


def test_not_a_number_for_one_image_leaves_the_others_their_say():
    def nothing(scale):
        return lambda images: scale * pooled(images) / (images.shape[-1] != 28)

    assert digest(nothing(1.0)) != digest(nothing(1.1))
