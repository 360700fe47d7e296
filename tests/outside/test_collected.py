"""Samples in a model's place: what cannot be compared is refused; which are measured hangs on their pixels alone."""

import numpy as np
import pytest
import torch
from files_of_images import pixels, write_pngs
from PIL import Image

from equibench.data.sets import Dataset
from equibench.errors import UserError
from equibench.outside.samples import Collected, FewSamplesError, fitting_samples

DATA = Dataset("toys", pixels(60, 1, 8, 8), pixels(60, 1, 8, 8, seed=1))


def test_a_folder_gives_its_images(tmp_path):
    images = pixels(20, 8, 8, seed=3)
    found = fitting_samples(write_pngs(tmp_path / "a", images), DATA, 20).whole()
    assert np.array_equal(found[:, 0], images)


def test_grey_saved_in_colour_is_grey(tmp_path):
    images = pixels(20, 8, 8, seed=3)
    np.savez(tmp_path / "a.npz", images=np.repeat(images[..., None], 3, axis=3))
    assert np.array_equal(fitting_samples(tmp_path / "a.npz", DATA, 20).whole()[:, 0], images)


def test_what_cannot_be_compared_is_refused(tmp_path):
    few = write_pngs(tmp_path / "few", pixels(20, 8, 8))
    with pytest.raises(UserError, match="holds 20 images, and 21 samples of every entrant are measured"):
        fitting_samples(few, DATA, 21)
    with pytest.raises(UserError, match="resizing changes the distance"):
        fitting_samples(write_pngs(tmp_path / "large", pixels(20, 16, 16)), DATA, 20)
    np.save(tmp_path / "cast.npy", pixels(20, 8, 8) // 128)
    with pytest.raises(UserError, match="cast"):
        fitting_samples(tmp_path / "cast.npy", DATA, 20)


def test_jpegs_beside_data_without_loss_are_refused(tmp_path):
    (tmp_path / "jpegs").mkdir()
    for i, image in enumerate(pixels(20, 8, 8)):
        Image.fromarray(image).save(tmp_path / "jpegs" / f"{i}.jpg")
    with pytest.raises(UserError, match="were compressed with loss"):
        fitting_samples(tmp_path / "jpegs", DATA, 20)


def test_the_images_that_are_measured_hang_on_their_pixels_and_not_on_their_order():
    images = pixels(40, 1, 8, 8)
    once = Collected(images).sample(10, torch.Generator())
    again = Collected(images[::-1].copy()).sample(10, torch.Generator().manual_seed(5))
    assert {one.numpy().tobytes() for one in once} == {one.numpy().tobytes() for one in again}
    assert len({one.numpy().tobytes() for one in once}) == 10
    with pytest.raises(FewSamplesError, match="40 samples, and 41 are measured"):
        Collected(images).sample(41, torch.Generator())
