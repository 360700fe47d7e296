"""Few images to train on, and a reference workload that takes no time: what is timed here is not compared."""

import pytest

from equibench.data import sets
from equibench.machine import reference


@pytest.fixture(scope="session", autouse=True)
def small_reference():
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(reference.SIZES, "cpu", reference.WorkSize(1, 4, 4, 1, 1))
        yield


@pytest.fixture(scope="module")
def images():
    return sets.load("fashion-mnist-10k").limited(200, 100)
