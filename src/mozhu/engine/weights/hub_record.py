"""``download.json`` in a folder that came from a hub: from where, at which commit, and every file's checksum."""

from __future__ import annotations

from pydantic import Field

from mozhu.specs.records.base import Record

DOWNLOAD_RECORD = "download.json"


class DownloadRecord(Record):
    """``hub`` is the address that was asked, or ``cache``; ``files`` has ``sha256:…`` by path."""

    hub: str
    name: str = Field(min_length=1)
    commit: str
    files: dict[str, str]
    time: str
