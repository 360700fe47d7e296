"""The distance of real data for each metric: found by all that makes two distances comparable."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures import floor, make

from equibench.quantities.metric import metric_of
from equibench.record.schema import RealDataPoint
from equibench.summary.findings import findings
from equibench.summary.floors import real_distance
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise

WHOLE = floor("real data", fd=3.1)
FEWER = WHOLE.quality.model_copy(update={"n_samples": 1300, "value": 7.5})


def section_of(*records):
    (section,) = summarise([FiledRecord(Path(f"{i}.json"), one) for i, one in enumerate(records)])
    return section


def test_it_is_the_one_at_the_same_number_of_images():
    at_points = WHOLE.model_copy(update={"real_data_at": [RealDataPoint(label="1300", quality=FEWER)]})
    section = section_of(make("gan"), at_points)
    assert real_distance(section, metric_of(WHOLE.quality)).values == (3.1,)
    assert real_distance(section, metric_of(FEWER)).values == (7.5,)


@pytest.mark.parametrize("change", [{"n_samples": 1500}, {"n_reference": 9000}, {"reference": "train"}])
def test_another_metric_has_none(change):
    at_points = WHOLE.model_copy(update={"real_data_at": [RealDataPoint(label="1300", quality=FEWER)]})
    section = section_of(make("gan"), at_points)
    assert real_distance(section, metric_of(FEWER)._replace(**change)) is None


def test_records_of_before_have_the_headline_alone():
    section = section_of(make("gan"), WHOLE)
    assert real_distance(section, metric_of(WHOLE.quality)).mean == 3.1
    assert real_distance(section, metric_of(FEWER)) is None
    assert real_distance(section_of(make("gan")), metric_of(WHOLE.quality)) is None


@pytest.mark.parametrize(("space", "said"), [("EfficientNet-Lite0", True), ("another", False)])
def test_a_finding_has_real_data_beside_the_best_in_its_own_feature_space_alone(space, said):
    features = WHOLE.quality.features.model_copy(update={"name": space})
    real = WHOLE.model_copy(update={"quality": WHOLE.quality.model_copy(update={"features": features})})
    section = section_of(*(make(name, seed) for name in ("gan", "vae") for seed in range(3)), real)
    (found,) = (one for one in findings(section) if one.topic == "quality")
    assert any("Real training images have 3.1" in sentence for sentence in found.sentences) == said
