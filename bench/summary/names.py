"""What an entrant is called where a person reads it: in tables, figures and sentences alike."""

from __future__ import annotations

SHORT = {"gan": "GAN", "vae": "VAE"}  # of the suites that ship; others are called as their suite calls them
ARTICLE = ("gan", "vae", "flow")  # that a sentence gives one
OURS = (*ARTICLE, "diffusion")
LOADED = " (loaded)"  # after the name of an entrant that was not trained by the run


def entrant_name(entrant: str, loaded: bool = False) -> str:
    """In a table, a figure or a list: "GAN" for `gan`, and "GAN, width=64" for a row of it with its settings."""
    name, comma, more = entrant.partition(", ")
    return f"{SHORT.get(name, name)}{comma}{more}{LOADED if loaded else ''}"


def spoken_name(entrant: str, loaded: bool = False) -> str:
    """Within a sentence: "the GAN"."""
    name = entrant_name(entrant, loaded)
    return f"the {name}" if entrant.partition(", ")[0] in ARTICLE else name


def first_name(entrant: str, loaded: bool = False) -> str:
    """The name as the first words of a sentence: "The GAN". A user's own name stays as it is."""
    name = spoken_name(entrant, loaded)
    return name[:1].upper() + name[1:] if entrant.partition(", ")[0] in OURS else name
