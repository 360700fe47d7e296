"""Precision and torch.compile of a cell: part of its key and its record, refused where the machine cannot, nothing
changed where a suite does not name them.
"""

import dataclasses
import shutil

import pytest
import torch
from toys import IMAGES, extractor

from equibench import suite
from equibench.data.sets import Dataset
from equibench.errors import UserError
from equibench.machine import compiling, device
from equibench.machine.device import asked_precision, autocast, multiplying_in, precision
from equibench.machine.provenance import describe_machine
from equibench.record.cost import Memory
from equibench.run import arithmetic
from equibench.run.arithmetic import check_arithmetic, compilation
from equibench.run.cell import run_here
from equibench.run.session import Session
from equibench_models import family

CPU = torch.device("cpu")
VAE = {"name": "one", "family": "vae", "config": {"width": 8, "batch_size": 8}}
OTHERS = ({"precision": "fp32"}, {"precision": "bf16"}, {"compile": True}, {"cuda_graph": True})
FEATURES = extractor().info
NO_MEMORY = Memory(
    quantity="peak of live tensors", train_peak_bytes=None, train_batch_size=1, sample_peak_bytes=None,
    sample_batch_size=1,
)  # fmt: skip


def suite_of(*entrants, **changes):
    base = suite.load("smoke")
    few = base.measure.model_dump() | {"samples": 12, "likelihood_images": 10, "speed_limit_sec": 0.01}
    budget = [{"params": 60_000, "unit": "updates", "amount": 2}]
    return suite.changed(base, entrant=list(entrants), budget=budget, seeds=[0], measure=few, **changes)


def cell_of(entrant, **changes):
    (found,) = (cell for cell in suite.cells(suite_of(entrant, **changes)) if cell.entrant)
    return found


def key(cell):
    return cell.key("d" * 64, FEATURES, "m")


@pytest.fixture
def session(tmp_path):
    given = suite_of(VAE)
    data = Dataset("toy", IMAGES[:100], IMAGES[100:])
    made = Session(given, data, CPU, extractor(), tmp_path, stages=frozenset({"memory"}))
    return dataclasses.replace(
        made, peak_memory=lambda *_, **__: NO_MEMORY.model_copy(update={"reason": asked_precision()})
    )


def test_cells_that_calculate_otherwise_are_others_and_all_else_is_as_before():
    plain = cell_of(VAE)
    others = [cell_of(VAE | one) for one in OTHERS]
    assert len({key(one) for one in [plain, *others]}) == 5
    assert plain.entrant.defining == {**VAE, "sampler": {}}  # what keys of records that exist are made of
    assert key(cell_of(VAE | {"compile": False})) == key(plain)


def test_a_cuda_graph_is_for_one_gpu_and_families_that_can_be_captured(monkeypatch):
    """What a record says of it. A processor, several processes, and a family that does not say that it can: eager."""
    asked, gpu = cell_of(VAE | {"cuda_graph": True}), torch.device("cuda")
    assert compilation(asked, gpu) == "cuda graph"
    assert compilation(cell_of(VAE, cuda_graph=True), gpu) == "cuda graph"
    assert compilation(cell_of(VAE), gpu) == "eager"
    assert compilation(asked, CPU) == "eager"
    assert compilation(asked, gpu, team=True) == "eager"
    monkeypatch.setattr(family("vae"), "capturable", False)
    assert compilation(asked, gpu) == "eager"


def test_a_suite_says_it_for_all_and_an_entrant_for_itself():
    """Samples have no precision, and what is loaded is not compiled; a suite's word for all leaves them alone."""
    samples = {"name": "theirs", "command": "make {out}"}
    loaded = {"name": "there", "load": "a.safetensors"}
    own = VAE | {"name": "own", "precision": "bf16", "compile": False}
    said = suite_of(VAE, own, samples, loaded, precision="fp32", compile=True).entrant
    assert [(one.precision, one.compile) for one in said] == [
        ("fp32", True), ("bf16", False), (None, None), ("fp32", None),
    ]  # fmt: skip
    assert key(cell_of(VAE, precision="fp32")) == key(cell_of(VAE | {"precision": "fp32"}))


def test_a_suite_that_extends_another_says_it_anew_for_all(tmp_path):
    (tmp_path / "below.toml").write_text('name = "below"\nextends = "smoke"\nprecision = "bf16"\n')
    (tmp_path / "above.toml").write_text(
        'name = "above"\nextends = "below.toml"\nprecision = "fp32"\n[[entrant]]\nname = "vae"\ncompile = true\n'
    )
    said = {one.name: (one.precision, one.compile) for one in suite.load(str(tmp_path / "above.toml")).entrant}
    assert said == {"gan": ("fp32", None), "vae": ("fp32", True), "flow": ("fp32", None), "diffusion": ("fp32", None)}


@pytest.mark.parametrize(("entrant", "sentence"), [
    (VAE | {"precision": "fp16"}, "bf16"),
    (VAE | {"compile": "perhaps"}, "compile"),
    ({"name": "a", "load": "b", "compile": True}, "is loaded, not trained, so that it has no compile"),
    ({"name": "a", "command": "x {out}", "precision": "fp32"}, "no model that could multiply in a precision"),
])  # fmt: skip
def test_what_has_no_sense_is_a_sentence(entrant, sentence):
    with pytest.raises(UserError, match=sentence):
        suite_of(entrant)


def test_a_cell_trains_and_is_measured_in_its_precision(session):
    """Its record says so, its machine is what it is, and the process goes on as before."""
    machine = describe_machine(CPU).key
    for name, said in (("fp32", "float32"), ("bf16", "bfloat16")):
        cell = cell_of(VAE | {"precision": name})
        _, record = run_here(cell, dataclasses.replace(session, suite=cell.suite))
        assert record.status == "ok", record.reason
        told = record.numerics
        assert (told.training, told.sampling, told.likelihood, told.compilation) == (said, said, said, "eager")
        assert record.matrix_products.precision == said
        assert record.memory.reason == name  # the process that measures it is told
        assert record.machine.key == machine
        assert asked_precision() is None


def test_networks_multiply_in_what_was_asked_for():
    layer, x = torch.nn.Linear(4, 4), torch.randn(2, 4)
    for name, dtype in device.PRECISIONS.items():
        with multiplying_in(name), autocast(CPU):
            assert layer(x).dtype is dtype
    assert precision(CPU) is device.native_precision(CPU)


def test_what_the_machine_cannot_do_is_refused(monkeypatch):
    monkeypatch.setattr(arithmetic, "native_precision", lambda on: torch.float32)
    with pytest.raises(UserError, match="'one' asks for bf16, which this machine's cpu does not multiply; give it"):
        check_arithmetic(cell_of(VAE | {"precision": "bf16"}), CPU)
    check_arithmetic(cell_of(VAE | {"precision": "fp32"}), CPU)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"'one' asks for torch.compile, which needs a C\+\+ compiler \(g\+\+ or clang"):
        check_arithmetic(cell_of(VAE | {"compile": True}), CPU)
    with pytest.raises(UserError, match="needs Triton and a C compiler"):
        check_arithmetic(cell_of(VAE | {"compile": True}), torch.device("cuda"))
    check_arithmetic(cell_of(VAE), CPU)
    with pytest.raises(UserError, match="'one' has both compile and cuda_graph; set one of them to false"):
        check_arithmetic(cell_of(VAE | {"compile": True, "cuda_graph": True}), CPU)


def test_blocks_that_are_differentiated_twice_are_left_alone():
    gan = family("gan").build({"width": 8}, (1, 8, 8))
    found = compiling.blocks(gan, gan.differentiated_twice)
    inside = {id(one) for one in gan.discriminator.modules()}
    assert found
    assert not [one for one in found if id(one) in inside]


@pytest.mark.parametrize("name", ["gan", "vae", "flow", "diffusion"])
def test_updates_go_through_the_compiler_and_give_the_losses_of_eager_ones(name):
    """By the backend that traces and generates no code, so that it takes seconds."""
    x, losses = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8), []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = family(name).build({"width": 8}, (1, 8, 8))
        torch.manual_seed(1)
        if compiled:
            with compiling.compiled(model, model.differentiated_twice, backend="eager") as watch:
                losses.append(model.update(x, 0.5))
            assert watch.times > 0
            assert watch.sec > 0
        else:
            losses.append(model.update(x, 0.5))
    for loss, value in losses[0].items():
        torch.testing.assert_close(losses[1][loss], value)
    assert all(module._compiled_call_impl is None for module in model.modules())


def test_a_model_of_which_nothing_is_compiled_is_no_compiled_one():
    with (
        pytest.raises(RuntimeError, match=r"nothing of Linear went through torch\.compile"),
        compiling.compiled(torch.nn.Linear(1, 1)),
    ):
        pass


def test_a_cell_that_is_compiled_says_so_and_how_long_that_took(session, monkeypatch):
    compiled = compiling.compiled
    monkeypatch.setattr(arithmetic, "compiled", lambda model, leave: compiled(model, leave, backend="eager"))
    cell = cell_of(VAE | {"compile": True})
    _, record = run_here(cell, dataclasses.replace(session, suite=cell.suite))
    assert record.numerics.compilation == "inductor, default"
    assert 0 < record.spent.compile_sec < record.spent.train_sec


@pytest.mark.slow
def test_the_compiler_s_own_code_gives_the_losses_of_eager_updates():
    assert compiling.lacking(CPU) is None
    x, losses = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8), []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = family("gan").build({"width": 8}, (1, 8, 8))
        torch.manual_seed(1)
        if compiled:
            with compiling.compiled(model, model.differentiated_twice):
                losses.append([model.update(x, 0.5) for _ in range(3)][-1])
        else:
            losses.append([model.update(x, 0.5) for _ in range(3)][-1])
    for loss, value in losses[0].items():
        torch.testing.assert_close(losses[1][loss], value, rtol=1e-3, atol=1e-5)
