"""Names of the same tensor in an adapter and in a checkpoint, which differ in the names of wrappers."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

from mozhu.engine.export.checkpoint import Checkpoint

HEADS = ("lm_head.weight", "embed_out.weight")
EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "word_embeddings.weight",
    "embed_in.weight",
    "tok_embeddings.weight",
)
_WRAPPERS = ("model.", "language_model.", "transformer.", "gpt_neox.")


class BaseNames:
    """The tensors of a base by the names that an adapter gives them."""

    def __init__(self, base: Checkpoint, *, tied: bool) -> None:
        self.base = base
        self.embedding = next((name for name in base.entries if name.endswith(EMBEDDINGS)), None)
        # A tied output layer is a target although the checkpoint holds its tensor under the embedding's name only.
        self.tied = tied and self.embedding is not None

    def find(self, wanted: str) -> str | None:
        """The base's name for ``wanted``: the same, or the only one that differs in its wrappers' names."""
        if wanted in self.base.entries or (self.tied and wanted in HEADS):
            return wanted
        found = self._bare.get(bare(wanted), [])
        return found[0] if len(found) == 1 else None

    @property
    def head(self) -> str | None:
        """The output layer's tensor: the one there is, or the name it would have were it not tied."""
        own = next((name for name in self.base.entries if name.endswith(HEADS)), None)
        return own or (HEADS[0] if self.tied else None)

    @cached_property
    def _bare(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.base.entries:
            found[bare(name)].append(name)
        return found


def bare(name: str) -> str:
    """``name`` without the wrappers at its beginning."""
    changed = True
    while changed:
        changed = False
        for wrapper in _WRAPPERS:
            if name.startswith(wrapper):
                name, changed = name[len(wrapper) :], True
    return name
