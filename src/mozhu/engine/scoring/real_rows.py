"""The rows of its own training that an artefact is measured on, found by the records beside it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mozhu.engine.data.dataset import Reading, RowStream
from mozhu.engine.data.places import find_place
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_json
from mozhu.specs.records.dataset import dataset_title

Row = dict[str, Any]
_MOST_ROWS = 16
_OF_READING = ("text_column", "system", "format_type", "input_format", "columns")


@dataclass(frozen=True)
class RealRows:
    """``data`` is the data set's name; empty where none is known."""

    rows: list[Row]
    data: str = ""


def real_rows(*folders: Path) -> RealRows:
    """The first rows of the data that the first of ``folders`` to know it was trained on; none where it is gone.

    Known by ``training_config.json`` in the folder or by the ``spec.json`` of the run around it; of a merged model by
    those of its adapter, which its certificate names.
    """
    for folder in folders:
        told = _told(folder)
        if told is None:
            continue
        found = rows_of(str(told["dataset"]), told)
        if found.rows:
            return found
    return RealRows([])


def rows_of(dataset: str, fields: dict[str, Any] | None = None) -> RealRows:
    """The first rows of ``dataset``, read as ``fields`` of a training's request say; none where it cannot be read."""
    given = {name: value for name in _OF_READING if (value := (fields or {}).get(name)) is not None}
    try:
        place = find_place(dataset)
        rows = list(islice(_plain(RowStream(place, Reading(**given))), _MOST_ROWS))
    except (MozhuError, OSError, TypeError):
        return RealRows([])
    return RealRows(rows, Path(dataset_title(dataset)).name)


def _plain(stream: RowStream) -> Any:
    """Prepared rows without images: a certificate asks in words."""
    for row in stream:
        if isinstance(row, dict) and not row.get("images"):
            yield row


def _told(folder: Path) -> dict[str, Any] | None:
    for place in (folder, *_adapters(folder)):
        run = _object(place.parent / "spec.json")
        for value in (
            _object(place / "training_config.json"),
            run.get("fields") if run.get("verb") == "train" else {},
        ):
            if isinstance(value, dict) and value.get("dataset"):
                return value
    return None


def _adapters(folder: Path) -> list[Path]:
    made_from = _object(folder / "certificate.json").get("made_from")
    places = [
        item.get("path")
        for item in made_from or []
        if isinstance(item, dict) and item.get("role") == "adapter"
    ]
    return [folder / place for place in places if isinstance(place, str)]


def _object(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path) if path.is_file() else {}
    except MozhuError:
        return {}
    return value if isinstance(value, dict) else {}
