"""EfficientNet-Lite0 against known features, a direct formula in float64, and files that are not its weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from equibench.errors import UserError
from equibench.measure.features.efficientnet import efficientnet, find_lite0
from equibench.measure.features.lite0 import SameConv2d, load_lite0
from equibench.record.schema import FeatureInfo

CPU = torch.device("cpu")
GREY = np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28), dtype=np.uint8)
COLOUR = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
# of the first and the last image: the first features above 0.1 by their numbers, and the sum of all, as
# efficientnet-lite-pytorch 0.1.0 gave them, which built the network before equibench did
KNOWN = {
    "grey": (
        GREY,
        {2: 3.10737, 9: 0.105522, 10: 0.303342, 29: 0.450487, 31: 2.50755, 34: 0.352484},
        {2: 3.66295, 29: 0.96104, 31: 1.55466, 38: 0.575085, 39: 2.48849, 57: 0.597991},
        (304.333, 282.004),
    ),
    "colour": (
        COLOUR,
        {26: 0.183905, 29: 0.143461, 31: 1.10489, 34: 0.953225, 39: 0.173082, 57: 2.26057},
        {2: 1.07324, 7: 0.626727, 30: 0.448005, 31: 2.0012, 34: 1.19071, 39: 1.74253},
        (252.371, 251.657),
    ),
}
# zeros before and after, by kernel and stride, where the input's size is even
SAME = {(3, 1): (1, 1), (5, 1): (2, 2), (3, 2): (0, 1), (5, 2): (1, 2)}
STRIDED = (1, 3, 5, 11)  # blocks of stride 2


@pytest.fixture(scope="module")
def extractor():
    return efficientnet(CPU)


@pytest.fixture(scope="module")
def file():
    return torch.load(find_lite0(), weights_only=True)


@pytest.fixture(scope="module")
def network():
    return load_lite0(find_lite0())


def test_identity_enters_record_keys_and_stays(extractor):
    assert extractor.info == FeatureInfo(
        name="EfficientNet-Lite0",
        weights_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        preprocessing="bilinear antialiased to 112x112, grey repeated to RGB, ImageNet mean and deviation, float32",
        dims=1280,
        probe_sha256="11875053bed9360e494afe8d664a0f9b03e90ffc52b30ee2880156ec6fe42a25",
    )


@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize("batch", [1, 20])
def test_features_are_the_known_ones(extractor, kind, batch):
    images, *known, sums = KNOWN[kind]
    for index, values, total in zip((0, 19), known, sums, strict=True):
        found = extractor(images)[index] if batch == 20 else extractor(images[index : index + 1])[0]
        assert {number: found[number] for number in values} == pytest.approx(values, rel=1e-3)
        assert found.sum() == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("images", [GREY, COLOUR])
def test_features_of_an_image_do_not_depend_on_its_batch(extractor, images):
    whole = extractor(images)
    for sizes in ([1] * 20, [7, 13]):
        parts = np.concatenate([extractor(part) for part in np.split(images, np.cumsum(sizes)[:-1])])
        assert np.linalg.norm(parts - whole) < 1e-5 * np.linalg.norm(whole)


# --- against a direct formula -----------------------------------------------------------------------------------------


def same_convolution(x, file, convolution, norm, stride=1):
    """Zeros around, convolution, batch norm, each by itself, in float64."""
    kernel = file[f"{convolution}.weight"].double()
    if (size := kernel.shape[-1]) > 1:
        x = F.pad(x, 2 * SAME[size, stride])
    y = F.conv2d(x, kernel, stride=stride, groups=x.shape[1] // kernel.shape[1])
    mean, variance, scale, shift = (
        file[f"{norm}.{key}"].double()[:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (y - mean) / (variance + 0.001).sqrt() * scale + shift


def direct_block(x, file, index):
    name, stride = f"_blocks.{index}.", 2 if index in STRIDED else 1
    y = x
    if index > 0:  # the first block has no expansion
        y = same_convolution(y, file, name + "_expand_conv", name + "_bn0").clamp(0, 6)
    y = same_convolution(y, file, name + "_depthwise_conv", name + "_bn1", stride).clamp(0, 6)
    y = same_convolution(y, file, name + "_project_conv", name + "_bn2")
    return x + y if x.shape == y.shape else y


def difference(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("index", "channels", "size", "shape"),
    [
        (0, 32, 12, (2, 16, 12, 12)),  # no expansion
        (1, 16, 12, (2, 24, 6, 6)),  # 3x3, stride 2
        (2, 24, 12, (2, 24, 12, 12)),  # residual
        (3, 24, 12, (2, 40, 6, 6)),  # 5x5, stride 2
        (11, 112, 7, (2, 192, 3, 3)),  # an odd size is rounded down, as the padding is that of an even one
    ],
)
def test_a_folded_block_is_convolution_and_batch_norm(network, file, index, channels, size, shape):
    x = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(index))
    before = x.clone()
    with torch.no_grad():
        found = network.blocks[index](x)
    assert found.shape == shape
    assert difference(found, direct_block(x.double(), file, index)) < 1e-5
    assert torch.equal(x, before)  # ReLU6 is in place, but never on a block's input


@pytest.mark.parametrize(("size", "maps"), [(224, 7), (112, 3)])
def test_the_folded_network_is_stem_blocks_and_head(network, file, size, maps):
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(size))
    x = same_convolution(images.double(), file, "_conv_stem", "_bn0", 2).clamp(0, 6)
    for index in range(16):
        x = direct_block(x, file, index)
    x = same_convolution(x, file, "_conv_head", "_bn1").clamp(0, 6)
    with torch.no_grad():
        found = network(images)
    assert found.shape == (1, 1280, maps, maps)
    assert difference(found, x) < 1e-5


def test_an_odd_number_of_zeros_is_one_more_to_the_right_and_below():
    """Sums of the ones under a kernel of ones."""
    for kernel, sums in ((3, [[9, 6], [6, 4]]), (5, [[16, 12], [12, 9]])):
        layer = SameConv2d(1, 1, kernel, stride=2, size=4)
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        assert layer(torch.ones(1, 1, 4, 4))[0, 0].tolist() == sums


# --- files ------------------------------------------------------------------------------------------------------------


def without(state, key):
    del state[key]


def reshaped(state, key):
    state[key] = state[key][:1]  # would broadcast, were it not refused


@pytest.mark.parametrize(
    ("change", "key", "sentence"),
    [
        (without, "_blocks.3._expand_conv.weight", r"_blocks\.3\._expand_conv\.weight: shape missing, not \(144, 24"),
        (without, "_bn1.running_var", r"_bn1\.running_var: shape missing, not \(1280,\)"),
        (reshaped, "_blocks.0._bn2.bias", r"_blocks\.0\._bn2\.bias: shape \(1,\), not \(16,\)"),
        (reshaped, "_conv_head.weight", r"_conv_head\.weight: shape \(1, 320, 1, 1\), not \(1280, 320, 1, 1\)"),
        (lambda state, key: state.update({key: torch.ones(2)}), "other", r"other: shape \(2,\), not in the network"),
    ],
)
def test_a_file_of_other_keys_or_shapes_is_refused_by_the_first_of_them(tmp_path, file, change, key, sentence):
    state = dict(file)
    change(state, key)
    torch.save(state, tmp_path / "changed.pth")
    with pytest.raises(UserError, match=rf"changed\.pth does not hold EfficientNet-Lite0 \({sentence}"):
        load_lite0(tmp_path / "changed.pth")


def test_a_file_that_is_no_state_dict_is_refused(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("list.pth", "text.pth", "nowhere.pth"):
        with pytest.raises(UserError, match="does not hold EfficientNet-Lite0"):
            load_lite0(tmp_path / name)


def test_the_classifier_is_not_read_and_nothing_is_drawn(tmp_path, file, network):
    torch.save({key: value for key, value in file.items() if not key.startswith("_fc.")}, tmp_path / "trunk.pth")
    before = torch.get_rng_state()
    trunk = load_lite0(tmp_path / "trunk.pth").state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert trunk.keys() == network.state_dict().keys()
    assert all(torch.equal(trunk[key], value) for key, value in network.state_dict().items())


def test_features_are_the_same_to_the_last_bit_with_a_batch_on_each_core(extractor):
    """The last batch is a small one, as of most numbers of images."""
    images, heard = np.concatenate([GREY, GREY[::-1], GREY[:7]]), []
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one_by_one = extractor(images)
        torch.set_num_threads(2)
        side_by_side = extractor(images, heard.append)
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(one_by_one, side_by_side)
    assert heard == [20, 20, 7]
    assert extractor.side_by_side
