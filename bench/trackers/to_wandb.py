"""Runs to Weights & Biases, offline: folders that `wandb sync` sends if and when their owner asks it to."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from equibench.errors import UserError, first_line
from equibench.trackers.runs import TrackedRun, environment, needed

ID_DIGITS = 16
_TEXT = 64  # characters of a tag, at most


def export(runs: Sequence[TrackedRun], folder: Path, project: str) -> tuple[int, int]:
    """Write an offline run to `folder` for each of `runs`; how many were new, and how many were there already.

    Raises UserError where wandb is not installed, or where it fails.
    """
    with (
        tempfile.TemporaryDirectory(prefix="equibench-wandb-") as aside,
        # no reports home; what it keeps for another time does not concern anyone
        environment(WANDB_ERROR_REPORTING="false", WANDB_CACHE_DIR=aside, WANDB_CONFIG_DIR=aside),
    ):
        wandb = needed("wandb", "Weights & Biases", "wandb")
        settings = wandb.Settings(
            mode="offline", console="off", silent=True, disable_git=True, disable_code=True, save_code=False,
            x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True, x_save_requirements=False,
        )  # fmt: skip
        new = [one for one in runs if not list(folder.glob(f"wandb/offline-run-*-{one.id[:ID_DIGITS]}"))]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for one in new:
                tags = ["equibench", *([one.first.family[:_TEXT]] if one.first.family else [])]
                about = {
                    "project": project,
                    "name": one.name,
                    "id": one.id[:ID_DIGITS],
                    "group": one.first.suite[:_TEXT],
                }
                config = {**one.settings, "signatures": one.signatures}
                with wandb.init(**about, tags=tags, config=config, dir=str(folder), settings=settings) as run:
                    run.summary.update(one.metrics)
        except Exception as error:  # of wandb, of its service, or of the file system
            raise UserError(f"wandb cannot write to {folder} ({first_line(error)}); choose another --out") from None
        finally:
            wandb.teardown()
    return len(new), len(runs) - len(new)
