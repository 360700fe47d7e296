"""The version of the rules that numbers are made by, and the constants of those rules."""

from __future__ import annotations

__version__ = "0.1.0"
# The version of all rules that change a number (docs/protocol.md). Numbers of different protocols are never compared;
# every entry tagged [protocol] in CHANGELOG.md raises it.
PROTOCOL = "6"
SPLIT_SEED, BOOTSTRAP_SEED, PROJECTION_SEED, SUBSET_SEED = 1, 2, 3, 4  # the same for all: pairs share their splits
NOISE_SEED = 5  # of the samples that are compared image by image, the same whatever the run's seed
VALIDATION_SEED = 6  # of the training images that tuning chooses by, the same for all entrants and trials
CLASSIFIER_SEED = 7  # of the classifiers that judge samples and are trained on them, the same for all
LEAST_SHARE_OF_CAP = 0.95  # of parameters: what a cell with less has missed (protocol, rule 1)
MOST_OF_SECONDS = 1.01  # of a budget in seconds, as what its last update takes is not known before (protocol, rule 4)
LEAST_SHARE_WITH_TWO_KNOBS = 0.98  # what an entrant is sized to at least, where two settings are free for it
RANKING_SEEDS = 3  # protocol, rule 13: no ranking with fewer
SIGNIFICANCE = 0.05  # of the family of tests, after Holm's correction
LEVEL = 0.95  # of all intervals
