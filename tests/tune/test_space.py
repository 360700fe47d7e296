"""The file of spaces: what it may say, held against the families' own configs."""

import pytest
from tunable import entrant

from equibench import suite
from equibench.errors import UserError
from equibench.record.surroundings import SAMPLER
from equibench.suite import Entrant
from equibench.tune import space
from equibench.tune.suggest import within


def written(tmp_path, text):
    path = tmp_path / "space.toml"
    path.write_text(text)
    return path


def of(tmp_path, text, one=None):
    return space.space_of(space.load(written(tmp_path, text), "own"), one or entrant())


@pytest.mark.parametrize("name", suite.shipped())
def test_every_entrant_of_a_shipped_suite_has_a_space_of_its_family_s_fields(name):
    file = space.load(None, name)
    found = [space.space_of(file, one) for one in suite.load(name).entrant]
    assert {"learning_rate", "batch_size"} <= set.intersection(*(set(one.config) for one in found))
    assert len({len(one.ranges) for one in found}) == 1  # none is searched in more directions than another


def test_a_family_s_table_and_an_entrant_s_own_and_options_of_the_sampler(tmp_path):
    text = """
        [search]
        trials = 7
        [family."tunable:Tunable".config]
        good = { low = 0, high = 1 }
        blocks = { low = 1, high = 5, log = true }
        [family."tunable:Tunable".sampler]
        bright = { choices = [true, false] }
        [entrant.other.config]
        batch_size = { choices = [4, 8] }
    """
    found = of(tmp_path, text)
    assert list(found.ranges) == ["good", "blocks", f"{SAMPLER}bright"]
    assert isinstance(found.config["good"].low, float)  # of the field's type, whatever the file has
    assert isinstance(found.config["blocks"].low, int)
    other = Entrant(name="other", family="tunable:Tunable")
    assert list(of(tmp_path, text, other).ranges) == ["batch_size"]
    assert space.load(written(tmp_path, text), "own").search.trials == 7


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("god = { low = 0, high = 1 }", "unknown config key 'god'; did you mean 'good'?"),
        ("good = { low = 0, high = 2 }", "good must be at most 1, not 2"),
        ("blocks = { low = 0, high = 2 }", "blocks must be at least 1, not 0"),
        ("blocks = { low = 1, high = 2.5 }", "blocks must be a whole number, not 2.5"),
        ("blocks = { low = 1.0, high = 2.0 }", "blocks is a whole number; give whole ends"),
        ("blocks = { choices = [2, 2.5] }", "blocks must be a whole number, not 2.5"),
        ("how = { low = 0, high = 1 }", "how must be text, not 0"),
        ("good = { low = 1, high = 0 }", "needs a low below its high, not 1 and 0"),
        ("good = { low = 0, high = 1, log = true }", "needs a low above 0"),
        ("good = { low = 0 }", "needs low and high, or choices"),
        ("good = { low = 0, high = 1, choices = [0.5] }", "takes choices, or low and high, not both"),
        ("good = { choices = [0.5, 0.5] }", "has a choice twice"),
        ("good = { low = 0, hihg = 1 }", "unknown key"),
        ("good = { low = true, high = 1 }", "low"),
        ("", "the space has nothing for entrant 'mine'"),
    ],
)
def test_what_does_not_belong_is_one_sentence(tmp_path, line, sentence):
    with pytest.raises(UserError) as caught:
        of(tmp_path, f'[family."tunable:Tunable".config]\n{line}')
    assert sentence in str(caught.value)


def test_the_settings_of_a_candidate_are_the_entrant_s_with_those_that_are_searched():
    before = space.start(entrant(good=0.3, how="well"))
    found = space.candidate(4, before, {"good": 0.5, f"{SAMPLER}brightness": 3.0})
    assert (found.number, found.config, found.sampler) == (4, {"good": 0.5, "how": "well"}, {"brightness": 3.0})
    assert before.config["good"] == 0.3


def test_what_a_range_could_give(tmp_path):
    text = '[family."tunable:Tunable".config]\ngood = { low = 0.1, high = 0.5 }\nblocks = { choices = [1, 3] }'
    ranges = of(tmp_path, text).ranges
    assert [within(ranges["good"], x) for x in (0.1, 0.5, 0.6, None, "a", True)] == [True, True, *[False] * 4]
    assert [within(ranges["blocks"], x) for x in (1, 3, 2, None, True)] == [True, True, False, False, False]
