"""What each family is, in words, and what it can do. Imports no torch: the report reads it too.

Nothing here may be contradicted by a run: how good, how fast or how stable a family is stands with what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """What a family is, in words, and what it can do; the report sets the four side by side."""

    title: str
    concept: str
    structure: str
    differs: str  # from the other three
    abilities: Mapping[str, str]
    usual: str = ""  # how samples are drawn without options, where the family is known by another way too


ABOUT = {
    "gan": About(
        title="Generative adversarial network",
        concept="A generator turns random numbers into an image. A discriminator sees real images and samples in pairs "
        "and gives each image one number. It learns to give the real one more; the generator learns to raise the "
        "number of its samples. No pixel is compared with a target, and no probability is computed: the discriminator "
        "is the loss.",
        structure="Residual generator and discriminator without normalisation; relativistic pairing of real and "
        "generated images, gradient penalties on both, one pass through the discriminator for both players' steps, "
        "averaged generator weights for sampling.",
        differs="The other three lower one loss. Here two losses pull against each other, and neither says how good "
        "the samples are: that has to be measured from outside. Fewer random numbers than pixels reach only a thin "
        "sheet among all images, so there is no density and there are no bits per dimension. No path leads from an "
        "image back to its noise. To fool the discriminator, a part of the data may be enough: recall and coverage "
        "measure how much is left out.",
        abilities={
            "likelihood": "none: a generator gives samples but no density, so bits per dimension do not exist",
            "encodes": "no",
            "reconstructs": "no",
            "sampling": "one pass",
            "trained by": "a game of two networks",
            "learns": "generator and discriminator",
            "fixes": "the distribution of the noise",
            "labels": "optional",
        },
    ),
    "vae": About(
        title="Variational autoencoder",
        concept="An encoder turns an image into a distribution over a code, the latent variables. A decoder turns a "
        "code into a distribution over images. One loss trains both: the pixels should be likely given the code, and "
        "the code should stay close to the prior, from which new codes are drawn. The code may have several levels, "
        "each with a prior that is predicted from the levels before it.",
        structure="Encoder and top-down decoder with a vector and maps as latents: a flow is the vector's prior, each "
        "map has a learned Gaussian one. Every 2x2 block of pixels follows a discretised mixture of logistics over the "
        "256 levels.",
        differs="Two networks serve the two directions, and the way back from the image is approximate. In exchange "
        "neither has to be invertible, and the code may hold far fewer bits than the image. The loss is a bound: it "
        "overstates the bits by the gap between the encoder's distribution and the true one. Given the code, each 2x2 "
        "block of pixels is drawn independently of the others; the mean of the pixels leaves this draw out.",
        abilities={
            "likelihood": "upper bound of bits per dimension (ELBO), discrete",
            "encodes": "yes, to a distribution over latents",
            "reconstructs": "approximately",
            "sampling": "one pass",
            "trained by": "one loss for encoder and decoder",
            "learns": "encoder, decoder, and the prior of each level of the code",
            "fixes": "the distribution of the noise behind the code",
            "labels": "optional",
        },
        usual="pixel-sampled",
    ),
    "flow": About(
        title="Normalizing flow",
        concept="One invertible network maps an image to noise and, run backwards, noise to an image. It is a chain of "
        "couplings: each leaves some values alone and sends the others through a rising curve, whose shape a network "
        "computes from the first. So every step can be undone, and by how much it stretches is known. The "
        "change-of-variables formula adds these stretches up to the density of the image, which training raises.",
        structure="Two scales of coupling layers, then checkerboard and dense couplings of the coarsest map; every "
        "coupling passes some values through the distribution function of a mixture of logistics that depends on the "
        "values before them.",
        differs="No second network is needed for the way back, and no information is lost: the noise has as many "
        "numbers as the image. The density is exact for continuous images only: those of 256 levels are first filled "
        "up with noise, which makes bits per dimension a bound. The price is freedom: only layers are allowed that can "
        "be undone, and whose stretch is cheap to compute.",
        abilities={
            "likelihood": "exact density; a bound of bits per dimension after dequantization",
            "encodes": "yes, one to one",
            "reconstructs": "exactly, up to rounding",
            "sampling": "one pass, backwards",
            "trained by": "one loss, one network",
            "learns": "the networks in the couplings, and how the gaps between levels are filled",
            "fixes": "the density of the noise, and which values each coupling changes",
            "labels": "optional",
        },
        usual="temperature 1",
    ),
    "diffusion": About(
        title="Diffusion model",
        concept="A fixed process mixes an image with more and more Gaussian noise until next to nothing of it is left. "
        "One network learns the way back: shown a noisy image and told the noise level, it estimates the clean image. "
        "A sample starts as pure noise; each pass estimates the clean image anew and goes a part of the way there. "
        "The network also learns how much noise a step of the chain should add.",
        structure="One convolutional network with dense layers over its coarsest maps, told the noise level, for all "
        "steps; trained by denoising at random levels, some for the bound and most for samples. A fast solver or the "
        "full chain samples.",
        differs="The way to noise is not learned. The noise is as large as the image and drawn at random, so that it "
        "is no code; a deterministic variant, the probability-flow ODE, would give one. Training is "
        "regression at random noise levels, without an opponent. Each step of sampling is one pass through the "
        "network, and the number of steps is chosen after training. The likelihood is a bound, summed over the steps "
        "of the chain.",
        abilities={
            "likelihood": "upper bound of bits per dimension over the full chain, discrete",
            "encodes": "not by its random way to noise",
            "reconstructs": "not by its random way to noise",
            "sampling": "many passes; their number is a setting",
            "trained by": "one loss, one network",
            "learns": "one denoiser: the mean and the deviation of each step back",
            "fixes": "the whole way from image to noise",
            "labels": "optional",
        },
    ),
}
