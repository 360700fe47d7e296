"""The form of a record: what older and newer ones lose, and what a version 1 can hold."""

import json
import warnings

import pytest
from fixtures import ROOT, make

from equibench.errors import Remark, UserError
from equibench.hashing import digest
from equibench.protocol import PROTOCOL
from equibench.record import anatomy, schema, surroundings
from equibench.record import files as record_files
from equibench.record.json_schema import DIALECT, json_schema
from equibench.record.paths import value_at
from equibench.record.reading import content_sha256
from equibench.record.schema import SCHEMA_VERSION, Record
from equibench.suite import Suite, cells, load

EARLIEST = sorted((ROOT / "tests" / "form_0").glob("*.json"))  # of a run before records had forms


def full():
    """A record with all that forms 1 to 3 have over form 0."""
    point = schema.TrainingPoint(
        label="25 %", share=0.25, updates=10, images=1280, flops=5e12, train_sec=30.0,
        quality=make("vae").quality, likelihood=make("vae").likelihood, pictures="along-25",
    )  # fmt: skip
    return make(
        "vae",
        invocation="0123abcd",
        attempts=[surroundings.Attempt(name="1", begun="2026-01-01T00:00:00Z", to_updates=7, ended="killed")],
        numerics=surroundings.Numerics(threads=2, training="bfloat16", environment={"OMP_NUM_THREADS": "2"}),
        libraries=surroundings.Libraries(blas="MKL 2024.2", others={"sleef": "3.6"}),
        timed=[
            surroundings.TimedBlock(
                name="speed",
                load=surroundings.Load(others_cpu_share=0.02, load_average=1.5),
                reference=surroundings.ReferenceWorkload(name="convolutions 1", before_sec=[0.1], after_sec=[0.11]),
            )
        ],
        structure=anatomy.Structure(
            parts=[anatomy.ModelPart(name="decoder", params=300_000, input_shapes=[[32]], output_shapes=[[1, 28, 28]])],
            noise_shapes=[[32], [8, 7, 7]],
        ),
        along=[point],
        real_data_at=[schema.RealDataPoint(label="1500", quality=make("vae").quality)],
        fixed_noise=anatomy.FixedNoise(n=64, noise_seed=1, pictures="fixed"),
        distance_parts=anatomy.DistanceParts(
            class_shares={"shirt": 0.4, "bag": 0.6}, reached_shares={"shirt": 0.9, "bag": 0.2}, missed="missed"
        ),
        tuning=surroundings.Tuning(trials=20, full_runs=12, flops=1e14, study="quick"),
    )


def test_all_of_form_3_is_written_and_read_back(tmp_path):
    path = record_files.write(full(), tmp_path)
    assert json.loads(path.read_text())["schema_version"] == SCHEMA_VERSION == 3
    found = record_files.read(path)
    assert found == full().model_copy(update={"content_sha256": found.content_sha256})
    assert value_at(full(), "along.25 %.quality.value") == make("vae").quality.value
    assert value_at(full(), "timed.speed.reference.before_sec") == [0.1]
    assert value_at(full(), "structure.parts.decoder.params") == 300_000


def test_records_of_form_0_are_read_without_a_remark():
    assert len(EARLIEST) == 17
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {record_files.read(path).schema_version for path in EARLIEST} == {0}


def newer(tmp_path, change):
    """A file of form 4, made of one of form 3 by `change`."""
    value = full().model_dump(mode="json") | {"schema_version": 4}
    change(value)
    path = tmp_path / "vae-s0-0123abcd.json"
    path.write_text(json.dumps(value | {"content_sha256": content_sha256(value)}))
    return path


def test_a_newer_form_is_read_for_what_is_known(tmp_path):
    def change(value):
        value["colour"] = {"red": 1}
        value["machine"]["rack"] = 7
        value["quality"]["also"][1]["name"] = "FLD"
        value["quality"]["also"] += [{"name": "vendi", "value": 2}, {"name": "MMD"}]
        value["likelihood"]["kind"] = "pseudo"
        value["config"]["layers"] = [1, 2]
        value["speed"]["images_per_sec"] = {"median": 1.0}

    path = newer(tmp_path, change)
    with pytest.warns(Remark, match="0123abcd.json is of a newer form, 4; what this version"):
        found = record_files.read(path)
    was = full()
    assert found.schema_version == 4
    assert found.machine == was.machine
    assert [one.name for one in found.quality.also] == ["KD", "recall", "density"]
    assert found.likelihood is None  # without its kind no likelihood can be read
    assert found.speed is None
    assert found.config == was.config
    assert (found.along, found.timed, found.memory) == (was.along, was.timed, was.memory)


@pytest.mark.parametrize(
    "change",
    [lambda value: value.pop("data"), lambda value: value.update(status="asleep"), lambda v: v.update(seed=[])],
)
def test_a_newer_form_that_cannot_be_read_says_so(tmp_path, change):
    with pytest.raises(UserError, match=r"of a newer form, 4, of which .* knows too little; update equibench"):
        record_files.read(newer(tmp_path, change))


@pytest.mark.parametrize("version", [0, 1, 2, 3, None])
def test_an_unknown_field_of_a_known_form_is_a_mistake(tmp_path, version):
    def change(value):
        value["colour"] = 1
        value["schema_version"] = version
        if version is None:
            del value["schema_version"]

    with pytest.raises(UserError, match="not a valid record: colour: no field of a record") as caught:
        record_files.read(newer(tmp_path, change))
    assert "delete" not in str(caught.value)


@pytest.mark.parametrize("version", [-1, "one", 1.5, [], 10**30])
def test_a_version_that_is_none(tmp_path, version):
    with pytest.raises(UserError, match=r"schema_version|too large"):
        record_files.read(newer(tmp_path, lambda value: value.update(schema_version=version)))


def described(schema):
    return {
        (kind, name): field.get("description")
        for kind, part in [("", schema), *schema.get("$defs", {}).items()]
        for name, field in part["properties"].items()
    }


def test_the_schemas_name_every_field_with_its_comment():
    found = json_schema(Record)
    assert found["$schema"] == DIALECT
    assert "$id" not in json.dumps(found)
    told = described(found)
    assert {name for kind, name in told if not kind} == set(Record.model_fields)
    assert told["Load", "others_cpu_share"].endswith("in [0, 1]")
    assert told["Quality", "stderr"] == "of `value`, over samples"
    untold = [key for key, about in described(json_schema(Suite)).items() if not about]
    assert untold == []  # someone who writes a suite is told what every key means
    assert described(json_schema(Suite))["Measuring", "samples"] == "for the Frechet distance"
    assert described(json_schema(Suite))["", "cell_limit_sec"].startswith("a cell that takes longer")


def test_a_field_that_nobody_fills_leaves_the_keys_of_cells_as_they_were():
    """Else a run into a folder that was made before would repeat every cell."""
    cell = next(iter(cells(load("smoke"))))
    info = make("vae").quality.features
    hashed = {
        "protocol": PROTOCOL,
        "name": cell.name,
        "seed": cell.seed,
        "entrant": None,
        "budget": None,
        "measure": cell.suite.measure.model_dump(exclude={"more_extractors", "by_class", "probes"}),
        "data": "data",
        "features": {"name": info.name, "weights_sha256": info.weights_sha256, "preprocessing": info.preprocessing,
                     "dims": info.dims},
        "machine": "machine",
        "weights": None,
    }  # fmt: skip
    assert cell.key("data", info, "machine") == digest(hashed)
    assert cell.key("data", info.model_copy(update={"probe_sha256": "ab" * 32}), "machine") != digest(hashed)
