"""What a run shows of a family: its recorded pictures, with what each is and the numbers that belong to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from equibench.quantities.metric import Metric, with_count
from equibench.quantities.text import amount, join, number, spoken_key, spread
from equibench.record import files as record_files
from equibench.record.schema import USUAL
from equibench.report import sprites
from equibench.report.figures.images import images_of
from equibench.stats import Stat
from equibench.summary.sections import FiledRecord, Row, SamplerSetting

LEVEL = "kl_bits_per_dim_of_"  # and the level's name: a number of a portrait
COLUMNS, ROWS = 12, 5  # of a picture that are shown
Words = Callable[[Row], str]  # a sentence with numbers, or nothing where they were not measured


@dataclass(frozen=True)
class Exhibit:
    """A picture at its native pixels, with a heading, a label a row, its caption and numbers in sentences."""

    key: str
    heading: str
    labels: tuple[str, ...]
    caption: str
    numbers: str
    sprite: sprites.Sprite


@dataclass(frozen=True)
class _Known:
    heading: str
    labels: tuple[str, ...] = ()
    numbers: tuple[Words, ...] = ()
    rows: int = ROWS
    listed: bool = False  # the rows are numbers that the caption names in their order
    levels: bool = False  # the rows are the levels of a code, in the order of their numbers


def exhibits(cell: FiledRecord, row: Row) -> list[Exhibit]:
    """The pictures of the cell's portrait that lie beside it, those that are known first and in their order."""
    portrait, family = cell.record.portrait, cell.record.family
    if portrait is None:
        return []
    arrays = record_files.read_arrays(cell.path, cell.record)
    known = {key: found for (of, key), found in _KNOWN.items() if of in (family, "")}
    keys = [key for key in known if key in portrait.pictures] + [key for key in portrait.pictures if key not in known]
    return [_exhibit(cell, row, arrays, key, known.get(key)) for key in keys if key in arrays]


def first_images(cell: FiledRecord) -> tuple[sprites.Sprite | None, sprites.Sprite | None]:
    """A real test image and a sample of a cell, where it has them."""
    arrays = record_files.read_arrays(cell.path, cell.record)
    found = [images_of(cell, arrays, key, 4)[:1] if key in arrays else None for key in ("real", "samples")]
    real, sample = (None if one is None else sprites.sheet(one[None]) for one in found)
    return real, sample


def chain(cell: FiledRecord) -> list[sprites.Sprite]:
    """Pictures from an image to noise and as many of the way back, from left to right; none where there are none."""
    arrays = record_files.read_arrays(cell.path, cell.record)
    if not {"forward_chain", "reverse_chain"} <= arrays.keys():
        return []
    forward = images_of(cell, arrays, "forward_chain", 5)[0]
    reverse = images_of(cell, arrays, "reverse_chain", 5)[-1][::-1]
    places = [round((len(forward) - 1) * share) for share in (0.3, 0.45, 0.6, 0.75)]
    return [sprites.sheet(way[None, place : place + 1]) for way in (forward, reverse) for place in places]


def _exhibit(cell: FiledRecord, row: Row, arrays: Mapping[str, np.ndarray], key: str, known: _Known | None) -> Exhibit:
    words = spoken_key(key)
    known = known or _Known(f"{words[:1].upper()}{words[1:]}")
    images = images_of(cell, arrays, key, 5)[: known.rows, :COLUMNS]
    sentences = [sentence for words in known.numbers if (sentence := words(row))]
    caption = cell.record.portrait.pictures[key] if cell.record.portrait else ""
    labels = tuple(re.findall(r"\d+(?:\.\d+)?", caption)) if known.listed else known.labels
    labels = tuple(_level_names(row)) if known.levels else labels
    labels = labels if len(labels) == len(images) else ()
    return Exhibit(key, known.heading, labels, caption.rstrip("."), " ".join(sentences), sprites.sheet(images))


def _said(sentence: str, path: str, factor: float, row: Row) -> str:
    """The sentence with a portrait's number over seeds in place of {}."""
    found = row.stat(f"portrait.numbers.{path}")
    return "" if found is None else sentence.format(spread(Stat(tuple(factor * value for value in found.values))))


def _say(sentence: str, path: str, factor: float = 1) -> Words:
    return partial(_said, sentence, path, factor)


def _level_names(row: Row) -> list[str]:
    """Levels of a code that were measured, such as z0, in order."""
    portrait = row.first.portrait
    return [name.removeprefix(LEVEL) for name in portrait.numbers if name.startswith(LEVEL)] if portrait else []


def _levels(row: Row) -> str:
    """What each level of a code takes, where it was measured."""
    found = [(name, row.stat(f"portrait.numbers.{LEVEL}{name}")) for name in _level_names(row)]
    listed = [f"{name} {spread(stat)}" for name, stat in found if stat]
    return f"Bits/dim that each level takes (KL): {join(listed)}." if listed else ""


def _by_setting(row: Row) -> str:
    """Distances of the sampler's settings, all of one metric: that which most of them have."""
    found: dict[Metric, list[SamplerSetting]] = {}
    for setting in row.settings():
        found.setdefault(setting.metric, []).append(setting)
    metric, settings = max(found.items(), key=lambda item: len(item[1]), default=(None, []))
    if metric is None or len(settings) < 2:
        return ""
    name = with_count(metric.metric, metric.n_samples)
    settings.sort(key=lambda one: one.network_evaluations.mean if one.network_evaluations else 0)
    listed = [f"{_label(one)} {spread(one.distance)}" for one in settings]
    return f"{name}, lower is better: {join(listed)}."


def _label(setting: SamplerSetting) -> str:
    passes = setting.network_evaluations
    usual = "the headline's setting" + (f" ({amount(passes.mean)} passes)" if passes and passes.mean > 1 else "")
    return usual if setting.label == USUAL else setting.label


def _numbers_of_steps(row: Row) -> str:
    """How many steps the other numbers of a diffusion take, as no two of them need the same."""
    speed, likelihood = row.first.speed, row.first.likelihood
    chain = likelihood.detail.get("chain_steps") if likelihood else None
    if not (speed and speed.network_evaluations and isinstance(chain, int)):
        return ""
    return f"Samples elsewhere take {amount(speed.network_evaluations)} passes, bits/dim a chain of {chain:,} steps."


def _error_in_levels(row: Row) -> str:
    found = row.stat("portrait.numbers.inverse_max_abs_error")
    if found is None:
        return ""
    return f"The greatest error of any pixel is {number(max(found.values) * 128, 2)} of the 256 levels."


# how far a discriminator is ahead of its generator; empty for a family without one
of_players = _say(
    "Of all pairs of a test image and a sample, the discriminator gives the real image more in {} %; guessing would "
    "give 50 %.",
    "discriminator_accuracy_on_test",
    100,
)

_KNOWN = {
    ("gan", "interpolation"): _Known("Interpolation"),
    ("vae", "reconstructions"): _Known(
        "There and back",
        ("test images", "rebuilt"),
        (
            _say("The mean error is {} of the 256 levels.", "reconstruction_mean_abs_error_levels"),
            _say("Given the code, the pixels take {} bits/dim.", "reconstruction_bits_per_dim"),
            _say("The code takes {} bits/dim.", "kl_bits_per_dim"),
        ),
    ),
    ("vae", "latent_levels"): _Known("What each level of the code holds", (), (_levels,), levels=True),
    ("vae", "decodings"): _Known("Mean and drawn pixels", ("mean", "drawn"), (_by_setting,)),
    ("vae", "interpolation"): _Known("Interpolation"),
    ("flow", "inverse"): _Known(
        "There and back",
        ("test images", "their noise", "inverse"),
        (
            _error_in_levels,
            _say(
                "In units of the model's own noise, that of test images has a standard deviation of {}; 1 would fit.",
                "noise_std_of_logistic",
            ),
        ),
    ),
    ("flow", "temperatures"): _Known("Less noise", (), (_by_setting,), listed=True),
    ("diffusion", "forward_chain"): _Known("To noise", rows=2),
    ("diffusion", "reverse_chain"): _Known("The learned way back", (), (_numbers_of_steps,), rows=2),
    ("diffusion", "learned_step"): _Known(
        "One step: mean and deviation",
        ("noisy", "estimate", "deviation"),
        (
            _say(
                "At equal parts of signal and noise the squared error of the estimate is {} (pixels from -1 to 1).",
                "denoising_mean_squared_error_at_equal_noise",
            ),
            _say(
                "There the log variance lies {} of the way from the least to the greatest.",
                "learned_share_between_least_and_greatest_log_variance",
            ),
        ),
    ),
    ("diffusion", "passes"): _Known("More passes", (), (_by_setting,), listed=True),
    ("", "neighbours"): _Known("Nearest training images"),
}
