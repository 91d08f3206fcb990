"""What an adapter does to which tensor of its base, planned from the headers of both."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, Literal

from mozhu.engine.export.adapter import PREFIX, Adapter
from mozhu.engine.export.expert_plan import ExpertPart, plan_experts
from mozhu.engine.export.names import EMBEDDINGS, HEADS, BaseNames
from mozhu.kernel.errors import AdapterMismatch
from mozhu.kernel.texts import text

_PART = re.compile(
    r"^(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)"
    r"(?P<tail>\.weight|\.bias)?$"
)
_TOKENS = re.compile(r"^(?P<module>.+?)(?:\.token_adapter)?\.trainable_tokens_delta$")
_SCALE = re.compile(r"^(?P<module>.+)\.ia3_l$")
# Families whose layers hold their weights as (in, out); there a square weight does not show it.
TRANSPOSED_FAMILIES = ("gpt2", "openai-gpt", "imagegpt", "decision_transformer")
_SHOWN = 8

Kind = Literal["lora", "embedding", "bias", "replace", "tokens", "scale", "expert"]


@dataclass(frozen=True)
class Change:
    """What happens to one tensor of the base; the other fields are keys of the adapter's file.

    ``lora``: W + scaling·B·A (with ``magnitude``: DoRA). ``embedding``: W + scaling·(B·A)ᵀ. ``bias``: b + scaling·b'.
    ``replace``: the adapter's own tensor. ``tokens``: the rows ``indices`` give way. ``scale``: IA3, times ``a``, by
    row or by column. ``expert``: ``part`` of a stack of matrices. ``start``: what to take for W where the adapter
    holds it too. ``transposed``: the base holds (in, out).
    """

    kind: Kind
    tensor: str
    adapter: Adapter
    scaling: float = 1.0
    a: str | None = None
    b: str | None = None
    magnitude: str | None = None
    transposed: bool = False
    start: str | None = None
    indices: tuple[int, ...] = ()
    by_row: bool = False
    part: ExpertPart | None = None

    def weighed(self, weight: float) -> Change:
        """The same change ``weight`` times as strong."""
        return self if weight == 1.0 else replace(self, scaling=self.scaling * weight)

    def moved(self, tensor: str) -> Change:
        """The same change of another tensor, which is the same weight under another name."""
        return replace(self, tensor=tensor)


def plan_changes(adapter: Adapter, names: BaseNames, family: str = "") -> dict[str, Change]:
    """What the adapter does, by the base's names of its tensors; each tensor of the adapter is used exactly once.

    Raises:
        AdapterMismatch: EXPORT-004, listing every name and shape that does not fit the base.
    """
    return _Planning(adapter, names, family).changes()


class _Planning:
    def __init__(self, adapter: Adapter, names: BaseNames, family: str) -> None:
        self.adapter, self.names, self.family = adapter, names, family
        self.problems: list[str] = []
        self.used: set[str] = set()
        self.found: dict[str, Change] = {}

    def changes(self) -> dict[str, Change]:
        left = dict.fromkeys(self.adapter.tensors.entries)
        parts, problems = plan_experts(self.adapter, self.names)
        self.problems += problems
        for part in parts:
            changes = [
                Change("expert", tensor, self.adapter, part.scaling, part.a, part.b, part=part)
                for tensor in part.tensors
            ]
            self._take(changes, {part.a, part.b}, part.module, {"experts": part.a})
        for key in self.used:
            left.pop(key, None)
        for wanted, found in sorted(self._grouped(list(left)).items()):
            target = self.names.find(wanted)
            if target is None:
                self.problems.append(text("export.reason.not_in_base", tensor=wanted))
                continue
            self._take(self._changes_of(target, wanted, found), set(found.values()), wanted, found)
        unused = set(self.adapter.tensors.entries) - self.used
        if self.problems:
            shown = self.problems[:_SHOWN]
            raise AdapterMismatch(path=str(self.adapter.folder), count=len(self.problems), problems=shown)
        assert not unused, f"tensors of the adapter that nothing uses: {sorted(unused)[:3]}"
        return self.found

    def _take(self, changes: list[Change], keys: set[str], wanted: str, parts: dict[str, str]) -> None:
        taken = not changes or any(change.tensor in self.found for change in changes) or keys & self.used
        if taken:
            self.problems.append(
                text("export.reason.odd_parts", tensor=wanted, parts=", ".join(sorted(parts)))
            )
            return
        for change in changes:
            self.problems += self._shape_problems(change)
            self.found[change.tensor] = change
        self.used |= keys

    def _grouped(self, keys: list[str]) -> dict[str, dict[str, str]]:
        """By the tensor of the base that is meant: the adapter's keys by the part they play."""
        grouped: dict[str, dict[str, str]] = defaultdict(dict)
        for key in keys:
            name = key.removeprefix(PREFIX).replace(".base_layer.", ".")
            if match := _PART.match(name):
                bias = match["tail"] == ".bias"
                part = match["part"].removeprefix("lora_")
                grouped[match["module"] + (".bias" if bias else ".weight")]["bias" if bias else part] = key
            elif match := _TOKENS.match(name):
                grouped[match["module"] + ".weight"]["tokens"] = key
            elif match := _SCALE.match(name):
                grouped[match["module"] + ".weight"]["scale"] = key
            else:
                grouped[name]["replace"] = key
        return grouped

    def _changes_of(self, target: str, wanted: str, parts: dict[str, str]) -> list[Change]:
        """Empty where ``parts`` make no sense together."""
        adapter, module = self.adapter, wanted.rpartition(".")[0]
        names = set(parts)
        if names == {"replace"}:
            return [Change("replace", target, adapter, a=parts["replace"])]
        start = parts.get("replace")  # PEFT saves an embedding's weight beside its LoRA
        names.discard("replace")
        if names == {"scale"}:
            return self._scales(target, module, parts["scale"])
        if names == {"tokens"}:
            indices = self._token_indices(module)
            return [Change("tokens", target, adapter, a=parts["tokens"], start=start, indices=indices)]
        if names == {"bias"}:
            sibling = f"{PREFIX}{module}.lora_B.weight"
            rank = adapter.shape(sibling)[1] if sibling in adapter.tensors.entries else 1
            scaling = adapter.scaling(module, rank)
            return [Change("bias", target, adapter, scaling, a=parts["bias"], start=start)]
        magnitude = parts.get("magnitude_vector")
        names.discard("magnitude_vector")
        if names == {"embedding_A", "embedding_B"}:
            a, b = parts["embedding_A"], parts["embedding_B"]
            scaling = adapter.scaling(module, adapter.shape(a)[0])
            return [Change("embedding", target, adapter, scaling, a, b, magnitude, True, start)]
        if names == {"A", "B"}:
            a, b = parts["A"], parts["B"]
            scaling = adapter.scaling(module, adapter.shape(a)[0])
            turned = self._transposed(target, adapter.shape(b)[0], adapter.shape(a)[1])
            return [Change("lora", target, adapter, scaling, a, b, magnitude, turned, start)]
        return []

    def _scales(self, target: str, module: str, key: str) -> list[Change]:
        """IA3 multiplies what a layer gives (out, 1), its bias too, or what it is given (1, in)."""
        shape = self.adapter.shape(key)
        size = math.prod(shape)
        gives = len(shape) == 2 and shape[1] == 1 and size > 1
        base = self._shape(target)
        out, into = (size, base[-1]) if gives else (base[0], size)
        by_row = gives != self._transposed(target, out, into)
        changes = [Change("scale", target, self.adapter, a=key, by_row=by_row)]
        bias = self.names.find(f"{module}.bias") if gives else None
        if bias is not None:
            changes.append(Change("scale", bias, self.adapter, a=key, by_row=True))
        return changes

    def _token_indices(self, module: str) -> tuple[int, ...]:
        config = self.adapter.config
        told: Any = config.get("trainable_token_indices") or config.get("token_indices") or ()
        if isinstance(told, dict):
            told = next((rows for name, rows in told.items() if f".{module}".endswith(f".{name}")), ())
        return tuple(told)

    def _transposed(self, target: str, out: int, into: int) -> bool:
        """Whether the base holds this weight as (in, out)."""
        shape = self._shape(target)
        if len(shape) != 2 or target.endswith((*HEADS, *EMBEDDINGS)):
            return False
        if out != into:
            return shape == (into, out)
        return self.family in TRANSPOSED_FAMILIES or bool(self.adapter.config.get("fan_in_fan_out"))

    def _shape(self, target: str) -> tuple[int, ...]:
        """A tied output layer has the embedding's shape."""
        name = target if target in self.names.base.entries else self.names.embedding or ""
        return self.names.base.entries[name].shape

    def _shape_problems(self, change: Change) -> list[str]:
        if change.part is not None:
            return []
        shape, made = self._shape(change.tensor), self._made(change)
        fits = math.prod(made) == math.prod(shape) and made[:1] == shape[:1]
        if change.kind == "tokens":
            rows = self.adapter.shape(change.a or "")
            fits = rows == (len(change.indices), *shape[1:]) and max(change.indices, default=-1) < shape[0]
        elif change.kind == "scale":
            fits = math.prod(made) == (shape[0] if change.by_row else shape[-1])
        elif change.kind in {"replace", "bias"} or len(shape) == 2:
            fits = made == shape
        if fits and change.magnitude is not None:
            fits = math.prod(self.adapter.shape(change.magnitude)) == shape[1 if change.transposed else 0]
        if fits:
            return []
        return [text("export.reason.shape", tensor=change.tensor, base=list(shape), adapter=list(made))]

    def _made(self, change: Change) -> tuple[int, ...]:
        """The shape of what the adapter has for the tensor; of a convolution (out, rank, 1, 1) and (rank, in, …)."""
        if change.b is None:
            return self.adapter.shape(change.a or "")
        a, b = self.adapter.shape(change.a or ""), self.adapter.shape(change.b)
        made = (b[0], *a[1:]) if a[0] == b[1] else ()
        return made[::-1] if change.transposed else made
