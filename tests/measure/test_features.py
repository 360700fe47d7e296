"""Feature networks: identity, repeatability, the cache, and Inception's loading with weights that the test makes."""

import hashlib
import importlib
import warnings

import numpy as np
import pytest
import torch
from inception import publish, write_weights

from equibench.errors import UserError
from equibench.measure.features import names, torch_fidelity
from equibench.measure.features.load import load_extractor
from equibench.measure.quality import frechet, pairwise

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 1, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def lite():
    return load_extractor("efficientnet-lite0", CPU)


def test_identity_and_batch_independence(lite):
    assert lite.metric == "FD"
    assert lite.info.dims == 1280
    assert len(lite.info.weights_sha256) == 64
    whole = lite(IMAGES)
    assert whole.shape == (12, 1280)
    np.testing.assert_allclose(np.concatenate([lite(IMAGES[:5]), lite(IMAGES[5:])]), whole, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lite(IMAGES.repeat(3, axis=1)), whole, rtol=1e-4, atol=1e-5)  # grey as colour


def test_floats_are_refused(lite):
    with pytest.raises(ValueError, match="uint8"):
        lite(IMAGES.astype(np.float32))


def test_unknown_extractors_and_missing_weights_are_sentences(tmp_path):
    with pytest.raises(UserError, match="did you mean 'inception-v3'"):
        load_extractor("inception", CPU)
    with pytest.raises(UserError, match="no Inception weights at"):
        load_extractor("inception-v3", CPU, tmp_path / "nowhere.pth")
    (tmp_path / "wrong.pth").write_bytes(b"not weights")
    with pytest.raises(UserError, match="does not hold"):
        load_extractor("inception-v3", CPU, tmp_path / "wrong.pth")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch cache of the test's own."""
    folder = tmp_path / "hub"
    (folder / "checkpoints").mkdir(parents=True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    return folder


@pytest.fixture
def inception(hub, monkeypatch):
    """Inception weights that the test makes, in torch's cache under torch-fidelity's name; their hash is the published
    one here.
    """
    file = write_weights(hub / "checkpoints")
    publish(monkeypatch, file)
    return file


def test_inception_is_used_and_called_fid_where_weights_are_found(inception):
    found = load_extractor("auto", CPU)
    assert (found.metric, found.info.name, found.info.dims) == ("FID", "Inception-v3", 2048)
    given = load_extractor("inception-v3", CPU, inception)
    assert given.info == found.info
    fast = load_extractor("inception-v3+bf16", CPU)
    assert (fast.metric, fast.info.name) == ("FD", "Inception-v3 bf16")  # another space: not FID


def test_inception_features_and_fid_are_those_of_torch_fidelity(inception):
    """The whole way of torch-fidelity 0.4.0 on the same images and weights; its Frechet distance, too."""
    import torch_fidelity
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    rng = np.random.default_rng(1)
    sets = [rng.integers(0, top, (24, 3, 28, 28), dtype=np.uint8) for top in (256, 200)]
    ours = load_extractor("inception-v3", CPU)
    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(inception)
    ).eval()
    with torch.no_grad():
        expected = theirs(torch.from_numpy(sets[0]))[0].numpy()
    found = ours(sets[0])
    assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)

    class Images(torch.utils.data.Dataset):
        def __init__(self, images):
            self.images = torch.from_numpy(images)

        def __len__(self):
            return len(self.images)

        def __getitem__(self, index):
            return self.images[index]

    metrics = torch_fidelity.calculate_metrics(
        input1=Images(sets[0]),
        input2=Images(sets[1]),
        fid=True,
        kid=True,
        kid_subsets=1,
        kid_subset_size=24,
        cuda=False,
        verbose=False,
        cache=False,
        batch_size=24,
        save_cpu_ram=True,  # no worker processes
        feature_extractor_weights_path=str(inception),
    )
    a, b = (torch.from_numpy(ours(images)) for images in sets)
    value = frechet.frechet_distance(frechet.statistics(a), frechet.statistics(b))
    assert value == pytest.approx(metrics["frechet_inception_distance"], rel=1e-6)
    kernel = pairwise.compare_pairs(a, b)[0].value
    assert kernel == pytest.approx(metrics["kernel_inception_distance_mean"], rel=1e-4)  # which sums float32


def test_clip_is_read_from_torchs_cache(hub):
    module = importlib.import_module("torch_fidelity.feature_extractor_clip")

    class Tiny(module.CLIPVisual):
        def __init__(self):
            super().__init__(24, 32, 1, 64, 16)
            self.text_projection = torch.nn.Parameter(torch.zeros(8, 24))

        def forward(self, x):
            return self.visual(x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Tiny().eval(), torch.zeros(1, 3, 32, 32))
        torch.jit.save(traced, str(hub / "checkpoints" / f"clip-vit-b-16-{'0' * 64}.pt"))
    with pytest.raises(UserError, match=r"a TorchScript file, can run any code .* --allow-code"):
        load_extractor("clip-vit-b-16", CPU)  # not the file that torch-fidelity fetches, whose hash is known
    found = load_extractor("clip-vit-b-16", CPU, allow_code=True)
    name = f"clip-vit-b-16[{found.info.weights_sha256[:8]}]"
    assert (found.metric, found.info.name, found.info.dims) == ("FD", name, 24)
    assert found(IMAGES[:3]).shape == (3, 24)
    with pytest.raises(UserError, match="no weights of clip-vit-b-32"):
        load_extractor("clip-vit-b-32", CPU)


HUBCONF = """
import torch
class Tiny(torch.nn.Module):
    embed_dim = 12
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
    def forward(self, x):
        return self.scale * x.flatten(1)[:, :12]
def dinov2_vits14(pretrained=True):
    assert not pretrained  # which would unpickle what lies in torch's cache
    return Tiny()
"""


def test_dinov2_is_read_from_torchs_cache(hub, monkeypatch):
    """By its code at one commit; its weights are tensors with the published hash."""
    importlib.import_module("torch_fidelity.feature_extractor_dinov2")
    with pytest.raises(UserError, match=r"code from torch's cache, can run any code .* --allow-code"):
        load_extractor("dinov2-vit-s-14", CPU)
    with pytest.raises(UserError, match="no weights of dinov2-vit-s-14"):
        load_extractor("dinov2-vit-s-14", CPU, allow_code=True)
    code = hub / f"facebookresearch_dinov2_{torch_fidelity.DINO_COMMIT}"
    code.mkdir()
    (code / "hubconf.py").write_text(HUBCONF)
    file = hub / "checkpoints" / "dinov2_vits14_pretrain.pth"
    torch.save({"scale": torch.full((1,), 2.0)}, file)
    with pytest.raises(UserError, match=r"is not the file that is published .* --download$"):
        load_extractor("dinov2-vit-s-14", CPU, allow_code=True)
    sha256 = publish(monkeypatch, file, "dinov2-vit-s-14")
    found = load_extractor("dinov2-vit-s-14", CPU, allow_code=True)
    assert (found.metric, found.info.name, found.info.dims) == ("FD", "dinov2-vit-s-14", 12)
    assert found(IMAGES[:3]).shape == (3, 12)
    assert found.info.weights_sha256 == sha256


@pytest.mark.parametrize("good", [True, False])
def test_inception_is_fetched_once_and_checked_against_the_published_hash(inception, hub, monkeypatch, good):
    """The network is a file here; torch's own download and its check of the hash are real."""
    source = inception.rename(hub / "source.pth")
    sha = hashlib.sha256(source.read_bytes()).hexdigest()
    monkeypatch.setitem(names.KNOWN_SHA256, "inception-v3", sha if good else "0" * 64)
    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.URL_INCEPTION_V3", source.as_uri())
    with pytest.raises(UserError, match="--download"):
        load_extractor("inception-v3", CPU)
    if not good:
        with pytest.raises(UserError, match="invalid hash"):
            load_extractor("inception-v3", CPU, download=True)
        assert not inception.exists()
        return
    assert load_extractor("inception-v3", CPU, download=True).info.weights_sha256 == sha
    source.unlink()
    assert load_extractor("inception-v3", CPU, download=True).metric == "FID"


def test_a_download_without_a_network_is_a_sentence(hub, monkeypatch):
    importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.URL_INCEPTION_V3", (hub / "gone").as_uri())
    with pytest.raises(UserError, match="cannot fetch the weights of inception-v3"):
        load_extractor("inception-v3", CPU, download=True)


# --- the user's own ---------------------------------------------------------------------------------------------------


class Pool(torch.nn.Module):
    def __init__(self, scale: float):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scale * torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


def test_own_torchscript_with_its_weights_in_its_identity(tmp_path):
    found = []
    for scale in (1.0, 2.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.script(Pool(scale)), str(tmp_path / "own.pt"))
        found.append(load_extractor(str(tmp_path / "own.pt"), CPU, allow_code=True))
    assert found[0].info.dims == 12
    assert found[0].metric == "FD"
    np.testing.assert_allclose(2 * found[0](IMAGES), found[1](IMAGES))
    assert found[0].info.weights_sha256 != found[1].info.weights_sha256


OWN = """
import torch
mean = lambda images: images.float().mean((2, 3))
drop = torch.nn.Dropout()
chance = lambda images: drop(mean(images))
batch = lambda images: mean(images) - mean(images).mean(0)
short = lambda images: mean(images)[1:]
sizes = lambda images: images.flatten(1).float()
nothing = lambda images: mean(images) / (images.shape[-1] != 28) * (images.shape[-1] != 28)
writes = lambda images: mean(images.bitwise_not_())
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_wrong.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name: load_extractor(f"own_wrong:{name}", CPU)


@pytest.mark.parametrize("name", ["chance", "batch", "short"])
def test_own_features_must_be_of_each_image_alone_and_the_same_each_time(own, name):
    with pytest.raises(UserError, match="change from call to call or with the batch"):
        own(name)


@pytest.mark.parametrize(("name", "sentence"), [("sizes", "images of every size"), ("nothing", "NaN")])
def test_own_features_of_the_data_are_held_to_the_same_rules(own, name, sentence):
    with pytest.raises(UserError, match=sentence):
        own(name)(IMAGES)


def test_an_extractor_that_writes_into_its_input_changes_nobody_s_images(own):
    images = np.repeat(IMAGES, 3, axis=1)
    before = images.copy()
    own("writes")(images)
    np.testing.assert_array_equal(images, before)


def test_own_function_with_its_weights_in_its_identity(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_features.py").write_text(
        "import numpy, torch\n"
        "def pool(images):\n"
        "    scale = float(numpy.load('scale.npy'))\n"
        "    return scale * images.float().mean((2, 3))\n"
        "def wrong(images):\n"
        "    return images.float()\n"
        "def broken(images):\n"
        "    raise KeyError('layer')\n"
    )
    np.save("scale.npy", 1.0)
    first = load_extractor("own_features:pool", CPU)
    np.save("scale.npy", 2.0)  # the same source, other weights: another identity
    second = load_extractor("own_features:pool", CPU)
    assert first.info.dims == 3
    assert first.info.weights_sha256 != second.info.weights_sha256
    again = load_extractor("own_features:pool", CPU)
    assert again.info == second.info
    for name, sentence in {
        "own_features:wrong": r"must return floats \[N, d\]",
        "own_features:broken": "failed on uint8",
        "own_features:missing": "cannot import",
        "no_such_module:pool": "cannot import",
    }.items():
        with pytest.raises(UserError, match=sentence):
            load_extractor(name, CPU)
    (tmp_path / "no.pt").write_bytes(b"nothing")
    with pytest.raises(UserError, match="no TorchScript module"):
        load_extractor("no.pt", CPU, allow_code=True)
    with pytest.raises(UserError, match="there is no extractor file"):
        load_extractor("nowhere.pt", CPU)


def test_bfloat16_is_close_and_another_space(lite):
    fast = load_extractor("efficientnet-lite0+bf16", CPU)
    assert fast.info.name == "EfficientNet-Lite0 bf16"
    assert fast.info != lite.info
    a, b = fast(IMAGES), lite(IMAGES)
    difference = np.linalg.norm(a - b) / np.linalg.norm(b)
    assert 1e-5 < difference < 0.05
