"""The families, one after the other: structure, objective, words, and what this run shows of each."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from equibench.quantities.text import amount
from equibench.record.anatomy import Structure
from equibench.record.schema import Portrait, Record
from equibench.report import sprites
from equibench.report.diagrams import curves
from equibench.report.diagrams.blocks import Ends
from equibench.report.diagrams.narrow import narrow_overview, stacked
from equibench.report.diagrams.objectives import Objective, objective
from equibench.report.diagrams.overview import FamilyWay, overview
from equibench.report.diagrams.shares import bar
from equibench.report.diagrams.structure import drawn
from equibench.report.figures import images
from equibench.report.parts.claims import held, noise_numbers
from equibench.report.parts.exhibits import Exhibit, chain, exhibits, first_images, of_players
from equibench.report.parts.part import PagePart, Whole
from equibench.summary.sections import FiledRecord, Row, row_of
from equibench.summary.sort import portraits
from equibench_models.about import ABOUT

PLAYERS = ("discriminator_loss", "generator_loss")
FOLDED = ("neighbours",)  # pictures that stand behind a click
SHOWN = 2  # pictures and pairs of curves that do not, side by side


@dataclass(frozen=True)
class FamilyPart:
    """A family as the page shows it. `structure` and `shares` are None where the record holds none."""

    name: str  # as an anchor
    family: str | None
    title: str
    concept: str
    differs: str
    built: str  # how this recipe is built
    facts: tuple[str, ...]
    objective: Objective | None
    structure: Markup | None
    narrow: Markup | None  # the same for a narrow screen
    shares: Markup | None
    widths: str  # what the bar of shares shows
    size: str
    exhibits: tuple[Exhibit, ...]
    folded: tuple[Exhibit, ...]
    players: tuple[Markup, ...]  # curves of the losses of two players, which belong together
    of_players: str  # which of them is ahead
    curves: tuple[Markup, ...]


def families(whole: Whole) -> PagePart:
    """One part each, of the first cell of every family that has a portrait."""
    shown = portraits(whole.sections)
    pictured = [images.of_family(cell) for cell in shown]
    parts = [_part(i, cell, row_of(cell, whole.sections)) for i, cell in enumerate(shown)]
    ways = [_way(cell) for cell in shown]
    return PagePart(
        {
            "portraits": list(zip(shown, pictured, strict=True)),
            "family_parts": parts,
            "ways": overview(ways) if ways else None,
            "narrow_ways": narrow_overview(ways) if ways else None,
        },
        tuple(picture for pictures in pictured for picture, _ in pictures),
    )


def words_about(record: Record, portrait: Portrait) -> tuple[str, str]:
    """Concept and difference: of the four families what their own file says today, but for what this run contradicts;
    of others what the record says.
    """
    about = ABOUT.get(record.family or "")
    return (held(about.concept, record), held(about.differs, record)) if about else (portrait.concept, portrait.differs)


def _part(index: int, cell: FiledRecord, row: Row) -> FamilyPart:
    record = cell.record
    portrait = record.portrait
    assert portrait is not None
    name = record.family if record.family in ABOUT else f"family-{index}"
    assert name is not None
    real, sample = first_images(cell)
    found, passes = _whole_structure(record), _passes(record)
    cap = record.budget.params if record.budget else None
    structure = narrow = shares = None
    size = widths = ""
    if found:
        ends = Ends(real, sample, round(passes or 1))
        structure = drawn(found, f"structure-{name}", f"Structure: {portrait.title}", ends)
        narrow = stacked(found, f"narrow-{name}", f"Structure: {portrait.title}", ends)
        shares = bar(found, cap, f"shares-{name}", f"Shares of the parameters: {portrait.title}")
        total = sum(part.params for part in found.parts)
        sampling = sum(part.params for part in found.parts if part.samples)
        size = f"A sample needs {sampling:,} of the {total:,} parameters ({100 * sampling / max(total, 1):.0f} %)."
        widths = "Each part of the bar is as wide as its share of the parameters"
        widths += f", and the frame is the limit of {cap:,}." if cap and cap >= total else "."
    pictures = exhibits(cell, row)
    seeds = [one.record.curve for one in row.cells if one.record.curve]
    losses = list(dict.fromkeys(loss for curve in seeds for loss in curve.losses))
    pair = PLAYERS if set(PLAYERS) <= set(losses) else ()
    both = [curves.panel(seeds, loss, f"player-{name}-{i}", portrait.title) for i, loss in enumerate(pair)]
    losses = [loss for loss in losses if loss not in pair]
    panels = [curves.panel(seeds, loss, f"curve-{name}-{i}", portrait.title) for i, loss in enumerate(losses)]
    players = tuple(one for one in both if one)
    shown = [one for one in pictures if one.key not in FOLDED][: SHOWN - bool(players)]
    concept, differs = words_about(record, portrait)
    return FamilyPart(
        name=name,
        family=record.family,
        title=portrait.title,
        concept=concept,
        differs=differs,
        built=portrait.structure,
        facts=_facts(record, portrait, passes),
        objective=objective(record.family, record.config),
        structure=structure,
        narrow=narrow,
        shares=shares,
        size=size,
        widths=widths,
        exhibits=tuple(shown),
        folded=tuple(one for one in pictures if one not in shown),
        players=players,
        of_players=of_players(row),
        curves=tuple(one for one in panels if one),
    )


def _whole_structure(record: Record) -> Structure | None:
    """The structure, if it holds every parameter that was counted in training."""
    found, spent = record.structure, record.spent
    if found is None or not found.parts:
        return None
    whole = sum(part.params for part in found.parts)
    return found if spent is None or spent.params == whole else None


def _passes(record: Record) -> float | None:
    return record.speed.network_evaluations if record.speed else None


def _facts(record: Record, portrait: Portrait, passes: float | None) -> tuple[str, ...]:
    numbers = noise_numbers(record)
    found = [f"{numbers:,} numbers of noise"] if numbers else []
    found += [f"{amount(passes)} pass{'' if passes == 1 else 'es'} for a sample"] if passes else []
    likelihood = record.likelihood.kind if record.likelihood else None
    words = {"none": "no likelihood", "upper bound": "a bound of the likelihood", "exact": "an exact likelihood"}
    found += [words[likelihood]] if likelihood in words else []
    encodes = portrait.abilities.get("encodes", "")
    found += [f"encodes an image: {encodes.split(',')[0]}"] if encodes else []
    return tuple(found)


def _way(cell: FiledRecord) -> FamilyWay:
    record = cell.record
    assert record.portrait is not None
    known = objective(record.family, record.config)
    numbers = noise_numbers(record)
    noise = sprites.noise(record.structure.noise_shapes) if numbers and record.structure else sprites.noise([[784]])
    gist = known.gist if known else record.portrait.concept
    ends, pictures = first_images(cell), chain(cell)
    family = record.family if record.family in ABOUT else "other"
    assert family is not None
    return FamilyWay(family, record.portrait.title, gist, noise, numbers, _passes(record), *ends, pictures)
