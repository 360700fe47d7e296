"""Samples of other tools, and statistics as files."""

import json
import os
import tracemalloc

import numpy as np
import pytest
import torch
from files_of_images import write_pngs
from PIL import Image
from toys import IMAGES, RNG, extractor, features_of

from equibench.data import sets
from equibench.errors import UserError
from equibench.hashing import image_digests
from equibench.measure import samples as measure
from equibench.measure.quality import exchange, imported, metrics
from equibench.measure.quality.reference import CHECKED, reference_of_images


def test_exported_statistics_come_back_and_other_tools_read_them(tmp_path):
    toy = extractor()
    against = reference_of_images("test", IMAGES, toy, tmp_path)
    file = tmp_path / "stats.npz"
    exchange.export(against, toy.info, "toy data", file)
    with np.load(file) as arrays:  # no pickle needed
        np.testing.assert_allclose(arrays["mu"], toy(IMAGES).mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(arrays["sigma"], np.cov(toy(IMAGES).astype(float), rowvar=False))
    back = imported.read(file, toy)
    samples = features_of(IMAGES[:60], toy)
    assert metrics.measure(samples, back, toy).value == pytest.approx(metrics.measure(samples, against, toy).value)
    assert back.images_sha256 == against.images_sha256
    kd = metrics.measure(samples, back, toy, also=True).also[0]
    assert kd.value is None
    assert "hold no features" in kd.reason


def test_statistics_of_others_are_taken_and_wrong_ones_refused(tmp_path):
    toy = extractor()
    good = {"mu": np.zeros(6, np.float32), "sigma": np.eye(6)}
    np.savez(tmp_path / "theirs.npz", **good)
    assert imported.read(tmp_path / "theirs.npz", toy).images_sha256 is None
    wrong = {
        "other names": ({"mean": np.zeros(6)}, "`mu` and `sigma`"),
        "other size": ({"mu": np.zeros(5), "sigma": np.eye(5)}, "has 6 dimensions"),
        "not symmetric": ({**good, "sigma": np.triu(np.ones((6, 6)))}, "symmetric"),
        "not symmetric, and small": ({**good, "sigma": 1e-12 * np.triu(np.ones((6, 6)))}, "symmetric"),
        "negative": ({**good, "sigma": np.eye(6) - 0.5 * np.ones((6, 6))}, "negative eigenvalues"),
        "complex": ({**good, "sigma": np.eye(6) + 1e-3j}, "imaginary parts"),
        "words": ({**good, "mu": np.array(["0"] * 6)}, "real numbers"),
        "not finite": ({**good, "mu": np.full(6, np.nan)}, "mu must be finite"),
        "no count": ({**good, "n": np.array("many")}, "no count"),
        "negative count": ({**good, "n": np.int64(-5)}, "no count"),
        "damaged provenance": ({**good, "equibench": np.array("{}")}, "provenance"),
    }
    for name, (arrays, sentence) in wrong.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(UserError, match=sentence):
            imported.read(tmp_path / f"{name}.npz", toy)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UserError, match=r"is no \.npz"):
        imported.read(tmp_path / "text.npz", toy)


def test_statistics_of_another_extractor_are_refused(tmp_path):
    toy = extractor()
    exchange.export(reference_of_images("test", IMAGES, toy, tmp_path), toy.info, "toy", tmp_path / "s.npz")
    with pytest.raises(UserError, match="was made with toy"):
        imported.read(tmp_path / "s.npz", extractor(weights_sha256="f" * 64))
    # statistics that do not say what the network did are taken; others are held to it
    assert imported.read(tmp_path / "s.npz", extractor(probe_sha256="1" * 64)).shape == (1, 8, 8)
    probed = extractor(probe_sha256="1" * 64)
    exchange.export(reference_of_images("test", IMAGES, probed, tmp_path), probed.info, "toy", tmp_path / "probed.npz")
    assert imported.read(tmp_path / "probed.npz", probed).shape == (1, 8, 8)
    with pytest.raises(UserError, match="with the same weights it gave other features of the same images"):
        imported.read(tmp_path / "probed.npz", extractor(probe_sha256="2" * 64))


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A data set of 8x8 grey images in a file, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.savez(tmp_path / "toys.npz", train=IMAGES[:80], test=IMAGES[80:])
    return str(tmp_path / "toys.npz")


def save_pictures(folder, images, suffix="png", colour=False):
    folder.mkdir()
    for i, image in enumerate(images):
        picture = Image.fromarray(image[0])
        (picture.convert("RGB") if colour else picture).save(folder / f"{i:03}.{suffix}")
    return folder


def test_the_same_samples_in_any_format_give_the_same_numbers(toys, tmp_path):
    images = IMAGES[:60]
    np.save(tmp_path / "channels_first.npy", images)
    np.save(tmp_path / "channels_last.npy", images.transpose(0, 2, 3, 1))
    np.savez(tmp_path / "many.npz", samples=images[:, 0])
    sources = [
        tmp_path / "channels_first.npy",
        tmp_path / "channels_last.npy",
        tmp_path / "many.npz",
        save_pictures(tmp_path / "grey", images),
        save_pictures(tmp_path / "colour", images, colour=True),
    ]
    values = [measure.measure(source, extractor(), dataset=toys).quality.value for source in sources]
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


def test_a_copy_of_the_training_images_is_reported_as_memorized(toys, tmp_path):
    np.save(tmp_path / "copies.npy", IMAGES[:80])
    found = measure.measure(tmp_path / "copies.npy", extractor(), dataset=toys)
    assert found.quality.memorization.share_nearer_train == 1
    assert found.quality.memorization.p < 1e-6
    assert json.loads(found.model_dump_json())["data"]["n_train"] == 80


def test_files_are_what_they_hold_not_what_they_are_called(toys, tmp_path):
    folder = save_pictures(tmp_path / "jpegs", IMAGES[:60], "jpg")
    for file in folder.iterdir():
        file.rename(file.with_suffix(".png"))
    with pytest.raises(UserError, match="JPEG"):
        measure.measure(folder, extractor(), dataset=toys)
    honest = save_pictures(tmp_path / "pngs", IMAGES[:60], "png")
    save_pictures(tmp_path / "pngs" / ".checkpoints", IMAGES[:9], "png")
    assert measure.load(honest).count == 60
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "there").symlink_to(honest)
    assert measure.load(tmp_path / "linked").count == 60


def test_copies_are_remarked_on(toys, tmp_path):
    np.save(tmp_path / "copies.npy", np.repeat(IMAGES[:20], 5, axis=0))
    found = measure.measure(tmp_path / "copies.npy", extractor(), dataset=toys)
    assert any("80 of 100 samples are exact copies" in note for note in found.notes)


def test_statistics_remember_the_size_of_their_images(tmp_path):
    toy = extractor()
    exchange.export(reference_of_images("test", IMAGES, toy, tmp_path), toy.info, "toys", tmp_path / "stats.npz")
    np.save(tmp_path / "large.npy", RNG.integers(0, 256, (60, 1, 16, 16), dtype=np.uint8))
    with pytest.raises(UserError, match="1x16x16"):
        measure.measure(tmp_path / "large.npy", toy, dataset=None, statistics=tmp_path / "stats.npz")


def test_what_cannot_be_compared_is_refused_with_its_reason(toys, tmp_path):
    def refused(name, images, sentence, **options):
        path = tmp_path / f"{name}.npy"
        np.save(path, images)
        with pytest.raises(UserError, match=sentence):
            measure.measure(path, extractor(), **{"dataset": toys, **options})

    refused("floats", IMAGES / 255, "save levels 0..255 as uint8")
    refused("ones", IMAGES // 255, "no levels but 0, 1")
    refused("minus ones", np.where(IMAGES > 200, 255, IMAGES % 2).astype(np.uint8), "no levels but 0, 1, 255")
    refused("no pixels", np.zeros((60, 1, 0, 0), np.uint8), "without pixels")
    refused("few", IMAGES[:10], "at least 50")
    refused(
        "large", np.zeros((60, 1, 16, 16), np.uint8) + RNG.integers(0, 9, (60, 1, 16, 16), dtype=np.uint8), "1x16x16"
    )
    refused("colour", RNG.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8), "3x8x8")
    refused("nothing to compare with", IMAGES, "one thing to compare with", dataset=None)
    with pytest.raises(UserError, match="JPEG"):
        measure.measure(save_pictures(tmp_path / "jpegs", IMAGES[:60], "jpg"), extractor(), dataset=toys)
    with pytest.raises(UserError, match="there are no samples at"):
        measure.measure(tmp_path / "nowhere", extractor(), dataset=toys)
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(UserError, match="save the samples as `images`"):
        measure.measure(tmp_path / "other.npz", extractor(), dataset=toys)


COLOUR = RNG.integers(0, 256, (160, 9, 11, 3), dtype=np.uint8)  # of a size that no family takes


@pytest.fixture
def any_size(monkeypatch, tmp_path):
    """A network for images of any size, and a cache of its own."""
    monkeypatch.setattr(metrics, "PROJECTIONS", 20)  # most of the time of so few images
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return pooled()


def pooled():
    """Averages over nine fields of each channel: 27 numbers."""
    toy = extractor(27)
    calls = []

    def network(images):
        calls.append(len(images))
        return torch.nn.functional.adaptive_avg_pool2d(images.expand(-1, 3, -1, -1).float(), 3).flatten(1)

    object.__setattr__(toy, "network", network)
    object.__setattr__(toy, "calls", calls)
    return toy


def saved(folder, images, form):
    """Images [N, H, W, C] in one of the forms that samples and data sets come in."""
    folder.mkdir(exist_ok=True)
    path = folder / f"a.{form}"
    if form == "npy":
        np.save(path, images)
    elif form == "npz":
        np.savez_compressed(path, images=images)
    else:
        return write_pngs(folder / "a", images, f".{form}")
    return path


def quality(samples, toy, **options):
    return measure.measure(samples, toy, **options)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 7), (30, 30), (65, 70), (178, 218)])
def test_samples_of_any_size_in_any_form_give_the_same_numbers(any_size, tmp_path, size):
    images = RNG.integers(0, 256, (130, *size, 3), dtype=np.uint8)
    found = []
    for one, other in (("png", "npz"), ("npy", "png"), ("npz", "npy")):
        data = str(saved(tmp_path / "d", images[60:], other))
        found.append(quality(saved(tmp_path / "s", images[:60], one), any_size, dataset=data, split="all"))
    assert len({one.quality.model_dump_json() for one in found}) == 1
    assert len({one.samples_sha256 for one in found}) == 1
    assert len({one.data.sha256 for one in found}) == 1


def test_features_are_those_of_one_call_with_all_images(any_size, tmp_path):
    images = COLOUR.transpose(0, 3, 1, 2)
    mean = quality(saved(tmp_path, COLOUR, "png"), any_size, dataset=str(saved(tmp_path, COLOUR, "npz")), split="all")
    assert mean.quality.value == pytest.approx(0, abs=1e-6)
    source = measure.load(tmp_path / "a")
    got, digests = measure._features(source, any_size, lambda *_: None)
    assert np.array_equal(got, any_size(images))
    assert np.array_equal(digests, image_digests(images))
    assert set(any_size.calls) <= {20, 160 % 20, 4}


def test_a_folder_is_its_own_equal(any_size, tmp_path):
    for form in ("png", "npy", "npz"):
        path = saved(tmp_path, COLOUR, form)
        found = quality(path, any_size, dataset=str(path), split="all").quality
        numbers = {one.name: one.value for one in found.also}
        assert found.value == pytest.approx(0, abs=1e-6)
        assert numbers["sliced Wasserstein"] == 0
        assert [numbers[name] for name in ("precision", "recall", "coverage")] == [1, 1, 1]
        assert numbers["KD"] <= 0
        assert found.n_reference == 160


def test_a_split_by_hash_is_said_and_more_images_are_offered(any_size, tmp_path):
    data = str(saved(tmp_path / "d", COLOUR, "png"))
    samples = saved(tmp_path / "s", COLOUR[:100], "npy")
    found = quality(samples, any_size, dataset=data)
    m = found.quality.n_reference
    assert f"test: {m} of a's 160 images, by hash; --split all takes them all" in found.notes
    assert found.data.split == "by hash"
    assert found.quality.reason.startswith(f"{m} images are too few for the 27 dimensions")
    assert found.quality.reason.endswith(f"; test is {m} of a's 160 images, and --split train or all takes more")
    assert not any("by hash" in note for note in quality(samples, any_size, dataset=data, split="all").notes)


def grey_kinds(folder):
    greys = RNG.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    repeated = greys[..., None].repeat(3, axis=-1)
    yield "grey folder", save_pictures(folder / "grey", greys[:, None])
    yield "colour folder", save_pictures(folder / "colour", greys[:, None], colour=True)
    for name, images in (("flat", greys), ("one", greys[..., None]), ("three", repeated)):
        np.save(folder / f"{name}.npy", images)
        yield name, folder / f"{name}.npy"


@pytest.mark.parametrize(
    "reference", ["colour", "grey saved in colour", "grey", "grey folder", "grey folder in colour"]
)
@pytest.mark.parametrize("statistics", [False, True])
def test_greys_saved_in_any_way_give_the_same_numbers(any_size, tmp_path, reference, statistics):
    grey = RNG.integers(0, 256, (120, 8, 8), dtype=np.uint8)
    data = tmp_path / "data.npz"
    if "folder" in reference:
        data = save_pictures(tmp_path / "data", grey[:, None], colour=reference.endswith("colour"))
    elif reference == "colour":
        train, test = RNG.integers(0, 256, (2, 60, 8, 8, 3), dtype=np.uint8)
        np.savez(data, train=train, test=test)
    else:
        images = grey if reference == "grey" else grey[..., None].repeat(3, axis=-1)
        np.savez(data, train=images[:60], test=images[60:])
    against = {"dataset": str(data), "split": "all"}
    if statistics:
        part = sets.streamed(str(data)).part("all")
        exchange.export(reference_of_images("all", part, any_size), any_size.info, "data", tmp_path / "stats.npz")
        against = {"dataset": None, "statistics": tmp_path / "stats.npz"}
    found = [quality(path, any_size, **against) for _, path in grey_kinds(tmp_path)]
    np.testing.assert_allclose([one.quality.value for one in found], found[0].quality.value, rtol=1e-9)
    assert len({one.samples_sha256 for one in found}) == 1


def test_colour_beside_grey_is_refused(any_size, tmp_path):
    np.savez(tmp_path / "grey.npz", images=RNG.integers(0, 256, (120, 9, 11), dtype=np.uint8))
    with pytest.raises(
        UserError, match=r"3x9x11 \(channels, height, width\) and grey.npz of 1x9x11; sample in the data's"
    ):
        quality(saved(tmp_path, COLOUR, "npy"), any_size, dataset=str(tmp_path / "grey.npz"))


@pytest.mark.parametrize(("ours", "theirs"), [("jpg", "png"), ("png", "jpg"), ("one jpg", "png"), ("one jpg", "jpg")])
def test_loss_on_one_side_is_refused_by_name_unless_it_is_allowed(any_size, tmp_path, ours, theirs):
    samples = saved(tmp_path / "s", COLOUR[:60], ours.removeprefix("one "))
    if ours == "one jpg":
        samples = saved(tmp_path / "t", COLOUR[:60], "png")
        (tmp_path / "s/a/0007.jpg").replace(samples / "0007.png")
    data = str(saved(tmp_path / "d", COLOUR, theirs))
    lossy, of = {"jpg": 60, "png": 0, "one jpg": 1}[ours], {"jpg": 160, "png": 0}[theirs]
    sentence = rf"^{lossy} of 60 images of .* and {of} of 160 of a were compressed with loss \(such"
    with pytest.raises(UserError, match=sentence) as caught:
        quality(samples, any_size, dataset=data)
    assert ("0007.png, JPEG" in str(caught.value)) == (ours == "one jpg")
    assert "--allow-lossy" in str(caught.value)
    found = quality(samples, any_size, dataset=data, allow_lossy=True, split="all")
    assert found.allowed_lossy.startswith(f"{lossy} of 60 images")
    assert (
        f"{found.allowed_lossy}, which changes the distance; it was measured all the same (--allow-lossy)"
        in found.notes
    )


@pytest.mark.parametrize("form", ["jpg", "png"])
def test_equal_loss_on_both_sides_needs_no_leave(any_size, tmp_path, form):
    data = str(saved(tmp_path / "d", COLOUR, form))
    found = quality(saved(tmp_path / "s", COLOUR[:60], form), any_size, dataset=data, allow_lossy=True)
    assert found.allowed_lossy is None


def test_lossy_samples_beside_statistics_are_remarked_on(any_size, tmp_path):
    np.savez(tmp_path / "stats.npz", mu=np.zeros(27), sigma=np.eye(27))
    found = quality(saved(tmp_path, COLOUR, "jpg"), any_size, dataset=None, statistics=tmp_path / "stats.npz")
    assert any(note.startswith("160 of 160 samples were compressed with loss (") for note in found.notes)


def test_what_was_left_out_is_in_the_notes(any_size, tmp_path):
    samples = saved(tmp_path / "s", COLOUR[:60], "png")
    (samples / "a.gif").touch()
    data = saved(tmp_path / "d", COLOUR, "png")
    (data / ".hidden.png").touch()
    notes = quality(samples, any_size, dataset=str(data)).notes
    assert "samples: 1 file of image formats that are not read (.gif) were left out" in notes
    assert any(note.startswith("a: 1 hidden image left out") for note in notes)


def test_levels_are_looked_at_before_any_features(any_size, tmp_path):
    np.save(tmp_path / "ones.npy", COLOUR // 255)
    with pytest.raises(UserError, match="no levels but 0, 1; save levels"):
        quality(tmp_path / "ones.npy", any_size, dataset=str(saved(tmp_path, COLOUR, "npz")), split="all")
    assert not any_size.calls


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("form", ["png", "npy"])
def test_samples_of_a_model_that_collapsed_are_measured(any_size, tmp_path, level, form):
    data = str(saved(tmp_path / "d", COLOUR, "npz"))
    found = quality(saved(tmp_path, np.full_like(COLOUR, level), form), any_size, dataset=data, split="all")
    assert found.quality.value > 0
    assert "159 of 160 samples are exact copies of others: N counts them all" in found.notes


def test_black_and_white_are_levels(any_size, tmp_path):
    np.save(tmp_path / "bw.npy", np.where(COLOUR > 128, 255, 0).astype(np.uint8))
    data = str(saved(tmp_path, COLOUR, "npz"))
    assert quality(tmp_path / "bw.npy", any_size, dataset=data, split="all").quality.n_samples == 160


def test_features_of_a_data_set_are_kept_whatever_it_lies_in(any_size, tmp_path):
    samples = saved(tmp_path / "s", COLOUR[:60], "npy")
    quality(samples, any_size, dataset=str(saved(tmp_path / "d", COLOUR, "png")), split="all")
    before = sum(any_size.calls)
    quality(samples, any_size, dataset=str(saved(tmp_path / "d", COLOUR, "npy")), split="all")
    assert sum(any_size.calls) == before + 60 + CHECKED
    for _ in range(2):  # in batches of its own, as it can be read in one order alone
        quality(samples, any_size, dataset=str(saved(tmp_path / "d", COLOUR, "npz")), split="all")
    assert sum(any_size.calls) == before + 3 * 60 + 2 * CHECKED + 160
    changed = COLOUR.copy()
    changed[159, 0, 0, 0] ^= 1
    quality(samples, any_size, dataset=str(saved(tmp_path / "e", changed, "npy")), split="all")
    assert sum(any_size.calls) == before + 4 * 60 + 2 * CHECKED + 2 * 160


def test_memorization_needs_no_features_that_the_reference_has(any_size, tmp_path):
    samples = saved(tmp_path / "s", COLOUR[:60], "npy")
    data = str(saved(tmp_path / "d", COLOUR, "npz"))
    whole = quality(samples, any_size, dataset=data, split="all")
    assert sum(any_size.calls) == 160 + 60
    alone = quality(samples, any_size, dataset=data, split="test")
    assert whole.quality.memorization == alone.quality.memorization
    assert whole.quality.memorization.n_train == alone.quality.n_reference


def test_progress_hears_of_every_image(any_size, tmp_path):
    heard = {}

    def tell(what, done, total):
        heard.setdefault(what, []).append((done, total))

    data = str(saved(tmp_path / "d", COLOUR, "png"))
    measure.measure(saved(tmp_path / "s", COLOUR[:60], "png"), any_size, dataset=data, split="all", tell=tell)
    sums = {what: (sum(done for done, _ in told), told[-1][1]) for what, told in heard.items()}
    assert sums == {
        f"reading {data}": (160, 0), "features of a": (160, 160), "features of the samples": (60, 60), "metrics": (0, 0)
    }  # fmt: skip


def test_names_that_are_no_utf_8_can_be_written(any_size, tmp_path):
    samples = saved(tmp_path, COLOUR[:60], "npy").rename(tmp_path / os.fsdecode(b"\xff.npy"))
    found = quality(samples, any_size, dataset=str(saved(tmp_path, COLOUR, "npz")), split="all")
    assert json.loads(found.model_dump_json())["samples"].endswith("\\xff.npy")


@pytest.mark.parametrize("form", ["png", "npy", "npz"])
def test_images_need_not_fit_the_memory(any_size, tmp_path, form):
    images = np.zeros((300, 256, 256, 3), np.uint8)  # 56 MiB
    images[:, 0] = RNG.integers(0, 256, (300, 256, 3), dtype=np.uint8)
    path = saved(tmp_path, images, form)
    del images
    tracemalloc.start()
    found = quality(path, any_size, dataset=str(path), split="all")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.quality.value == pytest.approx(0, abs=1e-6)
    assert peak < 2**25
