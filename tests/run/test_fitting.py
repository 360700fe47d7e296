"""Knobs against the cap, on families whose parameters are a formula."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from pydantic import Field

from equibench.errors import UserError
from equibench.run import fitting, sizing
from equibench.run.families import resolve_family
from equibench.run.sizing import TooManyPartsError
from equibench_models import FAMILIES
from equibench_models.contract import Config

CAP = 100_000


class Two(Config):
    knobs: ClassVar[tuple[str, ...]] = ("width", "hidden")
    hidden: int = Field(64, ge=1)


def parameters(_family, config, _shape):
    width, hidden = config.get("width", 64), config.get("hidden", 64)
    return 10 * width**2 + 4 * width * hidden


def family(kind, **changed):
    fields = {name: (int, field) for name, field in changed.items()}
    names = {"__annotations__": dict.fromkeys(fields, int), **{name: field for name, (_, field) in fields.items()}}
    return SimpleNamespace(config_type=type("Changed", (kind,), names) if changed else kind, __name__="Toy")


@pytest.fixture(autouse=True)
def _formula(monkeypatch):
    monkeypatch.setattr(fitting, "parameters", parameters)


@pytest.mark.parametrize(
    ("hidden", "found"),
    [
        # at 80 and 96 from 107 to 112 and from 16 to 20 are within: the nearer to the default wins
        (Field(64, ge=1), (80, 112)),
        (Field(24, ge=1), (96, 16)),
        # 80 takes more than 72 and 96 less than 56, so that a multiple of 8 is next
        (Field(64, ge=56, le=72), (88, 64)),
        # no multiple of 8 but one: 98 x 98 x 10 = 96,040, and 8 times 392
        (Field(8, ge=8, le=9), (98, 8)),
        # of 16, 32, 48 and so on; 64, 80, 96 take 234, 112 and 20
        (Field(64, ge=1, multiple_of=16), (80, 112)),
        (Field(64, gt=0, lt=113, multiple_of=37), (80, 111)),
    ],
)
def test_two_knobs_by_hand(hidden, found):
    assert tuple(fitting.turned(family(Two, hidden=hidden), {}, None, CAP).values()) == found


@pytest.mark.parametrize("cap", [1_500, 7_777, 60_000, 123_456, 500_000, 5_000_000, 35_000_000])
def test_two_knobs_fill_the_cap_at_a_width_that_is_fast(cap):
    turned = fitting.turned(family(Two), {}, None, cap)
    assert 0.98 * cap <= parameters(None, turned, None) <= cap
    assert turned["width"] % (16 if cap > 7_777 else 8) == 0
    assert cap < 60_000 or 1 / 3 < turned["hidden"] / 64 < 3


def test_where_no_values_reach_the_share_the_most_that_fit_are_taken():
    assert fitting.turned(family(Two), {}, None, 700) == {"width": 8, "hidden": 1}  # 672, and the next 704
    with pytest.raises(UserError, match=r"a cap of 600 parameters is too small for Toy: .* takes 672 or more"):
        fitting.turned(family(Two), {}, None, 600)


def test_what_the_suite_fixes_is_not_turned():
    assert fitting.turned(family(Two), {"width": 90}, None, CAP) == {"hidden": 48}  # of 39 to 52
    assert fitting.turned(family(Two), {"hidden": 64}, None, CAP) == {"width": 88}  # of 86 to 88
    assert fitting.turned(family(Two), {"width": 90, "hidden": 9}, None, CAP) == {}
    assert fitting.turned(family(Two), {"width": 200}, None, CAP) == {}  # beyond the cap by itself


def test_values_that_make_too_many_parts_are_beyond_the_cap(monkeypatch):
    def parts(_family, config, _shape):
        if config["width"] > 20:
            raise TooManyPartsError("too many")
        return config["width"]

    monkeypatch.setattr(fitting, "parameters", parts)
    assert fitting.turned(family(Config), {}, None, CAP) == {"width": 20}


def test_nothing_much_larger_than_what_fits_is_built(monkeypatch):
    tried = []

    def noted(_family, config, _shape):
        tried.append(parameters(None, config, None))
        return tried[-1]

    monkeypatch.setattr(fitting, "parameters", noted)
    fitting.turned(family(Two), {}, None, CAP)
    assert max(tried) < 8 * CAP  # at 4,096 it were 1,700 times that


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_without_numbers_is_as_large_as_one_with(name):
    kind = resolve_family(name)
    built = kind.build({}, (1, 8, 8))
    skeleton = sizing.skeleton(kind, {}, (1, 8, 8))
    assert sizing.of(skeleton) == sizing.of(built)
    assert all(p.is_meta for p in skeleton.parameters())
    assert not any(p.is_meta for p in kind.build({}, (1, 8, 8)).parameters())  # the mode has ended
    assert torch.nn.Linear(9, 9).weight.std() > 0


class Missing(Config):
    knobs: ClassVar[tuple[str, ...]] = ("width", "hidden")


class Broken(Config):
    knobs: ClassVar[tuple[str, ...]] = ("width", "learning_rate")


class Three(Two):
    knobs: ClassVar[tuple[str, ...]] = ("width", "hidden", "batch_size")


class Bare(Config):
    knobs: ClassVar[tuple[str, ...]] = ("hidden",)
    hidden: int


@pytest.mark.parametrize("kind", [Missing, Broken, Three, Bare])
def test_knobs_that_cannot_be_turned_are_one_sentence(kind):
    with pytest.raises(UserError, match=f"the knobs of Toy are {', '.join(kind.knobs)}; give at most two"):
        fitting.turned(family(kind), {}, None, CAP)
