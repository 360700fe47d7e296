"""Samples of other tools, and statistics as files."""

import json

import numpy as np
import pytest
from PIL import Image
from toys import IMAGES, RNG, extractor, features_of

from equibench.errors import UserError
from equibench.measure import samples as measure
from equibench.measure.quality import exchange, imported, metrics
from equibench.measure.quality.reference import reference_of_images


def test_exported_statistics_come_back_and_other_tools_read_them(tmp_path):
    toy = extractor()
    against = reference_of_images("test", IMAGES, toy, tmp_path)
    file = tmp_path / "stats.npz"
    exchange.export(against, toy.info, "toy data", file)
    with np.load(file) as arrays:  # no pickle needed
        np.testing.assert_allclose(arrays["mu"], toy(IMAGES).mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(arrays["sigma"], np.cov(toy(IMAGES).astype(float), rowvar=False))
    back = imported.read(file, toy)
    samples = features_of(IMAGES[:60], toy)
    assert metrics.measure(samples, back, toy).value == pytest.approx(metrics.measure(samples, against, toy).value)
    assert back.images_sha256 == against.images_sha256
    kd = metrics.measure(samples, back, toy, also=True).also[0]
    assert kd.value is None
    assert "hold no features" in kd.reason


def test_statistics_of_others_are_taken_and_wrong_ones_refused(tmp_path):
    toy = extractor()
    good = {"mu": np.zeros(6, np.float32), "sigma": np.eye(6)}
    np.savez(tmp_path / "theirs.npz", **good)
    assert imported.read(tmp_path / "theirs.npz", toy).images_sha256 is None
    wrong = {
        "other names": ({"mean": np.zeros(6)}, "`mu` and `sigma`"),
        "other size": ({"mu": np.zeros(5), "sigma": np.eye(5)}, "has 6 dimensions"),
        "not symmetric": ({**good, "sigma": np.triu(np.ones((6, 6)))}, "symmetric"),
        "not symmetric, and small": ({**good, "sigma": 1e-12 * np.triu(np.ones((6, 6)))}, "symmetric"),
        "negative": ({**good, "sigma": np.eye(6) - 0.5 * np.ones((6, 6))}, "negative eigenvalues"),
        "complex": ({**good, "sigma": np.eye(6) + 1e-3j}, "imaginary parts"),
        "words": ({**good, "mu": np.array(["0"] * 6)}, "real numbers"),
        "not finite": ({**good, "mu": np.full(6, np.nan)}, "mu must be finite"),
        "no count": ({**good, "n": np.array("many")}, "no count"),
        "negative count": ({**good, "n": np.int64(-5)}, "no count"),
        "damaged provenance": ({**good, "equibench": np.array("{}")}, "provenance"),
    }
    for name, (arrays, sentence) in wrong.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(UserError, match=sentence):
            imported.read(tmp_path / f"{name}.npz", toy)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UserError, match=r"is no \.npz"):
        imported.read(tmp_path / "text.npz", toy)


def test_statistics_of_another_extractor_are_refused(tmp_path):
    toy = extractor()
    exchange.export(reference_of_images("test", IMAGES, toy, tmp_path), toy.info, "toy", tmp_path / "s.npz")
    with pytest.raises(UserError, match="was made with toy"):
        imported.read(tmp_path / "s.npz", extractor(weights_sha256="f" * 64))


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A data set of 8x8 grey images in a file, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.savez(tmp_path / "toys.npz", train=IMAGES[:80], test=IMAGES[80:])
    return str(tmp_path / "toys.npz")


def save_pictures(folder, images, suffix="png", colour=False):
    folder.mkdir()
    for i, image in enumerate(images):
        picture = Image.fromarray(image[0])
        (picture.convert("RGB") if colour else picture).save(folder / f"{i:03}.{suffix}")
    return folder


def test_the_same_samples_in_any_format_give_the_same_numbers(toys, tmp_path):
    images = IMAGES[:60]
    np.save(tmp_path / "channels_first.npy", images)
    np.save(tmp_path / "channels_last.npy", images.transpose(0, 2, 3, 1))
    np.savez(tmp_path / "many.npz", samples=images[:, 0])
    sources = [
        tmp_path / "channels_first.npy",
        tmp_path / "channels_last.npy",
        tmp_path / "many.npz",
        save_pictures(tmp_path / "grey", images),
        save_pictures(tmp_path / "colour", images, colour=True),
    ]
    values = [measure.measure(source, extractor(), dataset=toys).quality.value for source in sources]
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_a_copy_of_the_training_images_is_reported_as_memorized(toys, tmp_path):
    np.save(tmp_path / "copies.npy", IMAGES[:80])
    found = measure.measure(tmp_path / "copies.npy", extractor(), dataset=toys)
    assert found.quality.memorization.share_nearer_train == 1
    assert found.quality.memorization.p < 1e-6
    assert json.loads(found.model_dump_json())["data"]["n_train"] == 80


def test_files_are_what_they_hold_not_what_they_are_called(toys, tmp_path):
    folder = save_pictures(tmp_path / "jpegs", IMAGES[:60], "jpg")
    for file in folder.iterdir():
        file.rename(file.with_suffix(".png"))
    with pytest.raises(UserError, match="JPEG"):
        measure.measure(folder, extractor(), dataset=toys)
    honest = save_pictures(tmp_path / "pngs", IMAGES[:60], "png")
    save_pictures(tmp_path / "pngs" / ".checkpoints", IMAGES[:9], "png")
    assert len(measure.load(honest)) == 60
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "there").symlink_to(honest)
    assert len(measure.load(tmp_path / "linked")) == 60


def test_copies_are_remarked_on(toys, tmp_path):
    np.save(tmp_path / "copies.npy", np.repeat(IMAGES[:20], 5, axis=0))
    found = measure.measure(tmp_path / "copies.npy", extractor(), dataset=toys)
    assert any("80 of 100 samples are exact copies" in note for note in found.notes)


def test_statistics_remember_the_size_of_their_images(tmp_path):
    toy = extractor()
    exchange.export(reference_of_images("test", IMAGES, toy, tmp_path), toy.info, "toys", tmp_path / "stats.npz")
    np.save(tmp_path / "large.npy", RNG.integers(0, 256, (60, 1, 16, 16), dtype=np.uint8))
    with pytest.raises(UserError, match="1x16x16"):
        measure.measure(tmp_path / "large.npy", toy, dataset=None, statistics=tmp_path / "stats.npz")


def test_what_cannot_be_compared_is_refused_with_its_reason(toys, tmp_path):
    def refused(name, images, sentence, **options):
        path = tmp_path / f"{name}.npy"
        np.save(path, images)
        with pytest.raises(UserError, match=sentence):
            measure.measure(path, extractor(), **{"dataset": toys, **options})

    refused("floats", IMAGES / 255, "save levels 0..255 as uint8")
    refused("ones", IMAGES // 255, "no levels but 0, 1")
    refused("minus ones", np.where(IMAGES > 200, 255, IMAGES % 2).astype(np.uint8), "no levels but 0, 1, 255")
    refused("no pixels", np.zeros((60, 1, 0, 0), np.uint8), "without pixels")
    refused("few", IMAGES[:10], "at least 50")
    refused(
        "large", np.zeros((60, 1, 16, 16), np.uint8) + RNG.integers(0, 9, (60, 1, 16, 16), dtype=np.uint8), "1x16x16"
    )
    refused("colour", RNG.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8), "3x8x8")
    refused("nothing to compare with", IMAGES, "one thing to compare with", dataset=None)
    with pytest.raises(UserError, match="JPEG"):
        measure.measure(save_pictures(tmp_path / "jpegs", IMAGES[:60], "jpg"), extractor(), dataset=toys)
    with pytest.raises(UserError, match="there are no samples at"):
        measure.measure(tmp_path / "nowhere", extractor(), dataset=toys)
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(UserError, match="save the samples as `images`"):
        measure.measure(tmp_path / "other.npz", extractor(), dataset=toys)
