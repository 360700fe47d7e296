"""Plans are counted once for all processes, and never where anything that they rest on is another."""

import pytest

from equibench import suite
from equibench.cache import NOWHERE
from equibench.errors import UserError
from equibench.record.schema import Budget
from equibench.run import kept_plans, plan, sizing
from equibench.suite import Cell, Entrant
from equibench_models import FAMILIES

SHAPE = (1, 28, 28)
SMOKE = suite.load("smoke")


@pytest.fixture
def counts(tmp_path, monkeypatch):
    """Families that were counted, by processes that share a cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found, counted = [], plan.counted

    def noted(family, *arguments):
        found.append(family.__name__)
        return counted(family, *arguments)

    monkeypatch.setattr(plan, "counted", noted)
    return found


def planned(name="vae", params=100_000, shape=SHAPE, config=None):
    plan._fitted.cache_clear()  # as in another process
    entrant = Entrant(name="x", family=name, config=config or {})
    budget = Budget(params=params, unit="updates", amount=10)
    return plan.plan(Cell(SMOKE, "x", 0, entrant, budget), shape)


@pytest.mark.parametrize("family", FAMILIES)
def test_another_process_plans_the_same_without_counting(family, counts):
    first, again = planned(family), planned(family)
    assert len(counts) == 1
    assert again == first
    assert {key: type(value) for key, value in again.config.items()} == {
        key: type(value) for key, value in first.config.items()
    }


@pytest.mark.parametrize("other", [{"params": 130_000}, {"shape": (3, 32, 32)}, {"config": {"batch_size": 5}}])
def test_another_question_is_counted(other, counts):
    assert planned() != planned(**other)
    assert len(counts) == 2


@pytest.mark.parametrize("what", ["code_digest", "torch"])
def test_other_code_counts_anew(what, counts, monkeypatch):
    planned()
    if what == "torch":
        monkeypatch.setattr(kept_plans.torch, "__version__", "0.0")
    else:
        monkeypatch.setattr(kept_plans, what, lambda: "of another version")
    planned()
    assert len(counts) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"config": {}, "params": 1, "state_bytes": 1, "costs": [1]}'])
def test_a_damaged_file_is_as_good_as_none(content, counts, tmp_path):
    first = planned()
    (file,) = (tmp_path / "cache" / "equibench").glob("plan-*.json")
    file.write_bytes(content)
    assert planned() == first
    assert len(counts) == 2
    assert planned() == first  # it was written anew
    assert len(counts) == 2


def test_what_this_machine_does_not_hold_is_refused_though_the_plan_is_kept(counts, monkeypatch):
    planned()
    monkeypatch.setattr(sizing, "check_memory", lambda needed, what: (_ for _ in ()).throw(UserError(what)))
    with pytest.raises(UserError):
        planned()
    assert len(counts) == 1


def test_without_a_place_to_write_all_is_counted(counts, monkeypatch):
    monkeypatch.setattr(kept_plans, "cache_folder", lambda: NOWHERE)
    assert planned() == planned()
    assert len(counts) == 2
