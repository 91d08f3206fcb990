"""A version's files: one by one, by range, or all of them as a zip."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Path
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mozhu.kernel.errors import BadRange
from mozhu.platform.catalog.downloads import archive_of, file_of, files_of
from mozhu.server.answers import found
from mozhu.server.identity import Asks, Services
from mozhu.server.routes.models import Name
from mozhu.specs.wire.files import SHA256_HEADER, FilesList
from mozhu.specs.wire.place import PREFIX

router = APIRouter(prefix=f"{PREFIX}/models/{{name}}", tags=["files"])
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
Open = Callable[[int, int], Iterator[bytes]]
Range = Annotated[str | None, Header(alias="Range", description="`bytes=first-last`")]
IfRange = Annotated[str | None, Header(alias="If-Range", description="the ETag of the first piece")]
_BYTES = "application/octet-stream"
_ZIP = "application/zip"
_BEGUN_BYTES = 1 << 16


def _documented(kind: str) -> dict[int | str, dict[str, Any]]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}}}
    return {
        200: {"description": "All of it", "content": content},
        206: {"description": "The range that was asked for", "content": content},
    }


@router.get("/files", response_model=FilesList)
def list_files(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """The manifest of a version: path, size and sha256 of every file."""
    version = services.registry.version(name, subject=asks)
    items = [each.file for each in files_of(services.registry, version)]
    value = {
        "reference": version.reference,
        "archive": f"{version.name}/{version.label}.zip",
        "size_bytes": sum(file.size for file in items),
        "items": [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in items],
    }
    return found(request, value)


@router.get("/files/{path:path}", response_class=StreamingResponse, responses=_documented(_BYTES))
def download_file(
    services: Services,
    asks: Asks,
    name: Name,
    path: Annotated[str, Path(min_length=1, max_length=1000)],
    wanted: Range = None,
    if_range: IfRange = None,
) -> Response:
    """One file of a version; `Range` gives a part of it, so that a download goes on where it broke."""
    each = file_of(services.registry, services.registry.version(name, subject=asks), path)
    return _sent(path, each.file.size, each.file.sha256, wanted, if_range, each.open, _BYTES)


@router.get("/archive", response_class=StreamingResponse, responses=_documented(_ZIP))
def download_archive(
    services: Services, asks: Asks, name: Name, wanted: Range = None, if_range: IfRange = None
) -> Response:
    """A version as `{model-name}/{version}.zip`, made while it is sent; its bytes are always the same."""
    version = services.registry.version(name, subject=asks)
    archive = archive_of(services.registry, version)
    shown = archive.name.replace("/", "-")
    return _sent(shown, archive.size, version.checksum, wanted, if_range, archive.open, _ZIP)


def _sent(
    name: str, size: int, sha256: str, wanted: str | None, if_range: str | None, opened: Open, kind: str
) -> Response:
    tag = f'"{sha256.removeprefix("sha256:")}"'
    start, end = 0, size
    is_part = wanted is not None and if_range in (None, tag) and _RANGE.fullmatch(wanted) is not None
    if is_part:
        start, end = _bounds(name, wanted or "", size)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Content-Length": str(end - start),
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}",
    }
    if kind == _BYTES:
        headers[SHA256_HEADER] = sha256
    if is_part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return StreamingResponse(_begun(opened(start, end)), 206 if is_part else 200, headers, kind)


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """``pieces``, of which the first are read before anything is answered: a store that does not give them is a
    problem then, and no download that breaks off.
    """
    first: list[bytes] = []
    while sum(map(len, first)) < _BEGUN_BYTES and (piece := next(pieces, None)) is not None:
        first.append(piece)
    return chain(first, pieces)


def _bounds(name: str, wanted: str, size: int) -> tuple[int, int]:
    """The bytes that ``bytes=first-last``, ``bytes=first-`` or ``bytes=-count`` mean.

    Raises:
        BadRange: STORE-006.
    """
    match = _RANGE.fullmatch(wanted)
    assert match is not None
    first, last = match[1], match[2]
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(0, size - int(last or 0)), size
    if start >= end:
        raise BadRange(start=start, size=size)
    return start, end
