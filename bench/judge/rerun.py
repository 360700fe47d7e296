"""Runs the cell of a record again, with what the record says of it and what the user has to add, and compares."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from equibench.errors import UserError
from equibench.judge.proof import OTHER_ARITHMETIC, apart, repeats
from equibench.quantities.identity import differs, look_up
from equibench.record.schema import Record
from equibench.usercode import require_consent

if TYPE_CHECKING:
    import torch

    from equibench.data.sets import Dataset
    from equibench.measure.features.extractor import Extractor
    from equibench.run.session import Session
    from equibench.suite import Cell, Entrant, Suite


@dataclass(frozen=True)
class Rerun:
    """What a record names and does not hold, where it is not found by that name: as the options of `run`."""

    suite: str | None = None
    dataset: str | None = None
    data_root: Path | None = None
    download: bool = False
    extractor: str | None = None
    inception_weights: Path | None = None
    loaded: Path | None = None
    allow_code: bool = False
    device: str | None = None  # by default a processor for a record of one, and a GPU of the record's name


def again(one: Record, file: Path, path: str, given: Rerun) -> tuple[bool | None, str]:
    """Run the cell of the record `one`, which lies at `file`, in a folder that goes away, and compare its number at
    `path` to the last bit, or as near as a GPU repeats it: whether it holds (None: another cell, as on another machine,
    or another training, where the GPU repeats none), and a sentence.

    Raises UserError where the data, the suite, the checkpoint or the feature network are not those of the record, and
    for code that may not run. The data is looked at first.
    """
    from equibench.run.supervise import run_cell

    with tempfile.TemporaryDirectory() as folder, threads_of(one):
        cell, here = rebuilt(one, file, given, Path(folder))
        _, now = run_cell(cell, here)
    return _compared(one, now, path)


@contextmanager
def threads_of(one: Record) -> Iterator[None]:
    """The block has the threads of the record's processor, which are part of its machine's key; this process's own
    where there are fewer cores, or where a GPU was measured.
    """
    import torch

    from equibench.machine.cores import usable_cores

    before = torch.get_num_threads()
    if one.machine.device == "cpu" and one.machine.threads <= usable_cores():
        torch.set_num_threads(one.machine.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def rebuilt(one: Record, file: Path, given: Rerun, out: Path) -> tuple[Cell, Session]:
    """The cell of the record `one`, which lies at `file`, and a session that runs it into the folder `out`. Raises
    UserError as `again` does.
    """
    from equibench.measure.features.load import load_more
    from equibench.run.labels import labelled
    from equibench.run.session import Session

    chosen = suite_of(one, given)
    found = _data(one, chosen, given)
    device = _device(one, given)
    loaded = _loaded(one, file, chosen, given) if one.role == "entrant" and one.budget is None else None
    cell = _cell(one, labelled(chosen, found), found, loaded, device, given)
    load = _extractor(one, cell.suite, device, given, loaded is not None)
    extractor = load()
    _check_features(one, extractor)
    names = cell.suite.measure.more_extractors
    more = partial(load_more, names, device, given.inception_weights, given.download, given.allow_code)
    return cell, Session(
        cell.suite, found, device, extractor, out, given.allow_code, load, more=more(), reload_more=more
    )


def _device(one: Record, given: Rerun) -> torch.device:
    from equibench.machine.device import gpu_like, resolve_device

    was = one.machine.device
    return resolve_device(given.device or ("cpu" if was == "cpu" else str(gpu_like(was))))


def suite_of(one: Record, given: Rerun) -> Suite:
    """The suite that is given, or that the record names. Raises UserError where it is not to be had."""
    from equibench import suite

    return suite.load(given.suite or _suite_of(one))


def _suite_of(one: Record) -> str:
    from equibench import suite

    if one.suite in suite.shipped():
        return one.suite
    raise UserError(f"{one.entrant} was run by the suite {one.suite!r}, which does not ship; give its .toml by --suite")


def _data(one: Record, chosen: Suite, given: Rerun) -> Dataset:
    """The record's data: by the given name, its own, or the suite's."""
    from equibench.data import sets
    from equibench.data.catalogue import is_named

    known = one.data.name in sets.NAMES or is_named(one.data.name)
    own = next((place for place in chosen.datasets if Path(place).name == one.data.name), chosen.dataset)
    name = given.dataset or (one.data.name if known else own)
    try:
        found = sets.load(name, given.data_root, given.download).limited(one.data.n_train, one.data.n_test)
    except UserError as error:
        if given.dataset or name in sets.NAMES:
            raise
        raise UserError(f"the data of {one.entrant} is not there ({error}); give it by --dataset") from None
    if found.sha256 != one.data.sha256:
        raise UserError(
            f"{name} is not the data of {one.entrant}: its hash begins with {found.sha256[:8]}, in the record with "
            f"{one.data.sha256[:8]}; give the data of the run by --dataset"
        )
    return found


def _loaded(one: Record, file: Path, chosen: Suite, given: Rerun) -> Entrant:
    """The entrant that the record's run measured without training it: the suite's own, or the file that is given."""
    from equibench.outside.fetched import place_of
    from equibench.run.content import content_sha256
    from equibench.suite import Entrant

    declared = next((entrant for entrant in chosen.entrant if entrant.name == one.entrant and entrant.loaded), None)
    if declared and declared.command is not None:
        return declared
    beside = file.parent / (one.checkpoint or "")
    named = place_of(declared.load, given.download) if declared and declared.load else None
    found = given.loaded or (beside if one.checkpoint and beside.is_file() else named)
    if found is None:
        source = one.loaded.source if one.loaded else one.checkpoint
        raise UserError(f"{one.entrant} was loaded from {source}, which is not here; give it by --from")
    if content_sha256(found) != one.weights_sha256:
        raise UserError(f"{found} does not hold the weights of {one.entrant}; give those of the run by --from")
    entrant = declared or Entrant(name=one.entrant, load="", precision=chosen.precision)
    return entrant.model_copy(update={"load": str(found.absolute())})


def _cell(
    one: Record, chosen: Suite, data: Dataset, loaded: Entrant | None, device: torch.device, given: Rerun
) -> Cell:
    """The record's cell, in a suite without the others; without a limit, as another hour may be a slower one."""
    from equibench.run.loaded import resolved
    from equibench.suite import Cell

    limit = chosen.cell_limit_sec if one.status == "timed out" else None
    chosen = chosen.model_copy(update={"cell_limit_sec": limit})
    if loaded is not None:
        alone = chosen.model_copy(update={"entrant": [loaded]})
        declared = any(entrant.name == loaded.name and entrant.loaded for entrant in chosen.entrant)
        chosen = resolved(alone, data, device, given.allow_code, None if declared else chosen)
        return Cell(chosen, one.entrant, one.seed, chosen.entrant[0], chosen.budget[0])
    entrant = next((entrant for entrant in chosen.entrant if entrant.name == one.entrant), None)
    if (entrant is None) != (one.role == "floor") or (entrant and one.budget not in chosen.budget):
        raise UserError(
            f"suite {chosen.name} does not have {one.entrant} with the record's budget; give the one "
            "that it was run with by --suite"
        )
    chosen = chosen.model_copy(update={"entrant": [entrant] if entrant else []})
    return Cell(chosen, one.entrant, one.seed, entrant, one.budget)


def _extractor(one: Record, chosen: Suite, device: torch.device, given: Rerun, loaded: bool) -> Callable[[], Extractor]:
    """Loads the record's feature network: the given one, the one that its features are named after, or the suite's."""
    from equibench.measure.features.load import load_extractor
    from equibench.measure.features.names import extractor_named
    from equibench.suite import code_in

    was = one.quality.features if one.quality else None
    name = given.extractor or (was and extractor_named(was.name)) or chosen.measure.extractor
    from_suite = name == chosen.measure.extractor and not given.extractor
    for code in code_in(chosen, families=not loaded, extractor=from_suite):
        require_consent(f"{code}, which the suite {chosen.name} names,", given.allow_code)
    return partial(load_extractor, name, device, given.inception_weights, given.download, given.allow_code)


def _check_features(one: Record, extractor: Extractor) -> None:
    """Raises UserError where the feature space is another than the record's."""
    was, now = one.quality.features if one.quality else None, extractor.info
    if was and (was.name, was.weights_sha256, was.preprocessing) != (now.name, now.weights_sha256, now.preprocessing):
        raise UserError(
            f"the features of {one.entrant} are {was.name} (weights {was.weights_sha256[:8]}), and these are "
            f"{now.name} (weights {now.weights_sha256[:8]}); give those of the run by --extractor"
            f"{' and --inception-weights' if was.name.startswith('Inception') else ''}"
        )


def _compared(one: Record, now: Record, path: str) -> tuple[bool | None, str]:
    name = f"{one.entrant} seed {one.seed}"
    if now.status != one.status:
        return False, f"{name} run again is {now.status}: {now.reason}"
    was, value = look_up(one, path), look_up(now, path)
    if why := _other_cell(one, now, path):
        return None, f"{name} run again gives {value!r}, the record {was!r}, but on {why}: not the same cell"
    if was == value:
        return True, f"{name} run again gives {value!r}, the same to the last bit"
    same_weights = now.weights_sha256 == one.weights_sha256
    weights = "the same weights" if same_weights else "other weights"
    said = f"{name} run again gives {value!r}, the record {was!r}, from {weights}"
    if repeats(one) or was is None or value is None:
        return False, said
    if not same_weights:
        return None, f"{said}: the record's GPU was not told to add in one order, and no training on it is repeated"
    near = not apart(path, one, was, value, OTHER_ARITHMETIC)
    within = f"{'' if near else 'not '}within {OTHER_ARITHMETIC:.1%}"
    return near, f"{said}: {within}, as the record's GPU added in any order"


def _other_cell(one: Record, now: Record, path: str) -> str:
    """Why a cell that was run again is not the record's, as the end of a sentence: empty where all that moves the
    number is the same, whatever else the suite measures.
    """
    if now.protocol != one.protocol:
        return "another protocol"
    if now.machine.key != one.machine.key:
        return "another machine"
    found = differs(one, now, path)
    return str(found) if found else ""
