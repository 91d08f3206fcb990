"""A PEFT adapter's folder as merging and adapter arithmetic see it: settings and tensors, nothing loaded."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.export.checkpoint import Checkpoint, open_checkpoint
from mozhu.engine.export.refusals import reasons_against
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.errors import NotMergeable

PREFIX = "base_model.model."


@dataclass
class Adapter:
    folder: Path
    config: dict[str, Any]
    tensors: Checkpoint

    @property
    def kind(self) -> str:
        """``LORA``, ``IA3`` … by PEFT's name."""
        return str(self.config.get("peft_type", "?")).upper()

    def shape(self, key: str) -> tuple[int, ...]:
        return self.tensors.entries[key].shape

    def scaling(self, module: str, rank: int) -> float:
        """alpha / r, or alpha / √r for rank-stabilised LoRA (arXiv:2312.03732), with the module's own alpha where
        a pattern names it.
        """
        alpha = self.config.get("lora_alpha", 8)
        for pattern, value in (self.config.get("alpha_pattern") or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                alpha = value
                break
        return float(alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank)


def read_adapter(folder: Path) -> Adapter:
    """The adapter in ``folder``, of any kind.

    Raises:
        UnsafeWeights: MODEL-005. DamagedWeights: MODEL-004.
    """
    found = ModelFolder.open(folder)
    return Adapter(folder, found.adapter_config or {}, open_checkpoint(found.shards))


def open_adapter(folder: Path) -> Adapter:
    """The adapter in ``folder``, known to be of a kind that can be merged.

    Raises:
        NotMergeable: EXPORT-002, listing every reason. UnsafeWeights: MODEL-005. DamagedWeights: MODEL-004.
    """
    config = ModelFolder.open(folder).adapter_config or {}
    if reasons := reasons_against(config):
        raise NotMergeable(path=str(folder), reasons=reasons)
    return read_adapter(folder)
