"""How the service is run: the schema of ``0_configs/3_service_config.json`` and the flags of ``mozhu up``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import Positive, Spec, Words

_GIB = 1024**3


class ServiceSpec(Spec):
    """Without a value for ``database`` and ``blobs`` everything lies in the workspace: SQLite and a folder.

    ``database``: ``postgresql+psycopg://user@host/name``. ``blobs``: ``s3://bucket/prefix``, ``gs://…``, ``az://…``
    or a folder; keys come from the environment, as the store's own tools read them.
    ``allowed_hosts``: names under which the service is reached besides its own address.
    ``behind_proxy``: a proxy with TLS stands in front; only then may others than this machine reach it.
    """

    verb: ClassVar[str] = "up"
    config_file: ClassVar[str | None] = "3_service_config.json"

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8700, ge=0, le=65535)
    database: str | None = None
    blobs: str | None = None
    blobs_endpoint: str | None = None
    workers: Positive = 1
    allowed_hosts: Words = ()
    behind_proxy: bool = False
    upload_limit_bytes: Positive = 10 * _GIB
    upload_quota_bytes: Positive = 100 * _GIB
    upload_expiry_hours: Positive = 7 * 24
    imports_at_once: Positive = 2
    trash_days: int = Field(default=30, ge=0)
    webhook_private_addresses: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    grace_s: Positive = 30


class DocumentSpec(Spec):
    """The OpenAPI document, printed or written to ``output``."""

    verb: ClassVar[str] = "openapi"
    path_fields: ClassVar[tuple[str, ...]] = ("output",)

    output: str | None = None
