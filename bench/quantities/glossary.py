"""What is known of each number of a record, a row a number: the only place that knows it.

Labels, units and arrows of tables, what a check gates and how, units on hover, names in signatures, what `cite` takes
and the columns of `load_results` are read from here.
"""

from __future__ import annotations

import re
from functools import cache

from equibench.quantities.quantity import MIB as MIB
from equibench.quantities.quantity import MILLION, MS, PERCENT, Shown
from equibench.quantities.quantity import Category as Category  # imported from here, as what the rows are made of
from equibench.quantities.quantity import Quantity as Quantity

BITS = "likelihood.bits_per_dim"
RECALL, COVERAGE = "quality.also.recall.value", "quality.also.coverage.value"

Q = Quantity


def _other_metrics(path: str) -> tuple[Quantity, ...]:
    """Numbers of samples that stand beside the headline's and are not gated with them."""
    lower, higher = ("KID", "KD", "sliced Wasserstein"), ("precision", "recall", "density", "coverage")
    return (
        Q(f"{path}.*.stderr", "Standard error over samples"),
        Q(f"{path}.*.stderr_with_reference", "Standard error over samples and reference"),
        Q(f"{path}.*.n_samples", "Samples"),
        Q(f"{path}.*.n_reference", "Reference images", "images"),
        *(Q(f"{path}.{name}", name, better="lower") for name in lower),
        *(Q(f"{path}.{name}", name, better="higher") for name in higher),
    )


def _of_a_class(path: str) -> tuple[Quantity, ...]:
    """Numbers of each class's samples, however they were assigned to it."""
    return (
        Q(f"{path}.*.kernel_distance", "Kernel distance", better="lower", error=f"{path}.*.stderr"),
        Q(f"{path}.*.stderr", "Standard error over samples"),
        Q(f"{path}.*.real_kernel_distance", "Kernel distance of real images"),
        Q(f"{path}.*.n_samples", "Samples"),
        Q(f"{path}.*.n_reference", "Reference images", "images"),
        Q(f"{path}.*.judged_share", "Share of the samples taken for it", shown=PERCENT),
        Q(f"{path}.*.real_judged_share", "Share of the test images taken for it", shown=PERCENT),
        Q(f"{path}.*.as_told", "Drawn for it and taken for it", better="higher", shown=PERCENT),
    )


# fmt: off
GLOSSARY = (
    Q("data.entropy_bits_per_dim", "Entropy of the data", "bits/dim"),
    # quality; tables print a distance by the name of its metric, such as FD_5k (EfficientNet-Lite0)
    Q("quality.value", "Distance", better="lower", category="quality", error="quality.stderr", primary=True),
    Q("quality.stderr", "Standard error over samples"),
    Q("quality.interval.low", "Low end of the interval"),
    Q("quality.interval.high", "High end of the interval"),
    Q("quality.corrected", "Distance without the bias of the samples' N", better="lower"),
    Q("quality.n_samples", "Samples"),
    Q("quality.n_reference", "Reference images", "images"),
    Q("quality.also.KID", "KID", better="lower", category="quality", error="quality.also.KID.stderr"),
    Q("quality.also.KD", "KD", better="lower", category="quality", error="quality.also.KD.stderr"),
    Q("quality.also.precision", "precision", better="higher", category="quality",
      error="quality.also.precision.stderr"),
    Q("quality.also.recall", "recall", better="higher", category="quality",
      error="quality.also.recall.stderr"),
    Q("quality.also.density", "density", better="higher", category="quality",
      error="quality.also.density.stderr"),
    Q("quality.also.coverage", "coverage", better="higher", category="quality",
      error="quality.also.coverage.stderr"),
    Q("quality.also.sliced Wasserstein", "sliced Wasserstein", better="lower", category="quality",
      error="quality.also.sliced Wasserstein.stderr"),
    Q("quality.also.*.stderr", "Standard error over samples"),
    Q("quality.also.*.stderr_with_reference", "Standard error over samples and reference"),
    Q("quality.also.*.n_samples", "Samples"),
    Q("quality.also.*.n_reference", "Reference images", "images"),
    Q("quality.memorization.share_nearer_train", "Share nearer to training than to held-out images",
      error="quality.memorization.stderr"),
    Q("quality.memorization.stderr", "Standard error"),
    Q("quality.memorization.p", "p"),
    Q("quality.memorization.n_train", "Training images", "images"),
    # what makes the distance, by class of the test images
    Q("distance_parts.class_shares.*", "Share of the distance", shown=PERCENT),
    Q("distance_parts.real_shares.*", "Share of the test images", shown=PERCENT),
    Q("distance_parts.sample_shares.*", "Share of the samples", shown=PERCENT),
    Q("distance_parts.reached_shares.*", "Share of its images that a sample comes near", shown=PERCENT),
    # the same samples in other feature spaces
    Q("spaces.*.quality.value", "Distance", better="lower", error="spaces.*.quality.stderr"),
    Q("spaces.*.quality.stderr", "Standard error over samples"),
    Q("spaces.*.quality.interval.low", "Low end of the interval"),
    Q("spaces.*.quality.interval.high", "High end of the interval"),
    Q("spaces.*.quality.corrected", "Distance without the bias of the samples' N", better="lower"),
    Q("spaces.*.quality.n_samples", "Samples"),
    Q("spaces.*.quality.n_reference", "Reference images", "images"),
    *_other_metrics("spaces.*.quality.also"),
    # by class, and what models know of classes
    *_of_a_class("by_class.classes"),
    *_of_a_class("by_class.judged"),
    Q("by_class.sample_accuracy", "Accuracy, trained on samples", better="higher", shown=PERCENT,
      error="by_class.sample_accuracy_stderr"),
    Q("by_class.sample_accuracy_stderr", "Standard error over images"),
    Q("by_class.classifier_accuracy", "Accuracy, trained on real images", shown=PERCENT),
    Q("by_class.classifier_images", "Real images", "images"),
    Q("by_class.n_test", "Test images", "images"),
    Q("probes.probes.*.knn_accuracy", "By neighbours", better="higher", shown=PERCENT,
      error="probes.probes.*.knn_stderr"),
    Q("probes.probes.*.knn_stderr", "Standard error over images"),
    Q("probes.probes.*.linear_accuracy", "By a linear map", better="higher", shown=PERCENT,
      error="probes.probes.*.linear_stderr"),
    Q("probes.probes.*.linear_stderr", "Standard error over images"),
    Q("probes.probes.*.dims", "Dimensions per image"),
    Q("probes.chance_accuracy", "By chance", shown=PERCENT),
    # likelihood
    Q(BITS, "Bits/dim", "bits/dim", "lower", "likelihood", error="likelihood.stderr_bits_per_dim",
      primary=True, short="bits_per_dim"),
    Q("likelihood.stderr_bits_per_dim", "Standard error over images", "bits/dim"),
    Q("likelihood.stderr_monte_carlo_bits_per_dim", "of it Monte Carlo noise", "bits/dim"),
    Q("likelihood.n_images", "Test images", "images"),
    Q("likelihood.passes", "Passes"),
    Q("bounds.*.bits_per_dim", "Bits/dim", "bits/dim", "lower"),
    Q("bounds.*.stderr_bits_per_dim", "Standard error over images", "bits/dim"),
    Q("bounds.*.stderr_monte_carlo_bits_per_dim", "of it Monte Carlo noise", "bits/dim"),
    Q("bounds.*.usual_bits_per_dim", "Usual bound, same images", "bits/dim"),
    Q("bounds.*.stderr_of_difference_bits_per_dim", "Standard error of the difference", "bits/dim"),
    Q("bounds.*.n_images", "Test images", "images"),
    Q("bounds.*.passes", "Passes"),
    Q("out_of_distribution_bits_per_dim.*", "Bits/dim", "bits/dim"),
    Q("decoder_likelihood.log_likelihood_nats", "log p(x)", "nats", "higher", error="decoder_likelihood.stderr_nats"),
    Q("decoder_likelihood.stderr_nats", "Standard error over images", "nats"),
    Q("decoder_likelihood.simulated_lower_nats", "Simulated images: at least", "nats"),
    Q("decoder_likelihood.simulated_upper_nats", "at most", "nats"),
    Q("decoder_likelihood.sigma", "Deviation of the observation model"),
    Q("decoder_likelihood.n_images", "Test images", "images"),
    Q("decoder_likelihood.chains", "Chains"),
    Q("decoder_likelihood.temperatures", "Temperatures"),
    Q("decoder_likelihood.leapfrog_steps", "Leapfrog steps"),
    Q("decoder_likelihood.acceptance", "Accepted"),
    # sampling
    Q("speed.batch_size", "Batch size"),
    Q("speed.images_per_sec", "Sampling", "images/s", "higher", "speed", timed=True, primary=True),
    Q("speed.latency_p50_sec", "Latency p50", "s", "lower", "speed", MS, timed=True),
    Q("speed.latency_p90_sec", "Latency p90", "s", "lower", shown=MS, timed=True),
    Q("speed.network_evaluations", "NFE", better="lower", category="cost"),
    Q("speed.flops_per_image", "FLOPs per image", "FLOPs per image", "lower", "cost"),
    Q("speed.energy.joules", "Energy", "J", "lower", timed=True),
    Q("speed.energy.images", "Images", "images"),
    Q("speed.sweep.*.batch_size", "Batch size"),
    Q("speed.sweep.*.images_per_sec", "Sampling", "images/s", "higher", timed=True),
    Q("speed.other_modes.*.batch_size", "Batch size"),
    Q("speed.other_modes.*.images_per_sec", "Sampling", "images/s", "higher", timed=True),
    Q("speed.other_modes.*.latency_p50_sec", "Latency p50", "s", "lower", shown=MS, timed=True),
    Q("speed.other_modes.*.latency_p90_sec", "Latency p90", "s", "lower", shown=MS, timed=True),
    Q("speed.other_modes.*.compile_sec", "Compiling or capturing", "s", timed=True),
    Q("sampler_points.*.quality.value", "Distance", better="lower"),
    Q("sampler_points.*.quality.n_samples", "Samples"),
    Q("sampler_points.*.quality.n_reference", "Reference images", "images"),
    Q("sampler_points.*.images_per_sec", "Sampling", "images/s", "higher", timed=True),
    Q("sampler_points.*.network_evaluations", "NFE", better="lower"),
    Q("sampler_points.*.flops_per_image", "FLOPs per image", "FLOPs per image", "lower"),
    # along training, of fewer images: no number to compare with the headline's
    *_other_metrics("along.*.quality.also"),
    Q("along.*.quality.value", "Distance", better="lower"),
    Q("along.*.quality.n_samples", "Samples"),
    Q("along.*.quality.n_reference", "Reference images", "images"),
    Q("along.*.likelihood.bits_per_dim", "Bits/dim", "bits/dim", "lower",
      error="along.*.likelihood.stderr_bits_per_dim"),
    Q("along.*.likelihood.stderr_bits_per_dim", "Standard error over images", "bits/dim"),
    Q("along.*.likelihood.stderr_monte_carlo_bits_per_dim", "of it Monte Carlo noise", "bits/dim"),
    Q("along.*.likelihood.n_images", "Test images", "images"),
    Q("along.*.likelihood.passes", "Passes"),
    Q("along.*.share", "Share of the training", shown=PERCENT),
    Q("along.*.updates", "Updates", "updates"),
    Q("along.*.images", "Images", "images"),
    Q("along.*.flops", "Train FLOPs", "FLOPs"),
    Q("along.*.train_sec", "Train time", "s", timed=True),
    # other ways to sample that a family is known by
    Q("ways.*.quality.value", "Distance", better="lower", error="ways.*.quality.stderr"),
    Q("ways.*.quality.stderr", "Standard error over samples"),
    Q("ways.*.quality.interval.low", "Low end of the interval"),
    Q("ways.*.quality.interval.high", "High end of the interval"),
    Q("ways.*.quality.corrected", "Distance without the bias of the samples' N", better="lower"),
    Q("ways.*.quality.n_samples", "Samples"),
    Q("ways.*.quality.n_reference", "Reference images", "images"),
    *_other_metrics("ways.*.quality.also"),
    Q("ways.*.images_per_sec", "Sampling", "images/s", "higher", timed=True),
    Q("ways.*.network_evaluations", "NFE", better="lower"),
    Q("ways.*.flops_per_image", "FLOPs per image", "FLOPs per image", "lower"),
    # real data at other numbers of images than the headline's
    Q("real_data_at.*.quality.value", "Distance", better="lower"),
    Q("real_data_at.*.quality.n_samples", "Samples"),
    Q("real_data_at.*.quality.n_reference", "Reference images", "images"),
    *_other_metrics("real_data_at.*.quality.also"),
    # memory
    Q("memory.train_peak_bytes", "Train memory", "bytes", "lower", "memory", MIB, timed=True,
      primary=True),
    Q("memory.train_reserved_bytes", "Train memory, reserved on the GPU", "bytes", "lower", shown=MIB, timed=True),
    Q("memory.train_resident_bytes", "Train memory, resident", "bytes", "lower", shown=MIB, timed=True),
    Q("memory.train_batch_size", "Training, batch size"),
    Q("memory.sample_peak_bytes", "Sample memory", "bytes", "lower", "memory", MIB, timed=True,
      primary=True),
    Q("memory.sample_reserved_bytes", "Sample memory, reserved on the GPU", "bytes", "lower", shown=MIB, timed=True),
    Q("memory.sample_resident_bytes", "Sample memory, resident", "bytes", "lower", shown=MIB, timed=True),
    Q("memory.sample_batch_size", "Sampling, batch size"),
    # training
    Q("config.batch_size", "Batch size"),
    Q("spent.params", "Parameters", "parameters", category="cost", shown=MILLION),
    Q("spent.sampling_params", "Parameters for sampling", "parameters", shown=MILLION),
    Q("spent.flops", "Train FLOPs", "FLOPs"),
    Q("spent.flops_per_image", "FLOPs per training image", "FLOPs"),
    Q("spent.images", "Images", "images"),
    Q("spent.updates", "Updates", "updates"),
    Q("spent.train_sec", "Train time", "s", timed=True),
    Q("spent.compile_sec", "of it compiling", "s", timed=True),
    Q("spent.parts_sec.*", "Part of the training", "s", timed=True),
    Q("spent.energy.joules", "Energy", "J", "lower", timed=True),
    Q("spent.energy.images", "Images", "images"),
    Q("matrix_products.flops_per_sec.*", "Matrix products", "FLOP/s", timed=True),
    Q("portrait.numbers.*", "Number of the family"),
    Q("clock.*", "Part of the clock", "s", timed=True),
    # made of several numbers of a record
    Q("training.images_per_sec", "Images/s", "images/s", "higher", timed=True),
    Q("training.flops_per_sec", "FLOP/s", "FLOP/s", "higher", timed=True),
    Q("training.utilization", "Model FLOPs utilisation", better="higher", shown=PERCENT, timed=True),
    Q("training.share.*", "Share of the training", shown=Shown("% of time", 0.01), timed=True),
    Q("energy.joules_per_image", "Energy", "J/image", "lower", timed=True),
)
# fmt: on
COMPARED = tuple(quantity for quantity in GLOSSARY if quantity.category)
# one of each category (of memory both): what a history, a checklist or a tracker is told of without being asked
PRIMARY = tuple(quantity.path for quantity in GLOSSARY if quantity.primary)
_BY_PATH = {quantity.path: quantity for quantity in GLOSSARY}
_MEMBERS = [
    (re.compile(re.escape(quantity.path).replace(r"\*", ".+")), quantity)
    for quantity in GLOSSARY
    if "*" in quantity.path
]


@cache
def known(path: str) -> Quantity | None:
    """The row of the number at a dotted path of a record; None where it is no measured number. A metric's own path
    ("quality.also.KD") stands for its value.
    """
    path = path.removesuffix(".value") if "quality.also." in path else path
    return _BY_PATH.get(path) or next((quantity for at, quantity in _MEMBERS if at.fullmatch(path)), None)


def of(path: str) -> Quantity:
    """The same of a path that has one. Raises KeyError."""
    found = known(path)
    if found is None:
        raise KeyError(path)
    return found


def heading(path: str, label: str = "") -> str:
    """The head of a table's column for the number at `path`, under its own label or another. Raises KeyError."""
    return of(path).heading(label)
