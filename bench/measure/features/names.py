"""The feature networks by name, without torch."""

from __future__ import annotations

# torch-fidelity's name of the file that holds the TF-2015 Inception weights
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
CLIP = ("clip-vit-b-16", "clip-vit-b-32", "clip-vit-l-14", "clip-vit-l-14-336px")
DINO = ("dinov2-vit-s-14", "dinov2-vit-b-14", "dinov2-vit-l-14", "dinov2-vit-g-14")
EXTRACTORS = ("auto", "efficientnet-lite0", "inception-v3", "pixels", *CLIP, *DINO)
# The sha256 of each network's published weights. Of Inception torch-fidelity publishes the first eight digits, in the
# name of the file, and of DINOv2 Meta none: the whole digests are those that public projects check these files by, many
# of them independently. Those of CLIP stand in torch-fidelity.
KNOWN_SHA256 = {
    "inception-v3": "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "efficientnet-lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "dinov2-vit-s-14": "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    "dinov2-vit-b-14": "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
    "dinov2-vit-l-14": "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    "dinov2-vit-g-14": "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3",
}
ABOUT = {
    "auto": "inception-v3 where its weights are at hand, else efficientnet-lite0",
    "efficientnet-lite0": "packaged, ImageNet, 1280 dimensions; gives FD",
    "inception-v3": "torch-fidelity's, 2048 dimensions, from torch's cache or --download; the only one that gives FID",
    "pixels": "no network: levels averaged to 8x8, 192 dimensions; a second space, not to rank by; gives FD",
    **dict.fromkeys((*CLIP, *DINO), "torch-fidelity's, from torch's cache or --download; gives FD"),
}
BFLOAT16 = "+bf16"  # behind a name: faster, and features of another feature space
OWN = "a TorchScript file (.pt, .pth) or module:function"


def space_name(shown: str, sha256: str, known: str) -> str:
    """The name of a feature space: the network's, and behind it eight digits of its weights unless they are the
    published ones, e.g. `Inception-v3[1a2b3c4d]`.
    """
    return shown if sha256 == known else f"{shown}[{sha256[:8]}]"


def extractor_named(space: str) -> str | None:
    """The name in EXTRACTORS of the network of a feature space; None for a user's own."""
    network, bfloat16 = space.removesuffix(" bf16"), BFLOAT16 if space.endswith(" bf16") else ""
    name = network.partition("[")[0].lower()
    return name + bfloat16 if name in EXTRACTORS else None
