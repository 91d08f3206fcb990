"""Formats that are no text, told by their first bytes alone, so that no library is loaded to tell them."""

from __future__ import annotations

_ZIP = b"PK\x03\x04"
# A continuation mark, then the length of the schema's message (metadata version 4 and later).
_STREAM = b"\xff\xff\xff\xff"


def is_parquet(head: bytes) -> bool:
    return head.startswith(b"PAR1")


def is_arrow(head: bytes) -> bool:
    """Arrow's file format, or its stream format with a schema of less than 16 MiB."""
    return head.startswith(b"ARROW1") or (head.startswith(_STREAM) and len(head) > 8 and head[7] == 0)


def is_xlsx(head: bytes) -> bool:
    """A workbook: a ZIP archive whose first entries are those of one."""
    return head.startswith(_ZIP) and any(
        name in head for name in (b"[Content_Types].xml", b"xl/", b"docProps/", b"_rels/")
    )


BY_CONTENT = {"parquet": is_parquet, "arrow": is_arrow, "xlsx": is_xlsx}
