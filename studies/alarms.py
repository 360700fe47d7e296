"""False alarms and power of `equibench check` on real trainings: writes docs/alarms.md.

python -m studies.alarms [--seeds 18] [--faulty-seeds 8] [--comparisons 40] [--keep FOLDER]
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

import bench.run
import models.layers
from bench import data, features, suite
from bench.record import Budget, Curve, Memory, Record, Spent
from bench.run import Setting
from models import FAMILIES, Model

SUITE = Path(__file__).with_suffix(".toml")
DROPPED = 1  # trousers
SLEEP_SEC = 0.002


def blocks(images: Tensor) -> Tensor:
    """Features of uint8 images `[N, 3, H, W]`: mean and deviation in 6x6 blocks, `[N, 72]`. They cost nothing, so that the
    study may train often.
    """
    grey = images[:, :1].float() / 255
    mean = functional.adaptive_avg_pool2d(grey, 6)
    square = functional.adaptive_avg_pool2d(grey.square(), 6)
    return torch.cat([mean, (square - mean.square()).clamp(min=0).sqrt()], 1).flatten(1)
