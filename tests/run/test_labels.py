"""Labels from a suite to the record: how many classes, who is told them, and that they move nothing of the others."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from equibench import suite
from equibench.cite.signature import signature
from equibench.data import sets
from equibench.data.classes import names_of
from equibench.data.sets import Dataset
from equibench.errors import UserError
from equibench.machine.clock import Clock
from equibench.machine.device import autocast
from equibench.measure.features.own import function
from equibench.measuring import ClassSetting, ProbeSetting
from equibench.quantities.identity import differs
from equibench.quantities.settings import moved_by
from equibench.run.cell import run_here
from equibench.run.course import Batches
from equibench.run.labelled import _represented, numbers_by_class, probes
from equibench.run.labels import labelled, number_of_classes, tell_shares
from equibench.run.plan import plan
from equibench.run.session import Session
from equibench.run.stages import _sampled
from equibench.run.work import Found, Work
from equibench.suite import Cell, Entrant
from equibench_models import FAMILIES, family
from equibench_models.flow.couplings import FlowConfig
from equibench_models.vae.model import VAE

CPU = torch.device("cpu")
BITS = "likelihood.bits_per_dim"


def blocks(images):
    """Features of a test's own: means of 7x7 blocks of one channel."""
    return torch.nn.functional.avg_pool2d(images[:, :1].float(), 7).flatten(1)


def toys(train, test, **more):
    images = np.random.default_rng(0).integers(0, 256, (2, 12, 1, 8, 8), dtype=np.uint8)
    return Dataset("toys", *images, *(None if x is None else np.resize(x, 12) for x in (train, test)), **more)


@pytest.mark.parametrize(
    ("data", "classes"),
    [
        (toys([0, 1, 2], [0, 1]), 3),
        (toys([0, 1], [2, 0]), 3),
        (toys([0, 1], [0, 1], classes=("a", "b", "c")), 3),
    ],
)
def test_classes_are_those_of_both_splits_and_of_the_names(data, classes):
    assert number_of_classes(data) == classes


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (toys(None, None), "toys has no labels"),
        (toys([0, 1], None), "toys has no labels"),
        (toys([0, -1], [0, 1]), "6 images of toys have no label"),
        (toys([0], [0]), "one class"),
    ],
)
def test_data_that_cannot_condition_anything_is_refused(data, said):
    smoke = suite.changed(suite.load("smoke"), entrant=[{"name": "a", "family": "vae", "labels": True}])
    with pytest.raises(UserError, match=said):
        labelled(smoke, data)


def with_entrant(**fields):
    return suite.changed(suite.load("smoke"), entrant=[{"name": "a", "family": "vae", **fields}])


def test_the_number_of_classes_goes_into_the_config():
    data = toys([0, 1, 2], [0, 1])
    (found,) = labelled(with_entrant(labels=True, config={"vector": 8}), data).entrant
    assert found.config == {"vector": 8, "classes": 3}
    (by_hand,) = labelled(with_entrant(config={"vector": 8, "classes": 3}), data).entrant
    assert by_hand.defining == found.defining  # one record, however it was said
    declared = with_entrant(labels=True, config={"vector": 8}).entrant[0]
    assert declared.as_run(found.config) == found  # as an archive finds a record's suite
    assert declared.as_run({}) == declared
    with pytest.raises(UserError, match="classes = 4, and toys has 3"):
        labelled(with_entrant(config={"classes": 4}), data)


def test_a_suite_without_labels_is_as_it_was():
    smoke = suite.load("smoke")
    assert labelled(smoke, toys(None, None)) is smoke
    assert "labels" not in smoke.entrant[0].defining
    assert not {"by_class", "probes"} & smoke.measure.defining.keys()


def test_what_is_loaded_takes_no_labels_of_a_suite():
    with pytest.raises(ValueError, match="has no labels"):
        Entrant(name="a", load="x.safetensors", labels=True)


def planned(entrant):
    chosen = suite.changed(suite.load("smoke"), entrant=[entrant])
    return plan(Cell(chosen, "a", 0, chosen.entrant[0], chosen.budget[0]), (1, 8, 8))


def test_labels_that_nobody_counted_are_not_left_out_in_silence():
    with pytest.raises(UserError, match="the number of classes is not known"):
        planned({"name": "a", "family": "vae", "labels": True})


def test_a_family_that_labels_cannot_condition_says_so(monkeypatch):
    monkeypatch.delitem(FlowConfig.model_fields, "classes")
    with pytest.raises(UserError, match="no field `classes`"):
        planned({"name": "a", "family": "flow", "labels": True, "config": {"classes": 3}})


def test_a_model_learns_how_frequent_each_class_is():
    model = family("vae").build({"width": 8, "classes": 3}, (1, 8, 8))
    tell_shares(model, toys([0, 0, 2], [1]))
    assert model.label_shares.tolist() == pytest.approx([2 / 3, 0, 1 / 3])
    with pytest.raises(UserError, match="trained on 3 classes, and toys has 2"):
        tell_shares(model, toys([0, 1], [1]))


def test_batches_are_the_same_with_labels_and_each_image_has_its_own():
    plain, told = Batches(torch.arange(10), 4, 3), Batches(torch.arange(10), 4, 3, 100 + torch.arange(10))
    for _ in range(6):
        images, labels = told.draw_labelled()
        assert torch.equal(plain.draw(), images)
        assert torch.equal(labels, images + 100)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Of each family with labels, and of a VAE without."""
    smoke = suite.load("smoke")
    also = {"by_class": {"train_images": 100}, "probes": {"train_images": 100, "test_images": 50}}
    small = {"along": {"points": 1, "samples": 24, "likelihood_images": 20}, "annealing": None}
    entrants = [{**one.model_dump(), "labels": True} for one in smoke.entrant]
    entrants.append({**smoke.entrant[1].model_dump(), "name": "without"})
    smoke = suite.changed(smoke, entrant=entrants, measure={**smoke.measure.model_dump(), **also, **small})
    data = sets.load(smoke.dataset).limited(smoke.train_images, smoke.test_images)
    chosen = labelled(smoke, data)
    stages = frozenset({"quality", "numbers_by_class", "probes", "likelihood", "bounds", "along_training"})
    stages |= {"out_of_distribution", "portrait"}
    here = Session(chosen, data, CPU, function("test_labels:blocks", CPU), tmp_path_factory.mktemp("out"))
    here = dataclasses.replace(here, stages=stages)
    cells = [Cell(chosen, one.name, 0, one, chosen.budget[0]) for one in chosen.entrant]
    return {cell.name: run_here(cell, here)[1] for cell in cells}


@pytest.mark.parametrize("name", [*FAMILIES, "without"])
def test_every_family_is_trained_and_measured_with_labels(records, name):
    record = records[name]
    assert record.status == "ok", record.reason
    assert record.config["classes"] == 10 if name != "without" else record.config["classes"] == 0
    assert record.by_class.assigned_by == ("classifier" if name == "without" else "label")
    assert [one.name for one in record.by_class.classes][:2] == ["T-shirt/top", "Trouser"]
    assert record.probes.probes[0].name == "pixels"
    assert len(record.probes.probes) == 2
    assert record.probes.n_classes == 10
    assert record.clock["classes"] > 0


@pytest.mark.parametrize("name", ["vae", "flow", "diffusion"])
def test_likelihoods_say_that_they_are_given_the_label(records, name):
    record = records[name]
    points = [point.likelihood for point in record.along]
    assert {one.given for one in (record.likelihood, *record.bounds, *points)} == {"label"}
    assert "given+the+label" in signature([record], BITS)
    assert records["without"].likelihood.given is None


def test_a_likelihood_given_the_label_is_not_compared_with_one_that_is_not(records):
    found = differs(records["vae"], records["without"], BITS, but=("entrant", "config"))
    assert found.field == "kind"
    assert moved_by(records["vae"], BITS, [records["vae"], records["vae"].likelihood])["kind"].endswith(
        "given the label"
    )


@pytest.mark.parametrize("data", [toys(None, None), toys([0, -1], [0, 1]), toys([0], [0])])
def test_data_that_has_no_classes_has_no_numbers_of_them_and_its_cell_goes_on(data):
    asked = SimpleNamespace(measure=SimpleNamespace(by_class=ClassSetting(), probes=ProbeSetting()))
    work = SimpleNamespace(session=SimpleNamespace(data=data, suite=asked))
    found = Found()
    assert numbers_by_class(work, found) is found
    assert probes(work, found) is found


def test_classes_of_one_name_go_by_their_labels():
    assert names_of(toys([0, 1], [0, 1], classes=("a", "b")), range(3)) == ("a", "b", "2")
    assert names_of(toys([0, 1], [0, 1], classes=("a", "a")), range(2)) == ("0", "1")


class NoiseFirst(VAE):
    """A family of a user's own that draws some noise before its labels."""

    def sample(self, n, generator, *, labels=None, **options):
        torch.randn(n, generator=generator)
        self.seen = self.draw_labels(n, generator) if labels is None else labels
        return super().sample(n, generator, labels=self.seen, **options)


def work_with(model):
    session = SimpleNamespace(
        device=CPU, data=SimpleNamespace(shape=(1, 8, 8)), extractor=lambda images, _: np.zeros((len(images), 2))
    )
    return Work(session, model, "own", {}, {}, 3, Clock(), lambda *_: None)


def test_the_labels_of_samples_are_known_whenever_a_family_draws_its_noise():
    config = {"width": 8, "classes": 5}
    work = work_with(NoiseFirst.build(config, (1, 8, 8)))
    _sampled(work, 20, {}, "")
    assert work.model.seen.tolist() == work.sample_labels(20).tolist()
    work = work_with(VAE.build(config, (1, 8, 8)))  # one that draws its labels first gives what it gave
    images, _ = _sampled(work, 20, {}, "")
    with autocast(CPU):
        assert np.array_equal(images, work.model.sample(20, work.generator("sample")).numpy())


def test_what_a_model_makes_of_images_may_come_with_gradients():
    weight = torch.ones(1, requires_grad=True)
    model = SimpleNamespace(represent=lambda images, _: {"it": weight * images.flatten(1).float()})
    work = SimpleNamespace(session=SimpleNamespace(device=CPU), model=model)
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    found = _represented(lambda share: None, work, images, torch.Generator())
    assert np.array_equal(found["it"], images.reshape(3, -1))
