"""The data set ``sample``: ten question-and-answer rows in Chinese that are always there."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from mozhu.kernel.errors import TargetExists
from mozhu.kernel.files import read_text, write_text
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.data import SampleSpec
from mozhu.specs.records.result import Artefact, Metric, Outcome

SAMPLE = "sample"
FILE_NAME = "sample_data.json"
ROWS_FILE = Path(__file__).with_name(FILE_NAME)


@cache
def sample_rows() -> tuple[dict[str, str], ...]:
    """The ten rows: ``instruction``, ``input`` (empty in six of them), ``output``."""
    return tuple(json.loads(read_text(ROWS_FILE)))


def write_sample(output_dir: str | Path) -> Path:
    """``<output_dir>/sample_data.json`` holds the ten rows, always the same bytes.

    Raises:
        TargetExists: FILE-007, the file is there with other content; it is left as it is.
    """
    path = Path(output_dir) / FILE_NAME
    content = json.dumps(sample_rows(), ensure_ascii=False, indent=2) + "\n"
    if not path.exists():
        write_text(path, content)
    elif path.read_bytes() != content.encode("utf-8"):
        raise TargetExists(path=str(path))
    return path


def run_sample(spec: SampleSpec, folder: Path, emit: Emit) -> Outcome:
    """Write the sample rows where ``spec`` says."""
    path = write_sample(spec.output_dir)
    count = len(sample_rows())
    emit("log", message=text("data.sample.written", count=count, path=str(path)))
    return Outcome(
        artefacts=[Artefact(kind="data", path=str(path))],
        metrics={"rows": Metric(value=count)},
        details={"path": str(path)},
    )
