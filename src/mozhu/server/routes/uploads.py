"""Uploads in parts: what was acknowledged is never sent again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mozhu.app import Composition
from mozhu.platform.accounts.subject import Subject
from mozhu.server.answers import answer, found
from mozhu.server.identity import Asks, Services
from mozhu.server.keyed import KeyedRoute
from mozhu.specs.wire.place import PREFIX
from mozhu.specs.wire.uploads import NewUpload, PartWire, Proof, UploadsList, UploadWire

router = APIRouter(prefix=f"{PREFIX}/uploads", tags=["uploads"], route_class=KeyedRoute)
Id = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")]
Number = Annotated[int, Path(ge=1, le=10_000_000)]
Sha256 = Annotated[str, Header(alias="X-Part-Sha256", pattern=r"^sha256:[0-9a-f]{64}$")]
_BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": {}}}}
# Pieces are gathered until they are worth a visit to the disk.
_GATHERED_BYTES = 256 << 10


@router.post("", response_model=UploadWire, status_code=201)
def create_upload(services: Services, asks: Asks, body: NewUpload) -> Response:
    """An open upload. Files whose content is known here and that the caller may read are not sent."""
    made = services.uploads.create(asks, body.files, team=body.team, purpose=body.purpose)
    return answer(made.to_json(), 201)


@router.get("", response_model=UploadsList)
def list_uploads(request: Request, services: Services, asks: Asks) -> Response:
    """The caller's uploads, newest first."""
    return found(request, {"items": [upload.to_json() for upload in services.uploads.list(asks)]})


@router.get("/{upload_id}", response_model=UploadWire)
def show_upload(request: Request, services: Services, asks: Asks, upload_id: Id) -> Response:
    """What is here, and which parts are still missing."""
    return found(request, services.uploads.state(asks, upload_id).to_json())


@router.post("/{upload_id}/proof", response_model=UploadWire)
def prove_upload_file(services: Services, asks: Asks, upload_id: Id, body: Proof) -> Response:
    """Show that one has a file that is known here: then it need not be sent."""
    return answer(services.uploads.prove(asks, upload_id, body.path, body.answer).to_json())


@router.put("/{upload_id}/parts/{number}", response_model=PartWire, openapi_extra=_BYTES)
async def put_upload_part(
    request: Request, services: Services, asks: Asks, upload_id: Id, number: Number, sha256: Sha256
) -> Response:
    """One part, its sha256 in `X-Part-Sha256`. The answer says that it is durable: it is never asked for again."""
    return await _streamed(request, services, asks, upload_id, number, sha256)


async def _streamed(
    request: Request, services: Composition, asks: Subject, upload_id: str, number: int, sha256: str
) -> Response:
    """Pieces are written as they come: no part is held in memory."""
    incoming = await run_in_threadpool(services.uploads.part, asks, upload_id, number, sha256)
    try:
        pieces: list[bytes] = []
        size = 0
        async for piece in request.stream():
            pieces.append(piece)
            size += len(piece)
            if size >= _GATHERED_BYTES:
                await run_in_threadpool(incoming.write_all, pieces)
                pieces, size = [], 0
        done = await run_in_threadpool(incoming.commit_with, pieces)
    finally:
        if incoming.is_open:
            await run_in_threadpool(incoming.__exit__, None, None, None)
    return answer(done.to_json())


@router.post("/{upload_id}/complete", response_model=UploadWire)
def complete_upload(services: Services, asks: Asks, upload_id: Id) -> Response:
    """Every file is read back and its hash compared; the upload is complete then."""
    return answer(services.uploads.complete(asks, upload_id).to_json())


@router.delete("/{upload_id}", response_model=UploadWire)
def abort_upload(services: Services, asks: Asks, upload_id: Id) -> Response:
    """The upload is given up and its parts are gone."""
    return answer(services.uploads.abort(asks, upload_id).to_json())
