"""Trainings of a study as cells: on which images, isolated, and gone on with where they were stopped."""

import dataclasses
from functools import partial

import pytest
import tunable

from equibench.data.held_out import held_out
from equibench.errors import UserError
from equibench.hashing import image_digests
from equibench.record.cost import MatrixProducts
from equibench.record.study import Search
from equibench.run.session import Session
from equibench.tune.space import start
from equibench.tune.trainings import STAGES, CellTrainer, TrainingStep, trial_session

PRODUCTS = MatrixProducts(precision="float32", flops_per_sec={"512": 1e10})  # else timed by the first training
SEARCH = Search(samples=60, validation_share=0.25)
TEST = {*range(1001, 1001 + tunable.TEST)}


def session_of(tmp_path, data=None, search=SEARCH, suite=None):
    """The session of trainings, with a feature network that notes what it is shown."""
    reload = partial(tunable.extractor, str(tmp_path / "features"))
    named = {"allow_code": True, "reload": reload}
    whole = Session(suite or tunable.suite(), data or tunable.data(), tunable.CPU, reload(), tmp_path / "out", **named)
    return trial_session(whole, search)


def step_of(entrant, share=0.25, seed=0):
    return TrainingStep(start(entrant), {}, seed, share)


def seen(path):
    return {int(line) for line in path.read_text().split()} - {0, tunable.SAMPLE}


def noting(tmp_path, **config):
    files = {"trained_on": str(tmp_path / "trained"), "measured_on": str(tmp_path / "measured")}
    return tunable.entrant(**files, **config)


def held(data):
    return {*tunable.numbers_of(tunable.torch.from_numpy(held_out(data, 0.25).test))}


def test_no_test_image_is_seen_and_no_validation_image_trained_on(tmp_path):
    trainer, mine = CellTrainer(session_of(tmp_path), PRODUCTS), noting(tmp_path)
    found = [trainer.train(mine, step_of(mine, share)) for share in (0.25, 1.0)]
    assert [one.status for one in found] == ["ok", "ok"]
    validation = held(tunable.data())
    assert len(validation) == 50
    trained, measured, compared = (seen(tmp_path / name) for name in ("trained", "measured", "features"))
    assert not trained & (validation | TEST)
    assert len(trained) > 40  # of 150, in 10 updates of 8
    assert measured == compared == validation


def test_the_test_of_it_would_see_a_leak(tmp_path):
    """The same, on a session whose data has its test images still."""
    data = tunable.data()
    session = dataclasses.replace(session_of(tmp_path), data=data)
    CellTrainer(session, PRODUCTS).train(noting(tmp_path), step_of(noting(tmp_path)))
    assert seen(tmp_path / "measured") == TEST
    assert seen(tmp_path / "features") & TEST


def test_a_training_is_of_a_share_of_the_budget_and_says_what_it_took(tmp_path):
    session = session_of(tmp_path)
    trainer, mine = CellTrainer(session, PRODUCTS), tunable.entrant(good=0.6)
    assert trainer.cell(mine, step_of(mine)).budget.amount == 2
    found = trainer.train(mine, step_of(mine))
    assert found.flops == pytest.approx(2 * trainer.plan(mine, step_of(mine)).allowance.flops_per_update)
    assert found.resolved["width"] == tunable.WIDTH
    assert found.bits_per_dim == pytest.approx(200 / 64 / 0.6931472, rel=1e-6)
    assert (found.distance or 0) > 0
    assert not list(session.out.glob("*.safetensors"))
    assert session.stages == STAGES
    # samples are 10 levels darker, in each of four quarters, so that 400 is most of the squared distance
    assert 250 < found.distance < 600


@pytest.mark.parametrize(
    ("config", "status", "reason"),
    [
        ({"how": "nan"}, "diverged", "loss was nan after"),
        ({"how": "killed"}, "crashed", "ended by signal 9"),
        ({"width": 4000}, "budget missed", "parameters"),
        ({"width": 2}, "refused", "width must be at least 8, not 2"),
    ],
)
def test_one_that_fails_has_its_reason(tmp_path, config, status, reason):
    mine = tunable.entrant(**config)
    found = CellTrainer(session_of(tmp_path), PRODUCTS).train(mine, step_of(mine))
    assert (found.status, found.distance) == (status, None)
    assert reason in found.reason


def test_what_was_trained_is_not_trained_again(tmp_path):
    mine, trainer = noting(tmp_path), CellTrainer(session_of(tmp_path), PRODUCTS)
    first = trainer.train(mine, step_of(mine))
    (tmp_path / "trained").unlink()
    assert CellTrainer(session_of(tmp_path), PRODUCTS).train(mine, step_of(mine)) == first
    assert not (tmp_path / "trained").exists() or seen(tmp_path / "trained") == set()


def test_a_sitting_ends_in_the_middle_of_a_training_which_goes_on_later(tmp_path):
    """As many updates are done in all as without an end, and the same numbers come out."""
    mine = noting(tmp_path)
    long = tunable.suite(amount=4000)

    def stop(what, share):
        if what == "train" and share > 0.3 and not stopped:
            stopped.append(share)
            raise KeyboardInterrupt

    stopped = []
    with pytest.raises(KeyboardInterrupt):
        CellTrainer(session_of(tmp_path, suite=long), PRODUCTS).train(mine, step_of(mine), stop)
    first = len((tmp_path / "trained").read_text().split())
    assert 0 < first < 8 * 1000
    found = CellTrainer(session_of(tmp_path, suite=long), PRODUCTS).train(mine, step_of(mine))
    both = len([line for line in (tmp_path / "trained").read_text().split() if line != "0"])
    assert (found.status, both) == ("ok", 8 * 1000)


def test_a_suite_of_several_budgets_and_too_few_images_are_refused_in_a_sentence(tmp_path):
    one = tunable.suite()
    two = one.model_copy(update={"budget": [one.budget[0], one.budget[0].model_copy(update={"amount": 9})]})
    with pytest.raises(UserError, match="the suite own has 2 budgets, and an entrant is tuned at one"):
        session_of(tmp_path, suite=two)
    few = tunable.data().limited(15, 10)
    with pytest.raises(UserError, match="of 15 training images 4 would be held out, and the distance in"):
        session_of(tmp_path, data=few)
    with pytest.raises(UserError, match="takes more than 4 samples"):
        session_of(tmp_path, search=SEARCH.model_copy(update={"samples": 3}))


def test_samples_are_as_many_as_a_distance_needs(tmp_path):
    assert session_of(tmp_path).suite.measure.samples == 60
    usual = SEARCH.model_copy(update={"samples": None})
    session = session_of(tmp_path, search=usual)
    assert session.suite.measure.samples == 1500
    assert {len(image_digests(session.data.train)), len(session.data.test)} == {150, 50}
    assert session.suite.measure.reference_images == 50


def test_trainings_are_measured_in_the_headline_s_feature_space_alone(tmp_path):
    network = tunable.extractor(str(tmp_path / "features"))
    whole = Session(
        tunable.suite(), tunable.data(), tunable.CPU, network, tmp_path / "out", more=(network,),
        reload_more=lambda: (network,),
    )  # fmt: skip
    found = trial_session(whole, SEARCH)
    assert (found.more, found.reload_more()) == ((), ())
