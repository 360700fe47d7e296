"""Our four families against the models that people use, in equal seconds of training: writes docs/peers.md.

    python -m studies.peers --folder FOLDER [--minutes 100]

It first installs pythae, normflows and denoising-diffusion-pytorch in an environment of their own in the folder; a
DCGAN is in studies/peers/dcgan.py. Then each family is trained on both sides, ours by `equibench run`, in an order that
alternates; both draw as many samples, which `equibench measure` compares with the test images, and both are timed in
turns. Each step leaves a file, and a call goes on where the one before ended. A rehearsal, with fewer than 120 seconds
of training, and a part of the families write their page into the folder, or to `--page`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from equibench import atomic
from equibench.data import sets
from equibench.errors import UserError, nearest
from equibench.record.schema import Quality
from studies.peers import environment, ours
from studies.peers.page import Family, page
from studies.peers.results import PEERS, Place, Settings, Side, Timed, Trained, read

PAGE = environment.ROOT / "docs" / "peers.md"
FULL_SEC, FULL_DATASET = 120.0, "fashion-mnist"
EXTRACTOR = "efficientnet-lite0"
LEAST_SAMPLES = 1300  # the distance needs more than the network has dimensions


class Step(NamedTuple):
    """What is made, and how; a step is done where its file is there."""

    about: str
    made: Path
    make: Callable[[], None]


class Study:
    """The steps of one folder."""

    def __init__(self, folder: Path, settings: Settings, seeds: Sequence[int], families: Sequence[str]) -> None:
        self.place, self.settings, self.seeds, self.families = Place(folder), settings, seeds, families

    def steps(self) -> Iterator[Step]:
        """All of them in their order; later ones are known as earlier ones are done."""
        for seed in self.seeds:
            for number, family in enumerate(self.families):
                sides = [partial(self._train_ours, family, seed), partial(self._train_theirs, family, seed)]
                yield from (step() for step in (sides if (seed + number) % 2 == 0 else reversed(sides)))
        for seed in self.seeds:
            for family in self.families:
                yield self._time(family, seed)
                for side, way in self.ways(family, seed):
                    yield self._draw(side, family, seed, way)
                    yield self._measure(side, family, seed, way)

    def ways(self, family: str, seed: int) -> list[tuple[Side, str]]:
        """The ways of sampling of a family that both sides have trained."""
        theirs = read(self.place.trained(family, seed), Trained).ways
        return [*(("theirs", way) for way in theirs), *(("ours", way) for way in ours.ways(family))]

    def found(self) -> list[Family]:
        """Results of all families, once all steps are done."""
        found = []
        for family in self.families:
            seeds = self.seeds
            distances = {
                (side, way): [self._quality(side, family, seed, way) for seed in seeds]
                for side, way in self.ways(family, seeds[0])
            }
            records = [self._our_weights(family, seed)[1] for seed in seeds]
            theirs = [read(self.place.trained(family, seed), Trained) for seed in seeds]
            timed = [read(self.place.timed(family, seed), Timed) for seed in seeds]
            found.append(Family(family, records, theirs, timed, distances))
        return found

    def _train_ours(self, family: str, seed: int) -> Step:
        mark = self.place.records / f"{family}-s{seed}.trained"

        def make() -> None:
            arguments = ["run", str(self.place.suite), "--only", family, "--seeds", str(seed)]
            run_ours([*arguments, "--out", str(self.place.records), "--device", "cpu"])
            weights, _ = self._our_weights(family, seed)
            atomic.write(mark, f"{weights.name}\n".encode())

        return Step(f"our {family}, seed {seed}: training", mark, make)

    def _train_theirs(self, family: str, seed: int) -> Step:
        made = self.place.trained(family, seed)
        arguments = ["train", family, "--seed", str(seed), "--settings", str(self.place.settings)]
        arguments += ["--data", str(self.place.split("train").parent), "--out", str(made)]
        return Step(
            f"the other {family}, seed {seed}: training",
            made,
            partial(environment.run, self.place.environment, arguments),
        )

    def _time(self, family: str, seed: int) -> Step:
        made = self.place.timed(family, seed)
        weights, _ = self._our_weights(family, seed)
        arguments = ["time", family, "--trained", str(self.place.trained(family, seed)), "--checkpoint", str(weights)]
        arguments += ["--ways", json.dumps(ours.ways(family)), "--out", str(made)]
        return Step(
            f"both {family}, seed {seed}: timing", made, partial(environment.run, self.place.environment, arguments)
        )

    def _draw(self, side: Side, family: str, seed: int, way: str) -> Step:
        made, n = self.place.drawn(side, family, seed, way), self.settings.samples
        about = f"{side}, {family}, seed {seed}, {way}: samples"
        if side == "theirs":
            arguments = ["draw", family, "--seed", str(seed), "--trained", str(self.place.trained(family, seed))]
            arguments += ["--way", way, "--samples", str(n), "--out", str(made)]
            return Step(about, made, partial(environment.run, self.place.environment, arguments))

        def make() -> None:
            weights, _ = self._our_weights(family, seed)
            images = ours.drawn(weights, n, ours.ways(family)[way], seed)
            with atomic.replacing(made) as stream:
                np.save(stream, images)

        return Step(about, made, make)

    def _measure(self, side: Side, family: str, seed: int, way: str) -> Step:
        made = self.place.measured(side, family, seed, way)

        def make() -> None:
            samples = self.place.drawn(side, family, seed, way)
            arguments = ["measure", str(samples), "--dataset", self.settings.dataset, "--extractor", EXTRACTOR]
            atomic.write(made, run_ours([*arguments, "--device", "cpu", "--json"]))

        return Step(f"{side}, {family}, seed {seed}, {way}: distance", made, make)

    def _our_weights(self, family: str, seed: int) -> tuple[Path, Any]:
        found = ours.trained(self.place.records, family, seed)
        if found is None:
            raise UserError(f"there is no record of our {family} with seed {seed} in {self.place.records}; begin anew")
        return found

    def _quality(self, side: Side, family: str, seed: int, way: str) -> Quality:
        told = json.loads(self.place.measured(side, family, seed, way).read_bytes())
        return Quality.model_validate(told["quality"])


def run_ours(arguments: Sequence[str]) -> bytes:
    """What `equibench` prints. Raises UserError where it could not do its work; cells that are not ok are records."""
    done = subprocess.run([sys.executable, "-m", "equibench", *arguments], stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 3):
        raise UserError(f"equibench {arguments[0]} failed; what it said is above")
    return done.stdout


def prepare(place: Place, settings: Settings, download: bool) -> None:
    """The folder's settings, which stay, its suite and data, and the environment. Raises UserError."""
    if not atomic.write_once(place.settings, settings.model_dump_json(indent=2).encode()):
        before = read(place.settings, Settings)
        if before != settings:
            raise UserError(f"{place.folder} holds results of other settings ({before}); give another --folder")
    atomic.write(place.suite, ours.suite_text(settings).encode())
    data = sets.load(settings.dataset, download=download)
    for name, images in (("train", data.train), ("test", data.test)):
        if not place.split(name).exists():
            with atomic.replacing(place.split(name)) as stream:
                np.save(stream, images)
    environment.make(place.environment)


def chosen(names: str) -> list[str]:
    """Families by name, in their order. Raises UserError."""
    wanted = names.split(",")
    for name in wanted:
        if name not in PEERS:
            raise UserError(f"unknown family {name!r}{nearest(name, PEERS)}")
    return [family for family in PEERS if family in wanted]


def whole_numbers(text: str) -> list[int]:
    """Raises UserError."""
    try:
        return list(dict.fromkeys(int(seed) for seed in text.split(",")))
    except ValueError:
        raise UserError(f"--seeds takes whole numbers with commas between, not {text!r}") from None


@click.command(help=__doc__)
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Results, found again by the next call.")
@click.option("--seconds", default=FULL_SEC, show_default=True, help="Of training.")
@click.option("--samples", type=click.IntRange(LEAST_SAMPLES), default=2000, show_default=True, help="Of each way.")
@click.option("--likelihood-images", type=click.IntRange(2), default=10_000, show_default=True)
@click.option("--seeds", default="0", show_default=True, metavar="N,N,...")
@click.option("--only", default=",".join(PEERS), show_default=True, metavar="FAMILY,...")
@click.option("--dataset", default=FULL_DATASET, show_default=True)
@click.option("--download", is_flag=True, help="Fetch the data set where it is not here.")
@click.option("--minutes", type=float, default=float("inf"), help="After which no further step is begun.")
@click.option(
    "--page",
    "page_file",
    type=click.Path(path_type=Path),
    help="File to write. [default: docs/peers.md if all is there]",
)
def main(
    folder: Path, seconds: float, samples: int, likelihood_images: int, seeds: str, only: str, dataset: str,
    download: bool, minutes: float, page_file: Path | None,
) -> None:  # fmt: skip
    until_sec = time.monotonic() + 60 * minutes
    settings = Settings(
        dataset=dataset, seconds=seconds, params=ours.params_allowed(), samples=samples,
        likelihood_images=likelihood_images,
    )  # fmt: skip
    try:
        families = chosen(only)
        study = Study(folder.absolute(), settings, whole_numbers(seeds), families)
        prepare(study.place, settings, download)
        for step in study.steps():
            if not step.made.exists():
                if time.monotonic() > until_sec:
                    click.echo("there is more to do: give the same command again")
                    return
                click.echo(step.about)
                step.make()
        text = page(settings, study.seeds, study.found())
    except UserError as error:
        click.echo(f"Error: {error}.", err=True)
        sys.exit(2)
    whole = families == list(PEERS) and seconds >= FULL_SEC and dataset == FULL_DATASET
    where = page_file or (PAGE if whole else study.place.folder / "peers.md")
    atomic.write(where, text.encode())
    click.echo(f"wrote {where}")


if __name__ == "__main__":
    main()
