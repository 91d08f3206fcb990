"""``base.json`` in an adapter's folder: which model it was trained on, by reference and by fingerprint."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from mozhu.specs.records.base import Record

BASE_RECORD = "base.json"


class BaseRecord(Record):
    """``fingerprint`` has the parts ``weights``, ``tokenizer``, ``template`` and ``whole``."""

    ref: str = Field(min_length=1)
    fingerprint: dict[str, str] = Field(default_factory=dict)


def write_base_record(adapter: Path, ref: str, fingerprint: dict[str, str]) -> None:
    """Write ``base.json`` beside an adapter's weights, in one atomic step."""
    BaseRecord(ref=ref, fingerprint=fingerprint).write(adapter / BASE_RECORD)


def read_base_record(adapter: Path) -> BaseRecord | None:
    """What the adapter says of its base; ``None`` for an adapter made elsewhere.

    Raises:
        BadJson: FILE-004. DamagedRecord: FILE-006.
    """
    path = adapter / BASE_RECORD
    return BaseRecord.read(path) if path.is_file() else None
