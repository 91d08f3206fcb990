"""``data prepare``: a raw file becomes a snapshot, all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mozhu.engine.data.card import card_text
from mozhu.engine.data.formatted import formatted_text
from mozhu.engine.data.places import SNAPSHOT
from mozhu.engine.data.prepare_plan import REJECTED, STAGES, Plan, make_plan
from mozhu.engine.data.rows import reject
from mozhu.engine.data.split import PARTS
from mozhu.engine.data.swap import swap_in
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import json_line, make_folder, replacing, sha256_file, sha256_json, write_text
from mozhu.kernel.paths import check_name
from mozhu.kernel.progress import Emit, iso_time, utc_now
from mozhu.kernel.texts import text
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.result import Artefact, Metric, Outcome
from mozhu.specs.records.snapshot import RejectedRow, Snapshot, SnapshotFix, SnapshotPart

CARD = "card.md"


def run_prepare(spec: PrepareSpec, folder: Path, emit: Emit) -> Outcome:
    """The snapshot of ``spec.input`` lies in ``spec.output_dir``; the same request again changes no byte.

    Written are ``<output_name>_train.jsonl``, ``_validation.jsonl``, ``_test.jsonl``, ``rejected.jsonl``,
    ``card.md`` and ``snapshot.json``, the last one last. The rows are read twice and never all held.

    Raises:
        NoUsableRows: DATA-003. TooManyRejectedRows: DATA-006; nothing is written in both cases but the rejected
        rows, into ``folder``. What :func:`~mozhu.engine.data.prepare_plan.make_plan` raises.
    """
    check_name(spec.output_name)
    target = Path(spec.output_dir)
    plan = make_plan(spec, folder, emit)
    snapshot = _write(spec, plan, target, emit)
    metrics = {f"{part}_rows": Metric(value=snapshot.parts[part].rows) for part in PARTS}
    source = snapshot.sources[0]
    rejected = {"rejected_rows": Metric(value=snapshot.rejected)}
    if plan.left_out:
        rejected["left_out_rows"] = Metric(value=len(plan.left_out))
    return Outcome(
        artefacts=[Artefact(kind="snapshot", path=_seen_from(folder, target / SNAPSHOT))],
        metrics={**metrics, **rejected},
        details={
            "sha256": snapshot.sha256,
            "shape": source["shape"],
            "format": source["format"],
            "evidence": plan.rows.evidence,
            "fixes": {name: vars(fix) for name, fix in plan.rows.fixes.items()},
        },
    )


def _seen_from(folder: Path, path: Path) -> str:
    """``path`` relative to the run folder when it lies inside, else absolute."""
    inside = path.absolute().is_relative_to(folder.absolute())
    return (path.absolute().relative_to(folder.absolute()) if inside else path.absolute()).as_posix()


def _write(spec: PrepareSpec, plan: Plan, target: Path, emit: Emit) -> Snapshot:
    """Write all files beside their places first, then put them there in one go."""
    make_folder(target)
    with swap_in(target, last=SNAPSHOT) as staging:
        counts, without_text = _write_rows(spec, plan, staging)
        snapshot = _snapshot(spec, plan, counts, staging, target)
        snapshot.write(staging / SNAPSHOT)
        write_text(staging / CARD, card_text(snapshot, plan.rejected.counts))
    if without_text and spec.template != "none":
        emit("finding", level="info", code="DATA-132", params={"count": without_text})
    emit("log", message=text("data.prepare.written", path=str(target)))
    emit("step", step=3, total=STAGES)
    return snapshot


def _write_rows(spec: PrepareSpec, plan: Plan, staging: Path) -> tuple[dict[str, int], int]:
    """Every row in the file of its part, every rejected or left-out one in its own; how many rows each part has,
    and how many conversations stand without a formatted text."""
    counts = dict.fromkeys(PARTS, 0)
    without_text = number = 0
    with ExitStack() as open_files:
        files = {part: open_files.enter_context(replacing(staging / _name(spec, part))) for part in PARTS}
        rejected = open_files.enter_context(replacing(staging / REJECTED))
        ranks = iter(plan.ranks)
        for found in plan.rows.with_values():
            if isinstance(found, RejectedRow):
                rejected.write(json_line(found.model_dump(mode="json")))
                continue
            raw, row, _, _ = found
            number += 1
            if problem := plan.left_out.get(number - 1):
                rejected.write(json_line(reject(raw, problem).model_dump(mode="json")))
                continue
            part = plan.held.part_of(next(ranks))
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
    spec: PrepareSpec, plan: Plan, counts: Mapping[str, int], staging: Path, target: Path
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
        left_out=plan.left_out_counts(),
        fixes={name: SnapshotFix(**vars(fix)) for name, fix in plan.rows.fixes.items()},
        settings={
            **spec.model_dump(mode="json", exclude={"input", "output_dir", "output_name", "register_as"}),
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
