"""What keeps fresh seeds from being trained: they would be of another suite, or of other code, than the run."""

from types import SimpleNamespace

import pytest
import torch
from fixtures import floor, make, save

from equibench.errors import UserError
from equibench.judge import fresh
from equibench.judge.rerun import Rerun
from equibench.machine.code import code_digest, package_versions
from equibench.machine.provenance import describe_machine
from equibench.suite import Entrant

CPU = torch.device("cpu")


def rebuilt_as(monkeypatch, key, config):
    """As if the record's cell had been found in a suite."""
    cell = SimpleNamespace(suite=SimpleNamespace(name="mine"), entrant=Entrant(name="vae", family="vae", config=config))
    session = SimpleNamespace(device=CPU, key=lambda _: key, own=lambda _: [])
    monkeypatch.setattr(fresh, "rebuilt", lambda *_: (cell, session))


def record(here=True, **code):
    one = make("vae")
    machine = describe_machine(CPU) if here else one.machine
    made = one.code.model_copy(update={"sources_sha256": code_digest(), **code})
    return one.model_copy(update={"machine": machine, "code": made, "versions": package_versions()})


@pytest.mark.parametrize(
    ("one", "key", "config", "sentence"),
    [
        (record(), "another", {}, "the suite mine has other settings than vae was run with"),
        (record(here=False), "another", {"width": 7}, "the suite mine has other settings"),
        (
            record(sources_sha256="0" * 64),
            None,
            {},
            "the record of vae was made by other code .* of another version",
        ),
    ],
)
def test_another_suite_or_other_code_is_refused(monkeypatch, tmp_path, one, key, config, sentence):
    rebuilt_as(monkeypatch, key or one.key, config)
    train = fresh.Trainer({one.key: tmp_path}, tmp_path, Rerun())
    with pytest.raises(UserError, match=sentence):
        train({one.seed: one}, [1])


@pytest.mark.parametrize("one", [record(), record(here=False)])
def test_the_run_s_own_is_trained(monkeypatch, tmp_path, one):
    from equibench.run import loop

    def run_cells(session, _tell, crew):
        assert crew is None
        for cell in session.wanted:
            assert cell.entrant.name == "vae"
            yield SimpleNamespace(record=one.model_copy(update={"seed": cell.seed}))

    rebuilt_as(monkeypatch, one.key if one.machine.key != make("vae").machine.key else "of another machine", {})
    monkeypatch.setattr(loop, "run_cells", run_cells)
    monkeypatch.setattr(fresh, "replace", lambda thing, **changes: SimpleNamespace(**vars(thing) | changes))
    heard = []
    train = fresh.Trainer({one.key: tmp_path}, tmp_path, Rerun(), heard.append)
    assert [found.seed for found in train({one.seed: one}, [4, 5])] == [4, 5]
    assert [done.record.seed for done in heard] == [4, 5]


def test_a_suite_that_is_not_to_be_had_is_said_at_once(tmp_path):
    save([make("vae", suite="mine"), make("gan", suite="ci"), floor("uniform", bits=8.0)], tmp_path, with_arrays=False)
    with pytest.raises(UserError, match=r"by the suite 'mine', which does not ship; give its .toml by --suite"):
        fresh.trainer([tmp_path], tmp_path / "out", Rerun(), lambda done: None)
    found = fresh.trainer([tmp_path], tmp_path / "out", Rerun(suite="ci"), lambda done: None)
    assert len(found.files) == 3


@pytest.mark.parametrize(("cores", "more"), [(64, 1), (1, 0)])
def test_the_threads_are_the_record_s_where_there_are_cores_for_them(monkeypatch, tmp_path, cores, more):
    """`run --threads` has made the record; they are part of its machine's key, by which speeds are compared."""
    from equibench.run import loop

    before = torch.get_num_threads()
    one = record()
    one = one.model_copy(update={"machine": one.machine.model_copy(update={"threads": before + 1})})
    heard = []

    def run_cells(_session, _tell, crew):
        assert crew is None
        heard.append(torch.get_num_threads())
        yield SimpleNamespace(record=one)

    rebuilt_as(monkeypatch, one.key, {})
    monkeypatch.setattr(loop, "run_cells", run_cells)
    monkeypatch.setattr(fresh, "replace", lambda thing, **changes: SimpleNamespace(**vars(thing) | changes))
    monkeypatch.setattr("equibench.machine.cores.usable_cores", lambda: cores)
    fresh.Trainer({one.key: tmp_path}, tmp_path, Rerun())({one.seed: one}, [4])
    assert heard == [before + more]
    assert torch.get_num_threads() == before
