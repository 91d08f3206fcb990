"""Rows of a plain text file: one per paragraph, paragraphs are separated by blank lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mozhu.engine.data.encodings import open_text
from mozhu.engine.data.packed import suffix_of
from mozhu.engine.data.rows import RawRow
from mozhu.kernel.files import reading
from mozhu.specs.records.snapshot import RejectedRow


class TextReader:
    def sniff(self, path: Path, head: bytes) -> bool:
        """Any text is plain text, so this reader is asked last; JSON names are left to the JSON readers."""
        return suffix_of(path) not in {".json", ".jsonl", ".ndjson"} or not head.strip()

    def rows(self, path: Path) -> Iterator[RawRow | RejectedRow]:
        paragraph: list[str] = []
        first = 1
        with reading(path), open_text(path) as file:
            for number, line in enumerate(file, start=1):
                content = line.rstrip("\n").lstrip("\ufeff")
                if content.strip():
                    first = first if paragraph else number
                    paragraph.append(content)
                elif paragraph:
                    yield RawRow(path.name, first, "\n".join(paragraph))
                    paragraph = []
        if paragraph:
            yield RawRow(path.name, first, "\n".join(paragraph))
