"""Sample metrics by the number of images at hand, and the cache of references."""

import numpy as np
import pytest
import torch
from toys import IMAGES, extractor, features_of

from equibench.hashing import array_sha256
from equibench.measure.quality import metrics, reference
from equibench.measure.quality.frechet import Statistics
from equibench.measure.quality.reference import CHECKED, Reference, drawn, reference_of_images
from equibench.quantities import glossary


def test_all_metrics_where_there_are_enough_images(tmp_path):
    toy = extractor()
    against = reference_of_images("test", IMAGES[:110], toy, tmp_path)
    found = metrics.measure(features_of(IMAGES[50:], toy), against, toy, splits=3, resamples=4, also=True)
    assert [one.name for one in found.also] == [
        "KD",
        "precision",
        "recall",
        "density",
        "coverage",
        "sliced Wasserstein",
    ]
    assert all(one.value is not None for one in found.also)
    for one in found.also:  # what a record says of the direction is what the glossary does
        assert glossary.of(f"quality.also.{one.name}").better == ("higher" if one.higher_is_better else "lower")
        # every error says what it is over, and no other number does
        assert one.stderr_over == ("samples" if one.stderr is not None else None)
    assert {one.name for one in found.also if one.stderr is None} == {"recall", "coverage"}
    assert found.also[0].stderr_with_reference > found.also[0].stderr
    assert found.stderr_method.startswith("jackknife over samples")
    assert found.corrected_for == "samples"
    assert found.interval.low < found.value < found.interval.high
    assert len(found.halves) == 6
    assert found.corrected < found.value
    alone = metrics.measure(features_of(IMAGES[50:], toy), against, toy)
    assert (alone.value, alone.interval, alone.corrected, alone.also) == (found.value, None, None, [])


def test_too_few_images_leave_out_what_they_cannot_tell(tmp_path):
    toy = extractor(dims=60)
    against = reference_of_images("test", IMAGES, toy, tmp_path)
    found = metrics.measure(features_of(IMAGES[:50], toy), against, toy, splits=3, resamples=4, also=True)
    assert found.value is None
    assert "50 images are too few for the 60 dimensions" in found.reason
    values = {one.name: one.value for one in found.also}
    assert values["KD"] is not None
    assert values["sliced Wasserstein"] is not None
    assert values["precision"] is None
    assert "100 are needed" in next(one.reason for one in found.also if one.name == "precision")


def test_a_second_entrant_pays_nothing_for_the_reference(tmp_path):
    toy = extractor()
    first = reference_of_images("test", IMAGES, toy, tmp_path)
    paid = list(toy.calls)
    second = reference_of_images("test", IMAGES, toy, tmp_path)
    assert toy.calls == [*paid, CHECKED]  # the images that the cache is compared on
    assert torch.equal(first.features, second.features)
    for part in ("kernel_means", "radii"):
        assert torch.equal(getattr(first.within, part), getattr(second.within, part))
    assert torch.equal(first.statistics.covariance, second.statistics.covariance)


def test_a_changed_image_or_extractor_never_meets_the_cache(tmp_path):
    first = reference_of_images("test", IMAGES, extractor(), tmp_path)
    changed = IMAGES.copy()
    changed[0, 0, 0, 0] ^= 255
    assert not torch.equal(reference_of_images("test", changed, extractor(), tmp_path).features, first.features)
    for field in ("name", "weights_sha256", "preprocessing"):
        other = extractor(**{field: "x"})
        reference_of_images("test", IMAGES, other, tmp_path)
        assert sum(other.calls) == len(IMAGES)
    # the same bytes in another shape are other images
    assert array_sha256(IMAGES) != array_sha256(IMAGES.reshape(40, 1, 16, 16))


def test_statistics_of_another_protocol_are_computed_anew(tmp_path, monkeypatch):
    """Equal features, of which another protocol may take other neighbours."""
    reference_of_images("test", IMAGES, extractor(), tmp_path)
    before = set(tmp_path.glob("reference-*.npz"))
    monkeypatch.setattr(reference, "PROTOCOL", "another")
    reference_of_images("test", IMAGES, extractor(), tmp_path)
    assert len(before) == 1
    assert len(set(tmp_path.glob("reference-*.npz")) - before) == 1


def test_an_extractor_that_changes_where_its_identity_does_not_look_never_meets_the_cache(tmp_path):
    """Code that the user's function calls may change; some of the features are computed again to see."""
    before, after = extractor(), extractor()
    object.__setattr__(after, "network", lambda images: before.network(images) + 1)
    first = reference_of_images("test", IMAGES, before, tmp_path)
    second = reference_of_images("test", IMAGES, after, tmp_path)
    np.testing.assert_allclose(second.statistics.mean, first.statistics.mean + 1, rtol=1e-5)


def test_a_damaged_cache_is_computed_again(tmp_path):
    first = reference_of_images("test", IMAGES, extractor(), tmp_path)
    for file in tmp_path.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:200])
    again = reference_of_images("test", IMAGES, extractor(), tmp_path)
    assert torch.equal(first.features, again.features)


def test_a_subset_is_no_beginning():
    """A file sorted by class: the first half of it holds half the classes, a drawn half all of them."""
    classes = np.arange(1000) // 100
    assert len(set(classes[drawn(1000, 100)])) == 10
    np.testing.assert_array_equal(drawn(1000, 1000), np.arange(1000))


@pytest.mark.parametrize("scale", [1e-38, 1e8, 1e20, 1e35])
def test_features_at_the_limits_of_floats_leave_out_what_they_cannot_tell(scale, tmp_path):
    toy = extractor()
    network = toy.network
    object.__setattr__(toy, "network", lambda images: network(images) * scale)
    against = reference_of_images("test", IMAGES[:110], toy, tmp_path)
    found = metrics.measure(features_of(IMAGES[50:], toy), against, toy, splits=3, resamples=4, also=True)
    plain = extractor()
    by_one = metrics.measure(
        features_of(IMAGES[50:], plain),
        reference_of_images("test", IMAGES[:110], plain, tmp_path),
        plain,
        splits=3,
        resamples=4,
    )
    assert found.value == pytest.approx(by_one.value * scale**2, rel=1e-4)
    assert found.stderr == pytest.approx(by_one.stderr * scale**2, rel=1e-4)
    for one in found.also:
        assert (one.value is None) == (one.reason == metrics.BEYOND)
    assert {one.name for one in found.also if one.value is None} == {
        1e-38: set(),
        1e8: {"KD"},
        1e20: {"KD", "precision", "recall", "density", "coverage"},
        1e35: {"KD", "precision", "recall", "density", "coverage"},
    }[scale]


def test_statistics_at_the_limits_of_floats_are_no_crash():
    toy = extractor()
    against = Reference("x", Statistics(500, torch.zeros(6).double(), 1e250 * torch.eye(6).double()), None)
    found = metrics.measure(1e30 * features_of(IMAGES, toy), against, toy, splits=3, resamples=4)
    assert (found.value, found.reason) == (None, metrics.BEYOND)
