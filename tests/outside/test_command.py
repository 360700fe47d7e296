"""Commands that write samples: what they are told, what they give, and what becomes of those that fail."""

import shlex
import sys

import numpy as np
import pytest

from equibench.outside.command import CommandError, written_by

WRITES = """
import sys, numpy
numpy.savez(sys.argv[1], images=numpy.full((int(sys.argv[2]), 8, 8), int(sys.argv[3]), "u1"))
"""


def python(code, *arguments):
    return shlex.join([sys.executable, "-c", code]) + " " + " ".join(arguments)


def test_a_command_is_told_how_many_and_from_which_seed(tmp_path):
    found = written_by(python(WRITES, "{out}", "{n}", "{seed}"), tmp_path / "a b", 7, 3)
    assert found.name == "samples.npz"
    assert np.array_equal(np.load(found)["images"], np.full((7, 8, 8), 3))


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (python("import sys; print('first'); sys.exit('no weights')", "{out}"), "ended with code 1: no weights"),
        (python("pass", "{out}"), "wrote nothing to {out}"),
        ("no-such-program {out}", "cannot run no-such-program"),
    ],
    ids=["fails", "writes nothing", "is not there"],
)
def test_a_command_that_gives_nothing_says_why(tmp_path, command, why):
    with pytest.raises(CommandError, match=why):
        written_by(command, tmp_path, 7, 3)


def test_what_a_command_wrote_before_it_was_stopped_is_none_of_its_samples(tmp_path):
    folder = tmp_path / "written"
    before = written_by(python("import os, sys; os.mkdir(sys.argv[1])", "{out}"), folder, 7, 3)
    assert before.is_dir()
    again = written_by(python(WRITES, "{out}", "{n}", "{seed}"), folder, 7, 3)
    assert again.name == "samples.npz"
    assert not before.exists()
