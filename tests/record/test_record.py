"""The record: written once, read back as it was, refused where it is not what it claims."""

from __future__ import annotations

import hashlib
import json
import os
import warnings

import numpy as np
import pytest
from fixtures import ROOT, arrays, make

from equibench.errors import Remark, UserError
from equibench.protocol import PROTOCOL
from equibench.record import files as record_files
from equibench.record import find, schema
from equibench.record.paths import value_at
from equibench.record.reading import as_written


def test_round_trip(tmp_path):
    written = make("diffusion", seed=3)
    pictures = arrays()
    path = record_files.write(written, tmp_path, pictures)
    assert path.name == f"diffusion-s3-{written.key[:8]}.json"
    found = record_files.read(path)
    hashes = {"arrays_sha256": found.arrays_sha256, "content_sha256": found.content_sha256}
    assert found == written.model_copy(update=hashes)
    back = record_files.read_arrays(path, found)
    assert back.keys() == pictures.keys()
    assert all(np.array_equal(back[key], pictures[key]) and back[key].dtype == np.uint8 for key in pictures)


def test_same_record_gives_same_bytes(tmp_path):
    paths = [record_files.write(make("vae"), tmp_path / name, arrays()) for name in "ab"]
    for suffix in (".json", ".npz"):
        assert paths[0].with_suffix(suffix).read_bytes() == paths[1].with_suffix(suffix).read_bytes()


def sha256_by_hand(path):
    """Of the value in a file, without the field that holds it: by json and hashlib alone."""
    value = json.loads(path.read_text())
    del value["content_sha256"]
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_record_holds_the_hash_of_its_own_content(tmp_path):
    path = record_files.write(make("vae"), tmp_path, arrays())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert record_files.read(path).content_sha256 == sha256_by_hand(path)
    value = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(value.items()))))  # the order of keys and the spaces are no content
    assert as_written(path.read_bytes())


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["quality"].update(value=1.0),
        lambda value: value["config"].update(learning_rate=1.0),
        lambda value: value.update(arrays_sha256=None),
        lambda value: value["code"].pop("dirty"),
        lambda value: value.update(content_sha256="0" * 64),
    ],
)
def test_a_record_that_was_changed_by_hand_is_named(tmp_path, change):
    path = record_files.write(make("vae"), tmp_path, arrays())
    value = json.loads(path.read_text())
    change(value)
    value.setdefault("code", {}).setdefault("dirty", None)
    path.write_text(json.dumps(value))
    assert as_written(path.read_bytes()) is False
    with pytest.warns(Remark, match=f"{path.name} was changed by hand"):
        record_files.read(path)


def test_a_record_of_an_earlier_version_holds_no_hash():
    (one, *_) = (ROOT / "tests" / "form_0").glob("vae-*.json")
    assert as_written(one.read_bytes()) is None


def test_is_written_once(tmp_path):
    path = record_files.write(make("vae"), tmp_path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        record_files.write(make("vae"), tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", [[], ["budget"], ["quality", "features"]])
def test_unknown_keys_are_refused(tmp_path, where):
    path = record_files.write(make("vae"), tmp_path)
    content = json.loads(path.read_text())
    part = content
    for key in where:
        part = part[key]
    part["colour"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="colour"):
        record_files.read(path)


def test_numbers_that_are_none_at_all_are_refused():
    quality = make("vae").quality.model_dump()
    with pytest.raises(ValueError, match="finite"):
        schema.Quality(**quality | {"value": float("nan")})


def test_truncated_file_is_one_sentence(tmp_path):
    path = record_files.write(make("vae"), tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError) as caught:
        record_files.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mixed_protocols_are_refused(tmp_path):
    record_files.write(make("vae"), tmp_path)
    record_files.write(make("flow", protocol="0"), tmp_path)
    with pytest.raises(UserError, match=f"protocols 0 and {PROTOCOL}"):
        find.read_all([tmp_path])


def test_no_records(tmp_path):
    with pytest.raises(UserError, match="no records"):
        find.read_all([tmp_path])


def test_arrays_of_another_run_are_refused(tmp_path):
    path = record_files.write(make("vae"), tmp_path, arrays())
    path.with_suffix(".npz").write_bytes(b"something else")
    with pytest.raises(UserError, match="not the file that its record was written with"):
        record_files.read_arrays(path, record_files.read(path))


def test_arrays_that_are_gone_are_none(tmp_path):
    path = record_files.write(make("vae"), tmp_path, arrays())
    path.with_suffix(".npz").unlink()
    assert record_files.read_arrays(path, record_files.read(path)) == {}


def test_keys_of_dictionaries_are_looked_up_as_they_are():
    numbers = {"10": 1.0, "²": 2.0, "": 3.0, "a.b": 4.0}
    portrait = make("vae").portrait.model_copy(update={"numbers": numbers})
    one = make("vae", portrait=portrait, bounds=[make("vae").bounds[0]])
    assert [value_at(one, f"portrait.numbers.{key}") for key in ("10", "²", "a.b")] == [1.0, 2.0, 4.0]
    assert value_at(one, "bounds.importance weighting.curve.4") == one.bounds[0].curve[4]


def test_a_name_in_bytes_that_are_no_utf_8_is_told_as_in_a_terminal(tmp_path):
    data = make("vae").data.model_copy(update={"name": os.fsdecode(b'caf\xe9 "x".npz')})
    path = record_files.write(make("vae", data=data), tmp_path)
    path.read_bytes().decode()
    assert record_files.read(path).data.name == r'caf\xe9 "x".npz'
