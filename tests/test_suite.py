"""Suites as files: what is wrong with one is said in a plain sentence, before anything is trained."""

import pytest

from equibench import suite
from equibench.errors import UserError
from equibench.quantities.text import duration

SMOKE = suite.shipped()["smoke"].read_text()
GAN = 'name = "gan"\n'


def loaded(folder, text):
    file = folder / "own.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return suite.load(str(file))


@pytest.mark.parametrize("name", suite.shipped())
def test_suites_that_ship_are_sound(name):
    assert suite.load(name).name == name


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("seeds = [0]", "seeds = [0, 0]", "each seed may be there once: 0 is there twice"),
        ("seeds = [0]", "seeds = [-1]", "seeds 1 must be at least 0, not -1"),
        ("seeds = [0]", "seeds = [true]", "seeds: true and false stand for no number"),
        ("seeds = [0]", "seeds = [9223372036854775808]", "seeds 1 must be less than 9223372036854775808"),
        ("seeds = [0]", "seeds = [1.5]", "seeds 1 must be a whole number, not 1.5"),
        ("seeds = [0]", 'seeds = ["x"]', "seeds 1 must be a whole number, not 'x'"),
        ("seeds = [0]", "seeds = []", "seeds needs at least 1 entry"),
        ("seeds = [0]", "seeds = 0", "seeds must be a list, not 0"),
        ("seeds = [0]", "", "seeds is missing"),
        ("seeds = [0]", "sedes = [0]", "unknown key 'sedes'; did you mean 'seeds'"),
        ("amount = 4", "amount = nan", "budget 1: amount must be a finite number, not nan"),
        ("amount = 4", "amount = 1e400", "inf is no amount that a machine could spend"),
        ("amount = 4", "amount = 1e300", "1e\\+300 is no amount"),
        ("amount = 4", "amount = true", "true is no amount"),
        ("amount = 4", "amount = -4", "budget 1: amount must be more than 0, not -4"),
        ("amount = 4", "amunt = 4", "unknown key 'budget 1: amunt'; did you mean 'amount'"),
        ('unit = "updates"', 'unit = "hours"', "budget 1: unit must be one of 'flops', .*, not 'hours'"),
        ("params = 60_000", "params = 1" + 40 * "0", "is no params that a machine could spend"),
        ("[measure]", "[[budget]]\nparams = 60_000\nunit = 'updates'\namount = 4\n[measure]", "each budget may be"),
        ("samples = 32", "samples = 1", "measure.samples must be at least 2, not 1"),
        ("samples = 32", "samples = 2_000_000_000", "measure.samples must be at most 1000000000"),
        ("samples = 32", "samples = true", "true and false stand for no number"),
        ("samples = 32", "samples = 3\nsamples = 4", "a key is there twice .at line"),
        ("samples = 32", "samples = " + 5000 * "9", "is not valid TOML"),
        ("speed_batch_sizes = [4, 16]", "speed_batch_sizes = [0]", "speed_batch_sizes 1 must be at least 1, not 0"),
        ("memory_batch_size = 16", "memory_batch_size = 0", "memory_batch_size must be at least 1, not 0"),
        ("latency_limit_sec = 0.2", "latency_limit_sec = inf", "latency_limit_sec must be a finite number"),
        ("seeds = [0]", "seeds = [0]\ncell_limit_sec = 0", "cell_limit_sec must be more than 0, not 0"),
        ("annealing = { images = 2,", "annealing = { image = 2,", "unknown key .* did you mean 'images'"),
        ('"full chain", images', '"whole chain", images', "measure.bound 3: name must be one of .*, not 'whole chain'"),
        (GAN, 'name = "vae"\n', "each entrant may be there once: 'vae' is there twice"),
        (GAN, 'name = "VAE"\n', "each entrant may be there once: 'VAE' and 'vae' differ too little"),
        (GAN, 'name = ".."\n', "entrant 1: name: '..' begins with '.'"),
        (GAN, 'name = "-x"\n', "begins with '-'"),
        (GAN, 'name = ""\n', "'' is no usable name"),
        (GAN, 'name = "a/b"\n', "'a/b' is no usable name; use letters, digits"),
        (GAN, 'name = "a\\n"\n', "is no usable name"),
        (GAN, 'name = "[b]"\n', "is no usable name"),
        (GAN, f'name = "{101 * "x"}"\n', "is too long; give a name of at most 100 bytes"),
        (GAN, f'name = "{51 * "é"}"\n', "is too long"),
        (GAN, 'name = "Uniform"\n', "'Uniform' is the name of a floor"),
        (GAN, 'name = "real-data"\n', "'real-data' is the name of a floor"),
        (GAN, GAN + "config = { x = [1] }\n", "entrant 1: config.x must be a number, text, true or false, not"),
        (GAN, GAN + "config = { x = nan }\n", "entrant 1: config.x must be a finite number, not nan"),
        ('name = "smoke"', 'name = "../x"', "name: '../x' is no usable name"),
    ],
)
def test_a_mistake_is_one_plain_sentence(tmp_path, old, new, sentence):
    assert old in SMOKE
    with pytest.raises(UserError, match=sentence) as found:
        loaded(tmp_path, SMOKE.replace(old, new, 1))
    assert "\n" not in str(found.value)
    assert "nput should" not in str(found.value)


@pytest.mark.parametrize("text", ["\ufeff" + SMOKE, SMOKE.replace("\n", "\r\n")], ids=["mark", "line ends"])
def test_a_byte_order_mark_and_other_line_ends_are_no_mistake(tmp_path, text):
    assert loaded(tmp_path, text) == suite.load("smoke")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (SMOKE.encode("utf-16"), "not in UTF-8"),
        (b"\xff\x00", "not in UTF-8"),
        (b"", "name is missing"),
        ("a = " + 5000 * "[", "nested too deep|not valid TOML"),
        (bytes(2**20 + 1), "it is no suite"),
        ("entrant = 3", "is missing|must be a list"),
    ],
)
def test_what_is_no_suite_is_one_sentence(tmp_path, content, sentence):
    with pytest.raises(UserError, match=sentence):
        loaded(tmp_path, content)


def test_paths_that_are_no_files_are_one_sentence(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    for name, sentence in (("folder.toml", "is no file"), ("none.toml", "No such file"), ("x\0.toml", "null byte")):
        with pytest.raises(UserError, match=sentence):
            suite.load(str(tmp_path / name))


def test_many_seeds_are_looked_through_in_no_time(tmp_path):
    many = ", ".join(map(str, range(100_000)))
    assert len(loaded(tmp_path, SMOKE.replace("seeds = [0]", f"seeds = [{many}]")).seeds) == 100_000


def test_an_entrant_is_named_after_a_file(tmp_path):
    for stem, name in (
        ("best [step=100]", "best--step-100-"), ("..", "checkpoint"), ("-x", "x"), (300 * "é", 50 * "é"),
        ("uniform", "uniform-checkpoint"),
    ):  # fmt: skip
        assert suite.name_from(tmp_path / f"{stem}.safetensors") == name


def test_lengths_of_time_are_said_as_people_do():
    assert [duration(sec) for sec in (3.4, 60, 240, 6000, 3e5, 1e9)] == [
        "3 s", "60 s", "4.0 minutes", "1.7 hours", "3.5 days", "32 years",
    ]  # fmt: skip
