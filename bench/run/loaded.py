"""A run of one entrant that is loaded from a checkpoint, not trained."""

from __future__ import annotations

from pathlib import Path

import torch

from equibench.run import checkpoint
from equibench.run.families import validated
from equibench.suite import Entrant, Suite, name_from


def only_loaded(suite: Suite, path: Path, device: torch.device, allow_code: bool, name: str | None = None) -> Suite:
    """The suite with one entrant: the checkpoint, named after its file unless by `name`.

    Raises UserError for a checkpoint that cannot be measured, as it is no file of equibench's or holds no numbers.
    """
    model, provenance = checkpoint.load(path, device, allow_code)
    checkpoint.check_finite(model, path)
    sampler = next((e.sampler for e in suite.entrant if e.family == provenance.family), {})
    entrant = Entrant(name=name or name_from(path), family=provenance.family, sampler=sampler)
    validated(model.options_type, entrant.sampler, entrant.name, "sampler option")
    return suite.model_copy(update={"entrant": [entrant], "seeds": suite.seeds[:1], "budget": suite.budget[:1]})
