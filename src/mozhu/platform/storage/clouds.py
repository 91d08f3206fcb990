"""Stores by their addresses: `s3://bucket/prefix`, `gs://…`, `az://…`; keys and endpoints from the environment."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from mozhu.kernel.errors import UnknownStore
from mozhu.platform.storage.remote import RemoteBlobs
from mozhu.platform.storage.s3 import S3Blobs

if TYPE_CHECKING:
    from obstore.store import RetryConfig

# A person waits; the store itself tries again, from where an answer broke.
_RETRY: RetryConfig = {
    "max_retries": 3,
    "backoff": {
        "init_backoff": timedelta(milliseconds=200),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
    "retry_timeout": timedelta(seconds=30),
}


def open_s3(address: str, endpoint: str | None = None) -> S3Blobs:
    """The store `s3://bucket/prefix`.

    ``endpoint``, or ``AWS_ENDPOINT_URL``, names a server that is not Amazon's; plain HTTP is taken as it is said.
    """
    bucket, prefix = _place(address)
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    given: dict[str, Any] = {"endpoint": endpoint, "virtual_hosted_style_request": False} if endpoint else {}
    if endpoint and endpoint.startswith("http://"):
        given["client_options"] = {"allow_http": True}
    store = S3Store(
        bucket,
        prefix=prefix or None,
        region=region(),
        retry_config=_RETRY,
        **given,
    )
    return S3Blobs(store, address, bucket=bucket, prefix=prefix, endpoint=endpoint, region=region())


def open_gcs(address: str) -> RemoteBlobs:
    bucket, prefix = _place(address)
    return RemoteBlobs(GCSStore(bucket, prefix=prefix or None, retry_config=_RETRY), address)


def open_azure(address: str) -> RemoteBlobs:
    """The store `az://container/prefix`; the account is in ``AZURE_STORAGE_ACCOUNT_NAME``."""
    container, prefix = _place(address)
    return RemoteBlobs(AzureStore(container, prefix=prefix or None, retry_config=_RETRY), address)


def region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def _place(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    if not parts.netloc or "@" in parts.netloc:
        raise UnknownStore(address=address.rpartition("@")[2], known=["s3://", "gs://", "az://"])
    return parts.netloc, parts.path.strip("/")
