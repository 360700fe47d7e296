"""Each answer comes from the records, and what they do not hold is said to be not recorded."""

import re

import pytest
from fixtures import everything, make, save
from hostile import HOSTILE

from equibench.archive.checklist import NOT_RECORDED, answers
from equibench.record import cost, schema
from equibench.record.surroundings import Numerics, Tuning
from equibench.summary.sort import load_cells, summarise


def answered(records, folder):
    """Questions with their answers, as lines."""
    text = answers(summarise(load_cells([save(records, folder, with_arrays=False)])))
    parts = re.split(r"^\*\*(.+)\*\*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.partition("\n## ")[0].strip() for part in parts[2::2]), strict=True))


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return answered(everything(), tmp_path_factory.mktemp("results") / "run")


def asked(found, word):
    (answer,) = [text for question, text in found.items() if word in question]
    return answer


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("compared", r"gan, vae, flow and diffusion"),
        ("compared", r"0.5 M parameters and 2.00.10¹³ training FLOPs"),
        ("Which data", r"10,000 training and 10,000 test images of 1 x 28 x 28 .* sha256 " + "da" * 32),
        ("with which seeds", r"- vae: 3 of training, seed 0, 1 and 2"),
        ("left out\\?", r"- gan, seed 8: diverged \(The generator's loss was not a number at update 412.\)"),
        ("which error", r"- vae: FD_5k = 98.4±1.9 \(standard deviation over seeds; 3 runs\)"),
        ("which error", r"uniform: bits_per_dim = 8 \(its error is not recorded; 1 run\)"),
        ("machines", r"made-up processor, 8 cores, 2 threads used, 16 GiB, float32"),
        ("training take", r"- vae, a run: 201 s|- vae, a run: 3.4 minutes"),
        ("Which code", r"equibench 0.1.0, commit abcdef0123456789 with uncommitted changes"),
        ("run again", r"equibench run quick \\-\\-seeds 0,1,2,8,9|equibench run quick --seeds 0,1,2,8,9"),
        ("Which settings", r"- vae: learning_rate 0.0002, width 32"),
        ("weights of others", r"EfficientNet-Lite0 \(sha256 " + "e1" * 32),
    ],
)
def test_answers_come_from_the_records(usual, word, says):
    answer = next(text for question, text in usual.items() if re.search(word, question))
    assert re.search(says, answer), answer


@pytest.mark.parametrize("word", ["chosen, and at what cost", "What of the arithmetic", "held back"])
def test_what_is_not_recorded_is_said_so(usual, word):
    assert asked(usual, word) == NOT_RECORDED


def test_what_is_recorded_is_told(tmp_path):
    one = make("vae")
    spent = one.spent.model_copy(update={"energy": cost.Energy(joules=1234.5, quantity="CPU", images=10)})
    data = one.data.model_copy(update={"split": "nine parts by a hash", "lossy": "JPEG"})
    tuning = Tuning(trials=9, full_runs=6, train_sec=99.0, study="own/vae", chosen={"width": 32})
    numerics = Numerics(threads=2, deterministic=True, training="float32")
    found = answered([make("vae", 0, spent=spent, data=data, tuning=tuning, numerics=numerics)], tmp_path / "run")
    assert (
        asked(found, "chosen, and at what cost") == "vae: 9 trials, 6 full runs, 99.0 s of training; chosen: width 32"
    )
    assert asked(found, "held back") == "vae: a share of the training images, as its study own/vae says; no test images"
    assert "nine parts by a hash" in asked(found, "told apart")
    assert "(JPEG)" in asked(found, "left out or changed")
    assert "1,235 J" in asked(found, "how much energy") or "1,234 J" in asked(found, "how much energy")
    assert "deterministic True" in asked(found, "arithmetic")


def test_two_runs_are_told_apart(tmp_path):
    for name in ("before", "after"):
        save([make("vae")], tmp_path / name, with_arrays=False)
    text = answers(summarise(load_cells([tmp_path / "before", tmp_path / "after"])))
    assert "- before, vae: FD" in text
    assert "- after, vae: FD" in text


def test_no_text_of_a_record_is_markup(tmp_path, monkeypatch):
    monkeypatch.setattr("equibench.record.files.filename", lambda _, seed, key: f"x-s{seed}-{key[:8]}.json")
    records = [
        make("vae", n, entrant=text, suite=text, reason=text, status="ok" if n % 2 else "crashed",
             versions={text: text}, code=schema.Code(commit=text, dirty=None, version=text),
             data=make("vae").data.model_copy(update={"split": text, "lossy": text}))
        for n, text in enumerate(HOSTILE)
    ]  # fmt: skip
    text = "\n".join(f"{question}\n{answer}" for question, answer in answered(records, tmp_path / "run").items())
    assert not re.search(r"(?<!\\)<(script|img|b)\b", text)
    assert not re.search(r"(?<!\\)\]\((javascript|http)", text)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f‮⁦]", text)
