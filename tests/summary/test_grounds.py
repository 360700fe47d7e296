"""Every sentence of the findings says what it rests on, and each number in it is the records' own.

The numbers are worked out here from the records alone, by numpy.
"""

from __future__ import annotations

import re

import fixtures
import numpy as np
import pytest
from test_along_training import three
from test_verdict import entrant, many, section_of, with_way

from equibench.quantities import glossary
from equibench.quantities.text import TIMES
from equibench.record.paths import value_at
from equibench.record.surroundings import Load, Loaded, TimedBlock
from equibench.summary.evidence import Sentence
from equibench.summary.findings import findings

NUMBER = re.compile(rf"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:{TIMES}10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
NAMES = re.compile(r"\b(?:FD|FID|KD)_\w+|\(\d-neighbour|[\w-]*\d[\w-]*-neighbour|95 %|5k|\b\d-neighbour")


def sections(tmp_path):
    yield from many(tmp_path)
    busy = [TimedBlock(name=name, load=Load(others_cpu_share=0.5)) for name in ("speed", "train")]
    yield section_of(tmp_path, *entrant("gan", 100, speed=900, timed=busy), *entrant("vae", 200, bits=3.0))
    yield section_of(
        tmp_path,
        *with_way(list(entrant("gan", 100)), "other noise", 110),
        *with_way(list(entrant("vae", 300)), "m", 50),
    )
    yield section_of(tmp_path, *three("gan", 80, sec=300.0), *three("vae", 100))
    yield section_of(tmp_path, *three("gan", 80, sec=300.0, timed=busy), *three("vae", 100))
    twelve = [one for i in range(12) for one in entrant(f"entrant-{i:02}", 100 * 1.5**i, bits=3 + i)]
    yield section_of(tmp_path, *twelve, fixtures.failed("gan", 4, "diverged", "nan."))
    samples = next(entrant("theirs", 50.0, seeds=1)).model_copy(
        update={"budget": None, "speed": None, "loaded": Loaded(kind="samples", source="x", unknown=["its cost"])}
    )
    yield section_of(tmp_path, *entrant("gan", 100), *entrant("vae", 120), samples)


def said(tmp_path):
    for section in sections(tmp_path):
        for one in findings(section):
            for sentence in (one.claim, *one.sentences):
                yield one.topic, sentence


def values(records, path):
    return [value_at(record, path) for record in records]


def scale(path):
    found = glossary.known(path)
    return found.scale if found else 1.0


def as_number(text):
    """The number of a text such as 1,024 or 0.31, perhaps with a power of ten, and half a unit of its last digit."""
    mantissa, _, power = text.replace(",", "").partition(f"{TIMES}10")
    exponent = int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)
    decimals = len(mantissa.partition(".")[2])
    return float(mantissa) * 10**exponent, 0.51 * 10 ** (exponent - decimals)


def check(ground):
    """That what is said is what the records give."""
    mine = values(ground.records, ground.path) if "*" not in ground.path else []
    if ground.how == "mean":
        shown = ground.said.split(" ± ")
        expected = [np.mean(mine) / scale(ground.path)]
        expected += [np.std(mine, ddof=1) / scale(ground.path)] if len(shown) > 1 else []
        for text, value in zip(shown, expected, strict=True):
            number, half = as_number(text)
            assert number == pytest.approx(value, abs=half), ground.said
    elif ground.how == "ratio of means":
        number, half = as_number(ground.said)
        theirs = values(ground.against, ground.over or ground.path)
        assert number == pytest.approx(np.mean(mine) / np.mean(theirs), abs=half), ground.said
    elif ground.how == "greatest":
        number, half = as_number(ground.said)
        assert number == pytest.approx(max(mine), abs=half)
    elif ground.how == "p":
        assert not ground.said or 0 <= as_number(ground.said.removeprefix("< "))[0] <= 0.05
    elif ground.how == "fact":
        recorded = [f"{one:,}" if isinstance(one, int) else str(one) for one in mine]
        recorded += [part for one in mine if isinstance(one, dict) for part in map(str, one.values())]
        digits = NUMBER.findall(NAMES.sub("", ground.said))
        if ground.path in ("code", "versions", "libraries", "quality.options", "speed.network_evaluations"):
            return  # clauses of several facts, each of which has a ground of its own
        assert all(any(number in text for text in recorded) for number in digits), (ground.path, ground.said, recorded)
    else:
        assert ground.how == "test"
        assert ground.against


def test_every_sentence_rests_on_records(tmp_path):
    topics = set()
    for topic, sentence in said(tmp_path):
        assert isinstance(sentence, Sentence), sentence
        assert sentence.grounds, sentence
        for ground in sentence.grounds:
            assert ground.records, sentence
            if "*" not in ground.path and ground.path not in ("loaded", "timed"):
                found = values(ground.records, ground.path)
                assert any(one is not None for one in found), (sentence, ground.path)
        topics.add(topic)
    assert topics == {
        "quality", "ways", "likelihood", "speed", "steps", "memory", "diversity", "along", "loaded", "notes",
    }  # fmt: skip


def test_every_number_of_a_sentence_is_the_records_own(tmp_path):
    checked = 0
    for _, sentence in said(tmp_path):
        rest = NAMES.sub(" ", sentence)
        for ground in sorted(sentence.grounds, key=lambda ground: -len(ground.said)):
            if ground.said:
                assert ground.said in sentence, (sentence, ground.said)
                check(ground)
                checked += 1
                rest = re.sub(rf"(?<![\d.,]){re.escape(NAMES.sub(' ', ground.said))}(?![\d%])", " ", rest)
            elif ground.path.endswith(".label"):  # of a way to sample, with numbers of its own
                for label in values(ground.records, ground.path):
                    rest = rest.replace(f"“{label}”", " ")
        for row in re.findall(r"entrant-\d\d", rest):
            rest = rest.replace(row, " ")
        rest = re.sub(r", and \d+ more in the table|between \d+ entrants| and \d+ more", " ", rest)
        assert not NUMBER.findall(rest), (sentence, rest)
    assert checked > 200


def test_a_wrong_number_is_found(tmp_path):
    """The walk above fails where a sentence says another number than its records hold."""
    section = section_of(tmp_path, *entrant("gan", 100), *entrant("vae", 200))
    ground = next(ground for ground in findings(section)[0].sentences[0].grounds if ground.how == "mean")
    check(ground)
    with pytest.raises(AssertionError):
        check(ground._replace(said="101.0 ± 1.0"))
