"""Families that end in every way a model can, by `module:Class` as a user's own: each does so in training, or in the
stage that its config names.
"""

import ctypes
import errno
import os
import signal
import subprocess
import sys
import tempfile
import time

import psutil
import torch
from pydantic import Field

from equibench_models.contract import Config, Model, Options, Showing
from equibench_models.vae.model import VAE

# in the command of processes that must not outlive their cell: those of this test run, as others may go on beside it
MARK = os.environ.setdefault("EQUIBENCH_TEST_MARK", f"equibench-test-orphan-{os.getpid()}")


def segfault():
    ctypes.string_at(0)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def leave():
    sys.exit(0)


def leave_at_once():
    os._exit(0)


def abort():
    os.abort()


def hang():
    while True:
        time.sleep(1)


def hang_with_the_lock():
    """In native code that gives no other thread a turn."""
    ctypes.PyDLL(None).sleep(600)


def hang_deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = "import time; time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code, MARK], start_new_session=True)
    hang()


def leave_an_orphan():
    """A grandchild that a group's signal does not reach, whose parent has ended."""
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    subprocess.run([sys.executable, "-c", code, MARK], check=True)
    raise RuntimeError("left something behind")


def talk():
    for _ in range(40):
        print("x" * 2**18)
    raise ValueError("y" * 10_000_000)


def run_out():
    torch.empty(2**60, dtype=torch.uint8)


def lie_about_memory():
    raise RuntimeError("it is not that I am out of memory")


def fill_the_disk():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def change_defaults():
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)


def speak_out_of_turn():
    """On every descriptor that it has."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b'{"done": tru')
        except OSError:
            continue
    raise RuntimeError("said too much")


def interrupt():
    raise KeyboardInterrupt


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("not even its words")


def raise_what_says_nothing():
    raise MuteError


def name_a_file_of_other_bytes():
    raise ValueError("no caf\udce9 here")


def open_too_many():
    held = []
    while True:
        held.append(open(os.devnull))  # noqa: SIM115


def move():
    os.chdir(tempfile.mkdtemp())


def take_more_threads():
    torch.set_num_threads(torch.get_num_threads() + 5)


def end_with_all():
    """As where a whole job is ended: its own process first, the program a moment later."""
    program = psutil.Process(os.getppid()).ppid()
    subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -INT {program}"], start_new_session=True)
    kill()


WAYS = {function.__name__: function for function in (
    segfault, kill, terminate, leave, leave_at_once, abort, hang, hang_with_the_lock, hang_deaf, leave_an_orphan, talk,
    run_out, fill_the_disk, lie_about_memory, change_defaults, speak_out_of_turn,
    interrupt, raise_what_says_nothing, name_a_file_of_other_bytes, open_too_many, move, take_more_threads,
    end_with_all,
)}  # fmt: skip


class Ending(Config):
    """`how` it ends, in `where`: training, sampling or the likelihood."""

    width: int = Field(8, ge=8)
    batch_size: int = 8
    how: str = "none"
    where: str = "update"


class Family(Model):
    """A small VAE that ends as it is told. While an entrant is planned, it behaves."""

    config_type = Ending
    options_type = Options
    likelihood, dequantization, samplers, about = VAE.likelihood, VAE.dequantization, {}, VAE.about

    def __init__(self, config, shape):
        super().__init__(config, shape)
        self.vae = VAE.build({"width": config.width, "batch_size": config.batch_size}, shape)
        self._done = False

    def _end(self, where):
        if where == self.config.where and self.config.how in WAYS:
            WAYS[self.config.how]()

    def update(self, images, progress=0.0):
        self._end("update" if progress and images.any() else "plan")  # it is planned on black images
        return self.vae.update(images, progress)

    def sample(self, n, generator, *, batch_size=250):
        if self.config.where == "sample" and self.config.how == "wrong_shape":
            return torch.zeros(n, 1, 5, 5)
        images = self.vae.sample(n, generator, batch_size=batch_size)
        if n > 16:
            self._end("sample")
        return images

    def nats(self, images, generator):
        self._end("nats")
        if self.config.where == "nats" and self.config.how == "nan":
            return torch.full([len(images)], torch.nan)
        return self.vae.nats(images, generator)

    def show(self, images, generator):
        shown = self.vae.show(images, generator)
        odd = {"odd": torch.nan} if self.config.where == "show" and self.config.how == "nan" else {}
        return Showing({**shown.numbers, **odd}, shown.pictures)

    def sampling_parameters(self):
        return self.vae.sampling_parameters()
