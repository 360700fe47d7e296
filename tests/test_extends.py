"""Suites that extend another: what is taken over, changed and taken away, and what is wrong with one, in a sentence."""

import dataclasses
import json
import tomllib

import pytest
from fixtures import equibench

from equibench import suite
from equibench.errors import UserError
from equibench.record.schema import FeatureInfo
from equibench.toml_text import toml_of

FEATURES = FeatureInfo(name="blocks", weights_sha256="00", preprocessing="none", dims=4)
MINE = 'name = "mine"\nextends = "smoke"\n'
LEAF = 'name = "leaf"\nextends = "middle/base.toml"\n'


def written(folder, text, name="mine.toml"):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return str(file)


def keys(chosen):
    return [cell.key("data", FEATURES, "machine") for cell in suite.cells(chosen)]


def test_an_entrant_with_other_settings_is_no_longer_what_its_study_chose(tmp_path):
    """Its tuning is not claimed; that of the others, and of one that is named without other settings, still is."""
    text = 'name = "mine"\nextends = "quick"\n[[entrant]]\nname = "vae"\nconfig = { learning_rate = 0.001 }\n'
    other, kept = suite.load("quick"), suite.load(written(tmp_path, text + '[[entrant]]\nname = "gan"\n'))
    found = {one.name: (one, base) for one, base in zip(kept.entrant, other.entrant, strict=True)}
    vae, base = found["vae"]
    assert base.tuning is not None
    assert vae.tuning is None
    assert vae.config == {**base.config, "learning_rate": 0.001}
    assert found["gan"][0].tuning == found["gan"][1].tuning is not None
    text = text.replace("config =", "sampler =").replace("learning_rate = 0.001", 'decoding = "mean"')
    assert suite.load(written(tmp_path, text)).entrant[1].tuning is None


def test_a_suite_that_changes_nothing_has_the_cells_of_the_one_it_extends(tmp_path):
    mine, smoke = suite.load(written(tmp_path, MINE)), suite.load("smoke")
    assert keys(mine) == keys(smoke)
    assert (mine.name, mine.about) == ("mine", "smoke, changed")


def test_tables_merge_lists_are_replaced_and_entrants_go_by_name(tmp_path):
    mine = suite.load(
        written(
            tmp_path,
            MINE
            + """
            seeds = [4, 5]
            without = ["gan", "measure.annealing"]
            [measure]
            samples = 40
            along = { points = 3 }
            [[measure.bound]]
            name = "full chain"
            images = 3
            [[entrant]]
            name = "second"
            family = "flow"
            [[entrant]]
            name = "vae"
            config = { learning_rate = 0.5 }
            """,
        )
    )
    smoke = suite.load("smoke")
    assert [one.name for one in mine.entrant] == ["vae", "flow", "diffusion", "second"]
    before = {one.name: one for one in smoke.entrant}
    assert mine.entrant[0].config == {**before["vae"].config, "learning_rate": 0.5}
    assert before["vae"].config  # of which some is left
    assert mine.entrant[1:3] == [before["flow"], before["diffusion"]]
    assert mine.seeds == [4, 5]
    assert mine.measure.along.model_dump() == {**smoke.measure.along.model_dump(), "points": 3}
    assert [one.name for one in mine.measure.bound] == ["full chain"]
    changed = {"samples": 40, "annealing": None, "along": mine.measure.along, "bound": mine.measure.bound}
    assert mine.measure == smoke.measure.model_copy(update=changed)
    assert mine.budget == smoke.budget


def test_an_entrant_that_is_taken_away_may_be_declared_anew(tmp_path):
    again = MINE + 'without = ["vae"]\n[[entrant]]\nname = "vae"\nfamily = "vae"\n'
    mine = suite.load(written(tmp_path, again))
    assert [one.name for one in mine.entrant] == ["gan", "flow", "diffusion", "vae"]
    assert mine.entrant[-1].config == {}


def test_files_extend_files_and_paths_are_from_the_one_that_says_them(tmp_path):
    base = (
        'name = "base"\nextends = "smoke"\nwithout = ["gan", "flow", "diffusion"]\n'
        '[[entrant]]\nname = "theirs"\nload = "theirs"\n'
    )
    written(tmp_path, base, "middle/base.toml")
    leaf = suite.load(written(tmp_path, LEAF + '[[entrant]]\nname = "ours"\nload = "ours"\n', "leaf.toml"))
    assert [one.name for one in leaf.entrant] == ["vae", "theirs", "ours"]
    assert [one.load for one in leaf.entrant[1:]] == [str(tmp_path / "middle" / "theirs"), str(tmp_path / "ours")]
    assert leaf.about == "middle/base.toml, changed"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('name = "x"\nextends = "smokey"', r"mine.toml: extends 'smokey', an unknown suite; did you mean 'smoke'\?"),
        ('name = "x"\nextends = "no.toml"', r"mine.toml: extends 'no.toml', and there is no such file"),
        ('name = "x"\nextends = "a\\u0000.toml"', "mine.toml: extends .*there is no such file"),
        ('name = "x"\nextends = "mine.toml"', r"extends itself \(mine.toml, which extends mine.toml\)"),
        ('name = "x"\nextends = 3', "mine.toml: extends must be text, not 3"),
        ('name = "x"\nextend = "smoke"', "unknown key 'extend'; did you mean 'extends'"),
        ('extends = "smoke"', "mine.toml: name is missing"),
        (MINE + "without = 3", "mine.toml: without must be a list, not 3"),
        (MINE + "without = [3]", "mine.toml: without 1 must be text, not 3"),
        (MINE + 'without = ["gam"]', "mine.toml: without names 'gam', which smoke does not have; did you mean 'gan'"),
        (MINE + 'without = ["measure.along.x"]', "without names 'measure.along.x', which smoke does not have"),
        (MINE + 'without = ["measure.x.y"]', "without names 'measure.x.y', which smoke does not have"),
        (MINE + 'without = ["seeds"]', "mine.toml: seeds is missing"),
        (MINE + 'without = ["gan", "vae", "flow", "diffusion"]', "mine.toml: entrant needs at least 1 entry"),
        (MINE + "seeds = [0, 0]", "mine.toml: each seed may be there once"),
        (MINE + "[measure]\nsample = 3", "mine.toml: unknown key 'measure.sample'; did you mean 'samples'"),
        (MINE + '[[entrant]]\nname = "flow"\nconfig = { x = [1] }', "entrant flow: config.x must be a number"),
        (MINE + '[[entrant]]\nfamily = "vae"', "mine.toml: entrant 5: name is missing"),
        (MINE + '[[entrant]]\nname = "VAE"\nfamily = "vae"', "may be there once: 'vae' and 'VAE'"),
        (MINE + 2 * '[[entrant]]\nname = "vae"\nfamily = "vae"\n', "may be there once: 'vae' is there twice"),
        (MINE + "entrant = 3", "mine.toml: entrant must be a list, not 3"),
        (MINE + "measure = 3", "mine.toml: measure must be a table, not 3"),
        ('without = ["gan"]\n' + suite.shipped()["smoke"].read_text(), "without takes away what another suite has"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence_with_its_file(tmp_path, text, sentence):
    file = written(tmp_path, text)
    with pytest.raises(UserError, match=sentence) as found:
        suite.load(file)
    assert "\n" not in str(found.value)


def test_a_mistake_in_what_is_extended_is_told_of_that_file(tmp_path):
    written(tmp_path, MINE.replace('"mine"', '"base"') + "seeds = [-1]\n", "middle/base.toml")
    with pytest.raises(UserError, match=r"base.toml: seeds 1 must be at least 0") as found:
        suite.load(written(tmp_path, LEAF + "seeds = [0]\n", "leaf.toml"))
    assert "leaf" not in str(found.value)


def test_a_circle_of_several_files_is_told_with_all_of_them(tmp_path):
    for one, other in (("a", "b"), ("b", "c"), ("c", "a")):
        written(tmp_path, f'name = "{one}"\nextends = "{other}.toml"\n', f"{one}.toml")
    with pytest.raises(UserError, match=r"a.toml, which extends b.toml, which extends c.toml, which extends a.toml"):
        suite.load(str(tmp_path / "a.toml"))


def test_the_resolved_suite_is_a_file_that_stands_alone_with_the_same_records(tmp_path):
    extra = 'without = ["gan"]\n[measure]\nsamples = 40\n[[entrant]]\nname = "theirs"\nload = "theirs"\n'
    mine = written(tmp_path, MINE + extra, "folder/mine.toml")
    shown = equibench("plan", mine, "--resolved", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    alone = written(tmp_path, shown.stdout, "elsewhere/alone.toml")
    assert "extends" not in shown.stdout
    assert tomllib.loads(shown.stdout)["measure"]["sweep_evaluations"] == suite.load("smoke").measure.sweep_evaluations
    assert keys(suite.load(alone)) == keys(suite.load(mine))
    assert suite.load(alone) == suite.load(mine).model_copy(update={"extends": None, "without": []})
    again = equibench("plan", alone, "--resolved", cwd=tmp_path)
    assert again.stdout == shown.stdout


def test_the_resolved_suite_has_the_options_and_is_json_where_asked(tmp_path):
    shown = equibench("plan", "smoke", "--resolved", "--seeds", "7,8", "--only", "vae", "--json", cwd=tmp_path)
    found = json.loads(shown.stdout)
    assert (found["seeds"], [one["name"] for one in found["entrant"]]) == ([7, 8], ["vae"])
    refused = equibench("plan", "smoke", "--resolved", "--detect", "5%", cwd=tmp_path)
    assert (refused.returncode, "give one of the two" in refused.stderr) == (2, True)


@pytest.mark.parametrize("name", suite.shipped())
def test_every_suite_that_ships_is_written_as_it_is_read(name, tmp_path):
    there = suite.read(name)
    assert suite.read(written(tmp_path, suite.written(there))) == there


def test_what_is_written_is_read_again_as_it_was():
    values = {
        "text": 'a "quoted" \\ word,\n\t a bell \x07, a delete \x7f and an é 🙂',
        "numbers": [1, -2.5, 7e12, 1e-300],
        "truth": True,
        "odd key é": {"a.b": [{"c": 1}, {"d": {"e": [[1], []]}}], "empty": {}},
        "none": [],
    }
    assert tomllib.loads(toml_of({**values, "left out": None})) == values
    with pytest.raises(TypeError, match="TOML has no Place"):
        toml_of({"x": dataclasses.make_dataclass("Place", [])()})


def test_a_schema_asks_of_a_suite_that_extends_for_its_name_alone():
    schema = suite.Suite.model_json_schema()
    assert schema["required"] == ["name"]
    assert schema["anyOf"][0] == {"required": ["extends"]}
    assert set(schema["anyOf"][1]["required"]) == {"about", "dataset", "seeds", "budget", "entrant"}


@pytest.mark.parametrize(
    "change",
    ['dataset = "synthetic"', "train_images = 100", '[[budget]]\nparams = 500_000\nunit = "flops"\namount = 1e12'],
    ids=["data", "fewer images", "budget"],
)
def test_what_was_tuned_for_other_data_or_budgets_does_not_say_so(tmp_path, change):
    mine = suite.load(written(tmp_path, f'name = "mine"\nextends = "quick"\n{change}\n'))
    assert not any(one.tuning for one in mine.entrant)
    assert [one.config for one in mine.entrant] == [one.config for one in suite.load("quick").entrant]


def test_other_data_on_the_command_line_takes_the_claims_away():
    said = {}
    for data in ("fashion-mnist-10k", "synthetic"):
        done = equibench("plan", "quick", "--resolved", "--json", "--dataset", data)
        assert done.returncode == 0, done.stderr
        said[data] = [bool(entrant.get("tuned")) for entrant in json.loads(done.stdout)["entrant"]]
    assert any(said["fashion-mnist-10k"])
    assert not any(said["synthetic"])
