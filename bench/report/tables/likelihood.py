"""Tables of the likelihoods that were measured in other ways than the headline's."""

from __future__ import annotations

from equibench.quantities.metric import bits_kind
from equibench.quantities.text import number
from equibench.record.paths import value_at
from equibench.record.schema import BoundResult, DecoderLikelihood, Record
from equibench.report.tables.cells import RUN, CellRow, at, runs_of
from equibench.report.tables.table import Column, Entry, Origin, Table, fill_table, read_entry, value_entry
from equibench.summary.sections import Section

Bounded = tuple[CellRow, BoundResult]


def bounds(section: Section) -> Table:
    """Other bounds of the families' likelihoods, a line each, beside the usual one on the same images."""
    items = [(run, bound) for run in runs_of(section.ran) for bound in run[1].bounds]

    def at(name: str, label: str, digits: int = 4) -> Column[Bounded]:
        return name, label, lambda item: read_entry(item[0][1], f"bounds.{item[1].name}.{name}", digits)

    columns: list[Column[Bounded]] = [
        *((name, label, lambda item, fill=fill: fill(item[0])) for name, label, fill in RUN),
        at("name", "Bound"),
        ("kind", "Kind", lambda item: value_entry(bits_kind(item[1]))),
        at("bits_per_dim", "Bits/dim ↓"),
        at("stderr_bits_per_dim", "Standard error over images", 2),
        at("usual_bits_per_dim", "Usual bound, same images"),
        at("stderr_of_difference_bits_per_dim", "Standard error of the difference", 2),
        at("n_images", "Test images"),
        at("passes", "Passes"),
        ("curve", "By weights or steps", lambda item: _curve(*item)),
        at("about", "What it is"),
    ]
    return fill_table("bounds", columns, items, lambda item: item[0][1])


def out_of_distribution(section: Section) -> Table:
    """Bits per dimension of images unlike the training data, a line a cell, beside those of the test images."""
    runs = [run for run in runs_of(section.ran) if run[1].out_of_distribution_bits_per_dim]
    kinds = sorted({kind for run in runs for kind in run[1].out_of_distribution_bits_per_dim})
    test: Column[CellRow] = (
        "test_bits_per_dim",
        "Test images",
        lambda run: read_entry(run[1], "likelihood.bits_per_dim", 4),
    )

    def of(kind: str) -> Column[CellRow]:
        path = f"out_of_distribution_bits_per_dim.{kind}"
        return kind, kind.capitalize(), lambda run: read_entry(run[1], path, 4)

    return fill_table("out_of_distribution", [*RUN, test, *map(of, kinds)], runs, lambda run: run[1])


def decoders(section: Section) -> Table:
    """log p(x) through the decoders, by annealed importance sampling, a line a cell."""
    found = [(run, run[1].decoder_likelihood) for run in runs_of(section.ran)]
    items = [(run, measured) for run, measured in found if measured]

    def at(name: str, label: str, digits: int = 5) -> Column[tuple[CellRow, DecoderLikelihood]]:
        return name, label, lambda item: read_entry(item[0][1], f"decoder_likelihood.{name}", digits)

    columns: list[Column[tuple[CellRow, DecoderLikelihood]]] = [
        *((name, label, lambda item, fill=fill: fill(item[0])) for name, label, fill in RUN),
        at("log_likelihood_nats", "log p(x), nats ↑"),
        at("stderr_nats", "Standard error over images", 2),
        at("simulated_lower_nats", "Simulated images: at least"),
        at("simulated_upper_nats", "at most"),
        at("sigma", "Deviation of the observation model"),
        at("n_images", "Test images"),
        at("chains", "Chains"),
        at("temperatures", "Temperatures"),
        at("leapfrog_steps", "Leapfrog steps"),
        at("acceptance", "Accepted", 2),
    ]
    return fill_table("decoders", columns, items, lambda item: item[0][1])


def _curve(run: CellRow, bound: BoundResult) -> Entry:
    text = ", ".join(f"{k}: {number(bits, 4)}" for k, bits in sorted(bound.curve.items()))
    return value_entry(text or None, source=Origin((run[1],), f"bounds.{bound.name}.curve"))


def likelihood(section: Section) -> Table:
    """Bits per dimension, a line a cell, with what makes each number mean what it does."""
    everyone = runs_of([*section.ran, *section.references])
    runs = [run for run in everyone if value_at(run[1], "likelihood.bits_per_dim") is not None]
    columns: list[Column[CellRow]] = [
        *RUN,
        at("bits_per_dim", "Bits/dim ↓", "likelihood.bits_per_dim", digits=4),
        at("stderr_bits_per_dim", "Standard error over images", "likelihood.stderr_bits_per_dim", digits=2),
        ("kind", "Kind", lambda run: value_entry(bits_kind(run[1].likelihood) if run[1].likelihood else None)),
        at("n_images", "Test images", "likelihood.n_images"),
        at("passes", "Passes", "likelihood.passes"),
        ("detail", "Detail", lambda run: _likelihood_detail(run[1])),
    ]
    return fill_table("likelihood", columns, runs, lambda run: run[1])


def _likelihood_detail(record: Record) -> Entry:
    detail = record.likelihood.detail if record.likelihood else {}
    shown = {
        k: number(v, 4) if isinstance(v, int | float) and not isinstance(v, bool) else v for k, v in detail.items()
    }
    return value_entry(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in sorted(shown.items())))
