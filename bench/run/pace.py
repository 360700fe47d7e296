"""How fast an entrant trains here, by a few of its updates: what a plan says of the time goes by that."""

from __future__ import annotations

import math
import statistics

import torch

from equibench.machine.clock import repeat
from equibench.machine.device import autocast, is_out_of_memory, synchronizer
from equibench.run.arithmetic import multiplying_as
from equibench.run.families import resolve_family
from equibench.run.plan import Plan
from equibench_models import FAMILIES
from equibench_models.contract import Shape

LIMIT_SEC = 0.4  # of updates, after one that sets the device up
LONGEST_SEC = 0.5  # that an update is expected to take, where it is not too dear to try


class Pace:
    """FLOP/s of training in eager mode, timed once for each family, size, batch and precision; `usual_flops_per_sec` is
    that of what is not tried: updates that take long, a user's own code, which a plan does not run here, and what does
    not fit the memory that is free now.
    """

    def __init__(self, shape: Shape, device: torch.device, usual_flops_per_sec: float) -> None:
        self.usual_flops_per_sec = usual_flops_per_sec
        self._shape, self._device = shape, device
        self._known: dict[tuple[str, int, int, str | None], float] = {}

    def measuring(self, planned: Plan) -> float:
        """FLOP/s taken for measuring, between those of training and the usual, as its batches are larger."""
        return math.sqrt(self(planned) * self.usual_flops_per_sec)

    def __call__(self, planned: Plan) -> float:
        entrant = planned.cell.entrant
        assert entrant is not None
        allowance = planned.allowance
        if entrant.family not in FAMILIES or allowance.flops_per_update > LONGEST_SEC * self.usual_flops_per_sec:
            return self.usual_flops_per_sec
        key = entrant.family, planned.params, allowance.batch_size, entrant.precision
        if key not in self._known:
            try:
                self._known[key] = allowance.flops_per_update / self._update_sec(planned)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._known[key] = self.usual_flops_per_sec
            if self._device.type == "cuda":
                torch.cuda.empty_cache()  # cells have processes of their own
        return self._known[key]

    def _update_sec(self, planned: Plan) -> float:
        """Mean over a few updates, of whole cycles where they are not all alike; leaves torch's random state alone."""
        assert planned.cell.entrant is not None
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), multiplying_as(planned.cell):
            family = resolve_family(planned.cell.entrant.family)
            model = family.build(planned.config, self._shape).to(self._device)
            size = (planned.allowance.batch_size, *self._shape)
            images = torch.randint(0, 256, size, dtype=torch.uint8, device=self._device)
            labels = (
                [torch.zeros(size[0], dtype=torch.int64, device=self._device)] if planned.config.get("classes") else []
            )

            def update() -> None:
                with autocast(self._device):
                    model.update(images, 0.5, *labels)

            taken = repeat(update, synchronizer(self._device), warmup=1, repeats=50, limit_sec=LIMIT_SEC)
        whole = len(taken) - len(taken) % model.cycle
        return statistics.fmean(taken[:whole] or taken)
