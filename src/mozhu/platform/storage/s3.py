"""S3 with control over multipart uploads (boto3): parts that outlive a process, and copies inside the bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mozhu.kernel.errors import StoreRefused, StoreUnreachable
from mozhu.platform.storage.blobs import key_of
from mozhu.platform.storage.remote import TRIES, RemoteBlobs

_REFUSALS = {"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"}
_COPY_PART_BYTES = 1 << 30
_COPY_WHOLE_BYTES = 4 << 30


class S3Blobs(RemoteBlobs):
    """A bucket whose multipart uploads can be gone on with by another process."""

    def __init__(
        self,
        store: Any,
        name: str,
        *,
        bucket: str,
        prefix: str,
        endpoint: str | None,
        region: str,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(store, name, pause=pause)
        self._bucket, self._prefix = bucket, prefix
        # A session of its own: the one that boto3 shares keeps the first keys it saw, and no lock.
        self._client = boto3.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            config=Config(
                s3={"addressing_style": "path" if endpoint else "auto"},
                retries={"max_attempts": TRIES, "mode": "standard"},
                # Others than Amazon do not know the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def delete_key(self, key: str) -> None:
        with self._asked():  # one by one: deleting many at once is not the same everywhere
            self._client.delete_object(**self._at(key))

    def begin(self, key: str) -> str:
        """A multipart upload to ``key`` is open; its id."""
        with self._asked():
            return str(self._client.create_multipart_upload(**self._at(key))["UploadId"])

    def send_part(self, key: str, upload: str, number: int, content: IO[bytes]) -> str:
        """Part ``number`` (from 1) is in the bucket; what it must be named with at the end."""
        with self._asked():
            answer = self._client.upload_part(
                **self._at(key), UploadId=upload, PartNumber=number, Body=content
            )
        return str(answer["ETag"])

    def finish(self, key: str, upload: str, etags: list[str]) -> None:
        """The object is there, made of its parts in order; nothing happens when another has finished it."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
        with self._asked():
            try:
                self._client.complete_multipart_upload(
                    **self._at(key), UploadId=upload, MultipartUpload={"Parts": parts}
                )
            except ClientError as error:
                if _code(error) != "NoSuchUpload" or self.head(key) is None:
                    raise

    def give_up(self, key: str, upload: str) -> None:
        """The parts are gone, and the object where it was finished."""
        with self._asked():
            try:
                self._client.abort_multipart_upload(**self._at(key), UploadId=upload)
            except ClientError as error:
                if _code(error) not in {"NoSuchUpload", "404", "NoSuchKey"}:
                    raise
        if self.head(key) is not None:
            self.delete_key(key)

    def unfinished(self, prefix: str) -> Iterator[tuple[str, str, float]]:
        """Multipart uploads below ``prefix`` that are neither finished nor given up: key, id, age in seconds."""
        place = self._at(prefix)
        with self._asked():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=place["Bucket"], Prefix=place["Key"]
            )
            for page in pages:
                for found in page.get("Uploads", []):
                    key = found["Key"].removeprefix(f"{self._prefix}/") if self._prefix else found["Key"]
                    yield key, found["UploadId"], time.time() - found["Initiated"].timestamp()

    def take(self, key: str, digest: str, size: int) -> None:
        """The object ``key``, whose hash has been checked, is the blob; copied inside the bucket."""
        target = self._at(key_of(digest))
        source = {"Bucket": self._bucket, "Key": self._at(key)["Key"]}
        with self._asked():
            if size <= _COPY_WHOLE_BYTES:
                self._client.copy_object(**target, CopySource=source)
                return
            upload = self._client.create_multipart_upload(**target)["UploadId"]
            parts = []
            for number, start in enumerate(range(0, size, _COPY_PART_BYTES), start=1):
                last = min(start + _COPY_PART_BYTES, size) - 1
                answer = self._client.upload_part_copy(
                    **target,
                    UploadId=upload,
                    PartNumber=number,
                    CopySource=source,
                    CopySourceRange=f"bytes={start}-{last}",
                )
                parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            self._client.complete_multipart_upload(
                **target, UploadId=upload, MultipartUpload={"Parts": parts}
            )

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}/{key}" if self._prefix else key}

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            kind = StoreRefused if _code(error) in _REFUSALS else StoreUnreachable
            params = {"store": self.name, "reason": str(error)[:300]}
            raise (
                kind(**params) if kind is StoreRefused else StoreUnreachable(**params, tries=TRIES)
            ) from error
        except BotoCoreError as error:
            raise StoreUnreachable(store=self.name, reason=str(error)[:300], tries=TRIES) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
