"""The page of the study of VAEs with and without labels, from records by hand."""

import pytest
from fixtures import make

from equibench.record.labels import ByClass, ClassNumbers, Probe, Probes
from studies import labels


def record(seed, told):
    numbers = [
        ClassNumbers(
            name="v1.0 coat", label=0, n_samples=400, n_reference=1000, kernel_distance=distance + seed, stderr=0.1,
            real_kernel_distance=0.02, judged_share=0.5, real_judged_share=0.5,
        )
        for distance in (1.0, 5.0)
    ]  # fmt: skip
    by_class = ByClass(
        metric="KD", assigned_by="label" if told else "classifier", classes=numbers[:1], judged=numbers[1:] * told,
        classifier_accuracy=0.86, classifier_images=5000, sample_accuracy=0.5 if told else None, n_test=10_000,
    )  # fmt: skip
    probe = Probe(name="mean of z0", dims=32, knn_accuracy=0.8, knn_stderr=0.01, linear_accuracy=0.7, linear_stderr=0.1)
    probes = Probes(probes=[probe], chance_accuracy=0.1, neighbours=20, n_train=5000, n_test=2000, n_classes=10)
    likelihood = make("vae", seed).likelihood.model_copy(update={"given": "label" if told else None})
    entrant = "vae" if told else "vae-unlabelled"
    return make("vae", seed, entrant=entrant, by_class=by_class, probes=probes, likelihood=likelihood)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_page_sets_both_side_by_side(seeds):
    rows = {name: [record(seed, told) for seed in range(seeds)] for name, told in (("vae", True), ("other", False))}
    text = labels.page(rows)
    assert "| vae | upper bound, given the label |" in text
    assert "| other | upper bound |" in text
    # of both the samples that a classifier assigned: of the one with labels the second kind
    mine, theirs = ("5.000", "1.000") if seeds == 1 else ("6.0 ± 1.0", "2.0 ± 1.0")
    assert f"| v1.0 coat | {mine} | 0.02000 | {theirs} | 0.02000 |" in text
    assert "| vae | mean of z0 | 80.00 | 70.00 | 10.00 |" in text
    assert "50.00 | 86.00 |" in text
    assert "\N{EN DASH} | 86.00 |" in text


def test_the_shipped_suite_has_a_vae_with_and_one_without():
    from equibench import suite

    vaes = [entrant for entrant in suite.load("labels").entrant if entrant.family == "vae"]
    assert [entrant.labels for entrant in vaes] == [True, False]
    assert suite.load("labels").budget == suite.load("quick").budget
    configs = {entrant.family: entrant.config for entrant in suite.load("quick").entrant}
    assert [entrant.config for entrant in suite.load("labels").entrant] == [
        configs[entrant.family] for entrant in suite.load("labels").entrant
    ]
