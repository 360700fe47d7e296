"""The parts of a record on what a model is and is made of, and on pictures that are kept to look at or compare.

Pictures lie in the arrays file beside the record; a field that names some holds their key there.
"""

from __future__ import annotations

from equibench.record.base import Scalar, Strict


class Portrait(Strict):
    """What a family is: declared (concept, structure, abilities) and measured on this run (numbers)."""

    title: str  # e.g. "Generative adversarial network"
    concept: str
    structure: str
    differs: str  # from the other three
    abilities: dict[str, str]  # e.g. {"likelihood": "none", "encodes": "no"}
    numbers: dict[str, float] = {}
    pictures: dict[str, str] = {}  # key in the arrays file -> caption


class ModelPart(Strict):
    """A part of a model, as it is drawn: its share of the model is `params` over those of all parts."""

    name: str  # unlike every other part's, e.g. "generator.coarse"
    kind: str | None = None  # what it is, in a word or two, e.g. "residual blocks"
    params: int  # trainable parameters
    repeats: int = 1  # equal blocks in a row that it stands for; `params` counts all
    input_shapes: list[list[int]] = []  # of each tensor that goes in, without the batch, e.g. [[64, 14, 14]]
    output_shapes: list[list[int]] = []
    follows: list[str] = []  # names of the parts whose output goes in, or "image" and "noise", where a drawing ends
    trained: bool = True  # False: a fixed map
    samples: bool = True  # whether drawing a sample needs it


class Structure(Strict):
    """A model as parts, in the order in which a reader meets them, and the noise that one sample takes."""

    parts: list[ModelPart]
    noise_shapes: list[list[int]] = []  # of the random numbers behind one sample, e.g. [[32], [8, 7, 7]]


class FixedNoise(Strict):
    """Samples from noise that is the same for every run of an entrant, to be compared image by image."""

    n: int
    noise_seed: int
    options: dict[str, Scalar] = {}  # of the sampler
    pictures: str  # key of the arrays file: uint8 [n, C, H, W]
    features: str | None = None  # key: float32 [n, k], of the record's extractor, on k random directions


class DistanceParts(Strict):
    """What makes the distance between samples and the test images; measure/quality/distance_parts.py defines it.
    Classes are those of the test images; pictures are keys of the arrays file.
    """

    class_shares: dict[str, float] = {}  # class of the test images -> its share of the distance, summing to 1
    real_shares: dict[str, float] = {}  # class -> its share of the test images, summing to 1
    sample_shares: dict[str, float] = {}  # class -> share of samples whose nearest test image is of it, summing to 1
    reached_shares: dict[str, float] = {}  # class -> share of its test images that a sample comes near
    missed: str | None = None  # test images that no sample comes near: uint8 [n, C, H, W], farthest first
    farthest: str | None = None  # samples far from every test image, likewise
    neighbours: str | None = None  # uint8 [n, k, C, H, W]: a sample, then the test images nearest to it
    real_neighbours: str | None = None  # likewise: a test image, then the samples nearest to it
