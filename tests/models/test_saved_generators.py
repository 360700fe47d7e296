"""Generators of other tools: what they give is what the network itself gives, and what is no image is refused."""

import pytest
import torch
from generators import StyleGenerator, export, script, trace
from torch import nn

from equibench_models import family
from equibench_models.outside.generator import WrongImagesError

SHAPE = (1, 8, 8)
KINDS = {
    "torchscript": lambda network, path: script(network, path),
    "torch.export": lambda network, path: export(network, path, torch.zeros(2, 8)),
}


def built(kind, path, **declared):
    return family(kind).build({"path": str(path), "noise": (8,), **declared}, SHAPE)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=KINDS)
def saved(request, tmp_path):
    network = StyleGenerator().eval()
    return network, built(request.param, KINDS[request.param](network, tmp_path / "saved"))


def test_images_are_those_of_the_network_rounded_to_8_bits(saved):
    network, model = saved
    noise = torch.randn(5, 8, generator=seeded())
    with torch.no_grad():
        expected = [[round(127.5 * (float(v) + 1)) for v in image.flatten()] for image in network(noise)]
    found = model.sample(5, seeded())
    assert found.dtype == torch.uint8
    assert found.shape == (5, *SHAPE)
    assert abs(found.flatten(1).int() - torch.tensor(expected)).max() <= 1  # of halves, either way
    assert model.sampling_parameters() == sum(one.numel() for one in network.parameters())


def test_the_same_seed_gives_the_same_bytes_and_batches_change_nothing(saved):
    _, model = saved
    whole = model.sample(10, seeded(), batch_size=10)
    assert torch.equal(model.sample(10, seeded(), batch_size=10), whole)
    assert abs(model.sample(10, seeded(), batch_size=3).int() - whole.int()).max() <= 1
    assert not torch.equal(model.sample(10, seeded(1), batch_size=10), whole)


def test_it_is_not_trained_and_has_no_likelihood(saved):
    _, model = saved
    assert model.likelihood == "none"
    for call in (lambda: model.update(torch.zeros(2, *SHAPE)), lambda: model.nats(torch.zeros(2, *SHAPE), seeded())):
        with pytest.raises(NotImplementedError):
            call()


def test_a_file_that_takes_one_batch_size_alone_is_given_it(tmp_path):
    """As of one that was traced with 4 images; 10 are asked for."""

    class Fixed(StyleGenerator):
        def forward(self, z):
            return super().forward(z.reshape(4, 8))

    network = Fixed().eval()
    path = trace(network, tmp_path / "traced", torch.zeros(4, 8))
    with pytest.raises(RuntimeError):
        built("torchscript", path).sample(10, seeded())
    found = built("torchscript", path, only_batch=4).sample(10, seeded())
    free = built("torchscript", script(StyleGenerator().eval(), tmp_path / "free")).sample(10, seeded())
    assert abs(found.int() - free.int()).max() <= 1


class Own(nn.Module):
    """Gives what a test makes it give."""

    def __init__(self, give: str) -> None:
        super().__init__()
        self.give = give

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        images = z[:, :1, None, None].expand(-1, 1, 8, 8)
        if self.give == "NaN":
            return images / 0 - images / 0
        if self.give == "flat":
            return z
        if self.give == "random":
            return torch.rand(z.shape[0], 1, 8, 8) * 2 - 1
        if self.give == "levels":
            return torch.arange(0.0, 256.0, 4.0).reshape(1, 1, 8, 8).expand(z.shape[0], -1, -1, -1)
        if self.give == "bytes":
            return torch.full((z.shape[0], 1, 8, 8), 7, dtype=torch.uint8)
        return torch.full((z.shape[0], 1, 8, 8), 0.9999)


@pytest.mark.parametrize(("give", "why"), [("NaN", "not finite"), ("flat", r"gave \[3, 8\], not \[3, 1, 8, 8\]")])
def test_what_is_no_image_is_refused(tmp_path, give, why):
    with pytest.raises(WrongImagesError, match=why):
        built("torchscript", script(Own(give), tmp_path / "own")).sample(3, seeded())


def test_values_are_rounded_clipped_and_bytes_are_taken_as_they_are(tmp_path):
    near = script(Own("near"), tmp_path / "near")
    assert built("torchscript", near).sample(1, seeded()).unique().tolist() == [255]  # 0.9999 is white
    assert built("torchscript", near, low=0, high=2).sample(1, seeded()).unique().tolist() == [127]
    assert built("torchscript", near, low=0, high=0.9).sample(1, seeded()).unique().tolist() == [255]
    assert built("torchscript", script(Own("bytes"), tmp_path / "bytes")).sample(2, seeded()).unique().tolist() == [7]


@pytest.mark.parametrize(
    ("low", "high", "refused"),
    [(-1.0, 1.0, True), (0.0, 1.0, True), (0.0, 255.0, False), (0.0, 170.0, False), (-10.0, 300.0, False)],
)
def test_a_range_that_is_not_the_generator_s_is_refused(tmp_path, low, high, refused):
    """Of one that gives 0 to 255, which most of its values of a declared -1 to 1 would round to white."""
    model = built("torchscript", script(Own("levels"), tmp_path / "levels"), low=low, high=high)
    if refused:
        with pytest.raises(WrongImagesError, match=r"far outside .* \(0 to 252 were seen\); declare low and high"):
            model.sample(3, seeded())
    else:
        assert model.sample(3, seeded()).shape == (3, *SHAPE)


def test_noise_that_a_program_draws_itself_follows_the_seed_and_leaves_torch_s_alone(tmp_path):
    model = built("torchscript", script(Own("random"), tmp_path / "random"))
    torch.manual_seed(1)
    first, after = model.sample(3, seeded()), torch.rand(())
    torch.manual_seed(2)
    again = model.sample(3, seeded())
    assert torch.equal(first, again)
    torch.manual_seed(1)
    assert torch.rand(()) == after


def test_uniform_noise_lies_in_minus_one_to_one(tmp_path):
    model = built("torchscript", script(Own("identity"), tmp_path / "x"), distribution="uniform")
    seen = []
    model.network = lambda noise: (seen.append(noise), torch.zeros(len(noise), *SHAPE))[1]
    model.sample(400, seeded())
    assert -1 <= seen[-1].min() < -0.95
    assert 0.95 < seen[-1].max() <= 1
