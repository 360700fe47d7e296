"""Runs to MLflow: to a database of one's own, or wherever a tracking address leads."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from equibench.errors import UserError, first_line
from equibench.trackers.runs import TrackedRun, environment, needed

DATABASE = "mlflow.db"
MARK = "equibench.id"
_MOST_AT_ONCE = 100  # parameters, tags or metrics in one request, as its servers take them
_LONGEST = 5000  # characters of a value, of all versions the least
Item = TypeVar("Item")
# no reports home, no long waits for a server that is not there; a folder that was named as a store is meant as one
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def export(runs: Sequence[TrackedRun], uri: str, experiment: str, artifacts: str | None = None) -> tuple[int, int]:
    """Tell runs to the store at `uri`, such as that of `database`; how many were new, and how many were there already.

    Raises UserError where MLflow is not installed, or where it fails.
    """
    with environment(**{**_SETTINGS, **{name: os.environ[name] for name in _SETTINGS if name in os.environ}}):
        mlflow = needed("mlflow", "MLflow", "mlflow")
        for name in ("mlflow", "alembic"):  # which they set as they are imported
            logging.getLogger(name).setLevel(logging.ERROR)
        if uri.startswith("sqlite:"):
            needed("sqlalchemy", "SQLAlchemy, which MLflow needs for its database,", "mlflow")
            needed("alembic", "Alembic, which MLflow needs for its database,", "mlflow")
        try:
            client = mlflow.MlflowClient(tracking_uri=uri)
            there = client.get_experiment_by_name(experiment)
            place = there.experiment_id if there else client.create_experiment(experiment, artifacts)
            new = [one for one in runs if not _is_there(client, place, one)]
            for one in new:
                _tell(client, place, one)
        except Exception as error:  # of mlflow, its database, a server or the network
            raise UserError(f"MLflow says of {uri}: {first_line(error)}; mend that, or name another place") from None
    return len(new), len(runs) - len(new)


def database(folder: Path) -> tuple[str, str]:
    """The addresses of the database and of the artifacts in a folder of one's own, which is made. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file, artifacts = (folder.resolve() / name for name in (DATABASE, "artifacts"))
        if file.exists() and file.stat().st_size and not file.read_bytes()[:16].startswith(b"SQLite format 3"):
            raise UserError(f"{file} is there already and is no database; choose another --out, or move it away")
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); choose another --out") from None
    return f"sqlite:///{file}", artifacts.as_uri()


def _is_there(client: Any, experiment: str, one: TrackedRun) -> bool:
    return bool(client.search_runs([experiment], f"tags.`{MARK}` = '{one.id}'", max_results=1))


def _tell(client: Any, experiment: str, one: TrackedRun) -> None:
    entities = needed("mlflow.entities", "MLflow", "mlflow")
    begun = int(one.begun.timestamp() * 1000) if one.begun and one.begun.timestamp() > 0 else 0
    tags = {f"signature.{name}": text for name, text in one.signatures.items()}
    tags |= {"equibench.version": one.first.code.version, "equibench.protocol": one.first.protocol}
    run = client.create_run(experiment, start_time=begun, run_name=one.name[:_LONGEST] or None)
    at = run.info.run_id
    for settings in _batches(one.settings.items()):
        client.log_batch(at, params=[entities.Param(key, str(value)[:_LONGEST]) for key, value in settings])
    for numbers in _batches(one.metrics.items()):
        client.log_batch(at, metrics=[entities.Metric(name, value, begun, 0) for name, value in numbers])
    for texts in _batches(tags.items()):
        client.log_batch(at, tags=[entities.RunTag(key, text) for key, text in texts if len(text) <= _LONGEST])
    client.set_terminated(at, "FINISHED", begun)
    client.set_tag(at, MARK, one.id)  # the last: a run that was cut short is told again


def _batches(items: Iterable[Item]) -> Iterator[tuple[Item, ...]]:
    waiting = iter(items)
    while batch := tuple(itertools.islice(waiting, _MOST_AT_ONCE)):
        yield batch
