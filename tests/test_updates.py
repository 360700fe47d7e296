"""Captured updates, on a processor: a replay is the function once more, which reads the same tensors anew. What a GPU
does with it `equibench selftest` tries.
"""

import pytest
import torch

from equibench import updates as runs
from equibench.updates import EAGER_UPDATES, CapturedUpdates, Updates
from equibench_models import FAMILIES, family

CPU = torch.device("cpu")
SHARES = [0.0, 0.01, 0.2, 0.4, 0.6, 0.8, 0.99]  # of the budget: warm-up, peak and decay of the learning rate


@pytest.fixture(autouse=True)
def replay(monkeypatch):
    """Counts the captures."""
    made = []

    def once_more(function):
        made.append(function)
        return function

    monkeypatch.setattr(runs, "captured", once_more)
    return made


def model_of(name, **config):
    torch.manual_seed(0)
    return family(name).build({"width": 8, "batch_size": 4} | config, (1, 8, 8))


def batch(i, *, labelled=False):
    generator = torch.Generator().manual_seed(i)
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return [images, *([torch.randint(0, 3, (4,), generator=generator)] if labelled else [])]


def trained(updates, *, labelled=False):
    torch.manual_seed(1)
    losses = []
    for i, share in enumerate(SHARES):
        images, *labels = batch(i, labelled=labelled)
        losses.append(updates.run(images, share, *labels))
    updates.settle()
    return losses


@pytest.mark.parametrize("config", [{}, {"classes": 3}, {"optimizer": "adam"}], ids=["plain", "labels", "adam"])
@pytest.mark.parametrize("name", FAMILIES)
def test_captured_updates_are_those_of_eager_mode(name, config, replay):
    """Losses and weights after the last of them, those of averages too, at every share of the budget."""
    eager, through = model_of(name, **config), model_of(name, **config)
    expected = trained(Updates(eager), labelled="classes" in config)
    found = trained(CapturedUpdates(through, CPU), labelled="classes" in config)
    assert len(replay) == 1
    assert len(SHARES) > EAGER_UPDATES + 1
    for there, here in zip(expected, found, strict=True):
        for loss, value in there.items():
            torch.testing.assert_close(here[loss], value.detach().float(), rtol=1e-3, atol=1e-4)
    assert through.average.updates == eager.average.updates == len(SHARES)
    assert isinstance(through.average.updates, int)
    for (weight, there), here in zip(eager.named_parameters(), through.parameters(), strict=True):
        torch.testing.assert_close(
            here, there, rtol=1e-3, atol=1e-4, msg=lambda text, weight=weight: f"{weight}: {text}"
        )


def test_losses_outlive_the_next_update():
    updates = CapturedUpdates(model_of("vae"), CPU)
    losses = [updates.run(*batch(i), 0.5)["bits_per_dim"] for i in range(EAGER_UPDATES + 3)]
    assert len({float(loss) for loss in losses}) == len(losses)


def test_a_training_that_was_kept_is_counted_from_where_it_was():
    """Its state is put into the model after the updates are made, and before the first of them."""
    model = model_of("flow")
    updates = CapturedUpdates(model, CPU)
    model.average.updates = 40
    for i in range(EAGER_UPDATES + 2):
        updates.run(*batch(i), 0.5)
    updates.settle()
    assert model.average.updates == 40 + EAGER_UPDATES + 2
