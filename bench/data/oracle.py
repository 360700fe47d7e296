"""The `oracle` data set: procedural images whose exact entropy is known, to hold likelihoods against the truth.

An image is a 4 x 4 grid of tiles over a vertical gradient. Each tile holds one of 8 glyphs in one of 8 orientations, at
one of 16 places, in one of 16 bright colours; the gradient runs from one of 16 dark colours to another. Every
combination is equally likely, so the clean image carries log2 of their number: 232 bits. Each sub-pixel then gets
independent noise, Binomial(4, 1/2) - 2. Two facts make the entropy of the noisy image exact:

- no level is clipped: clean levels lie in 24..248, the noise in -2..2;
- clean images of different latents differ somewhere by more than 4, the noise's width, so that a noisy image has one
  possible origin: bright (glyph) and dark (gradient) pixels never meet, so a tile's pixels show its mask; the colours
  of either palette differ from each other by more than 4 in a channel; and glyphs leave pixels free in every row.

Hence H(image) = log2(combinations) + 3072 H(noise), and -log P(image) follows from decoding its latents.

All draws are bit fields of PCG64's raw stream, which numpy guarantees (that of Generator's methods it keeps by policy
only); a data set's hash in the record guards it all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SHAPE = (3, 32, 32)
DIMS = math.prod(SHAPE)

# None equals its own turn or mirror image, and each touches all four sides: the pixels give away which, how and where.
_GLYPHS = """
##### .#### ##### ####. #..## ####. #..## #...#
#.... #.... ...#. #...# #.#.. #...# #..#. #...#
####. #.### ...#. ####. ##... ####. ##### .####
#.... #...# #..#. #.... #.#.. #.#.. ...#. ....#
#.... .###. .##.. #.... #..#. #..## ...#. ####.
"""
_BRIGHT = [
    (248, 248, 248), (248, 72, 72), (72, 232, 88), (88, 136, 248),
    (248, 232, 72), (240, 88, 232), (72, 232, 240), (248, 152, 56),
    (176, 176, 184), (184, 40, 56), (40, 168, 104), (40, 72, 184),
    (184, 168, 40), (144, 56, 192), (248, 184, 200), (184, 248, 176),
]  # fmt: skip
_DARK = [(red, green, blue) for red in (24, 72) for green in (24, 72) for blue in (24, 48, 72, 96)]
_BRIGHT_FROM = 128  # the brightest channel of a glyph's pixel is above this, noise and all; of the gradient's, below

_NOISE_PMF = np.array([1, 4, 6, 4, 1]) / 16  # of -2..2
_NOISE_OF_NIBBLE = np.array([nibble.bit_count() - 2 for nibble in range(16)], np.int8)  # 16 fair nibbles, Binomial(4)

_TILE_WORDS, _WORDS = 4, 5 + DIMS // 16  # of 64 bits an image: 16 bits a tile, one word of gradient, 4 bits a sub-pixel
_CHUNK = 1000  # images at a time, to bound memory


def _masks() -> NDArray[np.bool_]:
    """Every glyph in every orientation at every place: bool [1024, 8, 8]."""
    rows = [line.split() for line in _GLYPHS.split("\n") if line]
    glyphs = np.array([[[pixel == "#" for pixel in line] for line in glyph] for glyph in zip(*rows, strict=True)])
    turned = [np.rot90(g, turns, (1, 2)) for g in (glyphs, glyphs[:, :, ::-1]) for turns in range(4)]
    oriented = np.concatenate(turned)
    return np.concatenate([np.pad(oriented, ((0, 0), (y, 3 - y), (x, 3 - x))) for y in range(4) for x in range(4)])


_MASKS = _masks()
_PALETTE, _GRADIENT_ENDS = np.array(_BRIGHT, np.uint8), np.array(_DARK, np.uint8)
_COMBINATIONS = (len(_MASKS) * len(_PALETTE)) ** 16 * len(_GRADIENT_ENDS) ** 2


def _mask_codes(masks: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Masks [..., 8, 8] as one integer each [...]."""
    return np.packbits(masks.reshape(*masks.shape[:-2], 64), axis=-1).view(np.uint64)[..., 0]


_CODES = _mask_codes(_MASKS)
_BY_CODE = np.argsort(_CODES)

Latents = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]  # masks and colours [n, 4, 4], gradient [n, 2]


def images(n: int, seed: int) -> NDArray[np.uint8]:
    """`n` independent images, uint8 [n, 3, 32, 32]. The first k of n are those of `images(k, seed)`."""
    stream = np.random.PCG64(seed)
    out = np.empty((n, *SHAPE), np.uint8)
    for part in _chunks(n):
        size = part.stop - part.start
        words = stream.random_raw(size * _WORDS).astype("<u8").reshape(size, _WORDS)
        tiles = words[:, :_TILE_WORDS].copy().view("<u2").reshape(size, 4, 4).astype(np.intp)
        ends = words[:, _TILE_WORDS].astype(np.intp)
        bits = words[:, _TILE_WORDS + 1 :].copy().view(np.uint8)
        nibbles = np.stack([bits & 15, bits >> 4], axis=-1).reshape(size, *SHAPE)
        clean = _clean((tiles & 1023, tiles >> 10 & 15, np.stack([ends & 15, ends >> 4 & 15], axis=-1)))
        out[part] = clean + _NOISE_OF_NIBBLE[nibbles]
    return out


def entropy_bits_per_dim() -> float:
    """The exact entropy of an image in bits per sub-pixel: no model's expected bits/dim can be lower."""
    return entropy_bits(_COMBINATIONS, DIMS, _NOISE_PMF) / DIMS


def entropy_bits(combinations: int, dims: int, noise_pmf: NDArray[np.float64]) -> float:
    """Entropy in bits of equally likely clean images plus independent noise on `dims` sub-pixels, supports disjoint."""
    return math.log2(combinations) - dims * float(np.sum(noise_pmf * np.log2(noise_pmf)))


def nats(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The exact -log P of each of `images` (uint8 [n, 3, 32, 32]) in nats, float64 [n]; inf where P is 0."""
    cost = np.concatenate([[np.inf], -np.log(_NOISE_PMF), [np.inf]])  # of noise -3 (or less) .. 3 (or more)
    out = np.empty(len(images))
    for part in _chunks(len(images)):
        # An image that is impossible decodes to some latents too, and cannot lie within the noise of their clean image
        noise = images[part].astype(np.int16) - _clean(_decode(images[part]))
        out[part] = cost[np.clip(noise, -3, 3) + 3].sum(axis=(1, 2, 3))
    return out + math.log(_COMBINATIONS)


def _clean(latents: Latents) -> NDArray[np.int16]:
    """The images before noise: levels 24..248, int16 [n, 3, 32, 32]."""
    masks, colours, ends = latents
    n = len(masks)
    mask = _MASKS[masks].transpose(0, 1, 3, 2, 4).reshape(n, 1, 32, 32)
    glyphs = _PALETTE[colours].transpose(0, 3, 1, 2).repeat(8, axis=2).repeat(8, axis=3)
    top, bottom = _GRADIENT_ENDS[ends].astype(np.int16)[..., None].transpose(1, 0, 2, 3)  # [n, 3, 1] each
    row = np.arange(32, dtype=np.int16)
    gradient = (top * (31 - row) + bottom * row + 15) // 31
    return np.where(mask, glyphs, gradient[..., None])


def _decode(images: NDArray[np.uint8]) -> Latents:
    """The latents of `images`; of an impossible image, any."""
    n = len(images)
    bright = images.max(axis=1) >= _BRIGHT_FROM  # [n, 32, 32]
    tile_masks = bright.reshape(n, 4, 8, 4, 8).transpose(0, 1, 3, 2, 4)
    found = np.searchsorted(_CODES, _mask_codes(tile_masks), sorter=_BY_CODE)
    masks = _BY_CODE[np.minimum(found, len(_BY_CODE) - 1)]

    tiles = images.reshape(n, 3, 4, 8, 4, 8).transpose(0, 2, 4, 3, 5, 1).reshape(n, 4, 4, 64, 3)
    first = tile_masks.reshape(n, 4, 4, 64).argmax(axis=-1)[..., None, None]
    colours = _nearest(np.take_along_axis(tiles, first, axis=3)[..., 0, :], _PALETTE)

    edges = images[:, :, [0, 31]].transpose(0, 2, 3, 1)  # [n, 2, 32, 3]
    free = bright[:, [0, 31]].argmin(axis=-1)[..., None, None]
    ends = _nearest(np.take_along_axis(edges, free, axis=2)[..., 0, :], _GRADIENT_ENDS)
    return masks, colours, ends


def _nearest(pixels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Index of the palette's colour whose worst channel is nearest, for pixels [..., 3].

    A pixel's own colour is within 2 in all channels, and every other is 3 or more away in one.
    """
    distance = np.abs(pixels[..., None, :].astype(np.int16) - palette).max(axis=-1)
    nearest: NDArray[np.intp] = distance.argmin(axis=-1)
    return nearest


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK))
