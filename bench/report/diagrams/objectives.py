"""What each family is trained on: formulas, what their symbols mean in the record's config, and the papers."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from equibench.quantities.text import number
from equibench.report.diagrams import formulas
from equibench.report.diagrams import mathml as m
from equibench.report.diagrams.formulas import Config, Formula


@dataclass(frozen=True)
class Objective:
    """`symbols` are formulas with their meaning, `papers` names with their addresses and what they gave."""

    gist: str
    formulas: tuple[Formula, ...]
    symbols: tuple[tuple[Markup, str], ...]
    papers: tuple[tuple[str, str, str], ...]


def objective(family: str | None, config: Config) -> Objective | None:
    """The objective of one of the four families with a config; None for a user's own family."""
    if family not in _FORMULAS:
        return None
    return Objective(_GISTS[family], _FORMULAS[family](config), _SYMBOLS[family](config), _PAPERS[family])


def _set(config: Config, field: str, words: str) -> str:
    """`words` with the field's value in place of {}; nothing where the config has no such number."""
    found = config.get(field)
    return words.format(number(found)) if isinstance(found, int | float) and not isinstance(found, bool) else ""


def _gan(config: Config) -> tuple[tuple[Markup, str], ...]:
    x, z, gamma = m.name("x"), m.name("z"), m.name("γ")
    made = m.of(m.name("G"), z)
    slope = m.sign("∇")
    weight = _set(config, "penalty", ", {}") + _set(
        config, "penalty_end", " at the start of training and {} at its end"
    )
    return (
        (m.inline(x), "a real image"),
        (m.inline(z), "noise" + _set(config, "latent", ": {} normal numbers")),
        (m.inline(made), "the sample that the generator makes of it"),
        (m.inline(m.name("D")), "the discriminator’s value: a probability in the first formula, else any number"),
        (m.inline(slope), "slope by the pixels; taken on some images of a batch"),
        (m.inline(gamma), f"weight of the penalty on steep discriminators{weight}"),
        (m.inline(m.of(m.word("softplus"), m.name("t"))), "log(1 + eᵗ)"),
    )


def _vae(_config: Config) -> tuple[tuple[Markup, str], ...]:
    x, z, i = m.name("x"), m.name("z"), m.name("i")
    below = m.lower(z, m.row(m.sign("<"), i))
    prior = m.of(m.name("p"), z)
    posterior = m.of(m.name("q"), m.given(z, x))
    return (
        (m.inline(x), "an image"),
        (m.inline(z), "its code, the latent variables"),
        (m.inline(posterior), "the encoder’s distribution of the code, the posterior"),
        (m.inline(m.of(m.name("p"), m.given(x, z))), "the decoder’s distribution of the image"),
        (m.inline(prior), "the prior of the code"),
        (m.inline(m.word("KL")), "how far the posterior is from the prior, in nats; never negative"),
        (m.inline(below), "the levels before level i"),
    )


def _flow(_config: Config) -> tuple[tuple[Markup, str], ...]:
    x, u = m.name("x"), m.name("u")
    q = m.of(m.name("q"), m.given(u, x))
    return (
        (m.inline(m.name("f")), "the network, from image to noise"),
        (
            m.inline(m.lower(m.name("p"), m.name("Z"))),
            "density of the noise: here standard logistic, each number independent of the others",
        ),
        (m.inline(m.word("det"), m.sign("∂"), m.name("f"), m.sign("/"), m.sign("∂"), x), "stretch of f around x"),
        (m.inline(m.of(m.name("P"), x)), "probability of an image of 256 levels"),
        (m.inline(u), "noise from 0 to 1 that fills the gap to the next level"),
        (m.inline(q), "its distribution, which is learned too"),
    )


def _diffusion(config: Config) -> tuple[tuple[Markup, str], ...]:
    x, z, lam, noise, v = (m.name(one) for one in ("x", "z", "λ", "ε", "v"))
    noisy = m.lower(z, lam)
    p, q = m.name("p"), m.name("q")
    level = _set(config, "greatest", ", from {} (next to clean)") + _set(config, "least", " to {} (next to pure noise)")
    return (
        (m.inline(x), "an image"),
        (m.inline(lam), f"log signal-to-noise ratio{level}"),
        (m.inline(noise), "standard normal noise, a number for each pixel and channel"),
        (m.inline(noisy), "the noisy image" + _set(config, "chain_steps", "; with index t at step t of T = {}")),
        (m.inline(q, m.sign(","), p), "the true step back, where x is known, and the learned one"),
        (m.inline(m.hat(v)), "what the network gives; the clean image is estimated as α z − σ v"),
        (m.inline(m.word("KL")), "trains the deviations alone; the last step’s term trains the mean as well"),
    )


_FORMULAS = {"gan": formulas.gan, "vae": formulas.vae, "flow": formulas.flow, "diffusion": formulas.diffusion}
_SYMBOLS = {"gan": _gan, "vae": _vae, "flow": _flow, "diffusion": _diffusion}
_GISTS = {
    "gan": "A game: one network makes images, the other judges them.",
    "vae": "A code and its price: describe an image in few bits, then draw new codes.",
    "flow": "One map, both ways: every image is some noise, every noise some image.",
    "diffusion": "Many small steps: destroy an image by noise, and learn to undo a little of it at a time.",
}
_PAPERS = {
    "gan": (
        ("Goodfellow et al. 2014", "https://arxiv.org/abs/1406.2661", "the family"),
        ("Huang et al. 2024 (R3GAN)", "https://arxiv.org/abs/2501.05441", "this recipe’s objective"),
    ),
    "vae": (
        ("Kingma and Welling 2014", "https://arxiv.org/abs/1312.6114", "the family"),
        ("Child 2021", "https://arxiv.org/abs/2011.10650", "levels from the top down"),
        ("Chen et al. 2017", "https://arxiv.org/abs/1611.02731", "a flow as the prior of the first level"),
    ),
    "flow": (
        ("Dinh et al. 2014 (NICE)", "https://arxiv.org/abs/1410.8516", "the family"),
        ("Dinh et al. 2017 (Real NVP)", "https://arxiv.org/abs/1605.08803", "couplings that scale"),
        ("Ho et al. 2019 (Flow++)", "https://arxiv.org/abs/1902.00275", "this recipe’s couplings and bound"),
    ),
    "diffusion": (
        ("Sohl-Dickstein et al. 2015", "https://arxiv.org/abs/1503.03585", "the family"),
        ("Ho et al. 2020 (DDPM)", "https://arxiv.org/abs/2006.11239", "the chain and its bound"),
        ("Kingma et al. 2021 (VDM)", "https://arxiv.org/abs/2107.00630", "noise levels by λ"),
        ("Salimans and Ho 2022", "https://arxiv.org/abs/2202.00512", "v"),
        ("Nichol and Dhariwal 2021", "https://arxiv.org/abs/2102.09672", "learned deviations"),
    ),
}
