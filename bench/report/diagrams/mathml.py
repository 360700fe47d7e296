"""Formulas as MathML, which browsers set by themselves. Each function gives markup of what it is named after."""

from __future__ import annotations

from markupsafe import Markup

from equibench.report.diagrams.svg import safe


def name(text: str) -> Markup:
    """A variable."""
    return Markup("<mi>{}</mi>").format(safe(text))


def word(text: str) -> Markup:
    """An upright name, of a function or an expectation."""
    return Markup('<mi mathvariant="normal">{}</mi>').format(safe(text))


def value(text: object) -> Markup:
    return Markup("<mn>{}</mn>").format(safe(text))


def sign(text: str) -> Markup:
    return Markup("<mo>{}</mo>").format(safe(text))


def _fence(text: str) -> Markup:
    return Markup('<mo stretchy="false">{}</mo>').format(safe(text))


def row(*parts: Markup) -> Markup:
    return Markup("<mrow>{}</mrow>").format(Markup("").join(parts))


def in_parentheses(*parts: Markup) -> Markup:
    return row(_fence("("), *parts, _fence(")"))


def in_brackets(*parts: Markup) -> Markup:
    return row(_fence("["), *parts, _fence("]"))


def of(function: Markup, *parts: Markup) -> Markup:
    return row(function, in_parentheses(*parts))


def given(what: Markup, *condition: Markup) -> Markup:
    """what | condition"""
    return row(what, _fence("|"), *condition)


def log(*parts: Markup) -> Markup:
    return row(Markup('<mo lspace="0" rspace="0.2em">log</mo>'), *parts)


def lower(base: Markup, index: Markup) -> Markup:
    return Markup("<msub>{}{}</msub>").format(base, index)


def upper(base: Markup, power: Markup) -> Markup:
    return Markup("<msup>{}{}</msup>").format(base, power)


def under(base: Markup, below: Markup) -> Markup:
    return Markup("<munder>{}{}</munder>").format(base, below)


def hat(base: Markup) -> Markup:
    return Markup("<mover>{}<mo>^</mo></mover>").format(base)


def fraction(above: Markup, below: Markup) -> Markup:
    return Markup("<mfrac>{}{}</mfrac>").format(above, below)


def total(first: Markup, last: Markup) -> Markup:
    """A sum from `first`, such as i = 0, to `last`."""
    return Markup("<munderover><mo>∑</mo>{}{}</munderover>").format(first, last)


def squared_norm(*parts: Markup) -> Markup:
    return upper(row(_fence("‖"), *parts, _fence("‖")), value(2))


def divergence(one: Markup, two: Markup) -> Markup:
    """KL(one || two)"""
    return row(word("KL"), in_parentheses(one, _fence("‖"), two))


def expectation(over: Markup | None, *parts: Markup) -> Markup:
    return row(lower(word("E"), over) if over else word("E"), in_brackets(*parts))


def displayed(*parts: Markup) -> Markup:
    return Markup('<math display="block">{}</math>').format(row(*parts))


def inline(*parts: Markup) -> Markup:
    return Markup("<math>{}</math>").format(row(*parts))
