"""How commands end: the codes of docs/exit-codes.md, with one sentence, whatever the terminal and the system do."""

import errno
import os
import pty
import signal
import subprocess
import sys

import click
import pytest
from fixtures import equibench, make, save
from judging import changed

from equibench.cli import endings
from equibench.errors import UserError


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save([make("vae", seed) for seed in range(3)], tmp_path_factory.mktemp("results"), with_arrays=False)


@pytest.fixture(scope="module")
def worse(tmp_path_factory):
    after = [changed(make("vae", seed), weights_sha256=None, quality={"value": 300.0}) for seed in range(3)]
    return save(after, tmp_path_factory.mktemp("worse"), with_arrays=False)


def command(*arguments):
    return [sys.executable, "-m", "equibench", *map(str, arguments)]


def in_shell(line, *arguments, **environment):
    """A command whose words are `"$@"` in a line of the shell."""
    words = ["bash", "-c", line, "bash", *command(*arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (click.exceptions.Exit(3), 3, ""),
        (UserError("give this"), 2, "equibench: give this\n"),
        (UserError("a name\n\x1b[2Jin it"), 2, "equibench: a name\\n\\x1b[2Jin it\n"),
        (click.UsageError("Missing this."), 2, "equibench: missing this (`equibench --help` shows what there is)\n"),
        (click.NoSuchOption("--sede", possibilities=["--seeds"]), 2, "no such option --sede; did you mean --seeds?"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 2, "the system says: No space left on device (x)"),
        (OSError("its own words"), 2, "a fault of equibench: OSError: its own words"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, "the system says: Broken pipe"),  # not that of the output
        (endings.OutputError(errno.EPIPE, "Broken pipe"), 141, ""),
        (endings.OutputError(errno.ENOSPC, "No space left"), 2, "cannot write the output (No space left)"),
        (MemoryError(), 2, "there is not enough memory"),
        (RecursionError("too deep"), 2, "a fault of equibench: RecursionError: too deep"),
        (EOFError(), 2, "a fault of equibench: EOFError: EOFError"),
        (KeyError("x\ny"), 2, "a fault of equibench: KeyError: 'x\\ny'"),
        (SystemExit(0), 2, "code that was called ended the program"),
        (SystemExit(1), 2, "code that was called ended the program"),
        (KeyboardInterrupt(), 130, "stopped"),
        (click.Abort(), 130, "stopped"),
        (endings.Terminated(signal.SIGTERM), 143, "stopped"),
    ],
)
def test_every_ending_has_a_code_and_at_most_one_sentence(error, code, sentence, capsys):
    assert endings.code_of(error) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert sentence in told.err
    assert told.err.count("\n") == bool(sentence)


def test_a_fault_shows_where_it_lies_if_asked(monkeypatch, capsys):
    monkeypatch.setenv(endings.TRACEBACK, "1")
    with pytest.raises(IndexError) as caught:
        [][0]
    assert endings.code_of(caught.value) == 2
    told = capsys.readouterr().err
    assert "test_exit_codes.py" in told
    assert told.splitlines()[-1].startswith("equibench: this is a fault of equibench: IndexError")


def test_verdicts_are_codes_of_their_own(results, worse):
    done = equibench("check", results, "--baseline", results)
    assert (done.returncode, done.stderr) == (0, "")
    done = equibench("check", worse, "--baseline", results)
    assert (done.returncode, done.stderr) == (1, "")
    signature = equibench("cite", "FD_5k", "vae", "--results", results).stdout.rpartition("signature: ")[2].strip()
    assert equibench("verify", signature, "--results", results).returncode == 0
    assert equibench("verify", signature.replace("FD_5k=", "FD_5k=1"), "--results", results).returncode == 1
    assert equibench("verify", "nonsense", "--results", results).returncode == 2


def test_a_check_that_compared_nothing_is_not_passed(results, tmp_path):
    nothing = dict.fromkeys(("quality", "likelihood", "speed", "memory", "spent"))
    empty = save([make("vae", seed, **nothing, bounds=[]) for seed in range(3)], tmp_path / "empty", with_arrays=False)
    for run in (results, empty):
        done = equibench("check", run, "--baseline", empty)
        assert done.returncode == 2, done.stdout
        assert "no number could be compared" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["ls"],
        ["--help"],
        ["check", "RESULTS", "--baseline", "RESULTS"],
        ["cite", "FD_5k", "vae", "--results", "RESULTS"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_output_that_nobody_takes(arguments, results):
    words = [str(results) if word == "RESULTS" else word for word in arguments]
    done = in_shell('"$@" > /dev/full', *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "cannot write the output (No space left on device)" in done.stderr
    done = in_shell('"$@" | true; exit ${PIPESTATUS[0]}', *words)
    assert (done.returncode, done.stderr) == (141, "")
    done = in_shell('"$@" >&- 2>&- <&-', *words)  # no stream at all: the verdict stands
    assert done.returncode == 0


def test_a_sentence_that_nobody_takes(results):
    for line in ('"$@" 2> /dev/full', '"$@" 2>&-', '"$@" 2>&1 >&- | true; exit ${PIPESTATUS[0]}'):
        assert in_shell(line, "cite", "nope", "vae", "--results", results).returncode == 2


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"},
                                         {"PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONUTF8": "0"}])  # fmt: skip
def test_every_encoding_prints_tables_and_sentences(environment, results, tmp_path):
    folder = save([make("vae")], tmp_path / "猫 é", with_arrays=False)
    for words in (["check", results, "--baseline", results], ["cite", "FD_5k", "vae", "--results", results]):
        done = in_shell('"$@"', *words, **environment)
        assert (done.returncode, done.stderr) == (0, "")
    done = in_shell('"$@"', "cite", "FD_5k", "gan", "--results", folder, **environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = in_shell('"$@"', "cite", "nope", "vae", "--results", tmp_path / "猫\udcff", **environment)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no records at" in done.stderr


@pytest.mark.parametrize("kind", ["dumb", "xterm", "nonsense", ""])
def test_every_terminal_shows_whole_names(kind, results, tmp_path):
    """On a terminal of 40 columns no table is cut off: what does not fit goes on in the next line."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": kind, "COLUMNS": "40"}
    path = tmp_path / "out.txt"
    with path.open("wb") as copy, subprocess.Popen(
        command("check", results, "--baseline", results), stdout=slave, stderr=slave, env=environment
    ) as process:  # fmt: skip
        os.close(slave)
        while True:
            try:
                copy.write(os.read(master, 65536))
            except OSError:  # the last to hold the other end let it go
                break
    os.close(master)
    assert process.returncode == 0
    shown = path.read_text()
    assert "…" not in shown
    assert "No regression" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_in_good_order(number, tmp_path):
    code = (
        "import signal, sys, time, click\n"
        "from equibench import atomic\n"
        "from equibench.cli import main\n"
        "from pathlib import Path\n"
        "@main.cli.command()\n"
        "def wait():\n"
        f"    with atomic.replacing(Path({str(tmp_path / 'file')!r})):\n"
        "        click.echo('ready')\n"
        "        time.sleep(60)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored by what a shell starts in the background
        "sys.argv = ['equibench', 'wait']\n"
        "main.main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        assert process.stderr.read() == "equibench: stopped; what is finished is kept, and the same command goes on\n"
    assert list(tmp_path.iterdir()) == []  # what was being written is gone


def test_remarks_are_lines_and_said_once(tmp_path):
    folder = save([make("vae")], tmp_path / "results", with_arrays=False)
    (folder / "my \x1b record.json").write_text('{"key": "entrant protocol"entrant"protocol"')
    done = equibench("cite", "FD_5k", "vae", "--results", folder)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("equibench: note: left out: ")
    assert r"my \x1b record.json is no record" in done.stderr


def test_the_page_lists_every_code():
    from fixtures import ROOT

    page = (ROOT / "docs" / "exit-codes.md").read_text()
    codes = {0, endings.WORSE, endings.FAILED, endings.CELLS_NOT_OK, *(128 + n for n in (1, 2, 13, 15))}
    for code in codes:
        assert f"{code} " in page or f"{code}," in page, code
    told = equibench("--help").stdout
    assert "docs/exit-codes.md" in told
    assert "Exit codes: 0" in told


def test_a_shell_can_still_ask_what_may_follow():
    words = {"_EQUIBENCH_COMPLETE": "bash_complete", "COMP_WORDS": "equibench sch", "COMP_CWORD": "1"}
    done = equibench(env={**os.environ, **words})
    assert done.stdout.split() == ["plain,schema"]
