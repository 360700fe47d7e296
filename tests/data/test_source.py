"""Images in batches: the same whatever they lie in, and however many at a time."""

import numpy as np
import pytest
from files_of_images import pixels, write_pngs
from PIL import Image

from equibench.data.parts import part_of, surveyed
from equibench.data.source import joined, of_array, of_folder, of_path
from equibench.errors import UserError

IMAGES = pixels(23, 3, 5, 7)


@pytest.fixture(params=["folder", "npy", "npz", "memory", "joined"])
def source(request, tmp_path):
    """The same 23 images, from everywhere."""
    last = IMAGES.transpose(0, 2, 3, 1)
    if request.param == "folder":
        return of_folder(write_pngs(tmp_path / "a", last))
    if request.param == "npy":
        np.save(tmp_path / "a.npy", last)
        return of_path(tmp_path / "a.npy")
    if request.param == "npz":
        np.savez_compressed(tmp_path / "a.npz", last)
        return of_path(tmp_path / "a.npz")
    return of_array(IMAGES) if request.param == "memory" else joined([of_array(IMAGES[:9]), of_array(IMAGES[9:])])


@pytest.mark.parametrize("size", [1, 4, 23, 100])
def test_batches_have_the_boundaries_of_one_array(source, size):
    got = list(source.batches(size))
    assert [len(batch) for batch in got] == [size] * (23 // size) + [23 % size] * (23 % size > 0)
    assert np.array_equal(np.concatenate(got), IMAGES)
    assert np.array_equal(source.whole(), IMAGES)


@pytest.mark.parametrize("chosen", [[], [0], [22], [3, 8, 9, 20]])
def test_some_of_the_images(source, chosen):
    got = list(source.batches(2, np.array(chosen, np.intp)))
    assert np.array_equal(np.concatenate([*got, IMAGES[:0]]), IMAGES[chosen])


def test_a_part_has_an_order_of_its_own(source):
    _, digests = surveyed("a", source)
    assert np.array_equal(digests, part_of(IMAGES).digests)
    whole = part_of(IMAGES)
    order = np.random.default_rng(0).permutation(23)[:11]
    part = type(whole)(source, order, digests[order])
    assert np.array_equal(part.whole(), IMAGES[order])
    assert part.as_stored == (not source.seeks)
    places, batches = zip(*part.batches(4), strict=True)
    assert [len(batch) for batch in batches] == [4, 4, 3]
    expected = np.argsort(order) if part.as_stored else np.arange(11)
    assert np.array_equal(np.concatenate(places), expected)
    assert np.array_equal(np.concatenate(batches), IMAGES[order[expected]])
    assert part.sha256 == part_of(IMAGES[order]).sha256 != part_of(IMAGES[np.sort(order)]).sha256
    assert np.array_equal(part.at(np.array([4, 2])).whole(), IMAGES[order[[4, 2]]])


def test_channels_are_those_of_the_files_and_one_for_greys_saved_in_colour(tmp_path):
    greys = pixels(6, 5, 7)
    for i, image in enumerate(greys):
        Image.fromarray(image).convert(("L", "RGB")[i % 2]).save(tmp_path / f"{i}.png")
    source = of_folder(tmp_path)
    assert source.shape == (3, 5, 7)
    grey, digests = surveyed("a", source, grey_alike=True)
    assert grey.shape == (1, 5, 7)
    assert np.array_equal(grey.whole()[:, 0], greys)
    assert np.array_equal(digests, part_of(greys[:, None]).digests)
    assert surveyed("a", source)[0].shape == (3, 5, 7)
    Image.fromarray(pixels(1, 5, 7, 3)[0]).save(tmp_path / "6.png")
    assert surveyed("a", of_folder(tmp_path), grey_alike=True)[0].shape == (3, 5, 7)


def test_images_of_two_sizes(tmp_path):
    write_pngs(tmp_path, pixels(3, 5, 7))
    Image.fromarray(pixels(1, 7, 5)[0]).save(tmp_path / "0001.png")
    with pytest.raises(UserError, match=r"0000\.png has 7x5 pixels and .*0001\.png has 5x7; crop or resize"):
        of_folder(tmp_path)


@pytest.mark.parametrize("position", [0, 7, 22])
def test_a_broken_image_stops_the_batches(tmp_path, position):
    folder = write_pngs(tmp_path / "a", pixels(23, 16, 16, 3))
    broken = folder / f"{position:04}.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(UserError, match=rf"cannot read the image .*{broken.name} \(.+\); replace or remove it"):
        list(of_folder(folder).batches(4))
