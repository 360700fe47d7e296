"""What runs in the peers' environment: training, drawing, and timing in turns with our models.

`python -m studies.peers` calls it; each command writes its file whole or not at all.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import pkgutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter

import click
import numpy as np
import torch
from numpy.typing import NDArray

from equibench import atomic
from equibench.data.parts import drawn_of
from equibench.machine.device import autocast
from equibench.machine.load import LOOK_SEC, LoadMeter
from equibench.run import checkpoint
from studies.peers import peer as peers
from studies.peers.results import PEERS, Settings, Timed, Trained, read

PATH = click.Path(path_type=Path)
BLOCK = 4 * peers.DRAWN_AT_ONCE  # images that are drawn between two files
LEAST_ROUNDS, MOST_ROUNDS = 3, 20  # of timing
TIMED_SEC = 60.0  # after which no further round begins; a round that takes longer by itself is enough
CPU = torch.device("cpu")


def peer_class(family: str) -> type[peers.Peer]:
    found: type[peers.Peer] = pkgutil.resolve_name(PEERS[family])
    return found


def weights(trained: Path) -> Path:
    return trained.with_suffix(".pt")


def loaded(family: str, trained: Path) -> peers.Peer:
    """The peer with the weights beside its results."""
    found = peer_class(family)(read(trained, Trained).width)
    found.load_state_dict(torch.load(weights(trained), weights_only=True))
    return found


@click.group()
def main() -> None:
    pass


@main.command()
@click.argument("family")
@click.option("--seed", type=int)
@click.option("--settings", type=PATH)
@click.option("--data", type=PATH, help="The folder with the splits.")
@click.option("--out", type=PATH)
def train(family: str, seed: int, settings: Path, data: Path, out: Path) -> None:
    """Train a peer for the seconds of the settings; of one that has a density, measure bits/dim."""
    wanted, kind = read(settings, Settings), peer_class(family)
    images, test = np.load(data / "train.npy"), np.load(data / "test.npy")
    torch.manual_seed(seed)
    peer = peers.widest(kind, kind.widths, wanted.params)
    meter = LoadMeter()
    updates, train_sec = peers.train(
        peer, images, wanted.seconds, seed, look=partial(meter.look, at_least_sec=LOOK_SEC)
    )
    meter.lengthen()
    load = meter.load()
    few = test[drawn_of(test, wanted.likelihood_images)]
    bits = peers.measured_bits(peer, few, seed) if kind.has_density else (None, None)
    content = io.BytesIO()
    torch.save(peer.state_dict(), content)
    atomic.write(weights(out), content.getvalue())
    found = Trained(
        title=kind.title,
        settings=kind.settings,
        ways=list(kind.ways),
        versions={name: importlib.metadata.version(name) for name in ("torch", kind.package) if name},
        threads=torch.get_num_threads(),
        width=peer.width,
        params=peer.parameters_trained(),
        updates=updates,
        images=updates * peer.batch_size,
        train_sec=train_sec,
        load=load,
        bits_per_dim=bits[0],
        stderr_bits_per_dim=bits[1],
    )
    atomic.write(out, found.model_dump_json(indent=2).encode())


@main.command()
@click.argument("family")
@click.option("--seed", type=int)
@click.option("--trained", type=PATH)
@click.option("--way")
@click.option("--samples", type=int)
@click.option("--out", type=PATH)
def draw(family: str, seed: int, trained: Path, way: str, samples: int, out: Path) -> None:
    """Draw samples to an .npy file, in blocks that stay where the drawing is stopped."""
    peer = loaded(family, trained)
    blocks = []
    for number, begin in enumerate(range(0, samples, BLOCK)):
        file = out.with_suffix(f".{number}.npy")
        if not file.exists():
            # blocks have noise of their own, whichever process draws them
            its_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            images, broken = peers.drawn(peer, min(BLOCK, samples - begin), peer.ways[way], its_seed)
            if broken:
                click.echo(f"{peer.title}, {way}: {broken} of {len(images)} images are not finite, and black there")
            put(file, images)
        blocks.append(file)
    put(out, np.concatenate([np.load(file) for file in blocks]))
    for file in blocks:
        file.unlink()


@main.command()
@click.argument("family")
@click.option("--trained", type=PATH)
@click.option("--checkpoint", "ours", type=PATH)
@click.option("--ways", help="Of ours: options of the sampler by name, as JSON.")
@click.option("--out", type=PATH)
def time(family: str, trained: Path, ours: Path, ways: str, out: Path) -> None:
    """Time sampling of both, batch by batch in turns."""
    peer, (model, _) = loaded(family, trained), checkpoint.load(ours, CPU)
    n, generator = peers.DRAWN_AT_ONCE, torch.Generator()
    by_ours = {way: partial(model.sample, n, generator, batch_size=n, **options) for way, options in _ways(ways)}
    by_theirs = {way: partial(peers.drawn, peer, n, options, 0) for way, options in peer.ways.items()}
    meter = LoadMeter()
    ours_sec, theirs_sec = in_turns(by_ours, by_theirs)
    meter.lengthen()
    found = Timed(
        batch_size=n, threads=torch.get_num_threads(), ours_sec=ours_sec, theirs_sec=theirs_sec, load=meter.load()
    )
    atomic.write(out, found.model_dump_json(indent=2).encode())


def in_turns(
    ours: Mapping[str, Callable[[], object]], theirs: Mapping[str, Callable[[], object]],
    now: Callable[[], float] = perf_counter,
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:  # fmt: skip
    """Seconds of each call, in rounds of one call of each, of which the first is dropped; ours in the precision of our
    runs.
    """
    ours_sec: dict[str, list[float]] = {way: [] for way in ours}
    theirs_sec: dict[str, list[float]] = {way: [] for way in theirs}
    sides = (ours, ours_sec, autocast(CPU)), (theirs, theirs_sec, torch.autocast("cpu", enabled=False))
    begin = now()
    for number in range(1 + MOST_ROUNDS):
        round_begin = now()
        for calls, sec, precision in sides:
            for way, call in calls.items():
                with precision:
                    start = now()
                    call()
                    taken = now() - start
                if number:
                    sec[way].append(taken)
        end = now()
        least = 1 if end - round_begin > TIMED_SEC else LEAST_ROUNDS
        if number >= least and end - begin > TIMED_SEC:
            break
    return ours_sec, theirs_sec


def put(path: Path, images: NDArray[np.uint8]) -> None:
    with atomic.replacing(path) as stream:
        np.save(stream, images)


def _ways(text: str) -> list[tuple[str, dict[str, object]]]:
    return list(json.loads(text).items())


if __name__ == "__main__":
    main()
