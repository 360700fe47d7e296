"""A user's own images as a data set: splits, classes, layouts, and what is said of each."""

import pickle
import re

import numpy as np
import pytest
from files_of_images import pixels, write_pngs

from equibench.data import readers, sets
from equibench.errors import UserError

IMAGES = pixels(40, 8, 12, 3)


def levels(images):
    return {image.tobytes() for image in images}


def first(images):
    """Channels last."""
    return images.transpose(0, 2, 3, 1)


def refused(path, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        sets.load(str(path))


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("Train", "Test"), ("TRAIN", "val"), ("training", "Valid"), ("train", "validation")],
)
def test_own_splits_are_used_as_they_are(tmp_path, train, test):
    write_pngs(tmp_path / train, IMAGES[:30])
    write_pngs(tmp_path / test, IMAGES[30:])
    found = sets.load(str(tmp_path))
    assert np.array_equal(first(found.train), IMAGES[:30])
    assert np.array_equal(first(found.test), IMAGES[30:])
    assert found.info().split == "its own"
    assert found.notes == ()
    assert found.train_labels is None


def test_the_same_splits_in_an_npz_are_the_same_data_set(tmp_path):
    write_pngs(tmp_path / "a/train", IMAGES[:30])
    write_pngs(tmp_path / "a/test", IMAGES[30:])
    np.savez(tmp_path / "a.npz", train=IMAGES[:30], test=IMAGES[30:])
    np.savez(tmp_path / "b.npz", Train=IMAGES[:30], val=IMAGES[30:])
    assert len({sets.load(str(tmp_path / name)).sha256 for name in ("a", "a.npz", "b.npz")}) == 1


def test_what_lies_in_no_split_is_said_and_part_of_all(tmp_path):
    for name, part in (("train", IMAGES[:20]), ("val", IMAGES[20:26]), ("test", IMAGES[26:36]), (".", IMAGES[36:])):
        write_pngs(tmp_path / name, part)
    found = sets.streamed(str(tmp_path))
    assert (len(found.train), len(found.test), len(found.whole)) == (20, 10, 40)
    assert len(found.notes) == 1
    assert "10 of" in found.notes[0]
    assert found.notes[0].endswith("lie neither in train nor in test and are in no split; --split all takes them, too")
    assert levels(found.part("all").whole()) == levels(IMAGES.transpose(0, 3, 1, 2))
    np.savez(tmp_path / "a.npz", train=IMAGES[:20], val=IMAGES[20:26], test=IMAGES[26:], extra=IMAGES[:2])
    found = sets.streamed(str(tmp_path / "a.npz"))
    assert (len(found.train), len(found.test), len(found.whole)) == (20, 14, 40)
    assert found.notes == ("val in a.npz is in no split; --split all takes it, too", "extra in a.npz was not read")


@pytest.mark.parametrize("alone", ["train", "test", "val"])
def test_a_split_alone_is_a_folder_like_others(tmp_path, alone):
    images = pixels(90, 8, 8, 3)
    write_pngs(tmp_path / "a" / alone, images)
    write_pngs(tmp_path / "b", images)
    one, other = (sets.load(str(tmp_path / name)) for name in "ab")
    assert one.sha256 == other.sha256
    assert one.split == "by hash"
    assert one.notes == (f"a has no splits of its own: {len(one.test)} of its 90 images are for testing, by hash",)


@pytest.mark.parametrize(
    "names", [["train", "Train", "test"], ["train", "val", "validation"], ["train", "test", "Test"]]
)
def test_two_folders_for_one_split_are_refused(tmp_path, names):
    for name in names:
        write_pngs(tmp_path / name, IMAGES[:3])
    refused(tmp_path, f"holds {', '.join(sorted(names))}, where one is for training and one for testing")


def test_images_of_both_splits_are_counted(tmp_path):
    np.savez(tmp_path / "a.npz", train=IMAGES[:30], test=IMAGES[27:])
    assert sets.load(str(tmp_path / "a.npz")).notes == (
        "3 of 13 test images are training images, too, to the last pixel",
    )


def test_class_folders_give_labels(tmp_path):
    for split, part in (("train", IMAGES[:30]), ("test", IMAGES[30:])):
        for i, name in enumerate(("dog", "cat", "10", "9")):
            write_pngs(tmp_path / "a" / split / name / ("deep" * (i % 2)), part[i::4])
    found = sets.load(str(tmp_path / "a"))
    assert found.classes == ("10", "9", "cat", "dog")
    of = {image.tobytes(): [3, 2, 0, 1][i % 4] for part in (IMAGES[:30], IMAGES[30:]) for i, image in enumerate(part)}
    for images, labels in ((found.train, found.train_labels), (found.test, found.test_labels)):
        assert labels.tolist() == [of[np.ascontiguousarray(image).tobytes()] for image in first(images)]
    info = found.info()
    assert info.classes == ["10", "9", "cat", "dog"]
    (tmp_path / "a/train/cat").rename(tmp_path / "a/train/zebra")
    (tmp_path / "a/test/cat").rename(tmp_path / "a/test/zebra")
    other = sets.load(str(tmp_path / "a"))
    assert other.classes == ("10", "9", "dog", "zebra")
    assert other.sha256 != found.sha256
    assert info.labels_sha256


def test_compression_with_loss_is_in_the_record(tmp_path):
    write_pngs(tmp_path / "a/train", IMAGES[:30], ".jpg")
    write_pngs(tmp_path / "a/test", IMAGES[30:])
    assert sets.load(str(tmp_path / "a")).info().lossy == (
        f"30 of 40 images, such as {tmp_path / 'a/train/0000.jpg'}, JPEG"
    )


def test_class_folders_of_a_pooled_folder(tmp_path):
    images = pixels(90, 8, 8, 3)
    write_pngs(tmp_path / "a/even", images[::2])
    write_pngs(tmp_path / "a/odd", images[1::2])
    found = sets.load(str(tmp_path / "a"))
    of = {image.tobytes(): i % 2 for i, image in enumerate(images)}
    for part, labels in ((found.train, found.train_labels), (found.test, found.test_labels)):
        assert labels.tolist() == [of[np.ascontiguousarray(image).tobytes()] for image in first(part)]
    write_pngs(tmp_path / "a", images[:1])  # one image in no class
    assert sets.load(str(tmp_path / "a")).train_labels is None


def test_the_class_of_one_image_changes_the_hash(tmp_path):
    images = pixels(90, 8, 8, 3)
    for name in "ab":
        write_pngs(tmp_path / name / "even", images[::2])
        write_pngs(tmp_path / name / "odd", images[1::2])
    (tmp_path / "b/even/0000.png").rename(tmp_path / "b/odd/x.png")
    one, other = (sets.load(str(tmp_path / name)) for name in "ab")
    assert np.array_equal(one.train, other.train)
    assert one.sha256 != other.sha256


@pytest.mark.parametrize("key", ["samples", "images", "arr_0", "x"])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [((8, 12), (1, 8, 12)), ((8, 12, 3), (3, 8, 12)), ((8, 12, 1), (1, 8, 12)), ((3, 8, 12), (3, 8, 12))],
)
def test_npz_layouts_and_labels(tmp_path, key, shape, expected):
    images = pixels(60, *shape)
    labels = "arr_1" if key == "arr_0" else "labels"  # as ADM's reference batches have them
    np.savez(tmp_path / "mine.npz", **{key: images, labels: images.reshape(60, -1)[:, 0]})
    found = sets.load(str(tmp_path / "mine.npz"))
    assert found.name == "mine.npz"
    assert found.shape == expected
    assert found.train[:, 0, 0, 0].tolist() == found.train_labels.tolist()  # labels follow their images
    assert found.test[:, 0, 0, 0].tolist() == found.test_labels.tolist()


def test_an_npy_is_a_data_set(tmp_path):
    images = pixels(60, 8, 8)
    np.save(tmp_path / "mine.npy", images)
    write_pngs(tmp_path / "mine", images)
    assert sets.load(str(tmp_path / "mine.npy")).sha256 == sets.load(str(tmp_path / "mine")).sha256


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": np.ones((60, 8, 8), np.float32)}, "mine.npz holds images of type float32 from 1 to 1; save levels"),
        ({"images": np.random.default_rng(0).integers(0, 2, (60, 8, 8), np.uint8)}, "holds no levels but 0, 1; save"),
        ({"images": pixels(60, 10, 8)}, "has 8x10 pixels; to be trained on, sides must be multiples of 4 from"),
        ({"images": pixels(60, 264, 8)}, "has 8x264 pixels"),
        ({"images": pixels(60, 4, 8)}, "has 8x4 pixels"),
        ({"images": pixels(2, 8, 8)}, "mine.npz has too few images: by their hashes 2 go to train and 0 to test"),
        ({"images": pixels(0, 8, 8)}, "mine.npz holds no images"),
        ({"images": pixels(9, 8, 8), "arr_0": pixels(9, 8, 8)}, "holds images in images, arr_0, and one array is read"),
        ({"faces": pixels(60, 8, 8)}, "mine.npz holds faces; save images, or train and test, in it"),
        ({}, "mine.npz holds nothing; save images"),
        ({"images": pixels(60, 8, 8), "labels": np.arange(59)}, "mine.npz holds labels that do not fit 60 images"),
        ({"images": pixels(60, 8, 8), "labels": np.ones(60)}, "give one integer an image"),
        ({"images": pixels(60, 8, 8), "labels": np.arange(60) - 1}, "holds labels below 0"),
        ({"train": pixels(5, 8, 8), "test": pixels(5, 8, 12)}, "mine.npz has splits (5, 1, 8, 8) and (5, 1, 8, 12)"),
        ({"train": pixels(5, 8, 8), "test": pixels(5, 8, 8, 3)}, "mine.npz has splits (5, 1, 8, 8) and (5, 3, 8, 8)"),
        ({"train": pixels(5, 8, 8), "test": pixels(0, 8, 8)}, "mine.npz holds no images"),
        ({"train": pixels(5, 8, 8), "val": pixels(5, 8, 8), "valid": pixels(5, 8, 8)}, "holds train, val, valid; keep"),
    ],
)  # fmt: skip
def test_npz_mistakes(tmp_path, arrays, sentence):
    np.savez(tmp_path / "mine.npz", **arrays)
    refused(tmp_path / "mine.npz", sentence)


def test_folder_of_large_images_is_refused_by_its_headers(tmp_path):
    write_pngs(tmp_path, pixels(3, 260, 260, 3))
    broken = tmp_path / "0001.png"
    broken.write_bytes(broken.read_bytes()[:100])  # nobody gets that far
    refused(tmp_path, "has 260x260 pixels; to be trained on, sides must be multiples of 4 from 8 to 256")


def test_what_no_memory_holds_is_refused_before_it_is_read(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", images=pixels(60, 8, 8))
    monkeypatch.setattr(readers.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2 * 60 * 64 - 1}))
    refused(tmp_path / "a.npz", "where 0.0 GB are free; give fewer images")


def test_any_size_is_compared_with_and_splits_may_be_empty(tmp_path):
    np.savez(tmp_path / "a.npz", images=pixels(2, 5, 300))
    found = sets.streamed(str(tmp_path / "a.npz"))
    assert found.shape == (1, 5, 300)
    assert len(found.part("all")) == 2
    with pytest.raises(UserError, match=r"no image of a\.npz is in the split test: 2 are for training and 0 .* all 2"):
        found.part("test")


def test_in_memory_and_streamed_are_the_same_data_set(tmp_path):
    for name, arrays in (("pooled", {"images": pixels(90, 8, 8)}), ("split", {"train": IMAGES, "test": IMAGES[:9]})):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        held, streamed = sets.load(str(tmp_path / f"{name}.npz")), sets.streamed(str(tmp_path / f"{name}.npz"))
        assert held.info() == streamed.info()
        for split in ("train", "test"):
            assert np.array_equal(getattr(held, split), streamed.part(split).whole())
        assert held.streamed.part("all").shape == streamed.part("all").shape


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("x" * 5000, "File name too long"),
        ("a\0b", "there is no data set"),
        ("file/images", "there is no folder, .npz or .npy file file/images"),
        ("images.tar.gz", "is an archive; unpack it"),
        ("images.zip", "is an archive; unpack it"),
    ],
)
def test_odd_paths(tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    for there in ("file", "images.tar.gz", "images.zip"):
        (tmp_path / there).touch()
    refused(name, sentence)


def test_labels_that_are_no_list(tmp_path):
    np.savez(tmp_path / "a.npz", images=pixels(60, 8, 8), labels=np.eye(60, dtype=np.int64))
    refused(tmp_path / "a.npz", "holds labels that do not fit 60 images; give one integer an image")


@pytest.mark.parametrize("kind", ["txt", "link", "pointer", "empty folder"])
def test_paths_of_nothing(tmp_path, kind):
    path = tmp_path / "a.npz"
    if kind == "txt":
        path = tmp_path / "a.txt"
        path.write_text("words")
        refused(path, "is neither a folder of images nor an .npz or .npy file")
    elif kind == "link":
        path.symlink_to("gone")
        refused(path, "is a link to nothing (gone)")
    elif kind == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
        refused(path, "is a pointer of Git LFS")
    else:
        (tmp_path / "a").mkdir()
        refused(tmp_path / "a", "holds no images")


def test_a_home_folder_is_found_by_its_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "a.npz", images=pixels(90, 8, 8))
    assert sets.load("~/a.npz").name == "a.npz"
    refused("~nobody-of-this-name/a.npz", "there is no folder, .npz or .npy file ~nobody-of-this-name/a.npz")


def test_a_relative_path_has_the_name_of_its_folder(tmp_path, monkeypatch):
    write_pngs(tmp_path / "mine/deep", pixels(90, 8, 8))
    monkeypatch.chdir(tmp_path / "mine/deep")
    assert sets.load(".").name == "deep"
    assert sets.load("..").name == "mine"


def test_a_data_set_goes_to_another_process_with_what_is_known_of_it(tmp_path):
    write_pngs(tmp_path / "mine", pixels(90, 8, 8))
    found = sets.load(str(tmp_path / "mine"))
    info = found.info()
    assert pickle.loads(pickle.dumps(found)).info() == info
