"""The oracle's entropy against counting by hand, and its likelihood against its own draws."""

import hashlib
import itertools
import math

import numpy as np
import pytest

from equibench.data import oracle

WIDTH = 4  # of the noise: levels further apart than this cannot be confused
BITS = 8 + 16 * (3 + 3 + 4 + 4)  # by hand: two of 16 darks; 16 tiles of 8 glyphs, 8 turns, 16 places, 16 colours


@pytest.fixture(scope="module")
def images():
    return oracle.images(2000, seed=7)


def test_entropy_of_a_case_enumerated_by_hand():
    # Two sub-pixels, clean images (0, 0) and (10, 0), noise -1, 0, 1: 18 outcomes in all
    pmf = {-1: 0.25, 0: 0.5, 1: 0.25}
    outcomes: dict[tuple[int, int], float] = {}
    for first, (a, p), (b, q) in itertools.product((0, 10), pmf.items(), pmf.items()):
        outcomes[first + a, b] = outcomes.get((first + a, b), 0.0) + 0.5 * p * q
    assert len(outcomes) == 18
    expected = -sum(p * math.log2(p) for p in outcomes.values())
    assert expected == 4.0  # 1 bit of latent, 1.5 of noise twice
    assert oracle.entropy_bits(2, 2, np.array(list(pmf.values()))) == pytest.approx(expected, abs=1e-12)


def test_entropy_is_the_count_of_latents_and_the_entropy_of_four_coins():
    coins = [sum(flips) for flips in itertools.product((0, 1), repeat=4)]
    noise_bits = -sum(math.log2(coins.count(coin) / 16) for coin in coins) / 16
    assert oracle.entropy_bits_per_dim() == pytest.approx(BITS / 3072 + noise_bits, abs=1e-12)
    assert oracle.entropy_bits_per_dim() == pytest.approx(2.1061598955629, abs=1e-12)


def test_mean_of_nats_is_the_entropy(images):
    bits = oracle.nats(images) / math.log(2) / 3072
    standard_error = bits.std(ddof=1) / math.sqrt(len(bits))
    assert abs(bits.mean() - oracle.entropy_bits_per_dim()) < 4 * standard_error


def test_nats_of_one_image_by_hand():
    # Without noise every sub-pixel has the middle probability, 6/16
    clean = oracle._clean(oracle._decode(oracle.images(1, seed=3)))
    expected = BITS * math.log(2) + 3072 * math.log(16 / 6)
    assert oracle.nats(clean.astype(np.uint8)) == pytest.approx([expected], rel=1e-12)
    clean[0, 1, 2, 3] += 2  # 1/16 in place of 6/16
    assert oracle.nats(clean.astype(np.uint8)) == pytest.approx([expected + math.log(6)], rel=1e-12)


def test_masks_differ_pairwise_and_leave_pixels_free_in_every_row():
    masks = oracle._MASKS
    assert masks.shape == (1024, 8, 8)
    flat = masks.reshape(1024, 64).astype(np.float32)
    shared = flat @ flat.T
    differing = flat.sum(1)[:, None] + flat.sum(1) - 2 * shared  # exact: small integers
    assert differing[~np.eye(1024, dtype=bool)].min() >= 1
    assert not masks.all(axis=2).any()  # the gradient shows in every row of every tile


def test_colours_differ_by_more_than_the_noise():
    for palette in (oracle._BRIGHT, oracle._DARK):
        assert len(palette) == 16
        for one, other in itertools.combinations(palette, 2):
            assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > WIDTH
    # A glyph's pixel and a gradient's differ in the glyph's brightest channel, whichever row and gradient
    assert min(max(colour) for colour in oracle._BRIGHT) - max(max(colour) for colour in oracle._DARK) > WIDTH
    levels = np.array(oracle._BRIGHT + oracle._DARK)
    assert levels.min() >= 2  # no clipping
    assert levels.max() <= 253


def test_clean_images_differ_wherever_one_latent_does():
    # Every single change of a tile's latents, or of the gradient, over one random image, by brute force
    rng = np.random.default_rng(0)
    masks, colours = rng.integers(0, 1024, (1, 4, 4)), rng.integers(0, 16, (1, 4, 4))
    ends = rng.integers(0, 16, (1, 2))
    base = oracle._clean((masks, colours, ends))
    tiles = np.arange(1024 * 16)
    own = int(masks[0, 1, 2] * 16 + colours[0, 1, 2])
    for part in np.array_split(tiles[tiles != own], 16):
        other_masks, other_colours = masks.repeat(len(part), 0), colours.repeat(len(part), 0)
        other_masks[:, 1, 2], other_colours[:, 1, 2] = part // 16, part % 16
        others = oracle._clean((other_masks, other_colours, ends.repeat(len(part), 0)))
        assert np.abs(others - base).max(axis=(1, 2, 3)).min() > WIDTH
    gradients = np.array(list(itertools.product(range(16), repeat=2)))
    gradients = gradients[(gradients != ends).any(axis=1)]
    others = oracle._clean((masks.repeat(255, 0), colours.repeat(255, 0), gradients))
    assert np.abs(others - base).max(axis=(1, 2, 3)).min() > WIDTH


def test_decoding_gives_back_every_latent_under_the_worst_noise():
    rng = np.random.default_rng(1)
    n = 300
    latents = rng.integers(0, 1024, (n, 4, 4)), rng.integers(0, 16, (n, 4, 4)), rng.integers(0, 16, (n, 2))
    clean = oracle._clean(latents)
    noisy = (clean + rng.choice([-2, 2], clean.shape)).astype(np.uint8)
    for decoded, drawn in zip(oracle._decode(noisy), latents, strict=True):
        assert np.array_equal(decoded, drawn)
    assert oracle.nats(noisy) == pytest.approx(BITS * math.log(2) + 3072 * math.log(16), rel=1e-12)


def test_draws_are_uniform(images):
    masks, colours, ends = oracle._decode(images)
    counted = [(masks, 1024), (colours, 16), (ends, 16)]
    noise = images - oracle._clean((masks, colours, ends)) + 2
    for values, kinds in counted:
        counts = np.bincount(values.ravel(), minlength=kinds)
        expected = values.size / kinds
        assert abs(((counts - expected) ** 2 / expected).sum() - (kinds - 1)) < 5 * math.sqrt(2 * (kinds - 1))
    counts, expected = np.bincount(noise.ravel()), noise.size * np.array([1, 4, 6, 4, 1]) / 16
    assert ((counts - expected) ** 2 / expected).sum() < 4 + 5 * math.sqrt(8)


@pytest.mark.parametrize("shift", [-3, 3, 40])
def test_impossible_images_have_infinite_nats(images, shift):
    clean = oracle._clean(oracle._decode(images[:50]))
    at = np.random.default_rng(2).integers(0, 32, (50, 2))
    clean[np.arange(50), 0, at[:, 0], at[:, 1]] += shift  # 40 may also break a mask
    assert np.isinf(oracle.nats(np.clip(clean, 0, 255).astype(np.uint8))).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_images_are_impossible(level):
    assert np.isinf(oracle.nats(np.full((2, 3, 32, 32), level, np.uint8))).all()


def test_images_are_the_same_for_any_number_and_pinned():
    few, many = oracle.images(3, seed=1), oracle.images(1001, seed=1)
    assert few.dtype == np.uint8
    assert np.array_equal(few, many[:3])
    assert not np.array_equal(few, oracle.images(3, seed=2))
    assert (
        hashlib.sha256(many.tobytes()).hexdigest() == "426296ccd63121626926e225eb8fedeaf068e86b18859064ba1fd353d1453549"
    )
    assert oracle.images(0, seed=1).shape == (0, 3, 32, 32)
