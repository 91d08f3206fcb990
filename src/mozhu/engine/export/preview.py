"""What ``--dry_run`` of a merge or a conversion shows: every file that would be written, and the kind of certificate.

Everything that can be refused without reading a weight is refused here, without a model library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mozhu.engine.export.merge_plan import files_beside, has_index, open_inputs, plan_merge
from mozhu.engine.export.merge_record import MERGE_RECORD
from mozhu.engine.export.shards import NewShard
from mozhu.engine.export.targets import check_space
from mozhu.engine.weights.shards import INDEX
from mozhu.kernel.files import free_bytes
from mozhu.specs.export import MergeSpec

RECORDS = ("certificate.json", "manifest.json")


@dataclass(frozen=True)
class PreviewFile:
    """``size_bytes``: ``None`` where it is known only when the file is made. ``types``: tensors by their type."""

    name: str
    size_bytes: int | None = None
    types: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """``certificate`` is the kind that would be made. ``facts``: what the verb itself has to say beside the files."""

    target: Path
    files: list[PreviewFile]
    certificate: str
    facts: dict[str, Any]

    @property
    def size_bytes(self) -> int:
        """Of the files whose size is known."""
        return sum(file.size_bytes or 0 for file in self.files)

    def to_json(self) -> dict[str, Any]:
        return {
            "target": str(self.target),
            "files": [asdict(file) for file in self.files],
            "size_bytes": self.size_bytes,
            "free_bytes": free_bytes(self.target),
            "certificate": self.certificate,
            **self.facts,
        }


def preview_merge(spec: MergeSpec) -> Preview:
    """The merged model's files.

    Raises:
        What :func:`~mozhu.engine.export.merge.run_merge` raises before it reads a weight.
    """
    inputs = open_inputs(spec)
    planned = plan_merge(inputs, spec)
    check_space(inputs.target, planned.size_bytes)
    anew = spec.max_shard_size is not None
    index = [INDEX] if has_index(inputs.model.path, planned.shards, anew=anew) else []
    files = [
        *weight_files(planned.shards),
        *copied_files(files_beside(inputs)),
        *made_files([*index, MERGE_RECORD]),
    ]
    facts = {
        "changed": len(planned.changes),
        "tensors": len(planned.sources),
        "untied": planned.untied,
        "base": str(inputs.model.path),
        "adapters": [str(adapter.folder) for adapter, _ in inputs.adapters],
    }
    return Preview(inputs.target, files, "merge", facts)


def weight_files(shards: Iterable[NewShard]) -> list[PreviewFile]:
    return [
        PreviewFile(
            shard.name,
            shard.size_bytes,
            dict(sorted(Counter(place.tensor.dtype for place in shard.places).items())),
        )
        for shard in shards
    ]


def copied_files(files: Mapping[str, Path]) -> list[PreviewFile]:
    return [PreviewFile(name, path.stat().st_size) for name, path in sorted(files.items())]


def made_files(names: Iterable[str]) -> list[PreviewFile]:
    return [PreviewFile(name) for name in (*names, *RECORDS)]
