"""What each number of a record means, in a sentence: for the heads of tables, and for whoever reads a frame.

A sentence belongs to a path of the glossary, or to the end of one: that of the longest matching end counts.
"""

from __future__ import annotations

from equibench.quantities.glossary import Quantity

MEANINGS = {
    "data.entropy_bits_per_dim": "The least that any model can reach on these data, whose distribution is known.",
    "quality.value": "How far the samples lie from the test images, in the space of a feature network.",
    "quality.interval.low": "Low end of the 95 % interval of evaluation: other samples of the same trained model.",
    "quality.interval.high": "High end of the 95 % interval of evaluation: other samples of the same trained model.",
    "quality.corrected": "The distance extrapolated to infinitely many samples.",
    "n_samples": "How many samples were drawn for it.",
    "n_reference": "How many real images the samples were compared with.",
    "also.KID": "Squared maximum mean discrepancy with a cubic kernel, in Inception-v3's features.",
    "also.KD": "Squared maximum mean discrepancy with a cubic kernel, in the features of the distance.",
    "also.precision": "Share of samples that lie among real images: how many look real.",
    "also.recall": "Share of real images that lie among the samples: how much of the data's variety they cover.",
    "also.density": "How many real images' neighbourhoods a sample lies in, on average; above 1 in dense regions.",
    "also.coverage": "Share of real images that have a sample in their neighbourhood.",
    "also.sliced Wasserstein": "2-Wasserstein distance of the features along random directions, root mean square.",
    "stderr": "How far the number would move with other samples, or other test images, of the same trained model.",
    "stderr_with_reference": "The same with the reference images drawn anew, too.",
    "memorization.share_nearer_train": "0.5 where samples lie no nearer to the training images than to as many others.",
    "memorization.p": "How probable such a share is without memorization.",
    "n_train": "How many training images it was tested with.",
    "bits_per_dim": "Negative log-likelihood of the 8-bit test images, per pixel and channel; 8 is a uniform guess.",
    "stderr_bits_per_dim": "How far the number would move with other test images.",
    "stderr_monte_carlo_bits_per_dim": "The part of the standard error that comes from random draws of the estimate.",
    "usual_bits_per_dim": "The bound of the headline on the images of this row.",
    "stderr_of_difference_bits_per_dim": "Standard error of the difference between the two bounds, image by image.",
    "n_images": "How many test images it was measured on.",
    "passes": "How often each image was evaluated with other random draws.",
    "out_of_distribution_bits_per_dim.*": "Bits/dim that the model needs for images unlike its training data.",
    "decoder_likelihood.log_likelihood_nats": "Log-density of test images through the decoder: a lower bound.",
    "stderr_nats": "How far the number would move with other test images.",
    "simulated_lower_nats": "Lower bound on images that the model made itself.",
    "simulated_upper_nats": "Upper bound on the same images: the truth lies between the two.",
    "sigma": "Standard deviation of the Gaussian observation model.",
    "chains": "Annealed chains per image.",
    "temperatures": "Steps from the prior to the posterior.",
    "leapfrog_steps": "Steps of each Hamiltonian move.",
    "acceptance": "Share of Hamiltonian moves that were accepted.",
    "batch_size": "Images that are worked on at once.",
    "images_per_sec": "8-bit images per second, from the median repeat after warm-up.",
    "latency_p50_sec": "Median time to make a single image.",
    "latency_p90_sec": "Nine of ten single images took no longer than this.",
    "network_evaluations": "How often the network runs for one sample.",
    "flops_per_image": "Floating-point operations for one image.",
    "energy.joules": "Energy that the machine's own counter saw.",
    "energy.images": "Images that the energy was measured over.",
    "compile_sec": "Time to compile, or to capture, before the first image.",
    "along.*.share": "How much of the whole training this point stands at.",
    "updates": "Steps of the optimizer.",
    "images": "Training images that were used, each as often as it was seen.",
    "flops": "Floating-point operations of all updates, counted on the real update.",
    "train_sec": "Wall time of the training, without what the harness measured meanwhile.",
    "train_peak_bytes": "Highest memory use during training steps, in a process of its own.",
    "train_reserved_bytes": "What the GPU's allocator held at most while training.",
    "train_resident_bytes": "Main memory of the process at most while training.",
    "sample_peak_bytes": "Highest memory use during sampling, in a process of its own.",
    "sample_reserved_bytes": "What the GPU's allocator held at most while sampling.",
    "sample_resident_bytes": "Main memory of the process at most while sampling.",
    "train_batch_size": "Images of one training step.",
    "sample_batch_size": "Images that were sampled at once.",
    "spent.params": "Trainable parameters of every network that training needs.",
    "spent.sampling_params": "Parameters of the networks that sampling needs.",
    "spent.flops_per_image": "Floating-point operations of one training image in an update.",
    "spent.parts_sec.*": "Wall time of one part of the training.",
    "matrix_products.flops_per_sec.*": "Rate of the fastest product of square matrices, timed in the same run.",
    "portrait.numbers.*": "Measured by the family's own file, on the first seed.",
    "clock.*": "Wall time of one part of the cell.",
    "training.images_per_sec": "Training images per second of training.",
    "training.flops_per_sec": "Floating-point operations per second of training.",
    "training.utilization": "FLOP/s of the training over those of the fastest matrix product.",
    "training.share.*": "Share of the training's wall time.",
    "class_shares.*": "How much of the distance the test images of one class make.",
    "real_shares.*": "How many of the test images are of one class.",
    "sample_shares.*": "How many of the samples have a test image of one class as their nearest.",
    "reached_shares.*": "How many of a class's test images a sample comes near.",
    "energy.joules_per_image": "Energy over the images that it was measured with.",
}


def meaning(quantity: Quantity) -> str:
    """The sentence of a number; empty where it has none, which a test forbids."""
    steps = quantity.path.split(".")
    ends = [".".join(steps[i:]) for i in range(len(steps))]
    return next((MEANINGS[end] for end in ends if end in MEANINGS), "")
