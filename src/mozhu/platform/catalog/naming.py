"""The naming rules of seeds 000 and 001, as remarks with a suggestion; a free name is never refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from mozhu.kernel.paths import (
    finetuned_name,
    is_semantic_version,
    next_version,
    parse_finetuned_name,
    parse_pretrained_name,
)
from mozhu.kernel.texts import text
from mozhu.platform.catalog.views import VersionView
from mozhu.platform.database.grams import plain

_SAYS_NOTHING = frozenset(
    {
        *("新版本", "新", "更新", "测试", "试试", "版本", "模型", "最新", "最终", "最终版"),
        *("new", "newversion", "newest", "test", "testing", "tmp", "temp", "update", "updated", "version"),
        *("final", "latest", "model", "asdf", "x"),
    }
)
# `Llama-3-8B`, `BERT-Base-Chinese`: architecture, size, what is particular.
_FREE_NAME = re.compile(r"^[A-Za-z][\w.]*(-[\w.]+)+$")
_FREE_VERSION = re.compile(r"^v\d+(\.\d+){0,2}(_[A-Za-z0-9.]+)?$")
_TRAINED = ("lora", "qlora", "full", "multimodal")


@dataclass(frozen=True)
class NameAdvice:
    """``code`` names the rule (``registry.advice.<code>``), ``suggestion`` what would follow it, if known."""

    code: str
    value: str
    suggestion: str = ""

    @property
    def words(self) -> str:
        said = text(
            f"registry.advice.{self.code}" if self.value else "registry.advice.no_note", value=self.value
        )
        return said + (text("registry.advice.suggested", value=self.suggestion) if self.suggestion else "")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "words": self.words}


def says_nothing(note: str) -> bool:
    """Whether a note is empty, or only such words as 新版本 or test, with any numbers behind them."""
    bare = re.sub(r"[\W_]+", "", plain(note))
    return bare in _SAYS_NOTHING or bare.rstrip("0123456789") in {"", *_SAYS_NOTHING}


def note_for(version: VersionView) -> str:
    """A note that says what the version is, out of what its run left: base, method, data, steps, figures."""
    parts = [
        text("registry.note.made", kind=version.model_type, base=version.base_model)
        if version.base_model
        else version.model_type,
        text("registry.note.data", data=version.training_dataset) if version.training_dataset else "",
        text("registry.note.steps", steps=version.training_steps) if version.training_steps else "",
        ", ".join(f"{name} {value:g}" for name, value in sorted(version.performance.items())[:4]),
    ]
    return "; ".join(part for part in parts if part)


def advice_for(version: VersionView) -> tuple[NameAdvice, ...]:
    """Every rule that the model's name, the version's name and its note do not follow."""
    trained = version.model_type in _TRAINED
    return advice_on(
        version.name,
        version.label,
        (version.notes, version.description),
        is_trained=trained,
        proposed_name=_proposed_name(version) if trained else "",
        proposed_note=note_for(version),
    )


def advice_on(
    name: str,
    label: str,
    words: Sequence[str],
    *,
    is_trained: bool,
    proposed_name: str = "",
    proposed_note: str = "",
) -> tuple[NameAdvice, ...]:
    """The same of a version that is not there yet.

    Args:
        words: Its note, and what else is said of it; one that says something is enough.
    """
    found = []
    if is_trained and parse_finetuned_name(name) is None:
        found.append(NameAdvice("model_name", name, proposed_name))
    if not is_trained and parse_pretrained_name(name) is None and not _FREE_NAME.match(name):
        found.append(NameAdvice("plain_name", name, proposed_name))
    if not (is_semantic_version(label) or _FREE_VERSION.match(label)):
        found.append(NameAdvice("version_name", label, next_version(None)))
    if all(says_nothing(each) for each in words):
        found.append(NameAdvice("note", words[0], proposed_note))
    return tuple(found)


def _proposed_name(version: VersionView) -> str:
    when = datetime.fromisoformat(version.created.replace("Z", "+00:00"))
    base = version.base_model.partition(":")[0] or version.name
    return finetuned_name(
        base, version.task or version.training_dataset.partition(":")[0] or "task", version.model_type, when
    )
