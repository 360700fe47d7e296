"""What `cite` writes for LaTeX and BibTeX, compiled, and its words read back from the page."""

import json
import re
import unicodedata

import pytest
from fixtures import everything, make, save
from typeset import words

from equibench.cite import citation, methods
from equibench.cite.printed import parse
from equibench.errors import UserError


@pytest.fixture(scope="module")
def records():
    long = "a-vae_of_mine & 100 % more, with a name of many words"
    return [*everything(), make("vae", entrant=long), make("vae", 1, entrant=long)]


def letters(text):
    """A text without what a line break may change, and with raised digits as digits."""
    return re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", text))


def test_a_methods_paragraph_typesets_as_its_words(records, tmp_path):
    shown = words(methods.write(records, "latex") + "\n\nThe end of it.", tmp_path)
    assert "% of the parameter cap, both networks" in shown
    for paragraph in methods.paragraphs(records):
        assert letters(paragraph) in letters(shown)
    assert "The end of it." in shown


def test_a_methods_paragraph_in_other_forms(records):
    assert methods.write(records, "text") == methods.methods(records)
    assert json.loads(methods.write(records, "json")) == {"methods": methods.paragraphs(records)}
    with pytest.raises(UserError, match="give --format text, latex or json"):
        methods.write(records, "bibtex")


@pytest.mark.parametrize("metric", ["FD", "bits_per_dim", "images_per_sec", "train_peak_bytes", "NFE"])
def test_a_note_of_bibtex_breaks_between_its_fields(records, metric, tmp_path):
    folder = save(records, tmp_path / "results", with_arrays=False)
    entries, said = [], []
    for entrant in ("vae", records[-1].entrant):
        (one,) = citation.cite(metric, entrant, [folder])
        entries.append(citation.write([one], "bibtex"))
        said.append(one)
        note = re.search(r"note = \{(.*)\},", entries[-1])[1]
        assert parse(note) == parse(one.signature)  # `verify` takes it from the source too
    (tmp_path / "own.bib").write_text("\n\n".join(entries))
    body = r"Numbers \nocite{*}. \bibliographystyle{plain}\bibliography{own}"
    shown = words(body, tmp_path, bibtex=True)
    for one in said:
        told = letters(one.signature.replace("±", "|")).split("|")
        assert all(piece in letters(shown) for piece in told), [piece for piece in told if piece not in letters(shown)]
        assert letters(one.metric) in letters(shown)


def test_a_number_typesets_in_a_sentence(records, tmp_path):
    folder = save(records, tmp_path / "results", with_arrays=False)
    number = citation.write(citation.cite("spent.flops", "vae", [folder]), "latex")
    shown = words(f"It took\n{number}\noperations.", tmp_path)
    assert letters(shown).startswith(
        "Ittook1:998\N{MULTIPLICATION SIGN}1013±0operations."
    )  # the stop of formulas has a colon's code
