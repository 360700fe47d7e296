"""The table of what the recipes' choices are worth, from made-up records."""

import pytest
from fixtures import make

from equibench import suite
from equibench.errors import UserError
from equibench.run.families import resolve_family
from equibench.suite import Entrant
from studies import recipes


def record(entrant, seed, distance, bits=None):
    found = make(entrant.family, seed, entrant=entrant.name, ways=[])
    quality = found.quality.model_copy(update={"value": distance})
    likelihood = found.likelihood.model_copy(update={"bits_per_dim": bits})
    return found.model_copy(update={"quality": quality, "likelihood": likelihood})


def test_the_suite_has_each_recipe_first_and_settings_that_exist():
    """The recipe is what `quick` has, and each variant differs from it."""
    entrants = suite.load(str(recipes.PLAN)).entrant
    first = {}
    for entrant in entrants:
        first.setdefault(entrant.family, entrant)
        config, recipe = resolve_family(entrant.family).config_type, first[entrant.family]
        assert entrant is recipe or config(**entrant.config) != config(**recipe.config)
    usual = {entrant.family: entrant.config for entrant in suite.load("quick").entrant}
    assert {family: entrant.config for family, entrant in first.items()} == usual


def test_what_is_other_is_named_by_what_differs_from_the_recipe():
    recipe = Entrant(name="vae", family="vae", config={"warm_up": 0.2, "batch_size": 24})
    for config, words in (
        ({}, "as it stood before it was tuned"),
        ({"warm_up": 0.2, "batch_size": 8}, "`batch_size = 8`"),
        ({"warm_up": 0.2, "batch_size": 24, "optimizer": "adam"}, '`optimizer = "adam"`'),
        ({"warm_up": 0.2, "mixed": 0}, "`mixed = 0`, `batch_size` by default"),
    ):
        assert recipes._settings(Entrant(name="other", family="vae", config=config), recipe) == words
    assert recipes._settings(recipe, recipe) == "the recipe"


def test_what_seeds_tell_from_the_recipe_is_bold():
    entrants = suite.load(str(recipes.PLAN)).entrant
    found = [record(one, seed, 300 + seed, 3.1 + seed / 1000) for one in entrants for seed in range(3)]
    worse = [one for one in entrants if one.family == "vae"][1].name
    found = [r if r.entrant != worse else r.model_copy(update={
        "quality": r.quality.model_copy(update={"value": r.quality.value + 50})}) for r in found]  # fmt: skip
    lines = recipes.page(found).splitlines()
    (line,) = [one for one in lines if one.startswith(f"| {worse} ")]
    assert "| **351.0 ± 1.0** |" in line
    assert "3.10100 ± 0.00100" in line
    assert sum("**" in one for one in lines) == 1


def test_entrants_without_records_are_named():
    one = suite.load(str(recipes.PLAN)).entrant[0]
    with pytest.raises(UserError, match="no records of gan-untuned"):
        recipes.page([record(one, 0, 300.0)])
    with pytest.raises(UserError, match="no records of gan, gan-untuned"):
        recipes.page([])


def test_a_family_that_was_run_alone_leaves_the_other_tables_as_they_are():
    entrants = suite.load(str(recipes.PLAN)).entrant
    of_vae, of_gan = ([record(one, 0, at) for one in entrants if one.family == family]
                      for family, at in (("vae", 300.0), ("gan", 200.0)))  # fmt: skip
    alone = recipes.page(of_vae)
    assert "Not run yet: gan, flow and diffusion." in " ".join(alone.split())
    both = recipes.page(of_gan, alone)
    assert both == recipes.page([*of_gan, *of_vae])
    assert both.index("## gan") < both.index("## vae")
    assert recipes.page(of_vae, both) == both
