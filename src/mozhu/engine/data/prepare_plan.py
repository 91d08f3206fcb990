"""The first pass over the rows that are prepared: what can be used, what is left out, and which part takes what."""

from __future__ import annotations

import math
import shlex
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mozhu.engine.data.dataset import Reading, RowStream, open_rows
from mozhu.engine.data.rows import RowProblem, Tally
from mozhu.engine.data.split import PARTS, HeldOut, Shares, Split, hold_out, joined_ranks, rank
from mozhu.engine.data.split_fields import SplitField
from mozhu.kernel import slots
from mozhu.kernel.errors import NoUsableRows, TooManyRejectedRows
from mozhu.kernel.files import write_jsonl
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.snapshot import RejectedRow

REJECTED = "rejected.jsonl"
STAGES = 3
_SHOWN_STRATA = 8
_MOST_OFF = 0.05


class _Copies(Protocol):
    def add(self, row: dict[str, Any], file: str, line: int) -> None: ...

    def found(self) -> dict[int, RowProblem]: ...


@dataclass
class Plan:
    """A few numbers for each row that can be used, and why the others cannot.

    ``ranks`` are those of the rows that stay, in their order; ``left_out`` names the others by their number.
    """

    rows: RowStream
    ranks: array[int] = field(default_factory=lambda: array("Q"))
    rejected: Tally = field(default_factory=Tally)
    left_out: dict[int, RowProblem] = field(default_factory=dict)
    held: HeldOut = field(default_factory=HeldOut)

    def left_out_counts(self) -> dict[str, int]:
        return dict(sorted(Counter(problem.code for problem in self.left_out.values()).items()))


def make_plan(spec: PrepareSpec, folder: Path, emit: Emit) -> Plan:
    """What is to become of every row. Where the run must stop, rejected rows are in ``folder`` to be read.

    Raises:
        NoUsableRows: DATA-003. TooManyRejectedRows: DATA-006. NoSplitField: DATA-043.
        UnknownFixers: DATA-041. OpposedFixers: DATA-042. MissingExtra: ENV-001.
        What :func:`~mozhu.engine.data.dataset.load_rows` raises.
    """
    plan = Plan(open_rows(spec.input, _reading(spec), name=spec.output_name))
    fields = {
        flag: SplitField(name, flag, spec.seed, named=flag == "stratify")
        for flag, name in (("stratify", spec.stratify), ("group", spec.group))
        if name
    }
    copies = _copies(spec)
    for found in plan.rows.with_values():
        if isinstance(found, RejectedRow):
            plan.rejected.add(found)
            continue
        raw, row, _, _ = found
        plan.ranks.append(rank(row, spec.seed))
        for one in fields.values():
            one.add(raw, row)
        if copies:
            copies.add(row, raw.file, raw.line)
    _report_read(spec, plan, folder, emit)
    for one in fields.values():
        one.check()
    if copies:
        _leave_out(spec, plan, copies, fields, emit)
    _split(spec, plan, fields, emit)
    return plan


def _reading(spec: PrepareSpec) -> Reading:
    return Reading(
        text_column=spec.text_column,
        system=spec.system,
        format_type=spec.format_type,
        input_format=spec.input_format,
        columns=spec.columns,
        seed=spec.seed,
        fix=spec.fix,
    )


def _copies(spec: PrepareSpec) -> _Copies | None:
    if spec.duplicates == "keep" and not spec.against:
        return None
    found: _Copies = slots.load("mozhu.rooms", "find_copies")(spec.duplicates, spec.similarity, spec.against)
    return found


def _report_read(spec: PrepareSpec, plan: Plan, folder: Path, emit: Emit) -> None:
    """Say what was read, what the fields were taken for and what was mended, then what cannot be used."""
    for source in plan.rows.sources:
        named = {"path": source.file, "format": source.format, "shape": source.shape}
        numbers = {"rows": source.rows, "rejected": source.rejected}
        encoding = source.encoding or "-"
        emit("log", message=text("data.prepare.read", **named, **numbers, encoding=encoding))
    for line in plan.rows.evidence:
        emit("log", message=line)
    for name, fix in plan.rows.fixes.items():
        if not fix.rows:
            continue
        emit("log", message=text("data.prepare.fixed", name=name, rows=fix.rows, changes=fix.changes))
    total = len(plan.ranks) + plan.rejected.total
    emit("step", step=1, total=STAGES, unit=f"{total} {text('data.unit.rows')}")
    if left := plan.rows.place.left_out:
        params = {"path": spec.input, "count": len(left), "part": "train", "files": ", ".join(left[:8])}
        emit("finding", level="warning", code="DATA-151", params=params)
    _report_rejected(spec, plan, total, folder, emit)


def _report_rejected(spec: PrepareSpec, plan: Plan, total: int, folder: Path, emit: Emit) -> None:
    count, why = plan.rejected.total, plan.rejected.reasons()
    if not plan.ranks:
        if count:
            why += "\n" + text("data.prepare.rejected_at", path=_keep_rejected(spec, plan, folder))
        raise NoUsableRows(path=str(plan.rows.place.path), count=count, reasons=why or "-")
    if count / total > spec.max_rejected_share:
        raise TooManyRejectedRows(
            path=_relative(spec.input),
            count=count,
            total=total,
            share=_percent(count / total),
            limit=_percent(spec.max_rejected_share),
            reasons=why,
            rejected=_keep_rejected(spec, plan, folder),
            command=_command(spec, math.ceil(count / total * 10_000) / 10_000),
        )
    if count:
        path = _relative(str(Path(spec.output_dir) / REJECTED))
        params = {"count": count, "total": total, "path": path, "reasons": why}
        emit("finding", level="warning", code="DATA-131", params=params)


def _percent(share: float) -> str:
    return f"{share:.2%}" if share < 0.01 else f"{share:.1%}"


def _keep_rejected(spec: PrepareSpec, plan: Plan, folder: Path) -> str:
    """Write the rejected rows into the run folder; the file of an older snapshot beside it is left alone."""
    is_target = folder.absolute() == Path(spec.output_dir).absolute()
    path = folder / (f"stopped_{REJECTED}" if is_target else REJECTED)
    rejected = (row for row in plan.rows if isinstance(row, RejectedRow))
    write_jsonl(path, (row.model_dump(mode="json") for row in rejected))
    return _relative(str(path))


def _command(spec: PrepareSpec, limit: float) -> str:
    """The same request with a limit that lets its rejected rows go."""
    words = ["mozhu", "data", "prepare"]
    for name, info in PrepareSpec.model_fields.items():
        value = getattr(spec, name)
        if name == "max_rejected_share" or (value == info.get_default() and not info.is_required()):
            continue
        written = ",".join(value) if isinstance(value, tuple) else str(value)
        words += [f"--{name}", _relative(written) if name in PrepareSpec.path_fields else written]
    return shlex.join([*words, "--max_rejected_share", f"{limit:g}"])


def _relative(path: str) -> str:
    here = Path.cwd()
    return (
        str(Path(path).absolute().relative_to(here)) if Path(path).absolute().is_relative_to(here) else path
    )


def _leave_out(
    spec: PrepareSpec, plan: Plan, copies: _Copies, fields: dict[str, SplitField], emit: Emit
) -> None:
    """Take the copies out of what is split; nobody's row is lost by this, so no limit counts them.

    Raises:
        NoUsableRows: DATA-003 where nothing but rows of benchmarks is left.
    """
    plan.left_out = copies.found()
    stays = [number not in plan.left_out for number in range(len(plan.ranks))]
    plan.ranks = _only(plan.ranks, stays)
    for one in fields.values():
        one.numbers = _only(one.numbers, stays)
    why = []
    for code, count in plan.left_out_counts().items():
        first = [problem for problem in plan.left_out.values() if problem.code == code][0]
        params = {"count": count, "what": text(f"data.{code}.what", **first.params)}
        path = _relative(str(Path(spec.output_dir) / REJECTED))
        emit("finding", level="info", code="DATA-136", params={**params, "kind": code, "path": path})
        why.append(f"  {count} × [{code}] {params['what']}")
    if not plan.ranks:
        raise NoUsableRows(path=str(plan.rows.place.path), count=len(stays), reasons="\n".join(why))


def _only(numbers: array[int], stays: list[bool]) -> array[int]:
    return array("Q", (number for number, is_kept in zip(numbers, stays) if is_kept))


def _split(spec: PrepareSpec, plan: Plan, fields: dict[str, SplitField], emit: Emit) -> None:
    shares = Shares(spec.train_share, spec.validation_share, spec.test_share)
    if group := fields.get("group"):
        plan.ranks = joined_ranks(plan.ranks, group.numbers)
    strata = fields.get("stratify")
    plan.held = hold_out(plan.ranks, shares, strata.numbers if strata else None)
    counts = dict.fromkeys(PARTS, 0)
    for place in plan.ranks:
        counts[plan.held.part_of(place)] += 1
    emit("log", message=text("data.prepare.split", **counts))
    emit("step", step=2, total=STAGES)
    split = Split(empty=plan.held.empty, groups=plan.held.groups)
    if finding := split.finding(len(plan.ranks)) or _off(plan, shares, counts):
        emit("finding", **finding)
    if strata and (finding := _absent(plan, strata, shares)):
        emit("finding", **finding)


def _off(plan: Plan, shares: Shares, counts: dict[str, int]) -> dict[str, Any] | None:
    """What to tell where rows that belong together keep a part far from its share (DATA-135)."""
    total = len(plan.ranks)
    off = [
        part
        for part, share in vars(shares).items()
        if abs(counts[part] - share * total) > max(1, _MOST_OFF * total)
    ]
    if not off:
        return None
    got = ", ".join(f"{part} {counts[part] / total:.0%}" for part in PARTS)
    wanted = ", ".join(f"{part} {share:.0%}" for part, share in vars(shares).items())
    params = {"got": got, "wanted": wanted, "groups": plan.held.groups, "largest": plan.held.largest}
    return {"level": "warning", "code": "DATA-135", "params": params}


def _absent(plan: Plan, strata: SplitField, shares: Shares) -> dict[str, Any] | None:
    """What to tell of values that are not in every part (DATA-134)."""
    parts: dict[str, Counter[int]] = {part: Counter() for part in ("train", *shares.held_out)}
    for place, number in zip(plan.ranks, strata.numbers):
        parts.setdefault(plan.held.part_of(place), Counter())[number] += 1
    if not (absent := strata.absent(parts)):
        return None
    more = " …" if len(absent) > _SHOWN_STRATA else ""
    params = {"field": strata.name, "count": len(absent), "total": len(set(strata.numbers))}
    params["values"] = ", ".join(absent[:_SHOWN_STRATA]) + more
    return {"level": "warning", "code": "DATA-134", "params": params}
