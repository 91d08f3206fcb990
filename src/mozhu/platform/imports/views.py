"""What an import looks like from outside, in the language of whoever asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mozhu.kernel.errors import shown_value
from mozhu.kernel.texts import text
from mozhu.platform.catalog.naming import NameAdvice, advice_on
from mozhu.platform.catalog.views import State

ModelType = Literal["text", "image", "file"]


@dataclass(frozen=True)
class Wanted:
    """What whoever imports says of the version; ``None`` and empty mean: as it is found."""

    upload: str
    version: str | None = None
    type: ModelType | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    licence: str = ""
    base: str = ""
    notes: str = ""
    team: str | None = None
    visibility: str | None = None


@dataclass(frozen=True)
class ImportView:
    """``findings`` are as they were written down: level, code, params and the message of then.

    ``progress``: how far the run is, where somebody asked for it.
    """

    id: str
    upload: str
    model: str
    version: str
    type: str
    state: State
    waits: bool
    wishes: dict[str, Any]
    findings: tuple[dict[str, Any], ...]
    recognised: dict[str, Any]
    run: str
    owner: str
    team: str
    created: str
    finished: str | None
    progress: dict[str, Any] | None = None

    @property
    def reference(self) -> str:
        return f"{self.model}:{self.version}"

    @property
    def advice(self) -> tuple[NameAdvice, ...]:
        """What the naming rules say of the name, the version and the note."""
        return advice_on(
            self.model,
            self.version,
            (self.wishes["notes"], self.wishes["description"]),
            is_trained=self.recognised.get("kind") == "adapter",
            proposed_note=note_of(self.recognised),
        )

    def to_json(self) -> dict[str, Any]:
        told = asdict(self)
        del told["wishes"]
        return {
            **told,
            "reference": self.reference,
            "findings": [{**finding, "message": words_of(finding)} for finding in self.findings],
            "advice": [item.to_json() for item in self.advice],
        }


def note_of(recognised: Mapping[str, Any]) -> str:
    """A note that says what the files were found to be; empty while nothing is known."""
    count = recognised.get("parameters")
    parts = [
        recognised.get("architecture") or recognised.get("family"),
        text("imports.note.parameters", count=f"{count:,}") if count else None,
        recognised.get("dtype"),
        text("imports.note.base", base=recognised["base_model"]) if recognised.get("base_model") else None,
    ]
    return ", ".join(str(part) for part in parts if part)


def progress_of(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How far a run is by its last step; ``None`` before the first."""
    last = next((event for event in reversed(events) if event["kind"] == "step"), None)
    if last is None:
        return None
    unit, eta = last.get("unit") or "", last.get("eta_s")
    return {"done": last["step"], "total": last["total"], "unit": unit, "eta_s": eta}


def words_of(finding: Mapping[str, Any]) -> str:
    """The finding in the language in force; as it was written down where its text is another one by now."""
    area = str(finding["code"]).split("-")[0].lower()
    shown = _plain if area == "safe" else shown_value
    params = {name: shown(value) for name, value in finding["params"].items()}
    try:
        return text(f"{area}.{finding['code']}.what", **params)
    except (KeyError, IndexError, FileNotFoundError):
        return str(finding.get("message", ""))


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
