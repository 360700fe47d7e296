"""Tables on classes: each class's samples, what classifiers say of them, and what models know of classes."""

from __future__ import annotations

from equibench.quantities.glossary import heading, of
from equibench.quantities.text import MISSING
from equibench.report.tables.cells import of_row
from equibench.report.tables.headline import origin_of
from equibench.report.tables.table import Column, Entry, Notes, Table, fill_table, stat_entry
from equibench.summary.sections import Row, Section

Item = tuple[Row, str]  # with a member's path in the records: of a class, or of a probe
TOO_FEW = "Too few images of the class, or features out of range; the record has the numbers."
OF_A_CLASS = ("real_kernel_distance", "judged_share", "real_judged_share", "as_told", "n_samples")
OF_A_PROBE = ("knn_accuracy", "linear_accuracy", "dims")
COUNTS = ("n_samples", "dims", "classifier_images", "n_test")
CLASSIFIERS = ("sample_accuracy", "classifier_accuracy", "classifier_images", "n_test")
ASSIGNED = {"label": "by label", "classifier": "by classifier"}


def by_class(section: Section) -> Table:
    """A row for each class of each entrant: the distance of its samples, and how many of all are taken for it. Samples
    that were drawn for labels are assigned by a classifier once more, so that they compare with those of models that
    are told none.
    """
    notes = Notes()
    columns: list[Column[Item]] = [
        ("entrant", "Entrant", lambda item: of_row(item[0])),
        ("class", "Class", _name),
        ("assigned", "Samples assigned", _assigned),
        (
            "kernel_distance",
            heading("by_class.classes.*.kernel_distance"),
            lambda item: (
                notes.missing(TOO_FEW)
                if item[0].stat(f"{item[1]}.kernel_distance") is None
                else _entry(item[0], f"{item[1]}.kernel_distance")
            ),
        ),
        *(_number("by_class.classes.*", name) for name in OF_A_CLASS),
    ]
    items = [item for row in section.ran for item in _members(row, "by_class.classes", "by_class.judged")]
    return fill_table("by_class", columns, items, lambda item: item[0].first, notes)


def classifiers(section: Section) -> Table:
    """A row an entrant: accuracy on test images of a classifier trained on its samples, beside one trained on real
    images, and the classes that its samples leave out.
    """
    columns: list[Column[Item]] = [
        ("entrant", "Entrant", lambda item: of_row(item[0])),
        *(_number("by_class", name) for name in CLASSIFIERS),
        ("dropped", "Classes left out", _dropped),
    ]
    items = [(row, "by_class") for row in section.ran if any(cell.record.by_class for cell in row.cells)]
    return fill_table("classifiers", columns, items, lambda item: item[0].first)


def probes(section: Section) -> Table:
    """A row for each thing that classes are told from: of each entrant its pixels and what the model makes of them."""
    columns: list[Column[Item]] = [
        ("entrant", "Entrant", lambda item: of_row(item[0])),
        ("read", "Told from", _name),
        *(_number("probes.probes.*", name) for name in OF_A_PROBE),
        ("chance_accuracy", heading("probes.chance_accuracy"), lambda item: _entry(item[0], "probes.chance_accuracy")),
    ]
    items = [item for row in section.ran for item in _members(row, "probes.probes")]
    return fill_table("probes", columns, items, lambda item: item[0].first)


def _members(row: Row, *paths: str) -> list[Item]:
    """Paths of all members that the row's records have, in their order."""
    names: dict[str, None] = {}
    for path in paths:
        part, field = path.split(".")
        for cell in row.cells:
            held = getattr(cell.record, part)
            names |= dict.fromkeys(f"{path}.{one.name}" for one in (getattr(held, field) if held else ()))
    return [(row, name) for name in names]


def _name(item: Item) -> Entry:
    name = item[1].split(".", 2)[2]
    return Entry(name, name)


def _assigned(item: Item) -> Entry:
    row, path = item
    how = {cell.record.by_class.assigned_by for cell in row.cells if cell.record.by_class}
    said = ASSIGNED["classifier" if ".judged." in path or "label" not in how else "label"]
    return Entry(said, said)


def _dropped(item: Item) -> Entry:
    """The classes that samples of any seed leave out."""
    found: dict[str, None] = {}
    for cell in item[0].cells:
        found |= dict.fromkeys(cell.record.by_class.dropped if cell.record.by_class else ())
    said = ", ".join(found) or "none"
    return Entry(said, said)


def _number(parent: str, name: str) -> Column[Item]:
    return name, heading(f"{parent}.{name}"), lambda item: _entry(item[0], f"{item[1]}.{name}")


def _entry(row: Row, path: str) -> Entry:
    stat = row.stat(path)
    if stat is None:
        return Entry(MISSING)
    origin = origin_of(row, path)
    if path.endswith(COUNTS):
        return Entry(f"{stat.mean:,.0f}", stat.mean, more={"_sd": stat.sd}, source=origin)
    return stat_entry(stat, origin, of(path).scale)
