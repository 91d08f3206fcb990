"""The names of what happens in the catalogue; each is one line of ``history``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mozhu.platform.accounts.subject import Subject

REGISTERED = "version.registered"
READY = "version.ready"
CHECKING = "version.checking"
DAMAGED = "version.damaged"
EDITED = "model.edited"
TRASHED = "model.trashed"
RESTORED = "model.restored"
VERSION_TRASHED = "version.trashed"
VERSION_RESTORED = "version.restored"
PURGED = "model.purged"
ALIAS_SET = "alias.set"
ALIAS_REMOVED = "alias.removed"
SHARED = "model.shared"
DATASET_EDITED = "dataset.edited"
DATASET_TRASHED = "dataset.trashed"
DATASET_RESTORED = "dataset.restored"
DATASET_PURGED = "dataset.purged"
DATASET_SHARED = "dataset.shared"
COPIED = "version.copied"
REPORTED = "report.attached"
RESCANNED = "registry.rescanned"
IMPORT_UPLOADING = "import.uploading"
IMPORT_CHECKING = "import.checking"
IMPORT_READY = "import.ready"
IMPORT_FAILED = "import.failed"
IMPORT_REMOVED = "import.removed"

# What a line of the history is about.
OF_MODEL, OF_DATASET = "model", "dataset"
# How the names of what happens to imports begin; each tells the ``owner`` of the import.
OF_IMPORT = "import."

OF_STATE = {"ready": READY, "checking": CHECKING, "failed": DAMAGED}


_FOR_ADMINISTRATORS = frozenset({"with", "right", "source"})


@dataclass(frozen=True)
class Happening:
    """``model`` and ``version`` are names; empty where it concerns the whole catalogue.

    ``subject``: whether ``model`` names a model or a data set; the two may bear the same name.
    """

    what: str
    model: str = ""
    version: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    subject: str = OF_MODEL


def told(details: dict[str, Any], subject: Subject) -> dict[str, Any]:
    """``details`` as ``subject`` is told them: whose rights were changed, and places on the service's machine, are
    for administrators; who may manage a thing sees its shares by themselves.
    """
    if subject.is_admin:
        return details
    return {name: value for name, value in details.items() if name not in _FOR_ADMINISTRATORS}


def known_events() -> tuple[str, ...]:
    """The names of everything that can happen in the catalogue."""
    named = [value for name, value in globals().items() if name.isupper() and isinstance(value, str)]
    return tuple(sorted(value for value in named if "." in value and value != OF_IMPORT))
