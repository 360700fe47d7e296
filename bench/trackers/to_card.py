"""A row as a model card of the Hugging Face Hub: metadata with the numbers, and a page that says what they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from equibench import outputs
from equibench.cite.methods import methods
from equibench.errors import UserError, nearest
from equibench.quantities import glossary
from equibench.quantities.text import MISSING, join, slug
from equibench.report.pages.fill import markdown
from equibench.trackers.runs import Number, TrackedRun, environment, needed, plain

MARK = "<!-- made by equibench export hub-card -->"
TASK = "unconditional-image-generation"


def chosen(runs: Sequence[TrackedRun], entrant: str | None) -> TrackedRun:
    """The one run that a card is of. Raises UserError where that is not clear."""
    found = [one for one in runs if one.first.role == "entrant" and (entrant is None or one.first.entrant == entrant)]
    names = dict.fromkeys(one.first.entrant for one in runs if one.first.role == "entrant")
    if not found and entrant is not None:
        raise UserError(f"unknown entrant {entrant!r}{nearest(entrant, names)}")
    if len(found) != 1 and len(names) > 1 and entrant is None:
        raise UserError(f"a card is of one entrant, and these are {join(names)}; say which with --entrant")
    if len(found) != 1:
        raise UserError(
            f"a card is of one row, and these are {join([one.name for one in found] or ['none'])}; name one folder"
        )
    return found[0]


def write(run: TrackedRun, out: Path) -> None:
    """Write the card to the file `out`. Raises UserError where huggingface_hub is not installed, where something else
    lies there, or where nothing can be written.
    """
    outputs.refuse_foreign(out, _is_card, "a card", "choose another --out")
    outputs.put(out, card(run).encode(errors="backslashreplace"), "choose another --out")


def card(run: TrackedRun) -> str:
    """The card as Markdown under its metadata in YAML."""
    with environment(HF_HUB_DISABLE_TELEMETRY="1"):
        hub = needed("huggingface_hub", "huggingface_hub", "hub")
    one = run.first
    results = [
        hub.EvalResult(
            task_type=TASK,
            dataset_type=slug(one.data.name) or "own",
            dataset_name=one.data.name,
            dataset_split="test",
            dataset_args={"sha256": one.data.sha256},
            metric_type=_type(number),
            metric_name=label(number),
            metric_value=number.stat.mean,
            metric_args={"signature": number.signature},
        )
        for number in run.numbers
    ]
    tags = ["equibench", *([plain(one.family)] if one.family else [])]
    data = hub.ModelCardData(
        library_name="equibench", pipeline_tag=TASK, tags=tags, model_name=run.name, eval_results=results
    )
    return f"---\n{data.to_yaml().strip()}\n---\n{MARK}\n\n{_body(run)}"


def label(number: Number) -> str:
    """What a number is, with its kind and unit."""
    quantity = glossary.of(number.path)
    if number.path == "quality.value":
        return number.kind or number.name
    return f"{quantity.in_raw_units}{f' ({number.kind})' if number.kind else ''}"


def _body(run: TrackedRun) -> str:
    one = run.first
    table = [["Number", "Value", "± is", "Training runs"], ["---", "---:", "---", "---:"]]
    for number in run.numbers:
        row = (label(number), number.cited.shown, number.cited.spread or MISSING, str(len(number.by_seed)))
        table.append([markdown(text) for text in row])
    about = [f"{one.portrait.concept} {one.portrait.structure}"] if one.portrait else []
    settings = ", ".join(
        f"{key.partition('.')[2]} {value}" for key, value in run.settings.items() if key.startswith("config.")
    )
    signatures = [f"- {markdown(label(number))}: {_code(number.signature)}" for number in run.numbers]
    lines = [
        f"# {markdown(run.name)}",
        "",
        *(markdown(text) for text in about),
        *([""] if about else []),
        "Measured by equibench. These numbers compare only with those whose signatures say the same of data, feature "
        "network, number of samples and protocol, and for speed and memory of the machine.",
        "",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
        "## How it was trained and measured",
        "",
        *(markdown(paragraph) for paragraph in methods(run.records).split("\n\n")),
        "",
        f"Settings: {markdown(settings or 'not recorded')}.",
        "",
        "## Signatures",
        "",
        "Each holds what decides whether two numbers may be compared; `equibench verify` checks it by the records.",
        "",
        *signatures,
    ]
    return "\n".join(lines) + "\n"


def _type(number: Number) -> str:
    """The kind of metric by the name that the Hub knows it by."""
    return (
        number.name.partition("_")[0].lower()
        if number.path == "quality.value"
        else slug(number.name.rpartition(".")[2])
    )


def _code(text: str) -> str:
    """A text as code, whatever backticks are in it."""
    fence = "`" * (1 + max((len(part) for part in text.split() if set(part) == {"`"}), default=text.count("`")))
    return f"{fence} {' '.join(text.split())} {fence}"


def _is_card(path: Path) -> bool:
    return MARK in path.read_text(errors="replace")
