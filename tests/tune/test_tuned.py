"""What an entrant says of its tuning: no more than the study holds that chose its settings."""

import json
import tomllib

import pytest
import tunable
from fixtures import make

from equibench import suite
from equibench.errors import UserError
from equibench.quantities.text import tuning_words
from equibench.record import study as study_files
from equibench.record.study import Candidate, Chosen, Search, Space, Study, Training, inline_table
from equibench.record.surroundings import SAMPLER, Tuning
from equibench.report.tables.cost import training
from equibench.run.families import check_tuned, resolve_family, settings_of
from equibench.run.plan import plan
from equibench.suite import Cell
from equibench.summary.sections import FiledRecord
from equibench.summary.sort import summarise

CONFIG, OPTIONS = {"good": 0.7, "how": "well"}, {"brightness": 2.0}
SUITE = """
name = "own"
about = "a test"
dataset = "fashion-mnist-10k"
seeds = [0]
budget = [{ params = 1088, unit = "updates", amount = 8 }]
[[entrant]]
name = "mine"
family = "tunable:Tunable"
"""


def trained(number, share, **changes):
    candidate = Candidate(number=number, config=CONFIG if number else {}, sampler={})
    fields = {"candidate": candidate, "values": {}, "seed": 0, "share": share, "status": "ok", "flops": 4e9 * share}
    return Training(**fields | {"train_sec": 2 * share} | changes)


def study(**changes):
    """One that is finished: four trials and two full runs."""
    record = make("vae")
    settings = settings_of(resolve_family("tunable:Tunable"), CONFIG, OPTIONS)
    chosen = Chosen(candidate=Candidate(number=3, config=CONFIG, sampler=OPTIONS), why="it is", settings=settings)
    fields = {
        "suite": "own",
        "entrant": "mine",
        "family": "tunable:Tunable",
        "start": Candidate(number=0, config={}, sampler={}),
        "budget": tunable.suite().budget[0],
        "data": record.data,
        "data_sha256": "ab" * 32,
        "features": record.quality.features,
        "space": Space(),
        "search": Search(),
        "versions": {},
        "machine": record.machine,
        "code": record.code,
        "trials": [*(trained(number, 0.25) for number in range(3)), trained(3, 0.25, flops=None, train_sec=None)],
        "full_runs": [trained(0, 1.0), trained(3, 1.0)],
        "chosen": chosen,
    }
    return Study(**fields | changes)


@pytest.fixture
def loaded(tmp_path):
    """Loads a suite whose entrant has these lines, beside a study of it."""

    def load(lines, held=None):
        study_files.write(tmp_path / "studies" / "mine.json", held or study())
        (tmp_path / "own.toml").write_text(SUITE + lines)
        (found,) = suite.load(str(tmp_path / "own.toml")).entrant
        return found

    return load


LINES = f'config = {inline_table(CONFIG)}\nsampler = {inline_table(OPTIONS)}\ntuned = "studies/mine.json"'


def test_an_entrant_with_what_its_study_chose_says_how_much_was_tried(loaded, tmp_path):
    found = loaded(LINES).tuning
    assert (found.trials, found.full_runs, found.study) == (4, 2, "own/mine")
    assert found.flops == 4e9 * (3 * 0.25 + 2)
    assert found.train_sec == 2 * (3 * 0.25 + 2)
    assert found.study_sha256 == study_files.hashlib.sha256((tmp_path / "studies/mine.json").read_bytes()).hexdigest()
    assert found.chosen["blocks"] == 2  # a default that no one gave
    assert found.chosen[f"{SAMPLER}bright"] is False
    assert "width" not in found.chosen
    assert tuning_words(found, 1e9) == "4 trials, 2 full runs, 11.0 trainings"
    assert tuning_words(None, 1e9) == "not tuned"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (LINES.replace("0.7", "0.6"), "entrant 'mine' has the config { good = 0.6, how = \"well\" }, and its study"),
        (LINES.replace("2.0", "1.0"), "has the sampler { brightness = 1.0 }, and its study"),
        ('tuned = "studies/mine.json"', "has the config {}, and its study"),
        (LINES.replace("mine.json", "yours.json"), "cannot read the study"),
        ("tuned = { trials = 1000 }", "mine needs the path of a study as `tuned`, not what one says"),
        ("tuned = 5", "tuned"),
    ],
)
def test_a_claim_that_its_study_does_not_hold_is_one_sentence(loaded, lines, sentence):
    with pytest.raises(UserError) as caught:
        loaded(lines)
    assert sentence in str(caught.value)


def test_a_study_that_is_not_finished_or_of_another_family_tunes_nobody(loaded):
    with pytest.raises(UserError, match="is not finished; go on with `equibench tune`"):
        loaded(LINES, study(chosen=None))
    with pytest.raises(UserError, match=r"has the family tunable:Tunable, and its study .* chose vae"):
        loaded(LINES, study(family="vae"))


def test_a_default_that_changed_since_is_found_as_the_entrant_is_planned(loaded):
    found, family = loaded(LINES), resolve_family("tunable:Tunable")
    check_tuned(found, family)
    then = {**found.tuning.chosen, "blocks": 7}
    changed = found.model_copy(update={"tuned": found.tuning.model_copy(update={"chosen": then})})
    with pytest.raises(UserError, match=r"is not what its study own/mine chose: blocks is 2, and was 7; tune it again"):
        plan(Cell(tunable.suite(), "mine", 0, changed, tunable.suite().budget[0]), (1, 8, 8))


def test_a_field_that_came_after_the_study_has_what_the_family_did_before(loaded):
    found, family = loaded(LINES), resolve_family("tunable:Tunable")
    then = {name: value for name, value in found.tuning.chosen.items() if name != "blocks"}
    check_tuned(found.model_copy(update={"tuned": found.tuning.model_copy(update={"chosen": then})}), family)


@pytest.mark.parametrize("name", suite.shipped())
def test_what_shipped_suites_say_of_their_tuning_holds(name):
    """`load` holds the config against the study, and this the defaults of the families."""
    for entrant in suite.load(name).entrant:
        check_tuned(entrant, resolve_family(entrant.family))


def test_a_note_on_tuning_is_no_other_cell(loaded):
    own, features = tunable.suite(), make("vae").quality.features
    tuned = loaded(LINES)

    def key(one):
        return Cell(own, "mine", 0, one, own.budget[0]).key("data", features, "machine")

    assert key(tuned) == key(tuned.model_copy(update={"tuned": None}))
    assert key(tuned) != key(tuned.model_copy(update={"config": {"good": 0.6}}))


def test_the_report_says_it_beside_the_training(tmp_path):
    tuning = Tuning(trials=20, full_runs=12, flops=3.4e14)
    records = [make("vae", spent=make("vae").spent.model_copy(update={"flops": 2e13}), tuning=tuning), make("gan")]
    cells = [FiledRecord(tmp_path / f"{one.entrant}.json", one) for one in records]
    (section,) = summarise(cells)
    table = training(section)
    found = {line.entries[0].raw: line.entries[table.names.index("tuning")] for line in table.lines}
    assert (found["vae"].text, found["vae"].detail) == ("17.0", "20 trials, 12 full runs")
    assert found["gan"].text == "not tuned"


@pytest.mark.parametrize("values", [{"a": 1e-05, "b": 3, "c": 'say "x"\n', "d": True, "e": 0.1, "f": 1e22}, {}])
def test_settings_as_toml_are_read_as_they_were(values):
    assert tomllib.loads(f"x = {inline_table(values)}")["x"] == values


def test_a_study_s_file_is_json_that_is_read_as_it_was(tmp_path):
    study_files.write(tmp_path / "x.json", study())
    assert study_files.read(tmp_path / "x.json") == study()
    assert json.loads((tmp_path / "x.json").read_text())["study_version"] == 1
    (tmp_path / "x.json").write_text(
        (tmp_path / "x.json").read_text().replace('"study_version": 1', '"study_version": 9')
    )
    with pytest.raises(UserError, match=r"is not a study of equibench \(study_version: "):
        study_files.read(tmp_path / "x.json")
