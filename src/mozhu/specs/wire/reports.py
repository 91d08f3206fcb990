"""Reports about versions of models on the wire."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

ReportKindName = Literal["training", "evaluation"]


class NewReport(BaseModel):
    """A page that stands by itself, and what it tells as figures; `run` names the run that wrote it."""

    model_config = ConfigDict(extra="forbid")

    kind: ReportKindName
    html: str = Field(min_length=1, max_length=1_000_000)
    run: str = Field(default="", max_length=500)
    metrics: dict[str, Any] = Field(default={}, max_length=1000)


class ReportWire(TypedDict):
    """`reference` is the version's; its page is `/models/{name}/versions/{version}/reports/{sha256}`."""

    reference: str
    kind: ReportKindName
    run: str
    metrics: dict[str, Any]
    sha256: str
    size: int
    created: str
    attached_by: str


class ReportsPage(TypedDict):
    """Newest first; `next` is the cursor of the page that follows, null on the last one."""

    items: list[ReportWire]
    next: str | None
