"""MLflow: ``MLFLOW_TRACKING_URI``, else the folder ``mlruns/`` of the run folder."""

from __future__ import annotations

import os
from pathlib import Path

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from mozhu.engine.training.sinks.sink import SinkRun
from mozhu.kernel.files import write_text
from mozhu.kernel.progress import utc_now

FOLDER = "mlruns"
EXPERIMENT = "mozhu"
# The id of the run, so that a training that goes on goes on in it.
_ID = "mlflow_run.txt"
_STATES = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
_LONGEST_PARAM = 500


class MlflowRuns:
    """One run of the experiment ``MLFLOW_EXPERIMENT_NAME`` (or ``mozhu``)."""

    tells_again = False

    def __init__(self, run: SinkRun) -> None:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or (run.folder / FOLDER).absolute().as_uri()
        self._client = MlflowClient(tracking_uri=uri)
        kept = run.folder / _ID
        known = kept.read_text(encoding="utf-8").split() if run.earlier and kept.is_file() else []
        if len(known) == 2 and known[0] == uri:
            self._id = known[1]
            self._client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._new(run)
            write_text(kept, f"{uri} {self._id}\n")

    def numbers(self, step: int, values: dict[str, float]) -> None:
        now = _now_ms()
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def words(self, step: int, name: str, words: str) -> None:
        self._client.log_text(self._id, words, f"samples/{step:07d}/{Path(name).name.replace('#', '_')}.md")

    def close(self, state: str) -> None:
        self._client.set_terminated(self._id, status=_STATES.get(state, "FINISHED"))

    def _new(self, run: SinkRun) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        made = self._client.create_run(experiment, run_name=run.name)
        params = [Param(name, str(value)[:_LONGEST_PARAM]) for name, value in run.config.items()]
        for start in range(0, len(params), 100):  # MLflow takes a hundred at once
            self._client.log_batch(made.info.run_id, params=params[start : start + 100])
        return str(made.info.run_id)


def _now_ms() -> int:
    return int(utc_now().timestamp() * 1000)
