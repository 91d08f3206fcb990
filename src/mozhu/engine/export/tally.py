"""What is to be written of a checkpoint, and what is known of its finished files: nothing of a model library."""

from __future__ import annotations

from dataclasses import dataclass, field

from mozhu.engine.export.plan import Change
from mozhu.engine.export.shards import NewShard
from mozhu.engine.weights.headers import TensorInfo

PROGRESS = "merging.json"


@dataclass(frozen=True)
class Work:
    """All that is needed to write the new checkpoint.

    ``sources``: for each new tensor the base's tensor it comes from. ``changes``: what happens to it, of one adapter
    or of several. ``identity``: equal for equal inputs.
    """

    shards: list[NewShard]
    sources: dict[str, TensorInfo]
    changes: dict[str, list[Change]]
    budget_bytes: int
    identity: str


@dataclass
class ShardTally:
    """What is known of one finished shard. ``effects``: ‖ΔW‖ / ‖W‖ of each planned tensor, in float32."""

    sha256: str = ""
    effects: dict[str, float] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)


@dataclass
class Tally:
    shards: dict[str, ShardTally] = field(default_factory=dict)
    reused: int = 0

    @property
    def effects(self) -> dict[str, float]:
        found = [item for shard in self.shards.values() for item in shard.effects.items()]
        return dict(sorted(found))

    @property
    def changed(self) -> int:
        return sum(len(shard.changed) for shard in self.shards.values())

    @property
    def sha256(self) -> dict[str, str]:
        return {name: shard.sha256 for name, shard in self.shards.items()}
