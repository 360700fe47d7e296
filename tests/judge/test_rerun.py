"""Any cell that `run` makes is run again by what its record says and the user adds; its data is looked at first."""

import numpy as np
import pytest
import torch
from fixtures import make

from equibench import suite
from equibench.cite.signature import signature
from equibench.data import sets
from equibench.errors import UserError
from equibench.judge.rerun import Rerun, _compared, _loaded
from equibench.judge.verify import verify
from equibench.measure.features.own import function
from equibench.record.surroundings import Numerics
from equibench.run import checkpoint, supervise
from equibench.run.cell import run_here
from equibench.run.loaded import only_loaded, resolved
from equibench.run.session import Session
from equibench.run.stages import STAGES
from equibench.suite import Cell

CPU = torch.device("cpu")
OWN = "test_rerun:blocks"
BITS = "likelihood.bits_per_dim"


def blocks(images):
    return torch.nn.functional.adaptive_avg_pool2d(images[:, :1].float(), 4).flatten(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Records of an own suite on own data with an own feature network: trained, a floor, and loaded from a file."""
    root = tmp_path_factory.mktemp("rerun")
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8)
    np.savez(root / "mine.npz", train=images[:200], test=images[200:])
    text = suite.shipped()["smoke"].read_text().replace('name = "smoke"', 'name = "mine"\ncell_limit_sec = 1000')
    (root / "mine.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        for name in STAGES.keys() - {"likelihood", "quality"}:
            patch.setitem(STAGES, name, lambda work, found: found)
        patch.setattr(supervise, "run_cell", run_here)
        chosen = suite.load(str(root / "mine.toml"))
        data, network = sets.load(str(root / "mine.npz")), function(OWN, CPU)
        session = Session(chosen, data, CPU, network, root / "out")
        vae = next(one for one in chosen.entrant if one.name == "vae")
        path, trained = run_here(Cell(chosen, "vae", 7, vae, chosen.budget[0]), session)  # a seed of --seeds
        _, floor = run_here(Cell(chosen, "global histogram", 0), session)
        weights = (root / "weights.safetensors").absolute()
        weights.write_bytes(path.with_suffix(".safetensors").read_bytes())
        only = resolved(only_loaded(chosen, [weights]), data, CPU, False, chosen)
        loaded = Session(only, data, CPU, network, root / "out")
        _, measured = run_here(Cell(only, "weights", 7, only.entrant[0], only.budget[0]), loaded)
        yield root, {"trained": trained, "floor": floor, "loaded": measured}


def given(root, **changes):
    usual = {"suite": str(root / "mine.toml"), "dataset": str(root / "mine.npz"), "extractor": OWN}
    return Rerun(**usual | changes)


def last(made, which, **changes):
    root, records = made
    return verify(signature([records[which]], BITS), [root / "out"], rerun=given(root, **changes))[-1]


@pytest.mark.parametrize("which", ["trained", "floor", "loaded"])
def test_any_cell_reproduces_to_the_last_bit(made, which):
    found = last(made, which, loaded=made[0] / "weights.safetensors" if which == "loaded" else None)
    assert found.holds, found.sentence
    assert "the same to the last bit" in found.sentence


@pytest.mark.parametrize(
    ("which", "changes", "sentence"),
    [
        ("trained", {"dataset": "oracle"}, "oracle is not the data of vae: its hash begins with"),
        ("trained", {"dataset": None}, "fashion-mnist-10k is not the data of vae"),
        ("trained", {"dataset": "nowhere.npz"}, "there is no folder, .npz or .npy file nowhere.npz"),
        ("trained", {"suite": None}, "by the suite 'mine', which does not ship; give its .toml by --suite"),
        ("trained", {"suite": "quick"}, "suite quick does not have vae with the record's budget"),
        ("trained", {"extractor": "efficientnet-lite0"}, "the features of vae are test_rerun:blocks .* --extractor$"),
        ("loaded", {}, "weights was loaded from weights.safetensors, which is not here; give it by --from"),
        ("loaded", {"loaded": "bad"}, "does not hold the weights of weights"),
    ],
)
def test_what_is_not_the_record_s_is_said_before_anything_runs(made, tmp_path, monkeypatch, which, changes, sentence):
    monkeypatch.setattr(supervise, "run_cell", lambda *_: pytest.fail("it ran"))
    if changes.get("loaded"):
        model, provenance = checkpoint.load(made[0] / "weights.safetensors", CPU)
        with torch.no_grad():
            next(model.parameters()).add_(1)
        checkpoint.save(tmp_path / "other.safetensors", model, provenance)
        changes = {"loaded": tmp_path / "other.safetensors"}
    with pytest.raises(UserError, match=sentence):
        last(made, which, **changes)


def test_the_feature_network_of_the_suite_needs_consent(made):
    root, _ = made
    text = (root / "mine.toml").read_text().replace("samples = 32\n", f'samples = 32\nextractor = "{OWN}"\n')
    (root / "names.toml").write_text(text)
    with pytest.raises(UserError, match=f"{OWN}, which the suite mine names, can run any code"):
        last(made, "trained", suite=str(root / "names.toml"), extractor=None)


@pytest.mark.parametrize(
    ("setting", "holds", "sentence"),
    [
        ("likelihood_passes = 2\n", None, "but on another number of passes (1, 2): not the same cell"),
        ("out_of_distribution_images = 9\n", True, "the same to the last bit"),  # it moves other numbers
    ],
)
def test_a_suite_that_measures_otherwise_is_another_cell_only_where_it_moves_the_number(made, setting, holds, sentence):
    root, _ = made
    key = setting.partition(" ")[0]
    lines = [line for line in (root / "mine.toml").read_text().splitlines(True) if not line.startswith(f"{key} ")]
    (root / "other.toml").write_text("".join(lines).replace("[measure]\n", f"[measure]\n{setting}"))
    found = last(made, "trained", suite=str(root / "other.toml"))
    assert found.holds is holds, found.sentence
    assert sentence in found.sentence


@pytest.mark.parametrize(
    ("deterministic", "weights", "value", "holds", "sentence"),
    [
        (True, "aa", 2.0, True, "the same to the last bit"),
        (True, "aa", 2.000001, False, "from the same weights"),
        (False, "aa", 2.0, True, "the same to the last bit"),
        (False, "aa", 2.001, True, "within 0.1%, as the record's GPU added in any order"),
        (False, "aa", 2.1, False, "not within 0.1%"),
        (False, "bb", 2.0001, None, "no training on it is repeated"),
        (None, "bb", 2.0001, None, "no training on it is repeated"),  # of a record that does not say
    ],
)
def test_a_gpu_that_was_not_told_to_add_in_one_order_is_held_to_no_last_bit(
    deterministic, weights, value, holds, sentence
):
    def run(weights, bits):
        one = make("vae", machine=make("vae").machine.model_copy(update={"device": "NVIDIA H100"}))
        changes = {"weights_sha256": weights * 32, "numerics": Numerics(threads=1, deterministic=deterministic)}
        likelihood = one.likelihood.model_copy(update={"bits_per_dim": bits})
        return one.model_copy(update={**changes, "likelihood": likelihood})

    found, said = _compared(run("aa", 2.0), run(weights, value), BITS)
    assert found is holds, said
    assert sentence in said


def test_what_was_given_by_from_multiplies_as_its_suite_says(made):
    root, records = made
    chosen = suite.changed(suite.load(str(root / "mine.toml")), precision="fp32")
    ran = only_loaded(chosen, [root / "weights.safetensors"]).entrant[0]
    asked = given(root, loaded=root / "weights.safetensors")
    again = _loaded(records["loaded"], root / "out" / "weights.json", chosen, asked)
    assert again.precision == ran.precision == "fp32"
