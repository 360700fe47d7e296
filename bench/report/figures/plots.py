"""Summary to figures: matplotlib figures on a white card, legible on a light and on a dark page.

Colour and marker stand for the family, in every figure the same, from a palette made for colour-blind readers.
Figures are built without pyplot, so that no global state leaks from one into the next.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from equibench.quantities.glossary import MIB
from equibench.quantities.metric import bits_kind, metric_names
from equibench.record.schema import USUAL
from equibench.report.figures.style import FLOOR, colour_of, drawn, look_of, style
from equibench.stats import Stat
from equibench.summary.sections import Row, Section, flops_per_image, sec_per_image


def quality_and_speed(section: Section) -> Figure | None:
    """Distance against seconds per image and FLOPs per image, a row of panels for each metric; the front over all
    entrants is drawn through the settings that no other one beats in both.
    """
    metrics = section.sweep_metrics
    if not metrics:
        return None
    names = metric_names(metrics)
    costs = {"seconds per image": sec_per_image, "FLOPs per image": flops_per_image}
    with style():
        figure = Figure(figsize=(9.6, 4.3 * len(metrics)), layout="constrained")
        for pair, metric in zip(figure.subplots(len(metrics), 2, squeeze=False, sharey="row"), metrics, strict=True):
            for axes, (label, cost) in zip(pair, costs.items(), strict=True):
                for row in section.ran:
                    here = [(s, x) for s in row.settings() if s.metric == metric and (x := cost(s)) is not None]
                    labels = ["" if s.label == USUAL else drawn(s.label) for s, _ in here]
                    _trade_off(axes, row, [x for _, x in here], [s.distance for s, _ in here], labels)
                axes.set(xscale="log", xlabel=f"{label} (log scale, ← better)")
                _whole_decades(axes)
                for row in section.references:
                    if stat := row.quality(metric):
                        _level(axes, stat.mean, drawn(row.label), 8)
            for axes, cost in zip(pair, costs.values(), strict=True):  # last, as it reaches to the edges
                _front(axes, [(x, s.distance.mean) for _, s in section.front(metric, cost) if (x := cost(s))])
            pair[0].set_ylabel(f"{drawn(names[metric])} (↓ better)")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=9, frameon=False)
        figure.suptitle("Quality against speed; large: the headline's setting", x=0.01, ha="left")
    return figure


def bits_per_dim(section: Section) -> Figure | None:
    """Bits per dimension of each entrant with its kind, and the floors as labelled lines."""
    rows = [(row, stat) for row in section.ran if (stat := row.stat("likelihood.bits_per_dim"))]
    floors = [(row.label, stat.mean) for row in section.references if (stat := row.stat("likelihood.bits_per_dim"))]
    if section.data.entropy_bits_per_dim is not None:
        floors.append(("entropy of the data", section.data.entropy_bits_per_dim))
    if not rows and not floors:
        return None
    with style():
        figure = Figure(figsize=(9.6, 2.6 + 0.45 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for y, (row, stat) in enumerate(rows):
            axes.errorbar(stat.mean, y, xerr=stat.sd, markersize=9, capsize=4, **look_of(row))
            likelihood = row.first.likelihood
            text = f"{stat.mean:.3f}  {drawn(bits_kind(likelihood)) if likelihood else ''}"
            behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # keeps a floor's line out of the text
            axes.annotate(text, (stat.mean, y), (6, 9), textcoords="offset points", fontsize=8.5, bbox=behind)
        labels = [drawn(row.label) for row, _ in rows]
        axes.set(yticks=range(len(rows)), yticklabels=labels, ylim=(len(rows) - 0.3, -0.8))
        axes.set_xlabel("bits per dimension (← better); dashed: floors that need no training")
        axes.grid(axis="y", visible=False)
        values = [stat.mean for _, stat in rows] + [value for _, value in floors]
        low, high = min(values), max(values)
        margin = 0.06 * (high - low or 1)
        axes.set_xlim(low - margin, high + 4 * margin)
        for (label, value), at in zip(
            sorted(floors, key=lambda f: f[1]),
            _apart(sorted(v for _, v in floors), 0.035 * (high - low + 5 * margin)),
            strict=True,
        ):
            axes.axvline(value, color=FLOOR, linestyle="--", linewidth=1)
            place = axes.get_xaxis_transform()
            arrow = {"arrowstyle": "-", "color": FLOOR, "linewidth": 0.6}
            axes.annotate(
                f"{drawn(label)} {value:.2f}",
                (value, 1),
                (at, 1.06),
                xycoords=place,
                textcoords=place,
                rotation=28,
                ha="left",
                va="bottom",
                fontsize=8,
                color=FLOOR,
                arrowprops=arrow,
                annotation_clip=False,
            )
    return figure


def memory(section: Section) -> Figure | None:
    """Peak memory of training and of sampling, a row of panels for each quantity."""
    if not section.quantities:
        return None
    with style():
        figure = Figure(figsize=(9.6, (1.3 + 0.4 * len(section.ran)) * len(section.quantities)), layout="constrained")
        grid = figure.subplots(len(section.quantities), 2, squeeze=False, sharey=True)
        for pair, quantity in zip(grid, section.quantities, strict=True):
            for axes, part in zip(pair, ("train", "sample"), strict=True):
                for y, row in enumerate(section.ran):
                    stat = row.memory(part, quantity)
                    if stat:
                        axes.barh(
                            y, stat.mean / MIB.scale, 0.6, color=colour_of(row), xerr=stat.sd and stat.sd / MIB.scale
                        )
                        axes.annotate(
                            f" {stat.mean / MIB.scale:,.0f}", (stat.mean / MIB.scale, y), va="center", fontsize=9
                        )
                axes.set_xlabel(f"MiB, {drawn(quantity)} (← better)")
                axes.set_title({"train": "Training", "sample": "Sampling"}[part])
                axes.margins(x=0.14)
                axes.grid(axis="y", visible=False)
            pair[0].set(yticks=range(len(section.ran)), yticklabels=[drawn(row.label) for row in section.ran])
            pair[0].invert_yaxis()
    return figure


def curves(section: Section) -> Figure | None:
    """Losses against FLOPs spent: a row an entrant and a panel a loss, as losses of different kinds do not compare."""
    rows = [(row, losses) for row in section.entrants if (losses := _losses(row))]
    if not rows:
        return None
    width = max(len(losses) for _, losses in rows)
    unit, label = _flops_unit(section)
    with style():
        figure = Figure(figsize=(3.2 * max(width, 2), 0.4 + 2.1 * len(rows)), layout="constrained")
        grid = figure.subplots(len(rows), width, squeeze=False)
        for line, (row, losses) in zip(grid, rows, strict=True):
            name = f"{row.label} ({row.first.status})" if row.failed else row.label
            for axes, loss in zip(line, losses, strict=False):
                _seeds(axes, row, loss, unit)
                axes.set_title(drawn(f"{name}: {loss.replace('_', ' ')}"), fontsize=10)
            for axes in line[len(losses) :]:
                axes.set_visible(False)
        figure.supxlabel(label, fontsize=10)
    return figure


def discriminator(section: Section) -> Figure | None:
    """Share of images that a GAN's discriminator tells right, against FLOPs spent."""
    name = "discriminator_accuracy"
    rows = [row for row in section.entrants if any(c.record.curve and name in c.record.curve.losses for c in row.cells)]
    if not rows:
        return None
    unit, label = _flops_unit(section)
    with style():
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.subplots()
        for row in rows:
            _seeds(axes, row, name, unit)
        _level(axes, 0.5, "0.5: real and generated look alike", 8.5)
        axes.set(ylim=(0, 1.02), xlabel=label, ylabel="discriminator accuracy")
    return figure


def _trade_off(axes: Axes, row: Row, x: list[float], distances: list[Stat], names: list[str]) -> None:
    """One entrant's settings: the usual one, which comes first, as a large point on the line through all."""
    if not x:
        return
    order = np.argsort(x, kind="stable")
    look = look_of(row)
    y = [stat.mean for stat in distances]
    axes.plot(
        [x[i] for i in order], [y[i] for i in order], **look | {"linestyle": "-", "linewidth": 1.2, "markersize": 5}
    )
    axes.errorbar(x[0], y[0], yerr=distances[0].sd, capsize=3, markersize=10, label=drawn(row.label), **look)
    for rank, i in enumerate(i for i in order if names[i]):
        beside = (5, -13 if rank % 2 else 6)  # neighbours on the curve would lie over each other
        axes.annotate(names[i], (x[i], y[i]), beside, textcoords="offset points", fontsize=8, color=look["color"])


def _front(axes: Axes, points: list[tuple[float, float]]) -> None:
    """The boundary of what the points, by rising x and falling y, reach: up and to the right of it all is worse."""
    if points:
        xs, ys = zip(*points, strict=True)
        (_, right), (_, top) = axes.get_xlim(), axes.get_ylim()
        axes.autoscale(False)
        corners = ([xs[0], *xs, right], [top, *ys, ys[-1]])
        axes.plot(*corners, drawstyle="steps-post", color=FLOOR, linewidth=5, alpha=0.25, zorder=1, label="front")


def _whole_decades(axes: Axes) -> None:
    """Ends of the x-axis at powers of ten, which alone are labelled: labels between them would overlap."""
    low, high = np.log10(axes.dataLim.intervalx)
    if np.isfinite([low, high]).all():
        axes.set_xlim(10 ** np.floor(low - 0.05), 10 ** np.ceil(high + 0.05))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _level(axes: Axes, y: float, label: str, size: float) -> None:
    """A dashed line across the panel, labelled at its right end."""
    axes.axhline(y, color=FLOOR, linestyle="--", linewidth=1)
    place = axes.get_yaxis_transform()
    axes.text(0.99, y, label, transform=place, ha="right", va="bottom", color=FLOOR, fontsize=size)


def _seeds(axes: Axes, row: Row, loss: str, unit: float) -> None:
    """A thin line for each seed."""
    for cell in row.cells:
        curve = cell.record.curve
        if curve and loss in curve.losses:
            axes.plot(np.array(curve.flops) / unit, curve.losses[loss], color=colour_of(row), linewidth=1.2, alpha=0.8)


def _flops_unit(section: Section) -> tuple[float, str]:
    """The power of ten that the section's curves are drawn in, and the label of that axis."""
    records = [cell.record for row in section.entrants for cell in row.cells]
    most = max((flops for record in records if record.curve for flops in record.curve.flops), default=1)
    power = int(np.floor(np.log10(max(most, 1))))
    return 10.0**power, f"training FLOPs spent ($\\times 10^{{{power}}}$)"


def _losses(row: Row) -> list[str]:
    found = {loss for cell in row.cells if cell.record.curve for loss in cell.record.curve.losses}
    return sorted(found - {"discriminator_accuracy"})


def _apart(values: list[float], step: float) -> list[float]:
    """Ascending values moved up where needed to lie at least `step` apart."""
    moved: list[float] = []
    for value in values:
        moved.append(max(value, moved[-1] + step) if moved else value)
    return moved
