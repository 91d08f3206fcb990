"""Rows in another form: seed 004's two converters with its bytes, and ``data convert`` for every shape.

Rows are read and written one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mozhu.engine.data.dataset import Reading, RowStream, open_rows
from mozhu.engine.data.fields import type_name
from mozhu.engine.data.readers import read_rows
from mozhu.engine.data.row_writers import JsonWriter, Write, writing_rows
from mozhu.engine.data.rows import RawRow, RowProblem, Tally, reject
from mozhu.engine.data.targets import COLUMNS, write_as
from mozhu.kernel.errors import NoUsableRows, TargetExists, UnconvertibleRows
from mozhu.kernel.files import json_line, replacing
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.data import DataConvertSpec
from mozhu.specs.records.result import Artefact, Metric, Outcome
from mozhu.specs.records.snapshot import RejectedRow

_SPEAKERS = {"system": "系统", "user": "用户", "assistant": "助手"}


def convert_to_text_format(input_file: str | Path, output_file: str | Path) -> None:
    """``output_file`` holds ``[{"text": "指令：…\\n输入：…\\n输出：…"}]``, one for each alpaca row.

    The line of the input is left out where the input is empty.

    Raises:
        MissingFile: FILE-001. BadJson: FILE-004. UnconvertibleRows: DATA-007 with every bad row, and
            nothing is written.
    """
    _convert(input_file, output_file, _alpaca_text, "instruction, input, output")


def convert_conversations(input_file: str | Path, output_file: str | Path) -> None:
    """``output_file`` holds ``[{"text": "系统：…\\n\\n用户：…\\n\\n助手：…"}]``, one for each conversation.

    Raises:
        MissingFile: FILE-001. BadJson: FILE-004. UnconvertibleRows: DATA-007 with every bad row, and
            nothing is written.
    """
    _convert(input_file, output_file, _conversation_text, "messages: role, content")


def run_convert(spec: DataConvertSpec, folder: Path, emit: Emit) -> Outcome:
    """The rows of ``spec.input`` lie in ``spec.output`` in the form ``spec.to``.

    Rows that cannot be converted, where ``max_rejected_share`` lets them, are in ``<output>.rejected.jsonl``.

    Raises:
        UnconvertibleRows: DATA-007 with the most frequent reasons, and nothing is written.
        BadDataTarget: DATA-015. TargetExists: FILE-007, the output is the input. NoUsableRows: DATA-003.
        What :func:`~mozhu.engine.data.dataset.load_rows` raises.
    """
    reading = Reading(spec.text_column, spec.system, spec.format_type, spec.input_format, spec.columns)
    rows, output = open_rows(spec.input, reading), Path(spec.output)
    if any(file.path.resolve() == output.resolve() for file in rows.place.files):
        raise TargetExists(path=spec.output)
    beside = output.with_name(f"{output.name}.rejected.jsonl")
    with replacing(beside) as rejected, writing_rows(output, COLUMNS[spec.to]) as write:
        count, tally = _write_all(rows, spec.to, write, rejected)
        _check_share(spec, count, tally)
    if not tally.total:
        beside.unlink()
    for line in rows.evidence:
        emit("log", message=line)
    emit("log", message=text("data.convert.done", rows=count, rejected=tally.total, path=spec.output))
    artefacts = [Artefact(kind="data", path=str(output.absolute()))]
    metrics = {"rows": Metric(value=count), "rejected_rows": Metric(value=tally.total)}
    return Outcome(artefacts=artefacts, metrics=metrics, details={"evidence": rows.evidence})


def _write_all(rows: RowStream, to: str, write: Write, rejected: Any) -> tuple[int, Tally]:
    count, tally = 0, Tally()
    for found in rows.with_values():
        row = found if isinstance(found, RejectedRow) else _written(*found, to, write)
        if row is None:
            count += 1
        else:
            tally.add(row)
            rejected.write(json_line(row.model_dump(mode="json")))
    return count, tally


def _written(
    raw: RawRow, row: dict[str, Any], value: Any, shape: str, to: str, write: Write
) -> RejectedRow | None:
    """Nothing, when the row was written; an alpaca row's text is the seed's."""
    try:
        seeds_own = to == "text" and shape == "alpaca" and not {"system", "history"} & _filled(value)
        if seeds_own and not {"tools", "images"} & row.keys():
            write({"text": _alpaca_text(value)})
        else:
            write(write_as(row, to))
    except RowProblem as problem:
        return reject(raw, problem)
    return None


def _filled(value: dict[str, Any]) -> set[str]:
    return {name for name, item in value.items() if item}


def _check_share(spec: DataConvertSpec, count: int, tally: Tally) -> None:
    if not count:
        raise NoUsableRows(path=spec.input, count=tally.total, reasons=tally.reasons() or "-")
    if tally.total > spec.max_rejected_share * (count + tally.total):
        wanted = text("data.convert.limit", limit=f"{spec.max_rejected_share:.1%}")
        why = tally.reasons(most=20)
        raise UnconvertibleRows(path=spec.input, count=tally.total, reasons=why, wanted=wanted)


def _convert(
    input_file: str | Path, output_file: str | Path, to_text: Callable[[dict[str, Any]], str], wanted: str
) -> None:
    bad = Tally()
    with _json_array(Path(output_file)) as write:
        for row in read_rows(Path(input_file)):
            if isinstance(row, RejectedRow):
                bad.add(row)
                continue
            try:
                write({"text": _of_object(row, to_text)})
            except RowProblem as problem:
                bad.add(reject(row, problem))
        if bad.total:
            raise UnconvertibleRows(
                path=str(input_file), count=bad.total, reasons=bad.reasons(most=20), wanted=wanted
            )


@contextmanager
def _json_array(path: Path) -> Iterator[Write]:
    """Seed 004 writes JSON whatever the file is called."""
    with replacing(path) as file:
        writer = JsonWriter(file)
        yield writer.row
        writer.end()


def _of_object(row: RawRow, to_text: Callable[[dict[str, Any]], str]) -> str:
    if not isinstance(row.value, dict):
        raise RowProblem("DATA-102", "", found=type_name(row.value))
    return to_text(row.value)


def _alpaca_text(item: dict[str, Any]) -> str:
    text = f"指令：{_shown(item, 'instruction')}\n"
    if item.get("input"):
        text += f"输入：{_shown(item, 'input')}\n"
    return text + f"输出：{_shown(item, 'output')}"


def _conversation_text(item: dict[str, Any]) -> str:
    messages = item.get("messages")
    if not isinstance(messages, list):
        if "messages" not in item:
            raise RowProblem("DATA-103", "messages", found=", ".join(map(str, item)) or "-")
        raise RowProblem("DATA-104", "messages", found=type_name(messages), wanted="array")
    conversation = ""
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if not isinstance(message, dict):
            raise RowProblem("DATA-104", place, found=type_name(message), wanted="object")
        role, content = (
            _shown(message, "role", f"{place}.role"),
            _shown(message, "content", f"{place}.content"),
        )
        if role in _SPEAKERS:  # other roles are left out, as the seed does
            conversation += f"{_SPEAKERS[role]}：{content}\n\n"
    return conversation.strip()


def _shown(item: dict[str, Any], name: str, place: str | None = None) -> Any:
    """The value under ``name``, when it is a text or a number: the seed writes both."""
    if name not in item:
        raise RowProblem("DATA-103", place or name, found=", ".join(map(str, item)) or "-")
    if not isinstance(item[name], (str, int, float)) or isinstance(item[name], bool):
        raise RowProblem("DATA-104", place or name, found=type_name(item[name]), wanted="string")
    return item[name]
