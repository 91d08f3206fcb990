"""``data prepare``: a raw file becomes a snapshot, all of it or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.engine.data.card import card_text
from mozhu.engine.data.dataset import LoadedRows, load_place
from mozhu.engine.data.formatted import formatted_text
from mozhu.engine.data.places import SNAPSHOT, find_place
from mozhu.engine.data.rows import reasons
from mozhu.engine.data.split import PARTS, Shares, Split, split_rows
from mozhu.engine.data.swap import swap_in
from mozhu.kernel.errors import MozhuError, TooManyRejectedRows
from mozhu.kernel.files import make_folder, sha256_file, sha256_json, write_jsonl, write_text
from mozhu.kernel.paths import check_name
from mozhu.kernel.progress import Emit, iso_time, utc_now
from mozhu.kernel.texts import text
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.result import Artefact, Metric, Outcome
from mozhu.specs.records.snapshot import Snapshot, SnapshotPart

REJECTED = "rejected.jsonl"
CARD = "card.md"
_STAGES = 3


def run_prepare(spec: PrepareSpec, folder: Path, emit: Emit) -> Outcome:
    """The snapshot of ``spec.input`` lies in ``spec.output_dir``; the same request again changes no byte.

    Written are ``<output_name>_train.jsonl``, ``_validation.jsonl``, ``_test.jsonl``, ``rejected.jsonl``,
    ``card.md`` and ``snapshot.json``, the last one last.

    Raises:
        NoUsableRows: DATA-003. TooManyRejectedRows: DATA-006; nothing is written in both cases.
        What :func:`~mozhu.engine.data.dataset.load_rows` raises.
    """
    check_name(spec.output_name)
    target = Path(spec.output_dir)
    loaded = _read(spec, emit)
    split = _split(spec, loaded, emit)
    snapshot = _write(spec, loaded, split, target, emit)
    metrics = {f"{part}_rows": Metric(value=snapshot.parts[part].rows) for part in PARTS}
    return Outcome(
        artefacts=[Artefact(kind="snapshot", path=_seen_from(folder, target / SNAPSHOT))],
        metrics={**metrics, "rejected_rows": Metric(value=snapshot.rejected)},
        details={
            "sha256": snapshot.sha256,
            "shape": loaded.sources[0].shape,
            "format": loaded.sources[0].format,
        },
    )


def _seen_from(folder: Path, path: Path) -> str:
    """``path`` relative to the run folder when it lies inside, else absolute."""
    inside = path.absolute().is_relative_to(folder.absolute())
    return (path.absolute().relative_to(folder.absolute()) if inside else path.absolute()).as_posix()


def _read(spec: PrepareSpec, emit: Emit) -> LoadedRows:
    loaded = load_place(
        find_place(spec.input),
        name=spec.output_name,
        text_column=spec.text_column,
        system=spec.system,
        format_type=spec.format_type,
        input_format=spec.input_format,
    )
    source = loaded.sources[0]
    numbers = {"rows": len(loaded.rows), "rejected": len(loaded.rejected)}
    named = {
        "path": spec.input,
        "format": source.format,
        "encoding": source.encoding or "-",
        "shape": source.shape,
    }
    emit("log", message=text("data.prepare.read", **named, **numbers))
    emit("step", step=1, total=_STAGES, unit=f"{loaded.total} {text('data.unit.rows')}")
    _report_rejected(spec, loaded, emit)
    return loaded


def _report_rejected(spec: PrepareSpec, loaded: LoadedRows, emit: Emit) -> None:
    if not loaded.rejected:
        return
    count, total, why = len(loaded.rejected), loaded.total, reasons(loaded.rejected)
    limit = spec.max_rejected_share
    if limit is not None and count / total > limit:
        shares = {"share": f"{count / total:.1%}", "limit": f"{limit:.1%}"}
        raise TooManyRejectedRows(path=spec.input, count=count, total=total, reasons=why, **shares)
    path = str(Path(spec.output_dir) / REJECTED)
    params = {"count": count, "total": total, "path": path, "reasons": why}
    emit("finding", level="warning", code="DATA-131", params=params)


def _split(spec: PrepareSpec, loaded: LoadedRows, emit: Emit) -> Split:
    shares = Shares(spec.train_share, spec.validation_share, spec.test_share)
    split = split_rows(loaded.rows, shares, seed=spec.seed)
    emit("log", message=text("data.prepare.split", **{part: len(rows) for part, rows in split.parts.items()}))
    emit("step", step=2, total=_STAGES)
    if finding := split.finding():
        emit("finding", **finding)
    return split


def _write(spec: PrepareSpec, loaded: LoadedRows, split: Split, target: Path, emit: Emit) -> Snapshot:
    """Write all files beside their places first, then put them there in one go."""
    make_folder(target)
    with swap_in(target, last=SNAPSHOT) as staging:
        without_text = 0
        for part, rows in split.parts.items():
            written = [_with_text(row, spec.template) for row in rows]
            without_text += sum("messages" in row and "text" not in row for row in written)
            write_jsonl(staging / f"{spec.output_name}_{part}.jsonl", written)
        write_jsonl(staging / REJECTED, (row.model_dump(mode="json") for row in loaded.rejected))
        snapshot = _snapshot(spec, loaded, split, staging, target)
        snapshot.write(staging / SNAPSHOT)
        write_text(staging / CARD, card_text(snapshot, loaded.rejected))
    if without_text and spec.template != "none":
        emit("finding", level="info", code="DATA-132", params={"count": without_text})
    emit("log", message=text("data.prepare.written", path=str(target)))
    emit("step", step=3, total=_STAGES)
    return snapshot


def _with_text(row: dict[str, Any], template: str) -> dict[str, Any]:
    """The row with its formatted ``text`` beside ``messages``, where the template can hold it."""
    if "messages" not in row or template == "none":
        return row
    content = formatted_text(row["messages"], template)
    return row if content is None else {**row, "text": content}


def _snapshot(spec: PrepareSpec, loaded: LoadedRows, split: Split, staging: Path, target: Path) -> Snapshot:
    parts = {}
    for part, rows in split.parts.items():
        name = f"{spec.output_name}_{part}.jsonl"
        parts[part] = SnapshotPart(path=name, rows=len(rows), sha256=sha256_file(staging / name))
    sha256 = sha256_json({part: file.sha256 for part, file in parts.items()})
    return Snapshot(
        name=spec.output_name,
        created=_created(target, sha256),
        parts=parts,
        sources=[vars(source) for source in loaded.sources],
        rejected=len(loaded.rejected),
        settings=spec.model_dump(mode="json", exclude={"input", "output_dir", "output_name"}),
        sha256=sha256,
    )


def _created(target: Path, sha256: str) -> str:
    """When this content was first made here: kept from the snapshot that is there, if it is the same."""
    try:
        old = Snapshot.read(target / SNAPSHOT)
    except MozhuError:
        return iso_time(utc_now())
    return old.created if old.sha256 == sha256 else iso_time(utc_now())
