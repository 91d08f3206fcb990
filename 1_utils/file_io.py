"""Files that are whole or absent: text, JSON, JSON lines and CSV, hashes, copies that are compared.

文件读写：要么写完整，要么不写；文本、JSON、JSONL、CSV，以及校验和与核对过的复制。
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from csv_files import decoded, read_csv, write_csv

from mozhu.engine.data.encodings import find_encoding
from mozhu.kernel.errors import BadJson, BadToolArgument, NotReadable, TargetExists
from mozhu.kernel.files import (
    finite,
    human_size,
    make_folder,
    read_json,
    reading,
    replacing,
    sha256_file,
    write_json,
    write_jsonl,
    write_text,
    writing,
)
from mozhu.kernel.texts import text

__all__ = [
    "append_jsonl",
    "human_size",
    "read_csv",
    "read_json",
    "read_jsonl",
    "read_text",
    "safe_copy",
    "sha256_file",
    "write_csv",
    "write_json",
    "write_jsonl",
    "write_text",
]
_CHUNK_BYTES = 1 << 20


def read_text(path: str | Path, encoding: str | None = None) -> str:
    """The text of a file; without ``encoding`` it is found: UTF-8, UTF-16 or GB18030, a mark is left out.

    Raises:
        MissingFile: FILE-001. NotReadable: FILE-005. UnknownFileFormat: DATA-004, it is no text.
    """
    return decoded(path, encoding, newline=None)


def read_jsonl(path: str | Path) -> Iterator[Any]:
    """The value of every line that is not blank, also of a last one without its newline.

    Raises:
        MissingFile: FILE-001. BadJson: FILE-004 with the line.
    """
    with reading(path), open(path, encoding=find_encoding(Path(path)), errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _json_line(path, number, line)


def _json_line(path: str | Path, number: int, line: str) -> Any:
    try:
        line.encode("utf-8")
        return json.loads(line)
    except json.JSONDecodeError as error:
        place = {"line": number, "column": error.colno}
        raise BadJson(path=str(path), **place, reason=error.msg) from error
    except UnicodeEncodeError as error:  # bytes that are no text in the file's encoding
        raise BadJson(path=str(path), line=number, column=error.start + 1, reason="encoding") from error


def append_jsonl(path: str | Path, row: Any) -> None:
    """Add one line; a last line that lacks its newline is ended first, so two rows never join.

    What JSON does not know (a path, a time) becomes text; NaN and infinities too.

    Raises:
        NotWritable: FILE-002.
    """
    line = json.dumps(finite(row), ensure_ascii=False, default=str).encode("utf-8") + b"\n"
    target = Path(path)
    make_folder(target.parent)
    with writing(target), open(target, "a+b") as file:
        if file.tell():
            file.seek(-1, io.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)


def safe_copy(source: str | Path, target: str | Path, *, overwrite: bool = False) -> str:
    """Copy a file in one step; returns the hash that source and copy share.

    Raises:
        TargetExists: FILE-007. MissingFile: FILE-001. NotReadable: FILE-005, the source changed meanwhile.
    """
    old, new = Path(source), Path(target)
    if new.exists() and old.exists() and new.samefile(old):
        raise BadToolArgument(
            tool="safe_copy", name="target", value=new, expected=text("toolbox.expected.other_file")
        )
    if new.exists() and not overwrite:
        raise TargetExists(path=str(new))
    before = sha256_file(old)
    with reading(old), open(old, "rb") as file, replacing(new) as copy:
        while chunk := file.read(_CHUNK_BYTES):
            copy.write(chunk)
        copy.flush()
        if sha256_file(copy.name) != before:
            raise NotReadable(path=str(old), reason=text("toolbox.copy.differs"))
    return before
