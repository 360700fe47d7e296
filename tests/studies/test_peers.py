"""The study of peers: its arithmetic, its steps and how they go on, with stand-ins for what trains."""

import itertools
import json
import math
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fixtures import make, save

from equibench import suite
from equibench.errors import UserError
from equibench.record.surroundings import Load
from studies.peers import __main__ as study
from studies.peers import dcgan, environment, ours, peer, theirs
from studies.peers.results import PEERS, Place, Settings, Timed, Trained, read

SETTINGS = Settings(dataset="fashion-mnist", seconds=5.0, params=500_000, samples=1300, likelihood_images=50)
TIMES = {"gan": 2.0, "vae": 1.0, "flow": 4.0, "diffusion": 0.5}  # seconds of our batch, where theirs takes 1
DISTANCES = {"gan": (100.0, 400.0), "vae": (90.0, 200.0), "flow": (300.0, 600.0), "diffusion": (50.0, 200.0)}


class Steps(peer.Peer):
    """A density that is even within each level: its bits/dim are known."""

    title, package, settings, batch_size, widths = "steps", None, "", 4, range(1, 100)
    ways = {"usual": {}, "brighter": {"by": 100.0}}
    has_density = True

    def __init__(self, width):
        super().__init__(width)
        self.weight = torch.nn.Parameter(torch.zeros(100 * width))
        self.chances = torch.full((256,), 1 / 256)
        self.updates = 0

    def update(self, images):
        assert images.shape == (4, 1, 28, 28)
        assert images.dtype == torch.uint8
        self.updates += 1

    def draw(self, n, **options):
        return torch.rand(n, 1, 28, 28) * 100 + options.get("by", 0.0)

    def nats(self, images):
        noise = peer.dequantized(images) * 256 - images
        assert noise.min() >= 0
        assert noise.max() <= 1
        assert noise.mean() == pytest.approx(0.5, abs=0.01)
        return -(self.chances[images.long()] * 256).log().flatten(1).sum(dim=1)


def test_bits_are_the_entropy_where_the_density_is_even_within_each_level():
    model = Steps(1)
    every = np.arange(256, dtype=np.uint8).repeat(784).reshape(256, 1, 28, 28)
    assert peer.measured_bits(model, every, 0) == (pytest.approx(8), pytest.approx(0, abs=1e-9))
    model.chances = torch.zeros(256)
    model.chances[[0, 255]] = torch.tensor([0.75, 0.25])
    images = np.zeros((400, 1, 28, 28), np.uint8)
    images[:100] = 255
    entropy = -0.75 * math.log2(0.75) - 0.25 * math.log2(0.25)
    bits, stderr = peer.measured_bits(model, images, 0)
    assert bits == pytest.approx(entropy, abs=1e-5)
    spread = math.sqrt(0.75 * 0.25) * math.log2(3)  # of bits that are -log2(0.75) or -log2(0.25)
    assert stderr == pytest.approx(spread / math.sqrt(400), rel=0.01)


def test_levels_are_rounded_to_the_nearest_and_broken_images_counted():
    levels = torch.tensor([[-3.0, 0.4], [254.6, 999.0], [math.nan, 7.0], [math.inf, 8.0]])
    images, broken = peer.rounded(levels)
    assert images.tolist() == [[0, 0], [255, 255], [0, 7], [0, 8]]
    assert broken.tolist() == [False, False, True, True]
    # where u is noise within a level, the level comes back from (x + u)/256 as glow.py draws it
    x, u = torch.arange(256.0)[:, None], torch.tensor([[0.01, 0.3, 0.7, 0.99]])
    assert torch.equal(peer.rounded((x + u) / 256 * 256 - 0.5)[0], x.to(torch.uint8).expand(-1, 4))


def test_the_width_is_the_greatest_within_the_cap():
    assert peer.widest(Steps, Steps.widths, 4321).width == 43
    assert peer.widest(Steps, Steps.widths, 10**6).width == 99
    with pytest.raises(ValueError, match="more than 99 parameters at its least width"):
        peer.widest(Steps, Steps.widths, 99)


@pytest.mark.parametrize(("update_sec", "updates"), [(1.0, 5), (1.1, 4), (9.0, 1)])
def test_training_stops_before_an_update_that_would_end_too_late(update_sec, updates):
    model, clock = Steps(1), itertools.count()
    images = np.zeros((10, 1, 28, 28), np.uint8)
    assert peer.train(model, images, 5.0, 0, now=lambda: next(clock) * update_sec) == (
        updates,
        pytest.approx(updates * update_sec),
    )
    assert model.updates == updates


def test_samples_are_those_of_their_seed_and_way():
    def images(seed, way):
        return peer.drawn(Steps(1), 70, Steps.ways[way], seed)[0]

    assert images(1, "usual").shape == (70, 1, 28, 28)
    assert np.array_equal(images(1, "usual"), images(1, "usual"))
    assert not np.array_equal(images(1, "usual"), images(2, "usual"))
    assert images(1, "brighter").min() >= 100


def test_the_dcgan_has_the_layers_that_it_should_and_trains_both_players():
    model = peer.widest(dcgan.DCGAN, dcgan.DCGAN.widths, 500_000)
    # noise to 7 x 7, two kernels of 4 x 4 up and down, 7 x 7 to one value; two numbers a channel of batch norm
    w = model.width
    convolutions = 100 * 2 * w * 49 + 2 * (2 * w * w * 16 + w * 16) + 2 * w * 49
    assert model.parameters_trained() == convolutions + 2 * (2 * w + w) + 2 * 2 * w
    assert 0.95 * 500_000 < model.parameters_trained() <= 500_000
    before = {name: value.clone() for name, value in model.named_parameters()}
    model.update(torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8))
    assert not [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    assert model.draw(3).shape == (3, 1, 28, 28)


@pytest.mark.parametrize(("theirs_sec", "rounds"), [(25.0, 3), (300.0, 1)], ids=["usual", "a round is enough"])
def test_sides_are_timed_in_turns_without_the_first_round(theirs_sec, rounds):
    heard, clock = [], [0.0]

    def taking(who, sec):
        def call():
            heard.append(who)
            clock[0] += sec

        return {who: call}

    found = theirs.in_turns(taking("ours", 5.0), taking("theirs", theirs_sec), now=lambda: clock[0])
    assert heard == ["ours", "theirs"] * (1 + rounds)
    assert found == ({"ours": [5.0] * rounds}, {"theirs": [theirs_sec] * rounds})


def trained(title="a peer", ways=("usual",), bits=None):
    return Trained(
        title=title, settings="as given", ways=list(ways), versions={"torch": "2.0"}, threads=2, width=8,
        params=490_000, updates=100, images=1600, train_sec=4.9, load=Load(others_cpu_share=0.25), bits_per_dim=bits,
        stderr_bits_per_dim=None if bits is None else 0.01,
    )  # fmt: skip


def test_drawing_goes_on_after_the_blocks_that_are_there(tmp_path, monkeypatch):
    n = 2 * theirs.BLOCK + 10
    monkeypatch.setattr(theirs, "loaded", lambda family, path: Steps(1))

    def draw(out):
        arguments = ["draw", "gan", "--seed", "3", "--trained", "none", "--way", "usual"]
        done = CliRunner().invoke(theirs.main, [*arguments, "--samples", str(n), "--out", str(out)])
        assert done.exit_code == 0, done.output
        return np.load(out)

    whole = draw(tmp_path / "whole.npy")
    assert whole.shape == (n, 1, 28, 28)
    assert not np.array_equal(whole[:10], whole[theirs.BLOCK : theirs.BLOCK + 10])  # noise of its own
    marked = whole[theirs.BLOCK : 2 * theirs.BLOCK] // 2
    np.save(tmp_path / "cut.1.npy", marked)
    again = draw(tmp_path / "cut.npy")
    assert np.array_equal(again[theirs.BLOCK : 2 * theirs.BLOCK], marked)
    assert np.array_equal(np.delete(again, np.s_[256:512], 0), np.delete(whole, np.s_[256:512], 0))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cut.npy", "whole.npy"]


def test_the_suite_has_the_shipped_entrants_and_a_budget_in_seconds(tmp_path):
    file = tmp_path / "suite.toml"
    file.write_text(ours.suite_text(SETTINGS))
    found = suite.load(str(file))
    assert [(one.unit, one.amount, one.params) for one in found.budget] == [("sec", 5.0, 500_000)]
    shipped = {one.family: one for one in reversed(suite.load(ours.SHIPPED).entrant)}
    assert {one.name: (one.config, one.sampler) for one in found.entrant} == {
        family: (shipped[family].config, shipped[family].sampler) for family in PEERS
    }
    assert found.measure.likelihood_images == 50


def test_settings_of_entrants_are_written_as_toml(tmp_path, monkeypatch):
    config = {"width": 64, "learning_rate": 1e-05, "activation": 'a "quoted" one', "wide": True}
    entrants = {family: suite.Entrant(name=family, family=family, config=config) for family in PEERS}
    monkeypatch.setattr(ours, "entrants", lambda: entrants)
    (tmp_path / "suite.toml").write_text(ours.suite_text(SETTINGS))
    assert all(one.config == config for one in suite.load(str(tmp_path / "suite.toml")).entrant)


class StandIns:
    """What trains, draws and measures, in place of itself: each leaves the file that it should."""

    def __init__(self, place):
        self.place, self.done, self.stop_at = place, [], None

    def _begin(self, what):
        if len(self.done) == self.stop_at:
            raise UserError("stopped")
        self.done.append(what)

    def theirs(self, environment_place, arguments):
        assert environment_place == self.place.environment
        command, family, *rest = arguments
        named = dict(zip(rest[::2], rest[1::2], strict=True))
        self._begin((command, "theirs", family, named.get("--way")))
        out = self.place.folder / named["--out"]
        out.parent.mkdir(exist_ok=True, parents=True)
        if command == "train":
            ways = ("temperature 1", "temperature 0.7") if family == "flow" else ("usual",)
            out.write_text(trained(f"other {family}", ways, 4.0 if family == "flow" else None).model_dump_json())
        elif command == "time":
            ways = read(self.place.trained(family, 0), Trained).ways
            sec = {way: [TIMES[family]] * 3 for way in json.loads(named["--ways"])}
            found = Timed(batch_size=64, threads=2, ours_sec=sec, theirs_sec={x: [1.0] * 3 for x in ways}, load=Load())
            out.write_text(found.model_dump_json())
        else:
            np.save(out, np.zeros(3))

    def ours(self, arguments):
        if arguments[0] == "run":
            family = arguments[arguments.index("--only") + 1]
            seed = int(arguments[arguments.index("--seeds") + 1])
            self._begin(("train", "ours", family, None))
            save([make(family, seed, checkpoint=family)], self.place.records, with_arrays=False)
            return b""
        side, family, _, *way = arguments[1].rsplit("/", 1)[1].removesuffix(".npy").split("-")
        self._begin(("measure", side, family, way[0]))
        value = DISTANCES[family][side == "theirs"] + 30 * (way[0] in ("headline", "temperature_1"))
        quality = make(family).quality.model_copy(update={"value": value})
        return json.dumps({"quality": quality.model_dump(mode="json")}).encode()

    def drawn(self, weights, n, options, seed):
        assert weights.parent == self.place.records
        self._begin(("draw", weights.name, n, seed, tuple(options)))
        return np.zeros((n, 1, 2, 2), np.uint8)


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    found = StandIns(Place(tmp_path / "study"))
    monkeypatch.setattr(study.environment, "run", found.theirs)
    monkeypatch.setattr(study.environment, "make", lambda place: None)
    monkeypatch.setattr(study, "run_ours", found.ours)
    monkeypatch.setattr(study.ours, "drawn", found.drawn)
    monkeypatch.setattr(study.sets, "load", lambda name, download: type("Data", (), {"train": [1], "test": [2]}))
    monkeypatch.setattr(study, "PAGE", tmp_path / "docs" / "peers.md")
    return found


def call(stand_ins, *options):
    return CliRunner().invoke(study.main, ["--folder", str(stand_ins.place.folder), "--samples", "1300", *options])


def test_it_goes_on_where_it_was_and_does_nothing_twice(stand_ins):
    stand_ins.stop_at = 11
    cut = call(stand_ins)
    assert (cut.exit_code, cut.stderr) == (2, "Error: stopped.\n")
    stand_ins.stop_at = None
    assert call(stand_ins, "--minutes", "0").output == "there is more to do: give the same command again\n"
    assert len(stand_ins.done) == 11
    assert call(stand_ins).exit_code == 0
    assert len(stand_ins.done) == len(set(stand_ins.done)) > 11
    order = [side for command, side, *_ in stand_ins.done if command == "train"]
    assert order == ["ours", "theirs", "theirs", "ours"] * 2
    many = len(stand_ins.done)
    assert call(stand_ins).exit_code == 0
    assert len(stand_ins.done) == many


def test_the_page_says_what_was_reached_and_what_was_missed(stand_ins, tmp_path):
    done = call(stand_ins)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "docs" / "peers.md").read_text()
    marks = [line.split("|") for line in page.splitlines() if line.endswith(("| reached |", "| **missed** |"))]
    found = {(cells[3].strip(), cells[4].strip()) for cells in marks}
    assert ("0.325", "reached") in found  # the GAN has one way: 130 of 400
    assert ("0.450", "**missed**") in found  # VAE: 90 of 200, by the mean
    assert ("0.500", "**missed**") in found  # flow: each side by its lower temperature
    assert ("0.400", "**missed**") in found  # diffusion: 80 of 200
    assert ("1.030", "reached") in found  # bits/dim: 4.0 and, of fixtures.py, 2.97
    assert ("0.25", "**missed**") in found  # a batch of ours takes four times as long
    assert len(marks) == 6


def test_a_page_of_some_families_names_the_others_and_goes_where_it_is_asked_to(stand_ins, tmp_path):
    page = tmp_path / "some.md"
    assert call(stand_ins, "--only", "gan,flow", "--page", str(page)).exit_code == 0
    assert "Not compared here: vae and diffusion." in page.read_text()
    assert not (tmp_path / "docs").exists()
    assert call(stand_ins).exit_code == 0
    assert "Not compared" not in (tmp_path / "docs" / "peers.md").read_text()


def test_a_rehearsal_writes_no_page_into_the_documentation(stand_ins, tmp_path):
    assert call(stand_ins, "--seconds", "5").exit_code == 0
    assert not (tmp_path / "docs").exists()
    assert "for 5 s on the same machine" in (stand_ins.place.folder / "peers.md").read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--seconds", "6"], "holds results of other settings"),
        (["--only", "gna"], "unknown family 'gna'; did you mean 'gan'?"),
        (["--seeds", "0;1"], "--seeds takes whole numbers with commas between, not '0;1'"),
    ],
)
def test_mistakes_are_one_sentence(stand_ins, options, sentence):
    call(stand_ins, "--seconds", "5", "--minutes", "0")
    done = call(stand_ins, *(["--seconds", "5"] if "--seconds" not in options else []), *options)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert not stand_ins.done


def test_requirements_are_names_and_versions_alone():
    lines = [line for line in environment.REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in lines)
    assert {"pythae", "normflows", "denoising-diffusion-pytorch"} <= {line.partition("==")[0] for line in lines}


def test_the_environment_is_made_once_and_anew_where_it_was_not_finished(tmp_path, monkeypatch):
    place, run = tmp_path / "environment", []

    def stand_in(command, what):
        run.append(what)
        if "venv" in command:
            environment._site_packages(place).mkdir(parents=True)
            environment.interpreter(place).parent.mkdir(exist_ok=True)
            environment.interpreter(place).touch()
        elif len(run) == 2:
            raise UserError("cannot install the peers")

    monkeypatch.setattr(environment, "_run", stand_in)
    with pytest.raises(UserError, match="cannot install"):
        environment.make(place)
    environment.make(place)
    environment.make(place)
    assert run == ["make an environment", "install the peers"] * 2
    shared = (environment._site_packages(place) / environment.SHARED).read_text().split()
    assert any((environment.Path(folder) / "torch").is_dir() for folder in shared)
    assert (place / "tree" / "equibench" / "suite.py").is_file()
    assert (place / "tree" / "studies" / "peers" / "theirs.py").is_file()


def test_what_pip_says_last_is_the_reason():
    with pytest.raises(UserError, match=r"cannot install the peers \(no such package\); see that package registries"):
        environment._run(["sh", "-c", "echo first >&2; echo no such package >&2; exit 1"], "install the peers")
