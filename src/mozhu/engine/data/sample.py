"""The data set ``sample``: ten question-and-answer rows in Chinese that are always there; and generated ones."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mozhu.engine.data.samples.generate import captioned_row, generated_rows
from mozhu.kernel.errors import TargetExists
from mozhu.kernel.files import read_text, replacing_folder, write_text
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.data import SAMPLE_ROWS, SampleSpec
from mozhu.specs.records.result import Artefact, Metric, Outcome

SAMPLE = "sample"
FILE_NAME = "sample_data.json"
ROWS_FILE = Path(__file__).with_name(FILE_NAME)
_STEP_S = 1.0


@cache
def sample_rows() -> tuple[dict[str, str], ...]:
    """The ten rows: ``instruction``, ``input`` (empty in six of them), ``output``."""
    return tuple(json.loads(read_text(ROWS_FILE)))


def sample_files(spec: SampleSpec) -> list[Path]:
    """What :func:`write_sample` writes: the rows, and the folder of their images if they have any."""
    folder, count = Path(spec.output_dir), spec.rows
    if spec.kind == "qa" and count == SAMPLE_ROWS:
        return [folder / FILE_NAME]
    path = folder / f"{spec.kind}_{count}.json"
    return [path, path.with_suffix("")] if spec.kind == "image_captions" else [path]


def write_sample(output_dir: str | Path, emit: Emit | None = None, **fields: Any) -> Path:
    """The rows that ``fields`` ask for (those of :class:`SampleSpec`) are there; the same bytes every time.

    Rows with images name them relative to their own file; the images are there first.

    Raises:
        TargetExists: FILE-007, a file or the folder of images is there with other content; all is left as it is.
    """
    spec = SampleSpec(output_dir=str(output_dir), **fields)
    path, *folders = sample_files(spec)
    if spec.kind == "qa" and spec.rows == SAMPLE_ROWS:
        return _put(path, list(sample_rows()))
    rows = _counted(spec, emit)
    if not folders:
        return _put(path, list(rows))
    named, pictures = [], {}
    for number, row in enumerate(rows, start=1):
        name = f"{number:0{len(str(spec.rows))}}.png"
        written, pictures[name] = captioned_row(row, f"{folders[0].name}/{name}")
        named.append(written)
    content = _as_json(named)
    _check_free(path, content)
    _put_pictures(folders[0], pictures)
    return _put(path, named)


def run_sample(spec: SampleSpec, folder: Path, emit: Emit) -> Outcome:
    """Write the sample rows where ``spec`` says."""
    path = write_sample(emit=emit, **spec.model_dump())
    emit("log", message=text("data.sample.written", count=spec.rows, path=str(path)))
    return Outcome(
        artefacts=[Artefact(kind="data", path=str(path))],
        metrics={"rows": Metric(value=spec.rows)},
        details={"path": str(path)},
    )


def _counted(spec: SampleSpec, emit: Emit | None) -> Iterator[dict[str, Any]]:
    """The generated rows, told of about once a second."""
    start = told = time.monotonic()
    for number, row in enumerate(generated_rows(spec.kind, spec.rows, spec.seed), start=1):
        yield row
        now = time.monotonic()
        if emit is not None and now - told >= _STEP_S:
            told, eta_s = now, (now - start) / number * (spec.rows - number)
            emit("step", step=number, total=spec.rows, unit=text("data.unit.rows"), eta_s=round(eta_s, 1))


def _as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"


def _check_free(path: Path, content: str) -> None:
    if path.exists() and not (path.is_file() and path.read_bytes() == content.encode("utf-8")):
        raise TargetExists(path=str(path))


def _put(path: Path, rows: list[dict[str, Any]]) -> Path:
    content = _as_json(rows)
    _check_free(path, content)
    if not path.exists():
        write_text(path, content)
    return path


def _put_pictures(folder: Path, pictures: dict[str, bytes]) -> None:
    """All of them or none; a folder that holds just these is left alone."""
    if folder.exists():
        found = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
        same = found.keys() == pictures.keys()
        if not same or any(found[name].read_bytes() != content for name, content in pictures.items()):
            raise TargetExists(path=str(folder))
        return
    with replacing_folder(folder) as made:
        for name, content in pictures.items():
            (made / name).write_bytes(content)
