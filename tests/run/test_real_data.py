"""The floor of real data: its distance at the number of images of every setting, of nested draws."""

import numpy as np
import pytest
import torch
from toys import extractor

from equibench import suite
from equibench.data.parts import drawn_order
from equibench.data.sets import Dataset
from equibench.hashing import image_digests
from equibench.machine.clock import Clock
from equibench.measure.quality.frechet import frechet_distance, statistics
from equibench.run.floors import measure_floor
from equibench.run.session import Session

CPU = torch.device("cpu")
TRAIN, TEST = np.random.default_rng(0).integers(0, 256, (2, 120, 1, 8, 8), dtype=np.uint8)


@pytest.fixture
def measured(tmp_path):
    def run(**measure):
        small = suite.load("smoke")
        chosen = suite.changed(small, measure={**small.measure.model_dump(), "reference_images": 120, **measure})
        session = Session(chosen, Dataset("toys", TRAIN, TEST), CPU, extractor(), tmp_path)
        return measure_floor("real data", session, Clock()).results

    return run


def by_hand(n):
    """The distance of the first n in the drawn order, by the moments of their features alone."""
    some = TRAIN[drawn_order(image_digests(TRAIN))[:n]]
    ours, theirs = (statistics(torch.from_numpy(extractor()(images))) for images in (some, TEST))
    return frechet_distance(ours, theirs)


@pytest.mark.parametrize("at_a_point", [60, 110])  # fewer and more than the headline's
def test_real_data_are_measured_at_the_number_of_every_setting(measured, at_a_point):
    along = {"points": 1, "samples": at_a_point, "likelihood_images": 30}
    found = measured(samples=100, sweep_samples=50, along=along)
    points = {point.label: point.quality for point in found.real_data_at}
    assert points.keys() == {"50", str(at_a_point)}
    for label, quality in [("100", found.quality), *points.items()]:
        assert quality.n_samples == int(label)
        assert quality.value == pytest.approx(by_hand(int(label)), rel=1e-4)
        assert {one.name for one in quality.also} >= {"recall", "precision"}
    assert found.quality.interval is not None


def test_a_number_that_the_training_images_do_not_reach_has_no_point(measured):
    found = measured(samples=200, sweep_samples=150, along={"points": 1, "samples": 60, "likelihood_images": 30})
    assert found.quality.n_samples == 120
    assert [point.label for point in found.real_data_at] == ["60"]


def test_settings_with_the_headline_number_add_nothing(measured):
    assert measured(samples=100, sweep_samples=5000, along=None).real_data_at == []
