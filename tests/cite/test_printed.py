"""Signatures as they stand in print, and as earlier versions printed them."""

import html
import json
import re
import textwrap

import pytest
from fixtures import make
from hypothesis import configuration, given, settings
from hypothesis import strategies as st

from equibench.cite import citation, names
from equibench.cite.printed import document, parse, same, signatures_in
from equibench.cite.signature import signature
from equibench.errors import UserError
from equibench.quantities.tex import plain, tex
from equibench.record.schema import Record

ONE = make("diffusion")
PATHS = sorted(names.numbers(ONE))
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
ODD = st.sampled_from(["a--b", "x+y z", "fi ffl", "modèle², 3", r"\_{}$~^", "a|b=c%41", "1, 2 (3)", "- -", "±", "図"])


@pytest.fixture(autouse=True, scope="module")
def hypothesis_keeps_nothing_in_the_checkout(tmp_path_factory):
    configuration.set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


@st.composite
def records(draw):
    """Records of one to three seeds, with odd names wherever a name is part of a signature."""
    name, data, sampler = (draw(st.one_of(NAMES, ODD)) for _ in range(3))
    quality = ONE.quality.model_copy(update={"options": {"how": sampler, "steps": 4}})
    changes = {"entrant": name, "quality": quality, "data": ONE.data.model_copy(update={"name": data})}
    return [ONE.model_copy(update={**changes, "seed": seed}) for seed in range(draw(st.integers(1, 3)))]


def wrapped(text, width):
    """Broken wherever a line is full, as \\seqsplit or a narrow cell does it."""
    return "\n".join(text[start : start + width] for start in range(0, len(text), width))


def replaced(text, signs):
    return "".join(signs.get(sign, sign) for sign in text)


SIGNS = {"%": r"\%", "_": r"\_"}
FORMS = {
    "as it is": str,
    "with spaces around": lambda text: f"  {text}\n",
    "label": lambda text: f"signature: {text}",
    "label of a table": lambda text: f"Signature:\n    {text}\n",
    "full stop": lambda text: f"We measured 41.2 ({text}).",
    "comma": lambda text: f"Both {text}, and others, a 2nd time",
    "straight quotes": lambda text: f'"{text}"',
    "typographic quotes": lambda text: f"\u201c{text}\u201d",
    "single quotes": lambda text: f"equibench verify '{text}' --results there",
    "TeX's quotes": lambda text: f"``{text}''",
    "Markdown": lambda text: f"- its signature is `{text}`;",
    "brackets": lambda text: f"[{text}]",
    "wrapped to 20": lambda text: wrapped(text, 20),
    "wrapped to 7": lambda text: wrapped(text, 7),
    "wrapped and indented": lambda text: textwrap.indent(wrapped(text, 31), "      "),
    "quoted in a mail": lambda text: "> as in\n" + textwrap.indent(wrapped(text, 60), "> "),
    "broken after bars": lambda text: text.replace("|", "|\n"),
    "spaces of a table": lambda text: text.replace("|", " | "),
    "no-break spaces": lambda text: text.replace("|", "\u00a0|\u00a0"),
    "soft hyphens": lambda text: text.replace("entrant", "en\u00adtrant"),
    "zero-width spaces": lambda text: text.replace("|", "|\u200b"),
    "dashes": lambda text: text.replace("-", "\u2013"),
    "hyphens": lambda text: text.replace("-", "\u2010"),
    "minus signs": lambda text: text.replace("-", "\u2212"),
    "bars of full width": lambda text: text.replace("|", "\uff5c"),
    "bars as a font of TeX has them": lambda text: text.replace("|", "\u2014"),
    "other bars": lambda text: text.replace("|", "\u2223"),
    "ligatures": lambda text: text.replace("fi", "\ufb01").replace("ff", "\ufb00"),
    "plus and minus by hand": lambda text: text.replace("±", "+/-"),
    "plus and minus apart": lambda text: text.replace("±", " +- "),
    "HTML": lambda text: f"<td>{html.escape(text)}</td>".replace("±", "&plusmn;"),
    "JSON": lambda text: json.dumps({"signature": text, "n": 1}),
    "TeX": tex,
    "TeX in a sentence": lambda text: rf"the distance\footnote{{\texttt{{{tex(text)}}}.}} is",
    "TeX by hand": lambda text: replaced(text, {**SIGNS, "|": r"\textbar ", "±": r"$\pm$", ",": "{,}"}),
    "TeX in math": lambda text: replaced(text, {**SIGNS, "|": "$|$", "±": r"\ensuremath{\pm}"}),
    "TeX with breaks": lambda text: tex(text).replace(":", r":\allowbreak{}").replace(",", r",\hspace{0pt}"),
    "lines of TeX": lambda text: tex(text).replace(r"\ensuremath{|}", "%\n  \\ensuremath{|}"),
    "ties": lambda text: text.replace("%", r"\%").replace("|", r"|~").replace("_", r"\textunderscore{}"),
}  # fmt: skip


def for_many(examples, body):
    """`body(rows, path)` of drawn records and numbers, called within a test: hypothesis keeps files for others."""
    drawn = given(records(), st.sampled_from(PATHS))(body)
    settings(max_examples=examples, derandomize=True, database=None, deadline=None)(drawn)()


@pytest.mark.parametrize("form", FORMS)
def test_a_printed_form_is_the_signature(form):
    def printed(rows, path):
        text = signature(rows, path)
        assert text is not None
        assert same(parse(FORMS[form](text)), parse(text))

    for_many(12, printed)


def test_what_cite_prints_is_the_signature():
    """Text, LaTeX's comment, BibTeX and JSON; and all of them in one document."""

    def cited(rows, path):
        one = citation.of_row(rows, path)
        assert one
        was = parse(one.signature)
        assert (was.fields["entrant"], was.path) == (rows[0].entrant, path)
        for form in citation.FORMATS:
            assert parse(citation.write([one], form)) == was
        document = "\n\n".join(citation.write([one], form) for form in citation.FORMATS)
        assert signatures_in(document) == [was] * len(citation.FORMATS)

    for_many(40, cited)


def test_a_whole_form_by_hand():
    """As a reader copies it out of the PDF of a paper."""
    found = parse(
        "\u201cbits_per_dim=3.2337±0.0012\u2014entrant:vae\u2014n:10000\u2014ref:fash-\nion\u2013mnist\u201310k\u2013test"
        "@a4f30e7f\u2014kind:up\nper+bound,+variational+dequantization\u2014budget:\n7e12flops,0.5M\u2014seeds:0,1,\n2"
        "\u2014pm:sd\u2010seeds\u2014p:5\u2014v:0.1.0+dcc3\n5e45\u2014sig:2\u2014re\nc:176fe1ad,b63f\n54b9,6661d060.\u201d"
        " Later 2 adds"
    )
    assert found.path == "likelihood.bits_per_dim"
    assert (found.value, found.spread, found.seeds) == (3.2337, 0.0012, [0, 1, 2])
    assert found.fields["kind"] == "upper bound, variational dequantization"
    assert found.fields["v"] == "0.1.0+dcc35e45"
    assert found.keys == ["176fe1ad", "b63f54b9", "6661d060"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("bounds.importance+\nweighting.bits_per_dim", "bounds.importance weighting.bits_per_dim"),
        ("sampler_points.25+steps.\nquality.value", "sampler_points.25 steps.quality.value"),
        ("the distance FD_\n5k", "quality.value"),
        ("is:\nFD_correc\nted_5k", "quality.corrected"),
        ("also known as bits_per_dim", "likelihood.bits_per_dim"),
        ("note = {bits_per_dim", "likelihood.bits_per_dim"),
        ("sliced_Wasser\nstein_1234", "quality.also.sliced Wasserstein"),
        *((f"{sign}FD_5k", "quality.value") for sign in "\u2022\u2192\u2020&\u2026/\u00a7#!?)].\u300c"),
        ("1.FD_5k", "quality.value"),
    ],
)
def test_a_name_is_told_from_what_stands_before_it(name, path):
    assert parse(f"{name}=1.5|entrant:a|seeds:0|sig:2|rec:0123abcd").path == path


WRITTEN = "FD_5k=1.5|entrant:vae|data:fashion-mnist-10k|budget:7e12flops|seeds:0,1|sig:2|rec:0123abcd,89abcdef"


@pytest.mark.parametrize(("before", "after", "holds"), [
    ("fashion-", "fashion-\n", True),
    ("fashion", "fash-\nion", True),
    ("fashion-mnist", "fashionmnist", True),  # a line broke at the hyphen, and a program joined it again
    ("7e12", "7e-\n12", True),
    ("7e12", "7e-12", False),
    ("vae", "v-ae", False),
    ("vae", "vae-", False),
    ("0,1", "0,-1", False),
    ("mnist-10k", "mnist10k", False),
    ("vae", "va", False),
])  # fmt: skip
def test_a_hyphen_is_part_of_a_signature_but_at_the_end_of_a_line(before, after, holds):
    assert same(parse(WRITTEN.replace(before, after)), parse(WRITTEN)) == holds


@pytest.mark.parametrize(("before", "after"), [
    ("|rec:0123abcd,89abcdef", ""), ("rec:0", "rec:l"), ("|seeds", "|SEEDS"), ("seeds:0", "seeds:O"),
    ("|sig:2", "|sig:2|sig:2"),
])  # fmt: skip
def test_what_is_left_of_a_signature_is_not_passed_over(before, after):
    broken = WRITTEN.replace(before, after)
    for text in (f"{WRITTEN} and {broken}.", f"{broken}; {WRITTEN}."):
        assert len(signatures_in(text)) == 1
        assert [one.endswith("FD_5k=1.5|entrant:") for one in document(text).broken] == [True]
    assert document(f"{WRITTEN} a = 5 | b, x=1|2 {WRITTEN}").broken == []


def test_several_signatures_are_found_in_their_order():
    texts = [signature([ONE], path) for path in ("quality.value", "likelihood.bits_per_dim", "spent.flops")]
    (first, second, third) = map(parse, texts)
    document = f"{texts[0]} and | a table | {wrapped(texts[1], 50)}; {texts[2]}, {texts[0]}"
    assert signatures_in(document) == [first, second, third, first]
    with pytest.raises(UserError, match="there are 4 signatures"):
        parse(document)
    assert signatures_in("a | b | rec: | rec:0123abcd and n=5|seeds:0") == []


@pytest.mark.parametrize("text", ["a_b", r"\{$5 & 6 % 7 # 8~9^", "--", "é à ö ç ñ å", "straße, Æ", "x|y ± z", "a\\b"])
def test_what_tex_prints_is_the_text(text):
    assert plain(tex(text)) == text


def test_no_wrapping_of_an_earlier_signature_hides_it():
    text = (
        "bounds.importance weighting.bits_per_dim=3.36±0.03|entrant:vae|n:64|ref:Fashion-MNIST-test@c0ffee00|kind:"
        "upper bound|budget:2e13flops,0.5M|seeds:0|pm:se-images|p:3|v:0.1.0+abcdef01|rec:01234567"
    )
    was = parse(text)
    assert was.form == 1
    assert was.path == "bounds.importance weighting.bits_per_dim"
    assert was.fields["kind"] == "upper bound"
    for width in range(30, 90):  # at spaces and hyphens, as text is set
        lines = textwrap.wrap(text, width, break_long_words=False)
        assert parse("\n".join(lines)) == was, width
    assert parse(tex(text)) == was
    assert re.sub(r"\s", "", parse(wrapped(text, 19)).fields["kind"]) == "upperbound"


def test_a_field_that_is_there_twice_makes_it_no_signature():
    text = signature([ONE], "quality.value")
    with pytest.raises(UserError, match="not a whole signature"):
        parse(text.replace("|n:5000", "|n:2500|n:5000"))
    assert parse(f"{text}\n{text}") == parse(text)  # one that is there twice is one


def test_a_long_text_of_broken_ones_is_read_at_once():
    assert signatures_in("|rec:|a:" * 50_000) == []
    assert signatures_in("a b" * 100_000 + "=1|seeds:0|rec:0123abcd")[0].value == 1


def test_a_record_made_by_another_program_has_a_signature_too():
    """Whatever a record may hold: nothing that separates the parts of a signature passes through."""
    one = Record.model_validate(ONE.model_dump() | {"entrant": "|rec:0123abcd seeds:1|a:b=c"})
    assert parse(signature([one], "quality.value")).fields["entrant"] == one.entrant
