"""What all cells of one run share: suite, data, device, feature network, folder, and what is computed once for all."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equibench.cache import usable_cache
from equibench.data.classes import Classes, classes_of
from equibench.data.parts import drawn_of, drawn_order
from equibench.data.sets import Dataset
from equibench.hashing import digest, image_digests
from equibench.machine import energy
from equibench.machine.beside import Beside
from equibench.machine.code import code_digest, own_digests, package_versions
from equibench.machine.device import precision, time_matrix_products
from equibench.machine.device_lock import DeviceLock
from equibench.machine.provenance import describe_machine
from equibench.measure.cost import in_mode, memory
from equibench.measure.features.extractor import Extractor
from equibench.measure.quality import metrics
from equibench.measure.quality.reference import Reference, features_of, reference_of_features
from equibench.record import files as record_files
from equibench.record.base import Scalar
from equibench.record.cost import MatrixProducts, Memory, ModeSpeed
from equibench.record.schema import Machine, Quality
from equibench.run.content import content_sha256
from equibench.run.ranks import Ranks, Team
from equibench.run.status import UNFINISHED
from equibench.suite import Cell, Suite, cells

Tell = Callable[[str, float], None]  # (what is being done, share done)


@dataclass(frozen=True)
class Session:
    """What all cells of one run share."""

    suite: Suite
    data: Dataset
    device: torch.device
    extractor: Extractor
    out: Path
    allow_code: bool = False  # code that the suite or a checkpoint names, see usercode.py
    # how a cell's own process gets the feature network, which cannot be handed to it
    reload: Callable[[], Extractor] | None = None
    keep: bool = False  # records and weights of other code stand for what runs now
    more: tuple[Extractor, ...] = ()  # of other feature spaces, in which the headline's samples are measured too
    reload_more: Callable[[], tuple[Extractor, ...]] = tuple
    invocation: str = field(default_factory=lambda: uuid.uuid4().hex)
    stages: frozenset[str] | None = None  # of measuring, these alone
    wanted: tuple[Cell, ...] | None = None  # these cells in place of all that the suite has
    known_products: MatrixProducts | None = None  # the machine's rate, where a cell before measured it
    # the machine that cells run on, where it is another than this one
    machine_key: str | None = None
    ranks: Ranks | None = None  # where several processes train an entrant together
    team: Team | None = None  # the processes that do such a cell together; set in these alone
    device_lock: DeviceLock = field(default_factory=DeviceLock)  # of the device, where cells of the run share it
    # both measure in a process of its own
    peak_memory: Callable[..., Memory] = memory.peak_memory
    mode_speed: Callable[..., ModeSpeed] = in_mode.mode_speed

    @property
    def bare(self) -> Session:
        """What another process can be handed: all but the feature networks."""
        no_network: Any = None
        return replace(self, extractor=no_network, more=())

    def equipped(self) -> Session:
        """The same there, with the networks. Raises UserError."""
        assert self.reload is not None
        return replace(self, extractor=self.reload(), more=self.reload_more())

    @property
    def cells(self) -> tuple[Cell, ...]:
        """What is to be run, in its order."""
        return tuple(cells(self.suite)) if self.wanted is None else self.wanted

    @cached_property
    def matrix_products(self) -> MatrixProducts:
        """The machine's rate, measured once for all cells of the same precision, for about as long as the suite times
        sampling at three batch sizes, and 1.5 s at most.
        """
        known, wanted = self.known_products, str(precision(self.device)).removeprefix("torch.")
        if known and known.precision == wanted:
            return known
        return time_matrix_products(self.device, min(1.5, 3 * self.suite.measure.speed_limit_sec))

    @cached_property
    def counter(self) -> energy.Counter | energy.NoCounter:
        """The counter of energy, or why there is none."""
        if self.ranks:
            return energy.NoCounter("several processes trained it, and one device's counter would not know of all")
        return energy.counter(self.device)

    @property
    def training_counter(self) -> energy.Counter | energy.NoCounter:
        """The counter for training, during which other cells may use the device; timed stages have it to themselves."""
        if self.device_lock.folder is not None and self.device.type == "cpu":
            return energy.NoCounter("other cells shared the processor, and its counter would count theirs too")
        return self.counter

    @cached_property
    def beside(self) -> Beside:
        """Takes note of the machine around timed blocks."""
        return Beside(self.device, min(1.0, 2 * self.suite.measure.speed_limit_sec))

    @cached_property
    def cache(self) -> Path:
        """Where features of the data are kept for the cells that follow, each in a process of its own."""
        return usable_cache(self.out / UNFINISHED / "cache")

    @cached_property
    def reference_features(self) -> NDArray[np.float32]:
        """The features of the reference's images, computed once for all cells."""
        return features_of(self.reference_images, self.extractor, self.cache)

    @cached_property
    def reference(self) -> Reference:
        """The test images as what samples are compared with: computed once for all cells."""
        return reference_of_features("test", self.reference_images, self.reference_features, self.extractor, self.cache)

    @property
    def reference_images(self) -> NDArray[np.uint8]:
        """The test images that samples are compared with."""
        return self.data.test[self._referred]

    @property
    def reference_classes(self) -> Classes | None:
        """The classes of the reference's images, where labels are known."""
        return classes_of(self.data, self.reference_labels)

    @property
    def reference_labels(self) -> NDArray[np.int64] | None:
        """The labels of the reference's images, where they are known."""
        labels = self.data.test_labels
        return None if labels is None else labels[self._referred]

    @cached_property
    def _referred(self) -> NDArray[np.intp] | slice:
        return drawn_of(self.data.test, self.suite.measure.reference_images)

    @cached_property
    def drawn_test(self) -> NDArray[np.uint8]:
        """The test images in an order that looks random, by pixels and the protocol's seed: the first n are n drawn."""
        return self.data.test[self._test_order]

    @property
    def drawn_test_labels(self) -> NDArray[np.int64] | None:
        """The labels of the test images that are drawn, where they are known."""
        labels = self.data.test_labels
        return None if labels is None else labels[self._test_order]

    @cached_property
    def _test_order(self) -> NDArray[np.intp]:
        return drawn_order(image_digests(self.data.test))

    @property
    def likelihood_images(self) -> NDArray[np.uint8]:
        """The images whose likelihoods are measured, in that order."""
        return self.drawn_test[: self.suite.measure.likelihood_images]

    def test_features(self, n: int) -> NDArray[np.float32]:
        """The features of the first n test images that are drawn, most of which are the reference's."""
        chosen, there = drawn_of(self.data.test, n), self.reference_features
        if len(there) == len(self.data.test):
            return there[chosen]
        return features_of(self.data.test[chosen], self.extractor, self.cache)

    def quality(self, features: NDArray[np.float32], options: Mapping[str, Scalar], whole: bool = True) -> Quality:
        """Sample quality by `features`: all metrics and intervals, or the Frechet distance alone."""
        measure, on_device = self.suite.measure, torch.from_numpy(features).to(self.extractor.device)
        if not whole:
            return metrics.measure(on_device, self.reference, self.extractor, options=options)
        return metrics.measure(
            on_device,
            self.reference,
            self.extractor,
            options=options,
            splits=measure.splits,
            resamples=measure.resamples,
            also=True,
        )

    def key(self, cell: Cell) -> str:
        """The key of the cell's record: a hash of all that defines it."""
        more = [one.info for one in self.more]
        return cell.key(self.data.sha256, self.extractor.info, self._machine_key, self.weights_sha256(cell), more)

    def weights_sha256(self, cell: Cell) -> str | None:
        """The hash of the weights that a cell loads; None where it is trained, or a command gives its samples."""
        if cell.entrant is None or cell.entrant.load is None:
            return None
        if cell.name not in self._weights_sha256:
            self._weights_sha256[cell.name] = content_sha256(Path(cell.entrant.load))
        return self._weights_sha256[cell.name]

    @cached_property
    def _weights_sha256(self) -> dict[str, str]:
        return {}

    @cached_property
    def _machine_key(self) -> str:
        return self.machine_key or self.machine.key

    @property
    def machine(self) -> Machine:
        """What cells are measured on here."""
        return describe_machine(self.device, self.ranks.ranks if self.ranks else 1)

    def path(self, cell: Cell) -> Path:
        """Where the cell's record is, or will be."""
        return self.out / record_files.filename(cell.name, cell.seed, self.key(cell))

    def folder(self, cell: Cell) -> Path:
        """Where the cell is kept while it is not finished; hidden, so that nobody takes it for results."""
        return self.out / UNFINISHED / self.path(cell).stem

    def own(self, cell: Cell) -> list[str]:
        """What the cell runs of a user's own, as `module:name`."""
        networks = [one.info.name.removesuffix(" bf16") for one in (self.extractor, *self.more)]
        named = [cell.entrant.family if cell.entrant else "", *networks]
        return [name for name in named if ":" in name]

    def identity(self, cell: Cell) -> str:
        """The hash of all that must be the same for an unfinished cell to go on: the cell, with machine and threads in
        its key, the code, the versions, and the modules of the user's own.
        """
        return digest([self.key(cell), code_digest(), package_versions(), own_digests(self.own(cell))])
