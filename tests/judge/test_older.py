"""Baselines that were replaced leave their noise to the next."""

import json
import math

import pytest
from fixtures import make, save
from judging import changed

from equibench.errors import UserError
from equibench.hashing import digest
from equibench.judge import baseline, older
from equibench.judge.check import check, compare
from equibench.record import find

SD = 0.05


def trainings(seeds, mean=100.0, sd=SD, code="a", **more):
    """Two records or more of distances whose logarithms have exactly that deviation, as some code trains them."""
    steps = [sd * (1, -1)[i % 2] / math.sqrt(2) for i in range(len(seeds))]
    return [
        changed(
            make("vae", seed, key=f"{seed:064x}", weights_sha256=digest([code, seed]), code=make("vae").code, **more),
            quality={"value": mean * math.exp(step)},
        )
        for seed, step in zip(seeds, steps, strict=True)
    ]


def line(found, number="FD_5k"):
    return next(x for x in found.lines if x.number == number)


def replaced(tmp_path, *baselines):
    out = tmp_path / "baseline"
    for i, records in enumerate(baselines):
        baseline.make([save(records, tmp_path / f"results{i}", with_arrays=False)], out, update=bool(i))
    return out


def test_a_replaced_baseline_leaves_its_spread(tmp_path):
    out = replaced(tmp_path, trainings((0, 1), mean=50), trainings((2,)))
    assert len(find.read_all([out])) == 1
    run = save(trainings((9,)), tmp_path / "run", with_arrays=False)
    found = line(check([run], [out]))
    assert [(source.what, source.df) for source in found.sources] == [
        ("assumed", 4), ("1 older baseline since 2025-01-01", 1),
    ]  # fmt: skip
    assert found.sources[1].sd == pytest.approx(SD)
    assert "1 older baseline since 2025-01-01" in found.sentence
    assert found.df == 5
    plain = line(compare([one for _, one in find.read_all([out])], trainings((9,))))
    assert plain.df == 4


def test_older_baselines_add_up_and_only_the_last_ones_count(tmp_path):
    several = [trainings((10 * i, 10 * i + 1), sd=0.01 * (i + 1)) for i in range(older.MOST_BASELINES + 3)]
    out = replaced(tmp_path, *several)
    run = save(trainings((900,)), tmp_path / "run", with_arrays=False)
    source = line(check([run], [out])).sources[-1]
    assert source.df == older.MOST_BASELINES
    sds = [0.01 * (i + 1) for i in range(older.MOST_BASELINES + 2)][-older.MOST_BASELINES :]
    assert source.sd == pytest.approx(math.sqrt(sum(sd**2 for sd in sds) / len(sds)))


def test_a_spread_counts_once(tmp_path):
    """A baseline that is made again, or grows, has its own spread already."""
    out = replaced(tmp_path, trainings((0, 1)), trainings((0, 1, 2, 3)))
    assert not (out / older.NAME).exists()
    out = replaced(tmp_path / "again", trainings((0, 1)), trainings((2, 3)), trainings((0, 1)))
    run = save(trainings((9,)), tmp_path / "run", with_arrays=False)
    found = line(check([run], [out]))
    assert {source.what: source.df for source in found.sources} == {
        "assumed": 4, "baseline": 1, "1 older baseline since 2025-01-01": 1,
    }  # fmt: skip


def test_the_same_cells_of_other_code_are_other_draws(tmp_path):
    """A cell's key says nothing of its code: the usual update has the same seeds."""
    out = replaced(tmp_path, *(trainings((0, 1), code=code) for code in "abc"))
    run = save(trainings((0,), code="d"), tmp_path / "run", with_arrays=False)
    assert {source.what: source.df for source in line(check([run], [out])).sources} == {
        "assumed": 4, "baseline": 1, "2 older baselines since 2025-01-01": 2,
    }  # fmt: skip


def test_a_training_that_was_reproduced_is_no_other_draw(tmp_path):
    out = replaced(tmp_path, *(trainings((0, 1), code=code) for code in "aba"), trainings((2,), code="c"))
    run = save(trainings((9,), code="d"), tmp_path / "run", with_arrays=False)
    assert {source.what: source.df for source in line(check([run], [out])).sources} == {
        "assumed": 4, "2 older baselines since 2025-01-01": 2,
    }  # fmt: skip


def test_each_invocation_is_a_draw_of_a_speed_though_weights_are_equal(tmp_path):
    def timed(invocation, factor):
        one = changed(trainings((invocation,))[0], invocation=f"{invocation:032x}")
        return changed(one, speed={"images_per_sec": 100 * math.exp(factor)})

    sides = [[timed(1, 0.1), timed(2, -0.1)], [timed(3, 0.1), timed(4, -0.1)], [timed(5, 0.0)]]
    out = replaced(tmp_path, *sides)
    run = save([timed(6, 0.0)], tmp_path / "run", with_arrays=False)
    found = line(check([run], [out]), "speed.images_per_sec")
    assert found.df == 8 + 2
    assert found.sources[-1].sd == pytest.approx(0.1 * math.sqrt(2))


def test_what_was_measured_in_another_way_is_another_noise(tmp_path):
    fewer = [changed(one, quality={"n_samples": 100}) for one in trainings((0, 1))]
    out = replaced(tmp_path, fewer, trainings((2,)))
    run = save(trainings((9,)), tmp_path / "run", with_arrays=False)
    assert {source.what for source in line(check([run], [out])).sources} == {"assumed"}
    assert (out / older.NAME).exists()


def test_spreads_are_within_one_code():
    """Two codes of two seeds each: what lies between them is no noise."""
    both = [
        changed(one, code={"sources_sha256": digit * 64}, quality={"value": one.quality.value * factor})
        for digit, factor, seeds in (("a", 1, (0, 1)), ("b", 5, (2, 3)))
        for one in trainings(seeds)
    ]
    found = line(compare(both, trainings((9,))))
    assert [(s.what, s.df) for s in found.sources] == [("assumed", 4), ("baseline", 2)]
    assert found.sources[1].sd == pytest.approx(SD)


def test_a_file_that_is_none_is_one_sentence(tmp_path):
    out = replaced(tmp_path, trainings((0, 1)), trainings((2,)))
    run = save(trainings((9,)), tmp_path / "run", with_arrays=False)
    (out / older.NAME).write_text("{")
    with pytest.raises(UserError, match=r"equibench-noise\.json"):
        check([run], [out])
    (out / older.NAME).write_text(json.dumps({"form": 1, "baselines": [{"created": "x"}]}))
    with pytest.raises(UserError, match="bring back the file, or remove it"):
        check([run], [out])
    (out / older.NAME).unlink()
    assert check([run], [out])


def test_an_interrupted_update_adds_no_noise_of_half_a_baseline(tmp_path):
    out = replaced(tmp_path, trainings((0, 1)))
    (out / find.UNFINISHED).write_bytes(b"")
    baseline.make([save(trainings((2,)), tmp_path / "next", with_arrays=False)], out, update=True)
    assert not (out / older.NAME).exists()
