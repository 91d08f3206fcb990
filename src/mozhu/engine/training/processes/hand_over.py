"""What the process of a run hands to the processes that train, and what they hand back: files in its folder."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.training.engine import Trained
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import make_folder, read_json, write_json
from mozhu.specs.train import TrainSpec


@dataclass(frozen=True)
class HandOver:
    """``run`` is the run folder; everything lies in its folder ``processes``."""

    run: Path

    @property
    def folder(self) -> Path:
        return self.run / "processes"

    @property
    def events(self) -> Path:
        """What the main process tells, for the run's own log."""
        return self.folder / "events.jsonl"

    @property
    def log(self) -> Path:
        """What libraries print, all processes in one."""
        return self.run / "processes.log"

    @property
    def _request(self) -> Path:
        return self.folder / "request.json"

    @property
    def _outcome(self) -> Path:
        return self.folder / "outcome.json"

    def give(self, spec: TrainSpec, base: Path, tokens: Path) -> None:
        """A new request; what an earlier start has left is gone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        make_folder(self.folder)
        fields = spec.model_dump(mode="json")
        write_json(self._request, {"schema": 1, "spec": fields, "base": str(base), "tokens": str(tokens)})

    def take(self) -> tuple[TrainSpec, Path, Path]:
        """The spec, the base's folder and the folder of the tokens."""
        kept = read_json(self._request)
        return TrainSpec(**kept["spec"]), Path(kept["base"]), Path(kept["tokens"])

    def finish(self, trained: Trained) -> None:
        place = trained.folder.relative_to(self.run).as_posix()
        write_json(self._outcome, {"state": "trained", **asdict(trained), "folder": place})

    def stop(self) -> None:
        write_json(self._outcome, {"state": "stopped"})

    def outcome(self) -> Trained | None:
        """What was trained; ``None`` when it was stopped or did not end."""
        if not self._outcome.is_file():
            return None
        kept = read_json(self._outcome)
        if kept.pop("state") != "trained":
            return None
        return Trained(**{**kept, "folder": self.run / kept["folder"]})

    def is_stopped(self) -> bool:
        return self._outcome.is_file() and read_json(self._outcome)["state"] == "stopped"

    def fail(self, rank: int, error: MozhuError) -> None:
        details = {**error.to_json(), "exit_code": error.exit_code}
        write_json(self.folder / f"error-{rank}.json", {"at": time.time(), "error": details})

    def failure(self) -> dict[str, Any] | None:
        """The error that came first, for the others follow from it; of several with the same error, process 0's."""
        found = [read_json(path) for path in sorted(self.folder.glob("error-*.json"))]
        if not found:
            return None
        code = min(found, key=lambda kept: kept["at"])["error"]["code"]
        return next(kept["error"] for kept in found if kept["error"]["code"] == code)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
