"""`validate` names what is wrong with an entrant, whatever it is, and finds nothing wrong with those that keep the
contract.
"""

import math
import re
import shlex
import sys

import numpy as np
import pytest
import torch
from files_of_images import pixels, write_pngs
from generators import StyleGenerator, export, save_pipeline, script
from torch import nn

from equibench.conformance.claims import of_model
from equibench.conformance.entrant import SUM, named, validate
from equibench.conformance.example import Mixture
from equibench.conformance.mass import TINY, Mass, mass
from equibench.errors import UserError
from equibench.suite import Entrant

SHAPE = (1, 8, 8)


def failing(findings):
    return {finding.claim: finding.why for finding in findings if finding.holds is False}


def built(kind, shape=SHAPE):
    torch.manual_seed(0)
    return kind.build({"width": 8, "components": 3}, shape)


class Frozen(Mixture):
    def sample(self, n, generator, *, batch_size=250):  # noqa: ARG002
        return super().sample(n, torch.Generator().manual_seed(0), batch_size=batch_size)


class OneNoise(Mixture):
    def sample(self, n, generator, *, batch_size=250):  # noqa: ARG002
        return super().sample(1, generator).repeat(n, 1, 1, 1)


class Floats(Mixture):
    def sample(self, n, generator, *, batch_size=250):
        return super().sample(n, generator, batch_size=batch_size) / 255


class Elsewhere(Mixture):
    def sample(self, n, generator, *, batch_size=250):  # noqa: ARG002
        return super().sample(n, torch.Generator().manual_seed(int(torch.randint(9**9, ()))), batch_size=batch_size)


class BatchNoise(Mixture):
    def sample(self, n, generator, *, batch_size=250):
        sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
        return torch.cat([super(BatchNoise, self).sample(size, generator) for size in sizes])


class Idle(Mixture):
    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.unused = nn.Parameter(torch.zeros(2))


class Greedy(Mixture):
    def nats(self, images, generator):
        return super().nats(images, generator) - math.log(2)


class Scalar(Mixture):
    def nats(self, images, generator):
        return super().nats(images, generator).mean()


class Secret(Mixture):
    likelihood = "none"


class Broken(Mixture):
    def show(self, images, generator):  # noqa: ARG002
        raise ZeroDivisionError("no pictures")


@pytest.mark.parametrize(
    ("kind", "claim", "why"),
    [
        (Frozen, "the noise matters", "the noise is frozen, or not used"),
        (OneNoise, "the noise matters", "one noise is used for all"),
        (Floats, "samples are uint8 images of the shape", "torch.float32, not torch.uint8"),
        (Elsewhere, "the same seed gives the same bytes", "draws noise from elsewhere"),
        (BatchNoise, "the batch size changes nothing", "draw the noise for all n before"),
        (Idle, "an update takes images and changes every parameter", "left unused as it was"),
        (Scalar, "likelihoods are one an image, and repeat", r"nats gave \[\]"),
        (Secret, "likelihoods are one an image, and repeat", "declares no likelihood, and nats gives one"),
        (Broken, "it shows its workings", "ZeroDivisionError: no pictures"),
    ],
)
def test_what_breaks_a_claim_is_named(kind, claim, why):
    found = failing(of_model(built(kind), trains=True))
    assert claim in found
    assert re.search(why, found[claim])


def test_nothing_is_wrong_with_one_that_keeps_the_contract():
    assert failing(of_model(built(Mixture), trains=True)) == {}


@pytest.mark.parametrize("family", ["gan", "vae", "flow", "diffusion"])
def test_nothing_is_wrong_with_the_families(family):
    found = validate(Entrant(name="x", family=family, config={"width": 8}), allow_code=False)
    assert failing(found) == {}
    assert len(found) >= 11


def test_an_exact_likelihood_sums_to_one_and_a_greedy_one_is_caught():
    exact, greedy = mass(built(Mixture, TINY)), mass(built(Greedy, TINY))
    assert exact.tells("exact")
    assert exact.keeps("exact")
    assert greedy.total == pytest.approx(2 * exact.total, rel=1e-4)
    assert not greedy.keeps("exact")
    assert not greedy.keeps("upper bound")


def test_the_sum_of_a_known_density_is_found():
    """All pixels alike and independent, p of a level twice as large in one half of the levels as in the other."""

    class Halves:
        shape = TINY
        likelihood = "exact"
        probability = torch.cat([torch.full((128,), 1 / 192), torch.full((128,), 1 / 384)]).double()

        def sample(self, n, generator):
            drawn = torch.multinomial(self.probability, n * 16, replacement=True, generator=generator)
            return drawn.reshape(n, *TINY).to(torch.uint8)

        def nats(self, images, generator):  # noqa: ARG002
            return -self.probability[images.flatten(1).long()].log().sum(1)

    found = mass(Halves())
    assert found.total == pytest.approx(1, abs=4 * found.stderr)
    assert found.stderr < 0.1


def test_a_bound_may_sum_to_less_than_one_and_an_exact_likelihood_may_not():
    low = Mass(0.4, 0.01)
    assert low.keeps("upper bound")
    assert not low.keeps("exact")
    assert not Mass(1.2, 0.9).tells("upper bound")
    assert not Mass(0.8, 0.2).tells("exact")


@pytest.mark.parametrize("kind", ["torchscript", "torch.export"])
def test_a_saved_generator_keeps_what_applies(tmp_path, kind):
    save = script if kind == "torchscript" else lambda net, path: export(net, path, torch.zeros(2, 8))
    path = save(StyleGenerator().eval(), tmp_path / "g")
    entrant = Entrant(name="x", load=str(path), generator={"noise": [8]})
    with pytest.raises(UserError, match="can run any code"):
        validate(entrant, allow_code=False)
    found = validate(entrant, allow_code=True)
    assert failing(found) == {}
    assert found[0].why == "images of 1x8x8"


def test_a_pipeline_of_diffusers_keeps_what_applies(tmp_path):
    pytest.importorskip("diffusers", reason="the extra [diffusers] is not installed")
    found = validate(named(str(save_pipeline(tmp_path / "p"))), allow_code=False)
    assert failing(found) == {}
    assert "15 settings, of 10 to 99 passes" in [finding.why for finding in found]


class Frames(nn.Module):
    """A generator whose noise does not matter, or whose dropout is on."""

    def __init__(self, dropout: bool) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        image = torch.zeros(z.shape[0], 1, 8, 8)
        if self.dropout:
            return image + nn.functional.dropout(z[:, :1, None, None].expand(-1, 1, 8, 8), 0.5, True)
        return image


@pytest.mark.parametrize(
    ("dropout", "claim"), [(False, "the noise matters"), (True, "an image hangs on its noise alone")]
)
def test_a_saved_generator_with_frozen_noise_or_dropout_is_named(tmp_path, dropout, claim):
    path = script(Frames(dropout), tmp_path / "g")
    found = validate(Entrant(name="x", load=str(path), generator={"noise": [8]}), allow_code=True)
    assert claim in failing(found)


class Sigmoid(nn.Module):
    """Values from 0 to 1, as a network that ends in a sigmoid gives them."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(4 * z).reshape(z.shape[0], 1, 8, 8)


def test_a_range_of_which_the_generator_uses_one_half_is_named(tmp_path):
    path = str(script(Sigmoid(), tmp_path / "g"))
    noise = {"noise": [64]}
    usual = failing(validate(Entrant(name="x", load=path, generator=noise), allow_code=True))
    assert list(usual) == ["its values are of the declared range"]
    assert usual.popitem()[1].endswith("another range than -1 to 1, declare its low")
    assert failing(validate(Entrant(name="x", load=path, generator={**noise, "low": 0.0}), allow_code=True)) == {}
    other = {**noise, "low": 0.0, "high": 2.5}
    assert (
        "declare its high"
        in failing(validate(Entrant(name="x", load=path, generator=other), allow_code=True)).popitem()[1]
    )


def test_other_noise_than_declared_is_said_where_it_is_opened(tmp_path):
    path = script(StyleGenerator().eval(), tmp_path / "g")
    found = validate(Entrant(name="x", load=str(path), generator={"noise": [9]}), allow_code=True)
    ((claim, why),) = failing(found).items()
    assert claim == "it is opened, and takes noise of the declared shape"
    assert "shapes cannot be multiplied" in why  # what TorchScript says last; the first line of it says nothing


class Flat(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z)


def test_a_generator_that_gives_no_images_is_told_what_it_gives(tmp_path):
    path = script(Flat(), tmp_path / "g")
    found = validate(Entrant(name="x", load=str(path), generator={"noise": [64]}), allow_code=True)
    assert failing(found).popitem()[1].startswith("ValueError: it gives [1, 64], and not images [B, C, H, W]")


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({"config": {"witdh": 8}}, "unknown config key 'witdh'; did you mean 'width'"),
        ({"sampler": {"stpes": 8}}, "unknown sampler option 'stpes'"),
        ({"config": {"width": "wide"}}, "width must be a"),
    ],
)
def test_a_mistake_in_what_is_declared_is_a_sentence_and_no_claim(declared, sentence):
    with pytest.raises(UserError, match=sentence):
        validate(Entrant(name="x", family="vae", **declared), allow_code=False)


def test_sides_that_a_family_is_not_built_for_are_a_sentence_and_no_claim():
    with pytest.raises(UserError, match=r"the family flow is built for sides that are multiples of 4, and not .* 9x8"):
        validate(named("flow"), (1, 9, 8), allow_code=False)


def test_a_generator_without_declared_noise_is_a_sentence_and_no_claim(tmp_path):
    path = script(Flat(), tmp_path / "g")
    with pytest.raises(UserError, match=r"what noise goes into .* is not known; declare it in a suite"):
        validate(named(str(path)), allow_code=True)


def test_a_scheduler_by_which_a_pipeline_cannot_be_sampled_is_a_sentence_and_no_claim(tmp_path):
    pytest.importorskip("diffusers", reason="the extra [diffusers] is not installed")
    entrant = Entrant(name="x", load=str(save_pipeline(tmp_path / "p")), sampler={"scheduler": "LCMScheduler"})
    with pytest.raises(UserError, match=r"entrant 'x' cannot be sampled: .*LCMScheduler"):
        validate(entrant, allow_code=False)


def test_a_file_of_python_is_no_entrant(tmp_path):
    (tmp_path / "my_family.py").write_text("")
    for text in (str(tmp_path / "my_family.py"), "my_family.py"):
        with pytest.raises(UserError, match=r"give the class in it as module:Class, such as my_family:MyFamily$"):
            named(text)


def test_samples_that_are_copies_or_floats_in_disguise_are_named(tmp_path):
    good = validate(named(str(write_pngs(tmp_path / "good", pixels(60, 8, 8)))), allow_code=False)
    assert failing(good) == {}
    np.save(tmp_path / "copies.npy", np.repeat(pixels(2, 8, 8), 30, axis=0))
    np.save(tmp_path / "cast.npy", pixels(60, 8, 8) // 128)
    assert (
        "58 of 60 are copies" in failing(validate(named(str(tmp_path / "copies.npy")), allow_code=False)).popitem()[1]
    )
    assert "their values are 8-bit levels" in failing(validate(named(str(tmp_path / "cast.npy")), allow_code=False))


def test_samples_that_cannot_be_opened_are_a_sentence_and_no_claim(tmp_path):
    (tmp_path / "empty").mkdir()
    mixed = write_pngs(tmp_path / "mixed", pixels(2, 8, 8))
    write_pngs(mixed / "other", pixels(2, 9, 9))
    np.savez(tmp_path / "labels.npz", labels=np.arange(4))
    for name, words in (("empty", "no images"), ("mixed", "images differ in size"), ("labels.npz", "holds labels")):
        with pytest.raises(UserError, match=words):
            validate(named(str(tmp_path / name)), allow_code=False)


def test_a_command_that_ignores_its_seed_is_named(tmp_path):
    images = "numpy.random.default_rng(3).integers(0, 256, (64, 8, 8), 'u1')"
    code = f"import sys, numpy; numpy.save(sys.argv[1] + '.npy', {images})"
    (tmp_path / "w.py").write_text(code)
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(tmp_path / 'w.py'))} {{out}}"
    with pytest.raises(UserError, match="can run any code"):
        validate(Entrant(name="x", command=command), allow_code=False)
    found = validate(Entrant(name="x", command=command), allow_code=True)
    assert failing(found) == {"the noise matters": "ValueError: another seed ({seed}) wrote the same images"}


def test_what_is_nothing_is_a_sentence():
    with pytest.raises(UserError, match="no family, no installed entry point and no file"):
        named("nonsense")


@pytest.mark.parametrize("text", ["mine:", ":Mine", "a:b:c", "a-b:c", "./mine.py:Mine"])
def test_a_class_that_is_named_wrongly_is_a_sentence(text):
    with pytest.raises(UserError, match="names no class; give it as module:Class"):
        named(text)


def test_a_family_without_a_likelihood_claims_no_sum():
    found = {
        finding.claim: finding
        for finding in validate(Entrant(name="x", family="gan", config={"width": 8}), allow_code=False)
    }
    assert found[SUM].holds is None
    assert "'none'" in found[SUM].why
