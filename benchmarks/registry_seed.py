"""A catalogue of many models, written straight into the tables, as the service would have filled them.

Every model has three versions, a task, two tags, Chinese words, files, a history and the grams that it is searched by.
Loaded in bulk: the secondary indexes of the largest table are made afterwards.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from mozhu.platform.catalog.events import OF_MODEL, REGISTERED
from mozhu.platform.database.engine import open_database
from mozhu.platform.database.grams import grams_of, search_text
from mozhu.platform.database.tables import History, Model, Tag, Version
from mozhu.platform.database.tables_assets import LineageEdge, SearchGram, VersionFile
from mozhu.platform.database.tables_uploads import BlobRow

VERSIONS = 3
TASKS = ("medical_qa", "legal_qa", "customer_service", "finance_qa", "code_review", "translation")
WORDS = ("医疗问答", "法律咨询", "售后客服", "金融分析", "代码检查", "机器翻译")
RARE_TAG, RARE_EVERY = "pilot", 2_000
_BASES = ("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct", "meta-llama/Llama-3.1-8B")
_BATCH = 5_000
_TABLES = (Model, Version, Tag, VersionFile, History, LineageEdge, BlobRow, SearchGram)
_GRAM_INDEX = "ix_search_grams_kind_id"
Row = tuple[Any, ...]


def model_name(number: int) -> str:
    return f"{TASKS[number % len(TASKS)].replace('_', '-')}-{number:06}"


def seed(where: Path | str, count: int) -> None:
    """``count`` models and three times as many versions in an empty database, which is made where it is missing."""
    open_database(where).close()
    load = _into_postgres if isinstance(where, str) else _into_sqlite
    load(where, _rows(count))


def _rows(count: int) -> Iterator[tuple[type[Any], list[Row]]]:
    """Every table with a batch of its rows, parents first; of grams all at the end, in the order of their key."""
    dice, grams = random.Random(7), dict[str, list[int]]()
    for first in range(0, count, _BATCH):
        made: dict[type[Any], list[Row]] = {table: [] for table in _TABLES}
        for number in range(first, min(first + _BATCH, count)):
            _model(number, dice, made, grams)
        yield from ((table, rows) for table, rows in made.items() if rows)
    for gram in sorted(grams):
        yield SearchGram, [(OF_MODEL, gram, number) for number in grams[gram]]


def _model(
    number: int, dice: random.Random, made: dict[type[Any], list[Row]], grams: dict[str, list[int]]
) -> None:
    kind, name = number % len(TASKS), model_name(number)
    base, model = _BASES[dice.randrange(len(_BASES))], number + 1
    # Models are changed in another order than they were made in.
    times = [_time(dice.randrange(200_000_000)) for _ in range(VERSIONS)]
    times.sort()
    words = ["text", name, "local", "local"]
    for seq in range(1, VERSIONS + 1):
        version, label, note = number * VERSIONS + seq, f"v{seq}", f"{WORDS[kind]} {number % 977}"
        checksum, tags = f"sha256:{version:064x}", ["qa", f"team-{number % 500}"]
        if number % RARE_EVERY == 0:
            tags.append(RARE_TAG)
        path, size = f"finetuned/lora/{name}/{label}", 16_000_000 + version
        told = (label, base, TASKS[kind], note, "lora", "adapter")
        made[Version].append(_version(version, model, seq, told, path, size, checksum, times[seq - 1]))
        made[Tag] += [(tag, version, position) for position, tag in enumerate(tags)]
        digest = f"sha256:{version + (1 << 200):064x}"
        made[VersionFile].append((version, "adapter_model.safetensors", size, digest))
        made[BlobRow].append((digest, size, times[seq - 1], times[seq - 1]))
        made[History].append(
            (version, times[seq - 1], REGISTERED, OF_MODEL, name, label, f'{{"path": "{path}"}}')
        )
        made[LineageEdge].append(("model", base, "version", f"{name}:{label}", "base"))
        words += (*told, *tags)
    searched = search_text(words)
    for gram in grams_of(searched):
        grams.setdefault(gram, []).append(model)
    whole = (model, "local", "local", name, times[0], times[-1], VERSIONS, "text", WORDS[kind], "apache-2.0")
    made[Model].append((*whole, "private", base, "", VERSIONS * 16_000_000, searched))


def _version(
    version: int, model: int, seq: int, told: tuple[str, ...], path: str, size: int, checksum: str, time: str
) -> Row:
    label, base, task, description, model_type, kind = told
    state = "ready" if version % 10 else "checking"
    shown = (base, task, description, f"{task}:v3", 1000, '{"bleu": 0.75, "rouge-l": 0.68}')
    return (
        version, model, seq, label, state, kind, model_type, *shown, path, size, checksum, state == "ready",
        time, time, f"{description} {seq}",
    )  # fmt: skip


_COLUMNS: dict[type[Any], tuple[str, ...]] = {
    Model: (
        "id", "owner", "team", "name", "created", "updated", "version_count", "type", "description", "licence",
        "visibility", "base_reference", "trashed_by", "size_bytes", "search_text",
    ),
    Version: (
        "id", "model_id", "seq", "label", "state", "kind", "model_type", "base_model", "task", "description",
        "training_dataset", "training_steps", "performance", "path", "size_bytes", "checksum", "certified",
        "created", "registered", "notes",
    ),
    Tag: ("tag", "version_id", "position"),
    VersionFile: ("version_id", "path", "size", "sha256"),
    BlobRow: ("sha256", "size", "created", "verified"),
    History: ("id", "time", "what", "subject", "model", "version", "details"),
    LineageEdge: ("src_kind", "src", "dst_kind", "dst", "relation"),
    SearchGram: ("kind", "gram", "id"),
}  # fmt: skip


def _into_sqlite(where: Path | str, batches: Iterable[tuple[type[Any], list[Row]]]) -> None:
    connection = sqlite3.connect(where)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute(f"DROP INDEX {_GRAM_INDEX}")
    for table, rows in batches:
        places = ",".join("?" * len(_COLUMNS[table]))
        columns = ",".join(_COLUMNS[table])
        connection.executemany(f"INSERT INTO {table.__tablename__} ({columns}) VALUES ({places})", rows)
    connection.execute(f"CREATE INDEX {_GRAM_INDEX} ON search_grams (kind, id)")
    connection.execute("ANALYZE")
    connection.commit()
    connection.close()


def _into_postgres(where: Path | str, batches: Iterable[tuple[type[Any], list[Row]]]) -> None:
    import psycopg

    with psycopg.connect(str(where), autocommit=True) as connection:
        connection.execute(f"DROP INDEX {_GRAM_INDEX}")
        for table, rows in _joined(batches):
            columns = ",".join(_COLUMNS[table])
            with connection.cursor().copy(f"COPY {table.__tablename__} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        connection.execute(f"CREATE INDEX {_GRAM_INDEX} ON search_grams (kind, id)")
        for table in ("models", "versions", "history"):
            top = f"(SELECT max(id) FROM {table})"
            connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {top})")
        connection.execute("VACUUM ANALYZE")


def _joined(batches: Iterable[tuple[type[Any], list[Row]]]) -> Iterator[tuple[type[Any], Iterable[Row]]]:
    """The many small batches of grams as one."""
    rest = iter(batches)
    for table, rows in rest:
        if table is SearchGram:
            yield table, chain(rows, chain.from_iterable(more for _, more in rest))
        else:
            yield table, rows


def _time(seconds: int) -> str:
    """``seconds`` into the years that the catalogue spans."""
    from datetime import datetime, timedelta, timezone

    at = datetime(2020, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
