"""Which store an address names."""

from __future__ import annotations

import re
from pathlib import Path

from mozhu.kernel.errors import UnknownSlotName, UnknownStore
from mozhu.kernel.slots import load, names
from mozhu.platform.storage.blobs import BlobStore
from mozhu.platform.storage.local import LocalBlobs

BLOBS = "blobs"
_SLOT = "mozhu.stores"
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.]+)://")


def open_store(address: str | None, models: Path, *, endpoint: str | None = None) -> BlobStore:
    """The store at ``address``, the folder ``5_models/blobs`` where there is none; keys come from the environment.

    Args:
        endpoint: Where an S3 that is not Amazon's answers; the environment may say it too.

    Raises:
        UnknownStore: STORE-005. MissingExtra: ENV-001, `pip install mozhu[cloud]`.
    """
    if not address:
        return LocalBlobs(models / BLOBS)
    match = _SCHEME.match(address)
    if match is None:
        return LocalBlobs(Path(address).expanduser())
    try:
        make = load(_SLOT, match["scheme"])
    except UnknownSlotName:
        raise UnknownStore(address=address, known=[f"{name}://" for name in names(_SLOT)]) from None
    store: BlobStore = make(address, endpoint) if endpoint else make(address)
    return store
