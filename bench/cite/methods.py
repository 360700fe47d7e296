"""A paragraph on how numbers were made, from the records alone, to paste into a paper."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from equibench.errors import UserError
from equibench.quantities.metric import bits_kind, with_count
from equibench.quantities.settings import precision_of
from equibench.quantities.tex import tex
from equibench.quantities.text import budget_words, join
from equibench.record.budget import used_percent
from equibench.record.schema import Record
from equibench.summary.beside import source_words
from equibench.summary.names import entrant_name
from equibench.summary.sections import failed


def methods(records: Sequence[Record]) -> str:
    """One paragraph for each data set, budget and protocol. Raises UserError where no entrant has a result."""
    return "\n\n".join(paragraphs(records))


def write(records: Sequence[Record], form: str) -> str:
    """The paragraphs as text, as LaTeX that typesets as these words, or as JSON. Raises UserError as `methods` does,
    and for BibTeX, which has no paragraphs.
    """
    if form == "bibtex":
        raise UserError("--methods is a paragraph, which BibTeX cannot hold; give --format text, latex or json")
    found = paragraphs(records)
    if form == "json":
        return json.dumps({"methods": found}, indent=1)
    return "\n\n".join(map(tex, found) if form == "latex" else found)


def paragraphs(records: Sequence[Record]) -> list[str]:
    """The paragraphs of `methods`, as a list."""
    entrants = [one for one in records if one.role == "entrant" and not failed(one)]
    if not entrants:
        raise UserError("no trained entrant is in the results; run a suite first, `equibench run quick`")
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for one in entrants:
        groups.setdefault((one.protocol, one.data.name, one.data.sha256, one.budget), []).append(one)
    # what was loaded has no budget: it stands in the paragraphs of what was trained, where there are any
    budgets = {key[:3] for key in groups if key[3]}
    return [
        _paragraph(group, groups.get((*key[:3], None), []))
        for key, group in sorted(groups.items(), key=lambda item: str(item[0]))
        if key[3] or key[:3] not in budgets
    ]


def _paragraph(group: Sequence[Record], loaded: Sequence[Record]) -> str:
    """The paragraph on what was trained on one budget and on what was `loaded` beside it, or on this alone."""
    first, data = group[0], group[0].data
    trained = [one for one in group if one.budget]
    group = [*trained, *loaded]
    versions = _all(group, lambda r: f"equibench {r.code.version}")
    commits = _all(group, lambda r: (r.code.commit or "unknown")[:8] + (" (modified)" if r.code.dirty else ""))
    seeds = sorted({one.seed for one in trained})
    channels, height, width = data.shape
    sentences = [
        f"All numbers were made with {versions} (commit {commits}, protocol {first.protocol}) on {data.name} "
        f"({data.n_train:,} training and {data.n_test:,} test images of {channels}x{height}x{width}, "
        f"sha256 {data.sha256[:8]}).",
        *_budget(trained),
        *_loaded(loaded),
        *_quality(group),
        *_likelihood(group),
        *_speed(group),
        *_memory(group),
        *_repeats(seeds),
    ]
    return " ".join(sentences)


def _budget(trained: Sequence[Record]) -> list[str]:
    if not trained:
        return []
    each = "" if len({r.entrant for r in trained}) == 1 else "Each of "
    return [
        f"{each}{_all(trained, _name)} was given {budget_words(trained[0].budget)}; every "
        f"trained entrant has {_of_cap(trained)} of the parameter cap, both networks of a pair counted, and FLOPs are "
        "counted on its own updates."
    ]


def _loaded(loaded: Sequence[Record]) -> list[str]:
    """What was there already, and what nobody knows of it; together where that is the same."""
    groups: dict[tuple[str, ...], dict[str, None]] = {}
    for one in loaded:
        unknown = tuple(one.loaded.unknown) if one.loaded else ()
        groups.setdefault(unknown, {})[f"{_name(one)}{source_words(one)}"] = None
    found = []
    for unknown, names in groups.items():
        was, it = ("was", "it") if len(names) == 1 else ("were", "each")
        not_known = f"; not known of {it}: {join(unknown)}" if unknown else ""
        found.append(f"{join(names)} {was} loaded and not trained{not_known}.")
    return found


def _repeats(seeds: Sequence[int]) -> list[str]:
    if not seeds:
        return ["Intervals hold for the models as they are, and no ranking is claimed."]
    if len(seeds) == 1:
        return ["Each entrant was trained once, so that intervals hold for the one model and no ranking is claimed."]
    return [f"Numbers are means and standard deviations over {len(seeds)} training seeds ({join(map(str, seeds))})."]


def _name(record: Record) -> str:
    return entrant_name(record.entrant)


def _of_cap(group: Sequence[Record]) -> str:
    """The least and the greatest share of the parameter cap that the entrants have."""
    shares = [used for one in group if (used := used_percent(one, "params")) is not None]
    if not shares:
        return "an unknown share"
    low, high = (f"{end:.1f}" for end in (min(shares), max(shares)))
    return f"{high} %" if low == high else f"{low} to {high} %"


def _quality(group: Sequence[Record]) -> list[str]:
    found: dict[str, None] = {}
    for quality in (one.quality for one in group):
        if quality is None or quality.features is None:
            continue
        space = quality.features
        what = f"of {space.name} features ({space.dims} dimensions; {space.preprocessing}; {space.weights_sha256[:8]})"
        against = f"{quality.n_samples:,} samples against {quality.n_reference:,} images ({quality.reference})"
        if quality.value is None:
            others = join(x.name for x in quality.also if x.value is not None)
            found[f"Sample quality is {others or 'not measured'} {what} of {against}."] = None
            continue
        name = with_count(quality.metric, quality.n_samples)
        interval = f", with an interval over samples ({quality.interval.method})" if quality.interval else ""
        found[f"{name} is the squared Frechet distance {what} of {against}{interval}."] = None
    return list(found)


def _likelihood(group: Sequence[Record]) -> list[str]:
    bits = {_name(one): one.likelihood for one in group if one.likelihood}
    has = {name: found for name, found in bits.items() if found.bits_per_dim is not None}
    if not has:
        return []
    kinds = join(f"{bits_kind(found)} ({name})" for name, found in has.items())
    images = join(sorted({f"{found.n_images:,}" for found in has.values()}))
    none = [name for name, found in bits.items() if found.kind == "none"]
    return [
        f"Bits per dimension are over 8-bit levels, to base 2 and per sub-pixel, on {images} test images: {kinds}."
        + (
            f" None is given for {join(none)}, which {'have' if len(none) > 1 else 'has'} no likelihood."
            if none
            else ""
        )
    ]


def _speed(group: Sequence[Record]) -> list[str]:
    by_batch: dict[int, dict[str, None]] = {}
    for size, name in sorted((one.speed.batch_size, _name(one)) for one in group if one.speed):
        by_batch.setdefault(size, {})[name] = None
    if not by_batch:
        return []
    whose = len(by_batch) > 1
    batches = join(f"{size} ({join(names)})" if whose else str(size) for size, names in by_batch.items())
    machines = _all(
        group,
        lambda r: (
            f"{r.machine.processor if r.machine.device == 'cpu' else r.machine.device} "
            f"({_threads(r)}, {precision_of(r, 'sampling')}, torch {r.versions.get('torch', 'unknown')})"
        ),
    )
    return [
        f"Sampling speed is the median of repeats at batch {batches}, latency that at batch 1, to 8-bit images, after "
        f"warm-up and with the device synchronised, on {machines}."
    ]


def _memory(group: Sequence[Record]) -> list[str]:
    found = {
        f"{m.quantity}, in a fresh process each for training (batch {m.train_batch_size}) and sampling "
        f"(batch {m.sample_batch_size})"
        for one in group
        if (m := one.memory)
    }
    return [f"Memory is the {text}." for text in sorted(found)]


def _all(group: Sequence[Record], what: Callable[[Record], str]) -> str:
    return join(dict.fromkeys(what(one) for one in group))


def _threads(one: Record) -> str:
    return f"{one.machine.threads} thread{'s' * (one.machine.threads > 1)}"
