"""Statistics that other tools write are read, and what is wrong with them is said."""

import pickle
import struct
import zipfile

import numpy as np
import pytest
import scipy.linalg
import torch
from toys import IMAGES, extractor, features_of

from equibench.errors import UserError
from equibench.measure.quality import imported, metrics
from equibench.measure.quality.frechet import frechet_distance, statistics

DIMS = 6
TOY = extractor()
ROWS = np.random.default_rng(3).normal(size=(400, DIMS)) @ np.random.default_rng(4).normal(size=(DIMS, DIMS)) + 0.3
MU, SIGMA = ROWS.mean(0), np.cov(ROWS, rowvar=False)
FEW = np.random.default_rng(5).normal(size=(4, DIMS))  # of 4 images: a covariance of rank 3


def written(folder, **arrays):
    np.savez(folder / "theirs.npz", **arrays)
    return folder / "theirs.npz"


def read(folder, **arrays):
    return imported.read(written(folder, **arrays), TOY)


def independent(features):
    """The distance by the matrix root of the textbook (Heusel et al. 2017), which this project never takes."""
    features = features.double().numpy()
    root = scipy.linalg.sqrtm(np.cov(features, rowvar=False) @ SIGMA)
    return np.square(features.mean(0) - MU).sum() + np.trace(np.cov(features, rowvar=False) + SIGMA - 2 * root.real)


@pytest.mark.parametrize(
    ("arrays", "count"),
    [
        ({"mu": MU, "sigma": SIGMA}, 0),
        ({"mu": MU[None], "sigma": SIGMA[None], "n": np.array([400])}, 400),
        ({"mu": MU[:, None], "sigma": SIGMA[..., None], "n": np.array([[400.0]])}, 400),
        ({"mean": MU, "cov": SIGMA, "num_samples": 400.0}, 400),
        ({"m": MU, "s": SIGMA, "N": np.int64(400)}, 400),
        ({"mu": MU.astype(complex), "sigma": SIGMA.astype(complex), "n": 400}, 400),
        ({"mu": MU.astype("f4"), "sigma": SIGMA.astype(">f4")}, 0),
        ({"arr_0": np.zeros((9, 8, 8, 3), "u1"), "mu": MU, "sigma": SIGMA, "mu_s": MU, "sigma_s": SIGMA}, 0),
        ({"feats": ROWS}, 400),
        ({"reps": ROWS.reshape(400, DIMS, 1, 1), "hparams": np.array("dinov2")}, 400),
    ],
)  # fmt: skip
def test_what_other_tools_write_gives_the_distance_of_the_textbook(tmp_path, arrays, count):
    found = read(tmp_path, **arrays)
    samples = features_of(IMAGES[:60], TOY)
    assert found.statistics.n == count
    expected = independent(samples)
    assert frechet_distance(statistics(samples), found.statistics) == pytest.approx(expected, rel=1e-4)
    assert metrics.measure(samples, found, TOY).value == pytest.approx(expected, rel=1e-4)


def test_features_give_every_metric(tmp_path):
    found = read(tmp_path, features=ROWS)
    quality = metrics.measure(features_of(IMAGES, TOY), found, TOY, also=True)
    assert all(one.value is not None for one in quality.also)
    assert "its 400 rows" in found.notes[0]


def test_float16_is_taken_and_remarked_on(tmp_path):
    found = read(tmp_path, mu=MU.astype("f2"), sigma=SIGMA.astype("f2"))
    assert found.notes == ("the statistics in theirs.npz were saved in float16, which holds three digits",)
    torch.testing.assert_close(found.statistics.covariance, torch.from_numpy(SIGMA), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_a_singular_covariance_is_remarked_on(tmp_path, dtype):
    arrays = {"mu": FEW.mean(0).astype(dtype), "sigma": np.cov(FEW, rowvar=False).astype(dtype)}
    assert read(tmp_path, **arrays).notes == (
        "sigma in theirs.npz has rank 3, so it comes from 4 images or fewer, or from features that do not vary",
    )
    assert not read(tmp_path, **arrays, n=4).notes  # and the distance is refused by rule 6
    assert read(tmp_path, **arrays, n=500).notes


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"mu": np.stack([MU, MU]), "sigma": np.stack([SIGMA, SIGMA])}, "several sets of statistics"),
        ({"mu": MU, "sigma": np.diag(SIGMA)}, r"sigma \[6\], but toy has 6 dimensions"),
        ({"mu": MU[:5], "sigma": SIGMA[:5, :5]}, "toy has 6 dimensions; name the extractor"),
        ({"images": np.zeros((5, 8, 8), "u1")}, r"holds images \(images \[5, 8, 8\]\), no statistics; .*--dataset"),
        ({"train": np.zeros((5, 1, 8, 8), "u1"), "test": np.zeros((5, 1, 8, 8), "u1")}, "holds images"),
        ({"mu_s": MU, "sigma_s": SIGMA}, "holds mu_s, sigma_s; reference statistics are `mu` and `sigma`"),
        ({}, "holds nothing"),
        ({"mu": MU}, "holds mu; reference"),
        ({"mu": np.array(MU, object), "sigma": SIGMA}, "a pickle of another tool"),
        ({"mu": MU, "sigma": SIGMA.astype(complex) + 1e-9j}, "imaginary parts"),
        ({"mu": MU, "sigma": SIGMA.astype("f2") * np.float16(np.inf)}, "sigma finite"),
        ({"mu": MU, "sigma": SIGMA, "n": 400.5}, "no count"),
        ({"mu": MU, "sigma": SIGMA, "n": np.nan}, "no count"),
        ({"mu": MU, "sigma": SIGMA, "n": 1e300}, "no count"),
        ({"mu": MU, "sigma": SIGMA, "n": np.array([4, 5])}, "no count"),
        ({"feats": ROWS[:, :5]}, r"not the features \[N, 6\]"),
        ({"feats": ROWS[:1]}, r"not the features \[N, 6\]"),
        ({"feats": np.full((9, DIMS), np.nan)}, "NaN or infinite"),
        ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, "6 dimensions"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_what_is_wrong_is_said(tmp_path, arrays, sentence):
    with pytest.raises(UserError, match=sentence):
        read(tmp_path, **arrays)


def header(shape, dtype="<f8"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


ZEROS = header((DIMS,)) + bytes(8 * DIMS)


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as found:
        for name, content in members.items():
            found.writestr(f"{name}.npy", content)
    return path


def encrypted(path):
    archive(path, mu=ZEROS)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "write", "sentence"),
    [
        ("a.pkl", lambda path: path.write_bytes(pickle.dumps({"mu": MU})), "is a pickle of another tool; save mu and"),
        ("a.pkl", lambda path: path.write_bytes(pickle.dumps({"mu": 1}, 0)), "is a pickle of another tool"),
        ("a.npz", lambda path: path.write_bytes(pickle.dumps({"mu": MU})), "is a pickle of another tool"),
        ("a.pt", lambda path: torch.save({"mu": torch.ones(6)}, path), "is a pickle of another tool"),
        ("a.npz", lambda path: torch.save({"mu": torch.ones(6)}, path), "is a pickle of another tool"),
        ("a.npz", lambda path: path.mkdir(), "is a folder; give it with --dataset"),
        ("a.npz", lambda _: None, "there are no statistics at"),
        ("a.npy", lambda path: np.save(path, SIGMA), "is one array"),
        ("a.png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "is a picture; .*--dataset"),
        ("a.npz", lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "pointer of Git LFS"),
        ("a.npz", lambda path: path.write_bytes(b""), "is no .npz"),
        ("a.npz", encrypted, "cannot read the reference statistics"),
        ("a.npz", lambda path: archive(path, mu=b"\x93NUMPY\x01\x00"), "cannot read the reference statistics"),
        ("a.npz", lambda path: archive(path, mu=header((6,)), sigma=header((6, 6))), "cannot read"),
        # archives that would fill the memory: by what they say, and by what they unpack to
        ("a.npz", lambda path: archive(path, feats=header((10**12, 6)) + bytes(48)), "too large"),
        ("a.npz", lambda path: archive(path, mu=header((6,)) + bytes(10**7), sigma=header((6, 6))), "too large"),
        ("a.npz", lambda path: archive(path, mu=ZEROS, sigma=header((6, 6), "<U100000")), "too large"),
    ],
)  # fmt: skip
def test_files_of_other_kinds_are_named(tmp_path, name, write, sentence):
    write(tmp_path / name)
    with pytest.raises(UserError, match=sentence) as found:
        imported.read(tmp_path / name, TOY)
    assert "\n" not in str(found.value)
