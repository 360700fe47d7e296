"""A study as it goes: what it trains, what it keeps, and that one which was stopped ends as one in a piece does."""

import pytest
import tunable

from equibench.data.held_out import held_out
from equibench.errors import UserError
from equibench.record import study as study_files
from equibench.record.study import Search, Space, Training
from equibench.run.session import Session
from equibench.tune import study as module
from equibench.tune.study import begin, go_on, left, means, next_step, resume

SEARCH = Search(trials=7, best=2, seeds=[3, 5], startup_trials=3)
SPACE = Space.model_validate({"config": {"good": {"low": 0.0, "high": 1.0}, "blocks": {"low": 1, "high": 5}}})


@pytest.fixture
def fresh(tmp_path):
    data = tunable.data()
    session = Session(tunable.suite(), held_out(data, 0.2), tunable.CPU, tunable.extractor(), tmp_path)

    def make(entrant=None, **search):
        return begin(entrant or tunable.entrant(), session, data.sha256, SPACE, SEARCH.model_copy(update=search))

    return make


def trained(step):
    """As if it had been trained: best where `good` is 0.7."""
    good = step.values["good"]
    fails = step.candidate.number == 2
    return Training(
        **step._asdict(),
        status="diverged" if fails else "ok",
        reason="loss was nan" if fails else None,
        distance=None if fails else 100 * abs(good - 0.7) + step.seed + 10 * (step.share < 1),
        bits_per_dim=None if fails else 3.0 + 0.008 * step.values["blocks"],
        flops=8e9 * step.share,
        train_sec=2.0 * step.share,
    )


def done(study, tmp_path, train=trained, name="mine.json"):
    for one in go_on(tmp_path / name, study, train):
        study = one.study
    return study


def test_all_trials_then_all_full_runs_then_the_choice(fresh, tmp_path):
    steps = []

    def noted(step):
        steps.append(step)
        return trained(step)

    study = done(fresh(), tmp_path, noted)
    trials, full = steps[:7], steps[7:]
    assert [(one.candidate.number, one.seed, one.share) for one in trials] == [(n, 3, 0.25) for n in range(7)]
    assert trials[0].candidate.config == {}  # as it stands, and tried first
    assert trials[0].values == {"good": 0.2, "blocks": 2}  # its defaults
    finals = [one.candidate.number for one in full[:3]]
    assert [(one.candidate.number, one.seed) for one in full] == [(n, s) for s in (3, 5) for n in finals]
    assert {one.share for one in full} == {1.0}
    assert finals[0] == 0
    kept = [one for one in study.trials if one.distance and one.values["blocks"] < 5]  # which costs more than 0.02 bits
    by_distance = sorted(kept, key=lambda one: one.distance)
    assert len(kept) < 6
    assert finals[1:] == [one.candidate.number for one in by_distance[:2]]
    assert study.trials[2].status == "diverged"
    best = min(means(study), key=lambda one: one.distance)
    assert study.chosen.candidate == best.candidate
    assert study.chosen.settings["good"] == best.candidate.config["good"]
    assert study.chosen.settings["how"] == "well"  # what no one gave is among them
    assert study.flops == pytest.approx(8e9 * (7 * 0.25 + 6))
    assert study_files.read(tmp_path / "mine.json") == study


@pytest.mark.parametrize("stops", [1, 4, 7, 9, 12])
def test_a_study_that_was_stopped_ends_as_one_in_a_piece(fresh, tmp_path, stops):
    whole = done(fresh(), tmp_path, name="whole.json")
    file = tmp_path / "mine.json"
    for one in go_on(file, fresh(), trained):
        if len(one.study.trainings) == stops:
            break
    held = resume(file, fresh())
    assert len(held.trainings) == stops
    assert done(held, tmp_path) == whole
    assert (tmp_path / "mine.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_what_was_being_trained_as_it_was_killed_is_trained_again(fresh, tmp_path):
    def killed(step):
        if step.candidate.number == 4:
            raise KeyboardInterrupt
        return trained(step)

    with pytest.raises(KeyboardInterrupt):
        done(fresh(), tmp_path, killed)
    held = resume(tmp_path / "mine.json", fresh())
    assert [one.candidate.number for one in held.trials] == [0, 1, 2, 3]
    assert done(held, tmp_path) == done(fresh(), tmp_path, name="whole.json")


def test_a_finished_study_trains_nothing(fresh, tmp_path):
    study = done(fresh(), tmp_path)
    assert next_step(resume(tmp_path / "mine.json", fresh())) is None
    assert [many for many, _ in left(study)] == [0, 0]


def test_what_is_left_is_told(fresh, tmp_path):
    assert [many for many, _ in left(fresh())] == [7, 6]
    for one in go_on(tmp_path / "mine.json", fresh(), trained):
        if len(one.study.trainings) == 8:
            assert [many for many, _ in left(one.study)] == [0, 5]


def some(fresh, tmp_path, many):
    for one in go_on(tmp_path / "mine.json", fresh(), trained):
        if len(one.study.trainings) == many:
            return one.study
    raise AssertionError


def test_more_trials_may_be_asked_for_until_the_first_full_run(fresh, tmp_path):
    some(fresh, tmp_path, 7)
    assert left(resume(tmp_path / "mine.json", fresh(trials=9)))[0][0] == 2
    some(fresh, tmp_path, 8)
    with pytest.raises(UserError, match=r"a study of another \[search\] or --trials; move it away, or give another"):
        resume(tmp_path / "mine.json", fresh(trials=9))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": {"number": 0, "config": {"good": 0.5}, "sampler": {}}}, "config or sampler of the entrant"),
        ({"budget": {"params": 1, "unit": "updates", "amount": 8}}, "budget"),
        ({"data_sha256": "0" * 64}, "data set"),
        ({"space": {}}, "space"),
        ({"search": {"trials": 7, "seed": 4}}, r"\[search\]"),
        ({"protocol": "0"}, "protocol"),
        ({"family": "vae", "suite": "quick"}, "suite, family"),
    ],
)
def test_another_study_is_not_gone_on_with(fresh, tmp_path, change, words):
    held = some(fresh, tmp_path, 2)
    other = type(held).model_validate({**held.model_dump(), **change})
    study_files.write(tmp_path / "mine.json", other)
    with pytest.raises(UserError, match=f"holds a study of another {words}"):
        resume(tmp_path / "mine.json", fresh())


def test_a_budget_of_seconds_stays_on_its_machine(fresh, tmp_path):
    held = some(fresh, tmp_path, 2)
    other = held.model_copy(update={"machine": held.machine.model_copy(update={"key": "other"})})
    study_files.write(tmp_path / "mine.json", other)
    assert resume(tmp_path / "mine.json", fresh()) == other
    seconds = {"budget": held.budget.model_copy(update={"unit": "sec"})}
    study_files.write(tmp_path / "mine.json", other.model_copy(update=seconds))
    with pytest.raises(UserError, match="of another machine"):
        resume(tmp_path / "mine.json", fresh().model_copy(update=seconds))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"versions": {"optuna": "3.0.0"}}, r"was made with optuna 3\.0\.0, now \d"),
        (
            {"code": {"commit": "abcdef01", "dirty": False, "version": "0", "sources_sha256": "11"}},
            "other code",
        ),
    ],
)
def test_other_code_goes_on_only_where_it_is_told_to_and_leaves_its_name(fresh, tmp_path, change, words):
    held = some(fresh, tmp_path, 3).model_dump()
    versions = {**held["versions"], **change.get("versions", {})}
    study_files.write(tmp_path / "mine.json", module.Study.model_validate({**held, **change, "versions": versions}))
    with pytest.raises(UserError, match=words):
        resume(tmp_path / "mine.json", fresh())
    kept = resume(tmp_path / "mine.json", fresh(), keep=True)
    assert (len(kept.trials), kept.other_code) == (3, [fresh().code])
    some_more = next(iter(go_on(tmp_path / "mine.json", kept, trained))).study
    assert len(resume(tmp_path / "mine.json", fresh()).trials) == len(some_more.trials) == 4  # the same code as before


def test_what_cannot_be_read_or_written_is_one_sentence(fresh, tmp_path):
    (tmp_path / "mine.json").write_text('{"suite": 1}')
    with pytest.raises(UserError, match=r"mine\.json is not a study of equibench \(.*\)$"):
        resume(tmp_path / "mine.json", fresh())
    (tmp_path / "mine.json").unlink()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*; make room or give another --out, and run again"):
        done(fresh(), tmp_path / "file")
