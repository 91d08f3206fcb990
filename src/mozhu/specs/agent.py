"""The schema of ``0_configs/agents/*.json``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import Positive, Spec


class AgentSpec(Spec):
    """One agent of the workspace: which class it is, which model answers for it, and what it may use."""

    verb: ClassVar[str] = "agent"

    name: str = Field(min_length=1)
    kind: Literal["rag", "preference", "medical", "custom"] = "custom"
    description: str = ""
    model: str = "starter"
    system: str | None = None
    max_new_tokens: Positive = 512
    temperature: float = Field(default=0.2, ge=0.0)
    top_k: Positive = 4
    chunk_chars: Positive = 500
    sources: tuple[str, ...] = ()
    feedback_file: str | None = None
    emergency_words: tuple[str, ...] = ()
