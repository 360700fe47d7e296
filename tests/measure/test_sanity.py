"""Every metric gets worse along every damage that it can see, in pixels, where nothing but the metric is tested.
docs/sanity_curves.md shows the same in the features of a network.
"""

import numpy as np
import pytest
import torch

from equibench.data import sets
from equibench.measure.features import extractor
from equibench.measure.quality import metrics
from equibench.measure.quality.reference import reference_of_images
from equibench.record.schema import FeatureInfo
from studies import sanity_curves as study

SIDE = 5  # pixels and their edges are averaged to so many a side


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    def network(images):
        pixels = images.float() / 255
        edges = pixels.diff(dim=3).abs()  # averages of pixels alone hardly see blur
        return torch.cat([torch.nn.functional.adaptive_avg_pool2d(x, SIDE).flatten(1) for x in (pixels, edges)], dim=1)

    info = FeatureInfo(name="pixels", weights_sha256="0" * 64, preprocessing="average", dims=2 * SIDE**2)
    pixels = extractor.Extractor(info, "FD", network, torch.device("cpu"))
    found = sets.load("fashion-mnist-10k")
    against = reference_of_images("test", found.test[:3000], pixels, tmp_path_factory.mktemp("cache"))

    def measure(images):
        on = torch.from_numpy(pixels(images))
        return study.points(metrics.measure(on, against, pixels, splits=2, resamples=4, also=True))

    return study.curves(found, measure, n=900)


DISTANCES = [name for name in study.METRICS if name not in study.HIGHER_IS_BETTER]
BALLS = {
    "noise": study.HIGHER_IS_BETTER,
    "mode dropping": ("recall", "coverage"),
    "mode collapse": ("recall", "coverage"),
}


@pytest.mark.parametrize("metric", DISTANCES)
@pytest.mark.parametrize("damage", study.DAMAGES, ids=lambda damage: damage.name)
def test_distances_follow_every_damage(curves, metric, damage):
    values = [row[metric][0] for row in curves[damage.name]]
    assert study.trend(damage.levels, values, metric) >= study.TREND


@pytest.mark.parametrize(("damage", "metric"), [(damage, name) for damage, names in BALLS.items() for name in names])
def test_balls_around_neighbours_are_left_or_empty(curves, damage, metric):
    """Blur is left out: averaged pixels lie in the middle of the data, inside more balls than real ones."""
    rows = curves[damage]
    assert rows[-1][metric][0] < 0.9 * rows[0][metric][0]


def test_a_metric_that_goes_the_wrong_way_is_found():
    assert study.trend((0, 1, 2), [3.0, 2.0, 1.0], "FD") == -1
    assert study.trend((0, 1, 2), [3.0, 2.0, 1.0], "recall") == 1
    assert study.trend((0, 1, 2), [1.0, 1.0, 1.0], "FD") == 0


def test_damages_are_what_their_levels_say():
    labels = np.repeat(np.arange(10), 100)
    images = np.repeat(labels[:, None], 16, axis=1).reshape(-1, 1, 4, 4).astype(np.uint8) * 20
    by_name = {damage.name: damage for damage in study.DAMAGES}
    assert len(np.unique(by_name["mode dropping"].apply(images, labels, 8, 200))) == 2
    ids = np.arange(1000, dtype=np.uint8).reshape(-1, 1, 1, 1)
    assert len(np.unique(by_name["mode collapse"].apply(ids % 100, labels, 50, 900))) <= 900 // 50
    flat = np.full((1000, 1, 28, 28), 128, np.uint8)
    assert by_name["noise"].apply(flat, labels, 10, 900).std() == pytest.approx(10, rel=0.02)
    np.testing.assert_array_equal(by_name["blur"].apply(flat, labels, 2, 900), flat[:900])
