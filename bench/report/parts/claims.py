"""What a family's own words claim that a run measures: a sentence that the record contradicts is cut."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from equibench.quantities.glossary import BITS
from equibench.record.paths import value_at
from equibench.record.schema import Record

LEVELS = 128  # of 256, for 1 of a pixel from -1 to 1


class FamilyClaim(NamedTuple):
    """A claim of a family's text and what of a record decides on it."""

    family: str
    words: str  # within the sentence
    path: str  # of what is measured
    holds: Callable[[Record], bool]  # of a record that has it


def noise_numbers(record: Record) -> int:
    """How many numbers of noise stand behind one sample; 0 where the record does not say."""
    return sum(math.prod(shape) for shape in record.structure.noise_shapes) if record.structure else 0


def _as_large(record: Record) -> bool:
    return noise_numbers(record) == math.prod(record.data.shape)


def _smaller(record: Record) -> bool:
    return noise_numbers(record) < math.prod(record.data.shape)


def _of_kind(kind: str) -> Callable[[Record], bool]:
    return lambda record: value_at(record, "likelihood.kind") == kind


def _two_networks(record: Record) -> bool:
    parts = record.structure.parts if record.structure else []
    return {part.samples for part in parts} == {True, False}


def _small_code(record: Record) -> bool:
    """In bits: what the code takes is less than half of what the whole image takes."""
    code, whole = value_at(record, "portrait.numbers.kl_bits_per_dim"), value_at(record, BITS)
    return whole is None or code < whole / 2


def _undone(record: Record) -> bool:
    return bool(LEVELS * value_at(record, "portrait.numbers.inverse_max_abs_error") < 1)


def _many_passes(record: Record) -> bool:
    return bool(value_at(record, "speed.network_evaluations") > 1)


NOISE, KIND, PASSES = "structure.noise_shapes", "likelihood.kind", "speed.network_evaluations"
CLAIMS = (
    FamilyClaim("gan", "Fewer random numbers than pixels", NOISE, _smaller),
    FamilyClaim("gan", "there are no bits per dimension", KIND, _of_kind("none")),
    FamilyClaim("vae", "Two networks serve the two directions", "structure.parts", _two_networks),
    FamilyClaim(
        "vae", "the code may hold far fewer bits than the image", "portrait.numbers.kl_bits_per_dim", _small_code
    ),
    FamilyClaim("vae", "The loss is a bound", KIND, _of_kind("upper bound")),
    FamilyClaim("flow", "every step can be undone", "portrait.numbers.inverse_max_abs_error", _undone),
    FamilyClaim("flow", "no information is lost", "portrait.numbers.inverse_max_abs_error", _undone),
    FamilyClaim("flow", "the noise has as many numbers as the image", NOISE, _as_large),
    FamilyClaim("flow", "which makes bits per dimension a bound", KIND, _of_kind("upper bound")),
    FamilyClaim("diffusion", "The noise is as large as the image", NOISE, _as_large),
    FamilyClaim("diffusion", "Each step of sampling is one pass through the network", PASSES, _many_passes),
    FamilyClaim("diffusion", "The likelihood is a bound", KIND, _of_kind("upper bound")),
)


def contradicted(record: Record) -> list[FamilyClaim]:
    """Claims on the record's family that its own numbers contradict; what was not measured contradicts nothing."""
    known = [one for one in CLAIMS if one.family == record.family and value_at(record, one.path) not in (None, [], {})]
    return [one for one in known if not one.holds(record)]


def held(text: str, record: Record) -> str:
    """A family's text without the sentences that the record contradicts."""
    wrong = [one.words for one in contradicted(record)]
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", text)
    return " ".join(one for one in sentences if not any(words in one for words in wrong))
