"""What shares by class say in words: what stands out, ties, and what is missing."""

from __future__ import annotations

import pytest
from fixtures import failed, make

from equibench.record.anatomy import DistanceParts
from equibench.summary.distance import class_sentences, classes
from equibench.summary.sections import FiledRecord, Row

EVEN = {"bag": 0.25, "boot": 0.25, "coat": 0.25, "shirt": 0.25}
SAME = "The samples of gan lie among the classes in about the shares that the test images have."


def row_of(*parts):
    return Row("gan", tuple(FiledRecord(None, make("gan", i, distance_parts=one)) for i, one in enumerate(parts)))


def said(**shares):
    return class_sentences(classes(row_of(DistanceParts(**{"real_shares": EVEN, **shares}))), "gan")


def test_the_class_that_is_not_made_is_named():
    assert said(
        class_shares={"bag": 0.7, "boot": 0.1, "coat": 0.1, "shirt": 0.1},
        sample_shares={"bag": 0.0, "boot": 0.5, "coat": 0.25, "shirt": 0.25},
        reached_shares={"bag": 0.004, "boot": 0.8, "coat": 0.7, "shirt": 0.75},
    ) == [
        "Class bag makes 70 % of the distance and has 25 % of the test images.",
        "Of the samples of gan, too few lie nearest to class bag (none, against 25 % of the test images), and too many "
        "lie nearest to class boot (50 %, against 25 % of the test images).",
        "Samples come near less than 1 % of the test images of class bag, the fewest; of the class that they come near "
        "most, 80 %.",
    ]


def test_a_class_that_makes_as_much_of_the_distance_of_real_images_is_no_weakness():
    found = classes(row_of(DistanceParts(real_shares=EVEN, class_shares={**EVEN, "bag": 0.4, "boot": 0.1})))
    assert class_sentences(found, "gan")[0].startswith("Class bag makes 40 % of the distance")
    usual = {**EVEN, "bag": 0.35}
    assert class_sentences(found, "gan", usual=usual)[0] == (
        "No class stands out: none makes 1.5 times its share both of the test images and of the distance of "
        "real images."
    )


def test_several_classes_come_by_how_far_they_are_from_their_share():
    first, second = said(
        class_shares={"bag": 0.4, "boot": 0.1, "coat": 0.45, "shirt": 0.05},
        sample_shares={"bag": 0.1, "boot": 0.3, "coat": 0.05, "shirt": 0.55},
    )
    assert first == (
        "Class coat makes 45 % of the distance and has 25 % of the test images; class bag makes 40 % and has 25 %."
    )
    assert (
        "too few lie nearest to class coat (5 %, against 25 % of the test images) and class bag (10 %, against 25 %)"
        in second
    )


def test_at_most_three_classes_are_named_of_many():
    many = {f"class {i}": 0.05 for i in range(20)}
    nothing = {name: 0.0 if i < 10 else 0.1 for i, name in enumerate(many)}
    (sentence, reached) = class_sentences(
        classes(row_of(DistanceParts(real_shares=many, sample_shares=nothing, reached_shares=nothing))), "gan"
    )
    assert sentence.count("against") == 6
    assert reached == (
        "Samples come near none of the test images of 10 classes, the fewest; of the class that they come near most, "
        "10 %."
    )


@pytest.mark.parametrize(
    ("reached", "sentence"),
    [
        (dict.fromkeys(EVEN, 0.5), "Samples come near 50 % of the test images of every class."),
        (dict.fromkeys(EVEN, 0.0), "Samples come near none of the test images of any class."),
        (EVEN | {"bag": 0.251}, "Samples come near 25 % of the test images of every class."),  # a tie in what is shown
        (
            {**dict.fromkeys(EVEN, 0.97), "bag": 0.93},
            "Samples come near 93 % or more of the test images of every class.",
        ),
        (
            {"bag": 0.3, "boot": 0.3, "coat": 0.6, "shirt": 0.5},
            "Samples come near 30 % of the test images of class bag and class boot, the fewest; of the class that they "
            "come near most, 60 %.",
        ),
    ],
)
def test_classes_that_samples_come_near(reached, sentence):
    assert said(class_shares=EVEN, sample_shares=EVEN, reached_shares=reached) == [
        "No class stands out: none makes 1.5 times its share of the test images.",
        SAME,
        sentence,
    ]


def test_nothing_is_said_of_what_was_not_measured():
    assert said(sample_shares=EVEN) == [SAME]  # too few images for a distance
    assert class_sentences(classes(row_of(DistanceParts(missed="missed"))), "gan") == []
    assert classes(row_of(None)) == []
    assert classes(Row("gan", (FiledRecord(None, failed("gan", 8, "diverged", "It grew.")),))) == []


def test_shares_are_means_over_the_seeds_that_have_them():
    one, two = ({"bag": share, "a.b": 1 - share} for share in (0.2, 0.4))
    bag, dotted = classes(row_of(DistanceParts(real_shares=one), None, DistanceParts(real_shares=two)))
    assert (bag.name, bag.of_images.mean, bag.of_images.n) == ("bag", pytest.approx(0.3), 2)
    assert (dotted.name, dotted.of_images.mean) == ("a.b", pytest.approx(0.7))
    assert bag.of_distance is None
