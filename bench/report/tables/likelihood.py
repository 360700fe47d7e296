"""Tables of the likelihoods that were measured in other ways than the headline's."""

from __future__ import annotations

from equibench.quantities.glossary import BITS, heading
from equibench.quantities.metric import bits_kind
from equibench.quantities.text import number
from equibench.record.paths import member_names, value_at
from equibench.record.schema import BoundResult, Record
from equibench.report.tables.cells import RUN, CellRow, measured, runs_of
from equibench.report.tables.table import Column, Entry, Origin, Table, fill_table, read_entry, value_entry
from equibench.summary.sections import Section

Bounded = tuple[CellRow, BoundResult, str]  # with what it goes by in the record's paths


def bounds(section: Section) -> Table:
    """Other bounds of the families' likelihoods, a line each, beside the usual one on the same images."""
    items = [
        (run, bound, name)
        for run in runs_of(section.ran)
        for bound, name in zip(run[1].bounds, member_names(run[1].bounds), strict=True)
    ]

    def own(name: str, digits: int = 4, label: str = "") -> Column[Bounded]:
        head = label or heading(f"bounds.*.{name}")
        return name, head, lambda item: read_entry(item[0][1], f"bounds.{item[2]}.{name}", digits)

    columns: list[Column[Bounded]] = [
        *((name, label, lambda item, fill=fill: fill(item[0])) for name, label, fill in RUN),
        own("name", label="Bound"),
        ("kind", "Kind", lambda item: value_entry(bits_kind(item[1]))),
        own("bits_per_dim"),
        own("stderr_bits_per_dim", 2),
        own("stderr_monte_carlo_bits_per_dim", 2),
        own("usual_bits_per_dim"),
        own("stderr_of_difference_bits_per_dim", 2),
        own("n_images"),
        own("passes"),
        ("curve", "By weights or steps", lambda item: _curve(*item)),
        own("about", label="What it is"),
    ]
    return fill_table("bounds", columns, items, lambda item: item[0][1])


def out_of_distribution(section: Section) -> Table:
    """Bits per dimension of images unlike the training data, a line a cell, beside those of the test images."""
    runs = [run for run in runs_of(section.ran) if run[1].out_of_distribution_bits_per_dim]
    kinds = sorted({kind for run in runs for kind in run[1].out_of_distribution_bits_per_dim})
    test: Column[CellRow] = (
        "test_bits_per_dim",
        "Test images",
        lambda run: read_entry(run[1], BITS, 4),
    )

    def of(kind: str) -> Column[CellRow]:
        path = f"out_of_distribution_bits_per_dim.{kind}"
        return kind, kind.capitalize(), lambda run: read_entry(run[1], path, 4)

    return fill_table("out_of_distribution", [*RUN, test, *map(of, kinds)], runs, lambda run: run[1])


def decoders(section: Section) -> Table:
    """log p(x) through the decoders, by annealed importance sampling, a line a cell."""
    runs = [run for run in runs_of(section.ran) if run[1].decoder_likelihood]
    digits = {
        "log_likelihood_nats": 5,
        "stderr_nats": 2,
        "simulated_lower_nats": 5,
        "simulated_upper_nats": 5,
        "sigma": 5,
        "n_images": 5,
        "chains": 5,
        "temperatures": 5,
        "leapfrog_steps": 5,
        "acceptance": 2,
    }
    columns = [*RUN, *(measured(f"decoder_likelihood.{name}", many) for name, many in digits.items())]
    return fill_table("decoders", columns, runs, lambda run: run[1])


def _curve(run: CellRow, bound: BoundResult, name: str) -> Entry:
    text = ", ".join(f"{k}: {number(bits, 4)}" for k, bits in sorted(bound.curve.items()))
    return value_entry(text or None, source=Origin((run[1],), f"bounds.{name}.curve"))


def likelihood(section: Section) -> Table:
    """Bits per dimension, a line a cell, with what makes each number mean what it does."""
    everyone = runs_of([*section.ran, *section.references])
    runs = [run for run in everyone if value_at(run[1], BITS) is not None]
    columns: list[Column[CellRow]] = [
        *RUN,
        measured(BITS, 4),
        measured("likelihood.stderr_bits_per_dim", 2),
        ("kind", "Kind", lambda run: value_entry(bits_kind(run[1].likelihood) if run[1].likelihood else None)),
        measured("likelihood.n_images"),
        measured("likelihood.passes"),
        ("detail", "Detail", lambda run: _likelihood_detail(run[1])),
    ]
    return fill_table("likelihood", columns, runs, lambda run: run[1])


def _likelihood_detail(record: Record) -> Entry:
    detail = record.likelihood.detail if record.likelihood else {}
    shown = {
        k: number(v, 4) if isinstance(v, int | float) and not isinstance(v, bool) else v for k, v in detail.items()
    }
    return value_entry(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in sorted(shown.items())))
