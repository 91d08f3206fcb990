"""MLflow's registry behind its own REST, filled through its own tables with the same models as ours.

Names, versions, tags and descriptions are those of ``registry_seed``; MLflow keeps tags as key and value, so a word is
``tags.word = 'qa'`` there. Its server runs in an environment of its own, with one worker as ours.
"""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.registry_seed import RARE_EVERY, RARE_TAG, TASKS, VERSIONS, WORDS, model_name

_BATCH = 20_000
_START_MS = 1_577_836_800_000
_COLUMNS = {
    "registered_models": ("name", "creation_time", "last_updated_time", "description"),
    "registered_model_tags": ("name", "key", "value"),
    "model_versions": (
        "name", "version", "creation_time", "last_updated_time", "description", "current_stage", "source", "status",
    ),
    "model_version_tags": ("name", "version", "key", "value"),
}  # fmt: skip
Row = tuple[Any, ...]


def make_tables(program: Path, address: str) -> None:
    """MLflow's tables in an empty database, by its own command."""
    words = [str(program), "-m", "mlflow", "db", "upgrade", address]
    subprocess.run(words, check=True, capture_output=True)


def address_of(where: Path | str) -> str:
    """The database as MLflow wants it named."""
    if isinstance(where, Path):
        return f"sqlite:///{where}"
    return where.replace("postgresql://", "postgresql+psycopg2://")


def seed(where: Path | str, count: int) -> None:
    """The same ``count`` models as ``registry_seed.seed`` makes."""
    if isinstance(where, Path):
        connection = sqlite3.connect(where)
        for table, rows in _rows(count):
            places = ",".join("?" * len(_COLUMNS[table]))
            columns = ",".join(_COLUMNS[table])
            connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)
        connection.execute("ANALYZE")
        connection.commit()
        connection.close()
        return
    import psycopg

    with psycopg.connect(where, autocommit=True) as connected:
        for table, rows in _rows(count):
            columns = ",".join(_COLUMNS[table])
            with connected.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        connected.execute("VACUUM ANALYZE")


def _rows(count: int) -> Iterator[tuple[str, list[Row]]]:
    for first in range(0, count, _BATCH):
        made: dict[str, list[Row]] = {table: [] for table in _COLUMNS}
        for number in range(first, min(first + _BATCH, count)):
            kind, name = number % len(TASKS), model_name(number)
            time = _START_MS + number * 1000
            made["registered_models"].append((name, time, time, WORDS[kind]))
            words = ["qa", f"team-{number % 500}", *([RARE_TAG] if number % RARE_EVERY == 0 else [])]
            pairs = [("task", TASKS[kind]), *(("word", word) for word in words[-1:])]
            made["registered_model_tags"] += [(name, key, value) for key, value in pairs]
            for version in range(1, VERSIONS + 1):
                note = f"{WORDS[kind]} {number % 977}"
                source = f"mlflow-artifacts:/{name}/{version}"
                made["model_versions"].append((name, version, time, time, note, "None", source, "READY"))
                made["model_version_tags"].append((name, version, "word", words[-1]))
        yield from made.items()
