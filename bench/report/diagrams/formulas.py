"""The objectives as formulas. The numbers of equations are those that the models' code cites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from equibench.record.base import Scalar
from equibench.report.diagrams import mathml as m

Config = Mapping[str, Scalar]
MINUS, PLUS, EQUAL, AT_LEAST, AT_MOST = (m.sign(one) for one in "−+=≥≤")
COMMA = Markup('<mo rspace="0.8em">,</mo>')


@dataclass(frozen=True)
class Formula:
    """A formula in one line or more, what it is, and where it stands."""

    about: str
    lines: tuple[Markup, ...]
    source: str = ""


def gan(_config: Config) -> tuple[Formula, ...]:
    """What the two players change, in the family and in this recipe."""
    x, z, gamma = m.name("x"), m.name("z"), m.name("γ")
    made = m.of(m.name("G"), z)
    real, fake = m.of(m.name("D"), x), m.of(m.name("D"), made)
    slope = m.sign("∇")
    return (
        Formula(
            "The family",
            (
                m.displayed(
                    m.under(m.word("min"), m.name("G")),
                    m.under(m.word("max"), m.name("D")),
                    m.expectation(x, m.log(real)),
                    PLUS,
                    m.expectation(z, m.log(m.in_parentheses(m.value(1), MINUS, fake))),
                ),
            ),
            "Goodfellow et al. 2014, eq. 1",
        ),
        Formula(
            "This recipe: the discriminator lowers",
            (
                m.displayed(m.expectation(None, m.of(m.word("softplus"), fake, MINUS, real))),
                m.displayed(
                    PLUS,
                    m.fraction(gamma, m.value(2)),
                    m.in_parentheses(
                        m.word("E"), m.squared_norm(slope, real), PLUS, m.word("E"), m.squared_norm(slope, fake)
                    ),
                ),
            ),
            "Huang et al. 2024, eqs. 2 and 9",
        ),
        Formula(
            "This recipe: the generator lowers",
            (m.displayed(m.expectation(None, m.of(m.word("softplus"), real, MINUS, fake))),),
        ),
    )


def vae(config: Config) -> tuple[Formula, ...]:
    """The evidence lower bound of the family, and the levels of this recipe."""
    x, z, i = m.name("x"), m.name("z"), m.name("i")
    below = m.lower(z, m.row(m.sign("<"), i))
    prior, level = m.of(m.name("p"), z), m.lower(z, i)
    posterior = m.of(m.name("q"), m.given(z, x))
    maps = [config.get("coarse_latents"), config.get("fine_latents")]
    n = sum(one for one in maps if isinstance(one, int))
    return (
        Formula(
            "The family: a bound to raise",
            (
                m.displayed(
                    m.log(m.of(m.name("p"), x)),
                    AT_LEAST,
                    m.expectation(posterior, m.log(m.of(m.name("p"), m.given(x, z)))),
                    MINUS,
                    m.divergence(posterior, prior),
                ),
            ),
            "Kingma and Welling 2014, eq. 3",
        ),
        Formula(
            "This recipe: the last term, over the levels of the code",
            (
                m.displayed(
                    m.total(m.row(i, EQUAL, m.value(0)), m.value(n)),
                    m.expectation(
                        None,
                        m.divergence(
                            m.of(m.name("q"), m.given(level, below, m.sign(","), x)),
                            m.of(m.name("p"), m.given(level, below)),
                        ),
                    ),
                ),
            ),
            "top-down levels: Sønderby et al. 2016, Child 2021",
        ),
    )


def flow(_config: Config) -> tuple[Formula, ...]:
    """The change of variables of the family, and the bound that dequantization leaves."""
    x, u = m.name("x"), m.name("u")
    map_, q = m.of(m.name("f"), x), m.of(m.name("q"), m.given(u, x))
    stretch = m.fraction(m.row(m.sign("∂"), map_), m.row(m.sign("∂"), x))
    return (
        Formula(
            "The family: the density to raise",
            (
                m.displayed(
                    m.log(m.of(m.name("p"), x)),
                    EQUAL,
                    m.log(m.of(m.lower(m.name("p"), m.name("Z")), map_)),
                    PLUS,
                    m.log(m.row(m.sign("|"), m.word("det"), stretch, m.sign("|"))),
                ),
            ),
            "Dinh et al. 2017, eq. 3",
        ),
        Formula(
            "This recipe: a bound, as images have whole levels",
            (
                m.displayed(
                    m.log(m.of(m.name("P"), x)),
                    AT_LEAST,
                    m.expectation(q, m.log(m.of(m.name("p"), x, PLUS, u)), MINUS, m.log(q)),
                ),
            ),
            "Ho et al. 2019 (Flow++), eq. 9",
        ),
    )


def diffusion(_config: Config) -> tuple[Formula, ...]:
    """The way to noise, the bound of the family, and what this recipe trains on."""
    x, z, lam, noise, v = (m.name(one) for one in ("x", "z", "λ", "ε", "v"))
    a, s, noisy = m.name("α"), m.name("σ"), m.lower(z, lam)
    return (
        Formula(
            "The way to noise, fixed",
            (
                m.displayed(
                    noisy,
                    EQUAL,
                    a,
                    x,
                    PLUS,
                    s,
                    noise,
                    COMMA,
                    m.upper(a, m.value(2)),
                    EQUAL,
                    m.fraction(m.value(1), m.row(m.value(1), PLUS, m.upper(m.name("e"), m.row(MINUS, lam)))),
                    COMMA,
                    m.upper(s, m.value(2)),
                    EQUAL,
                    m.value(1),
                    MINUS,
                    m.upper(a, m.value(2)),
                ),
            ),
            "Kingma et al. 2021",
        ),
        _chain_bound(),
        Formula(
            "This recipe: the mean squared error of v, and terms of the bound",
            (
                m.displayed(
                    m.word("E"),
                    m.squared_norm(m.of(m.hat(v), noisy, m.sign(","), lam), MINUS, v),
                    COMMA,
                    v,
                    EQUAL,
                    a,
                    noise,
                    MINUS,
                    s,
                    x,
                ),
            ),
            "Salimans and Ho 2022; Nichol and Dhariwal 2021",
        ),
    )


def _chain_bound() -> Formula:
    x, z, t, last, p, q = (m.name(one) for one in ("x", "z", "t", "T", "p", "q"))
    before = m.lower(z, m.row(t, MINUS, m.value(1)))
    return Formula(
        "The family: a bound to lower",
        (
            m.displayed(
                MINUS,
                m.log(m.of(p, x)),
                AT_MOST,
                m.divergence(m.of(q, m.given(m.lower(z, last), x)), m.of(p, m.lower(z, last))),
            ),
            m.displayed(
                PLUS,
                m.total(m.row(t, EQUAL, m.value(2)), last),
                m.expectation(
                    None,
                    m.divergence(
                        m.of(q, m.given(before, m.lower(z, t), m.sign(","), x)),
                        m.of(p, m.given(before, m.lower(z, t))),
                    ),
                ),
                MINUS,
                m.expectation(None, m.log(m.of(p, m.given(x, m.lower(z, m.value(1)))))),
            ),
        ),
        "Ho et al. 2020, eq. 5",
    )
