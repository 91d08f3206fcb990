"""``data prepare``: a raw file becomes a snapshot, all of it or nothing."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.data.card import card_text
from mozhu.engine.data.dataset import Reading, RowStream, open_rows
from mozhu.engine.data.formatted import formatted_text
from mozhu.engine.data.places import SNAPSHOT
from mozhu.engine.data.rows import Tally
from mozhu.engine.data.split import PARTS, HeldOut, Shares, Split, hold_out, rank
from mozhu.engine.data.swap import swap_in
from mozhu.kernel.errors import MozhuError, NoUsableRows, TooManyRejectedRows
from mozhu.kernel.files import json_line, make_folder, replacing, sha256_file, sha256_json, write_text
from mozhu.kernel.paths import check_name
from mozhu.kernel.progress import Emit, iso_time, utc_now
from mozhu.kernel.texts import text
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.result import Artefact, Metric, Outcome
from mozhu.specs.records.snapshot import RejectedRow, Snapshot, SnapshotPart

REJECTED = "rejected.jsonl"
CARD = "card.md"
_STAGES = 3


@dataclass
class _Plan:
    """What the first pass over the rows leaves: eight bytes a row, and why rows were rejected."""

    rows: RowStream
    ranks: array[int]
    rejected: Tally


def run_prepare(spec: PrepareSpec, folder: Path, emit: Emit) -> Outcome:
    """The snapshot of ``spec.input`` lies in ``spec.output_dir``; the same request again changes no byte.

    Written are ``<output_name>_train.jsonl``, ``_validation.jsonl``, ``_test.jsonl``, ``rejected.jsonl``,
    ``card.md`` and ``snapshot.json``, the last one last. The rows are read twice and never all held.

    Raises:
        NoUsableRows: DATA-003. TooManyRejectedRows: DATA-006; nothing is written in both cases.
        What :func:`~mozhu.engine.data.dataset.load_rows` raises.
    """
    check_name(spec.output_name)
    target = Path(spec.output_dir)
    plan = _read(spec, emit)
    held = _split(spec, plan, emit)
    snapshot = _write(spec, plan, held, target, emit)
    metrics = {f"{part}_rows": Metric(value=snapshot.parts[part].rows) for part in PARTS}
    source = snapshot.sources[0]
    return Outcome(
        artefacts=[Artefact(kind="snapshot", path=_seen_from(folder, target / SNAPSHOT))],
        metrics={**metrics, "rejected_rows": Metric(value=snapshot.rejected)},
        details={
            "sha256": snapshot.sha256,
            "shape": source["shape"],
            "format": source["format"],
            "evidence": plan.rows.evidence,
        },
    )


def _seen_from(folder: Path, path: Path) -> str:
    """``path`` relative to the run folder when it lies inside, else absolute."""
    inside = path.absolute().is_relative_to(folder.absolute())
    return (path.absolute().relative_to(folder.absolute()) if inside else path.absolute()).as_posix()


def _read(spec: PrepareSpec, emit: Emit) -> _Plan:
    reading = Reading(
        text_column=spec.text_column,
        system=spec.system,
        format_type=spec.format_type,
        input_format=spec.input_format,
        columns=spec.columns,
        seed=spec.seed,
    )
    plan = _Plan(open_rows(spec.input, reading, name=spec.output_name), array("Q"), Tally())
    for row in plan.rows:
        if isinstance(row, RejectedRow):
            plan.rejected.add(row)
        else:
            plan.ranks.append(rank(row, spec.seed))
    if not plan.ranks:
        why = plan.rejected.reasons() or "-"
        raise NoUsableRows(path=str(plan.rows.place.path), count=plan.rejected.total, reasons=why)
    _report(spec, plan, emit)
    return plan


def _report(spec: PrepareSpec, plan: _Plan, emit: Emit) -> None:
    """Say what was read and what the fields were taken for, then what cannot be used."""
    for source in plan.rows.sources:
        named = {"path": source.file, "format": source.format, "shape": source.shape}
        numbers = {"rows": source.rows, "rejected": source.rejected}
        encoding = source.encoding or "-"
        emit("log", message=text("data.prepare.read", **named, **numbers, encoding=encoding))
    for line in plan.rows.evidence:
        emit("log", message=line)
    total = len(plan.ranks) + plan.rejected.total
    emit("step", step=1, total=_STAGES, unit=f"{total} {text('data.unit.rows')}")
    if left := plan.rows.place.left_out:
        params = {"path": spec.input, "count": len(left), "part": "train", "files": ", ".join(left[:8])}
        emit("finding", level="warning", code="DATA-151", params=params)
    _report_rejected(spec, plan.rejected, total, emit)


def _report_rejected(spec: PrepareSpec, rejected: Tally, total: int, emit: Emit) -> None:
    if not rejected.total:
        return
    count, why = rejected.total, rejected.reasons()
    limit = spec.max_rejected_share
    if limit is not None and count / total > limit:
        shares = {"share": f"{count / total:.1%}", "limit": f"{limit:.1%}"}
        raise TooManyRejectedRows(path=spec.input, count=count, total=total, reasons=why, **shares)
    path = str(Path(spec.output_dir) / REJECTED)
    params = {"count": count, "total": total, "path": path, "reasons": why}
    emit("finding", level="warning", code="DATA-131", params=params)


def _split(spec: PrepareSpec, plan: _Plan, emit: Emit) -> HeldOut:
    held = hold_out(plan.ranks, Shares(spec.train_share, spec.validation_share, spec.test_share))
    counts = dict.fromkeys(PARTS, 0)
    for place in plan.ranks:
        counts[held.part_of(place)] += 1
    emit("log", message=text("data.prepare.split", **counts))
    emit("step", step=2, total=_STAGES)
    if finding := Split(empty=held.empty, groups=held.groups).finding(len(plan.ranks)):
        emit("finding", **finding)
    return held


def _write(spec: PrepareSpec, plan: _Plan, held: HeldOut, target: Path, emit: Emit) -> Snapshot:
    """Write all files beside their places first, then put them there in one go."""
    make_folder(target)
    with swap_in(target, last=SNAPSHOT) as staging:
        counts, without_text = _write_rows(spec, plan, held, staging)
        snapshot = _snapshot(spec, plan, counts, staging, target)
        snapshot.write(staging / SNAPSHOT)
        write_text(staging / CARD, card_text(snapshot, plan.rejected.counts))
    if without_text and spec.template != "none":
        emit("finding", level="info", code="DATA-132", params={"count": without_text})
    emit("log", message=text("data.prepare.written", path=str(target)))
    emit("step", step=3, total=_STAGES)
    return snapshot


def _write_rows(spec: PrepareSpec, plan: _Plan, held: HeldOut, staging: Path) -> tuple[dict[str, int], int]:
    """Every row in the file of its part, every rejected one in its own; how many rows each part has, and how
    many conversations stand without a formatted text."""
    counts = dict.fromkeys(PARTS, 0)
    without_text = 0
    with ExitStack() as open_files:
        files = {part: open_files.enter_context(replacing(staging / _name(spec, part))) for part in PARTS}
        rejected = open_files.enter_context(replacing(staging / REJECTED))
        ranks = iter(plan.ranks)
        for row in plan.rows:
            if isinstance(row, RejectedRow):
                rejected.write(json_line(row.model_dump(mode="json")))
                continue
            part = held.part_of(next(ranks))
            written = _with_text(row, spec.template)
            without_text += "messages" in row and "text" not in written and not _has_more(row)
            counts[part] += 1
            files[part].write(json_line(written))
    return counts, without_text


def _name(spec: PrepareSpec, part: str) -> str:
    return f"{spec.output_name}_{part}.jsonl"


def _with_text(row: dict[str, Any], template: str) -> dict[str, Any]:
    """The row with its formatted ``text`` beside ``messages``, where the template can hold it."""
    if "messages" not in row or template == "none" or _has_more(row):
        return row
    content = formatted_text(row["messages"], template)
    return row if content is None else {**row, "text": content}


def _has_more(row: dict[str, Any]) -> bool:
    """Whether the row is a preference or has a label: one text cannot hold it."""
    return "chosen" in row or "label" in row


def _snapshot(
    spec: PrepareSpec, plan: _Plan, counts: Mapping[str, int], staging: Path, target: Path
) -> Snapshot:
    parts = {}
    for part, rows in counts.items():
        name = _name(spec, part)
        parts[part] = SnapshotPart(path=name, rows=rows, sha256=sha256_file(staging / name))
    sha256 = sha256_json({part: file.sha256 for part, file in parts.items()})
    return Snapshot(
        name=spec.output_name,
        created=_created(target, sha256),
        parts=parts,
        sources=[vars(source) for source in plan.rows.sources],
        rejected=plan.rejected.total,
        settings={
            **spec.model_dump(mode="json", exclude={"input", "output_dir", "output_name"}),
            "guess": "; ".join(plan.rows.evidence),
        },
        sha256=sha256,
    )


def _created(target: Path, sha256: str) -> str:
    """When this content was first made here: kept from the snapshot that is there, if it is the same."""
    try:
        old = Snapshot.read(target / SNAPSHOT)
    except MozhuError:
        return iso_time(utc_now())
    return old.created if old.sha256 == sha256 else iso_time(utc_now())
