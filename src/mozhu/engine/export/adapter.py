"""What a PEFT LoRA adapter does to which tensor of its base, and whether it can be merged at all."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mozhu.engine.export.checkpoint import Checkpoint, open_checkpoint
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.errors import AdapterMismatch, NotMergeable
from mozhu.kernel.texts import text

_PREFIX = "base_model.model."
_PART = re.compile(
    r"^(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)"
    r"(?P<tail>\.weight|\.bias)?$"
)
_WRAPPERS = ("model.", "language_model.")
# Settings that change what a forward pass computes in a way that no weight of the base can hold, or that
# change the base itself before training. Each is refused by name.
_REFUSED = (
    "layer_replication",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "megatron_config",
)
_BASE_CHANGING = ("pissa", "olora", "loftq", "corda", "lora_ga", "mica")


@dataclass(frozen=True)
class Change:
    """What happens to one tensor of the base.

    ``lora``: W + scaling·B·A (with ``magnitude``: DoRA); ``embedding``: W + scaling·(B·A)ᵀ; ``bias``: b +
    scaling·b'; ``replace``: the adapter's own tensor. ``start``: what to take for W instead of the base's
    own, where the adapter holds it too. Names are keys of the adapter file.
    """

    kind: Literal["lora", "embedding", "bias", "replace"]
    tensor: str
    scaling: float = 1.0
    a: str | None = None
    b: str | None = None
    magnitude: str | None = None
    transposed: bool = False
    start: str | None = None


@dataclass
class Adapter:
    folder: Path
    config: dict[str, Any]
    tensors: Checkpoint
    changes: dict[str, Change] = field(default_factory=dict)


def open_adapter(folder: Path) -> Adapter:
    """The adapter in ``folder``, known to be of a kind that can be merged.

    Raises:
        NotMergeable: EXPORT-002, listing every reason. UnsafeWeights: MODEL-005. DamagedWeights: MODEL-004.
    """
    found = ModelFolder.open(folder)
    config = found.adapter_config or {}
    if reasons := _reasons_against(config):
        raise NotMergeable(path=str(folder), reasons=reasons)
    return Adapter(folder, config, open_checkpoint(found.shards))


def plan_changes(adapter: Adapter, base: Checkpoint, *, tied: bool) -> None:
    """Fill ``adapter.changes``: each tensor of the adapter is used exactly once.

    ``tied``: the output layer shares the embedding's weights, so ``lm_head.weight`` may be a target
    although the base has no such tensor.

    Raises:
        AdapterMismatch: EXPORT-004, listing every name and shape that does not fit the base.
    """
    problems: list[str] = []
    grouped: dict[str, dict[str, str]] = {}
    for key in adapter.tensors.entries:
        name = key.removeprefix(_PREFIX).replace(".base_layer.", ".")
        match = _PART.match(name)
        if match is None:
            grouped.setdefault(name, {})["replace"] = key
        elif match["tail"] == ".bias":
            grouped.setdefault(match["module"] + ".bias", {})["bias"] = key
        else:
            part = match["part"].removeprefix("lora_").removeprefix("embedding_")
            kind = "embedding_" if "embedding" in match["part"] else ""
            grouped.setdefault(match["module"] + ".weight", {})[kind + part] = key
    used = 0
    for wanted, parts in sorted(grouped.items()):
        target = find_tensor(wanted, base, tied=tied)
        if target is None:
            problems.append(text("export.reason.not_in_base", tensor=wanted))
            continue
        change = _change(adapter, target, wanted, parts)
        if change is None or target in adapter.changes:
            problems.append(text("export.reason.odd_parts", tensor=wanted, parts=", ".join(sorted(parts))))
            continue
        problems += _shape_problems(adapter, base, change)
        adapter.changes[target] = change
        used += len(parts)
    if problems:
        raise AdapterMismatch(path=str(adapter.folder), count=len(problems), problems=problems[:8])
    assert used == len(adapter.tensors.entries), "every adapter tensor is used exactly once"


def find_tensor(wanted: str, base: Checkpoint, *, tied: bool) -> str | None:
    """The base's name for ``wanted``: the same, or the only one that differs in its wrappers' names."""
    if wanted in base.entries or (tied and wanted == "lm_head.weight"):
        return wanted
    bare = _bare(wanted)
    found = [name for name in base.entries if _bare(name) == bare]
    return found[0] if len(found) == 1 else None


def _change(adapter: Adapter, target: str, wanted: str, parts: dict[str, str]) -> Change | None:
    names = set(parts)
    if names == {"replace"}:
        return Change("replace", target, a=parts["replace"])
    module = wanted.rpartition(".")[0]
    start = parts.get("replace")  # PEFT saves an embedding's weight beside its LoRA
    names.discard("replace")
    if names == {"bias"}:
        sibling = f"{_PREFIX}{module}.lora_B.weight"
        rank = adapter.tensors.entries[sibling].shape[1] if sibling in adapter.tensors.entries else 1
        return Change("bias", target, _scaling(adapter.config, module, rank), a=parts["bias"], start=start)
    if names == {"embedding_A", "embedding_B"}:
        rank = adapter.tensors.entries[parts["embedding_A"]].shape[0]
        scaling = _scaling(adapter.config, module, rank)
        a, b = parts["embedding_A"], parts["embedding_B"]
        return Change("embedding", target, scaling, a, b, transposed=True, start=start)
    if names in ({"A", "B"}, {"A", "B", "magnitude_vector"}):
        rank = adapter.tensors.entries[parts["A"]].shape[0]
        return Change(
            "lora",
            target,
            _scaling(adapter.config, module, rank),
            parts["A"],
            parts["B"],
            parts.get("magnitude_vector"),
            bool(adapter.config.get("fan_in_fan_out")),
            start,
        )
    return None


def _scaling(config: dict[str, Any], module: str, rank: int) -> float:
    """alpha / r, or alpha / sqrt(r) for rank-stabilised LoRA, with the module's own alpha where a pattern
    names it.
    """
    alpha = config.get("lora_alpha", 8)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            alpha = value
            break
    return float(alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank)


def _shape_problems(adapter: Adapter, base: Checkpoint, change: Change) -> list[str]:
    if (
        change.tensor not in base.entries
    ):  # a tied output layer has the embedding's shape, checked when it is read
        return []
    shape = base.entries[change.tensor].shape
    entries = adapter.tensors.entries
    if change.kind in {"replace", "bias"}:
        made: tuple[int, ...] = entries[change.a or ""].shape
    else:
        a, b = entries[change.a or ""].shape, entries[change.b or ""].shape
        made = (b[0], a[1]) if a[0] == b[1] else ()
        made = made[::-1] if change.transposed else made
    if made == shape:
        return []
    return [text("export.reason.shape", tensor=change.tensor, base=list(shape), adapter=list(made))]


def _reasons_against(config: dict[str, Any]) -> list[str]:
    kind = str(config.get("peft_type", "?")).upper()
    if kind != "LORA":
        return [text("export.reason.peft_type", kind=kind)]
    reasons = [text("export.reason.setting", name=name) for name in _REFUSED if config.get(name)]
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_BASE_CHANGING):
        reasons.append(text("export.reason.init", value=start))
    return reasons


def _bare(name: str) -> str:
    changed = True
    while changed:
        changed = False
        for wrapper in _WRAPPERS:
            if name.startswith(wrapper):
                name, changed = name[len(wrapper) :], True
    return name
