"""Which errors are the machine's, and no result of the work that met them."""

import errno
import os
import socket

import pytest

from equibench.errors import first_line, is_of_the_machine, last_line


def error(number, *file):
    return OSError(number, os.strerror(number), *file)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENFILE])
def test_a_full_or_lost_disk_is_the_machine_s(number):
    assert is_of_the_machine(error(number))


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN])
def test_a_lost_mount_is_the_machine_s_and_a_connection_is_the_program_s(number):
    """An entrant that asks a server, and gets no answer, has failed by itself."""
    assert is_of_the_machine(error(number, "/mnt/results/record.json"))
    assert not is_of_the_machine(error(number))


def test_a_socket_without_a_peer_is_the_program_s():
    with socket.socket() as alone, pytest.raises(OSError) as found:  # noqa: PT011 (its number is what is looked at)
        alone.getpeername()
    assert found.value.errno == errno.ENOTCONN
    assert not is_of_the_machine(found.value)


@pytest.mark.parametrize("other", [error(errno.ENOENT, "x"), error(errno.EMFILE), TimeoutError("slow"), ValueError()])
def test_other_errors_are_the_program_s(other):
    assert not is_of_the_machine(other)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("it cannot say what it is")


@pytest.mark.parametrize(("one", "first", "last"), [
    (ValueError("a\nb"), "a", "b"),
    (ValueError(" \n "), "ValueError", "ValueError"),
    (KeyError(), "KeyError", "KeyError"),
    (Mute(), "Mute", "Mute"),
])  # fmt: skip
def test_every_error_has_a_line_for_a_sentence(one, first, last):
    assert (first_line(one), last_line(one)) == (first, last)
