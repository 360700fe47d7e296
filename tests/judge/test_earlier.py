"""Signatures that earlier versions printed: read, and verified by the rules that they were made by."""

import html
import re

import pytest
from fixtures import ROOT, make, save

from equibench.cite.printed import parse
from equibench.cite.signature import earlier_signatures
from equibench.judge.verify import verify, verify_all
from equibench.quantities.identity import MADE_BY
from equibench.quantities.tex import tex
from equibench.record.cost import MatrixProducts, SpeedPoint

# as they stood in reports of July to November 2026, of records that are not here any more
FD_OF = "n:5000|ref:fashion-mnist-10k-test@1f464896|fx:EfficientNet-Lite0@57934424|prep:51e38efa|sampler:default"
BITS_OF = "ref:fashion-mnist-10k-test@a4f30e7f|kind:upper bound"
SPENT = "budget:7e12flops,0.5M"
SEEDS = "seeds:0,1,2|pm:sd-seeds"
P2, P3 = "p:2|v:0.1.0+dcc35e45|rec:", "p:3|v:0.1.0+d47751dd|rec:"
IN_PRINT = {
    f"FD_5k=417±12|entrant:gan|{FD_OF}|{SPENT}|{SEEDS}|{P2}c26887af,48227fdd,201cf218": (
        "quality.value", 417, 12, [0, 1, 2]
    ),
    f"FD_corrected_5k=1065.2±9.9|entrant:vae|{FD_OF}|{SPENT}|seeds:1|pm:95ci-samples|{P3}3a0af814": (
        "quality.corrected", 1065.2, 9.9, [1]
    ),
    f"bits_per_dim=3.2629±0.0026|entrant:flow|n:10000|{BITS_OF}, variational dequantization|{SPENT}|{SEEDS}|{P2}"
    "f9505cee,41b74d7d,69893b02": ("likelihood.bits_per_dim", 3.2629, 0.0026, [0, 1, 2]),
    "speed.images_per_sec=236.6±8.4|entrant:diffusion|batch:128|sampler:default|data:fashion-mnist-10k@a4f30e7f|"
    f"{SPENT}|machine:AMD EPYC, 2 threads, bfloat16@c6b86b86eede|{SEEDS}|{P2}ee8b4851,87d23d22,c4706715": (
        "speed.images_per_sec", 236.6, 8.4, [0, 1, 2]
    ),
    f"bounds.importance weighting.bits_per_dim=3.09±0.13|entrant:vae|n:64|{BITS_OF}|{SPENT}|seeds:0|pm:se-images|{P3}"
    "2f8aaf79": ("bounds.importance weighting.bits_per_dim", 3.09, 0.13, [0]),
    f"KD_5k=0.0007±0.0013|entrant:real data|{FD_OF}|budget:none|seeds:0|pm:se-samples|{P3}ae6bfd71": (
        "quality.also.KD", 0.0007, 0.0013, [0]
    ),
    f"spent.flops=6.9983e+12±0|entrant:gan|data:fashion-mnist-10k@a4f30e7f|{SPENT}|{SEEDS}|{P3}"
    "3b170ff5,0e917c71,2c65b592": ("spent.flops", 6.9983e12, 0, [0, 1, 2]),
}  # fmt: skip
MACHINE = "machine:made-up processor, 2 threads, float32@c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee"
REST = "|seeds:0|p:4|v:0.1.0+abcdef01|rec:01234567"
DATA = "|data:Fashion-MNIST@dadadada|budget:2e13flops,0.5M"
PEAK = "quantity:peak resident above import|batch:128"
# each by the earlier rules that gave it, of one record
BY_RULES = {
    "now": f"speed.images_per_sec=3200|entrant:vae|batch:64,256|sampler:default{DATA}|{MACHINE}{REST}",
    "the fastest size alone": f"speed.images_per_sec=3200|entrant:vae|batch:256|sampler:default{DATA}|{MACHINE}{REST}",
    "matrices with a machine": f"matrix_products.flops_per_sec.512=4e+11|entrant:vae{DATA}|{MACHINE}{REST}",
    "matrices without one": f"matrix_products.flops_per_sec.512=4e+11|entrant:vae{DATA}{REST}",
    "a batch size with a machine": f"memory.train_batch_size=128|entrant:vae|{PEAK}{DATA}|{MACHINE}{REST}",
    "a batch size without one": f"memory.train_batch_size=128|entrant:vae|{PEAK}{DATA}{REST}",
}  # fmt: skip


@pytest.mark.parametrize("text", IN_PRINT)
def test_what_is_in_print_is_read(text):
    found = parse(text)
    assert (found.path, found.value, found.spread, found.seeds) == IN_PRINT[text]
    assert found.form == 1
    assert not set(MADE_BY) & found.fields.keys()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    sweep = [SpeedPoint(batch_size=size, images_per_sec=1.0) for size in (64, 256)]
    speed = make("vae").speed.model_copy(update={"images_per_sec": 3200.0, "sweep": sweep})
    products = MatrixProducts(precision="float32", flops_per_sec={512: 4e11})
    one = make("vae", key="0123456789abcdef", protocol="4", speed=speed, matrix_products=products)
    return save([one], tmp_path_factory.mktemp("records"), with_arrays=False)


@pytest.mark.parametrize("rule", BY_RULES)
def test_each_earlier_rule_still_verifies(folder, rule):
    text = BY_RULES[rule]
    for printed in (text, text.replace("|", "|\n"), text.replace("_", r"\_"), tex(text), f"sig={text}."):
        (first, *_) = verify(printed, [folder])
        assert first.holds, first.sentence
        assert first.sentence.endswith("as the signature says, in the form of earlier versions of equibench")
    for before, after in (("entrant:vae", "entrant:gan"), ("Fashion-MNIST", "MNIST"), ("=", "=7"), ("p:4", "p:3")):
        (first, *_) = verify(text.replace(before, after), [folder])
        assert first.holds is False


def test_what_no_version_printed_does_not_verify(folder):
    text = BY_RULES["now"].replace("batch:64,256", "batch:64")
    assert verify(text, [folder])[0].holds is False


def test_all_signatures_of_the_published_page_verify():
    page = (ROOT / "reports" / "published" / "quick" / "index.html").read_text()
    listed = re.search(r'<ol id="ends" hidden>(.*?)</ol>', page, re.DOTALL)[1]
    ends = re.findall("<li>(.*?)</li>", listed)
    found = re.findall(r'data-signature="([^"]*)" data-end="(\d+)"', page)
    texts = {html.unescape(f"{text}|{ends[int(end)]}") for text, end in found}
    assert len(texts) > 800
    some = sorted(texts)[::40]
    found = verify_all("\n\n".join(some), [ROOT / "results" / "published"])
    assert [one.findings[0].holds for one in found] == [True] * len(some)
    assert len(found) == len(some)


def test_earlier_rules_give_what_they_gave(folder):
    from equibench.record import find

    ((_, one),) = find.read_all([folder])
    assert list(earlier_signatures([one], "speed.images_per_sec")) == [
        BY_RULES["now"], BY_RULES["now"], BY_RULES["the fastest size alone"]
    ]  # fmt: skip
