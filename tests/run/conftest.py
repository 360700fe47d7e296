"""Few images to train on."""

import pytest

from equibench.data import sets


@pytest.fixture(scope="module")
def images():
    return sets.load("fashion-mnist-10k").limited(200, 100)
