"""The feature networks by name, without torch."""

from __future__ import annotations

# torch-fidelity's name of the file that holds the TF-2015 Inception weights
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
CLIP = ("clip-vit-b-16", "clip-vit-b-32", "clip-vit-l-14", "clip-vit-l-14-336px")
DINO = ("dinov2-vit-s-14", "dinov2-vit-b-14", "dinov2-vit-l-14", "dinov2-vit-g-14")
EXTRACTORS = ("auto", "efficientnet-lite0", "inception-v3", *CLIP, *DINO)
ABOUT = {
    "auto": "inception-v3 where its weights are at hand, else efficientnet-lite0",
    "efficientnet-lite0": "packaged, ImageNet, 1280 dimensions; gives FD",
    "inception-v3": "torch-fidelity's, 2048 dimensions, from torch's cache or --download; the only one that gives FID",
    **dict.fromkeys((*CLIP, *DINO), "torch-fidelity's, from torch's cache or --download; gives FD"),
}
BFLOAT16 = "+bf16"  # behind a name: faster, and features of another feature space
OWN = "a TorchScript file (.pt, .pth) or module:function"
