"""A written GGUF file, opened again: it holds what its source holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from mozhu.engine.export.gguf.write import GgufPlan
from mozhu.kernel.errors import ReadBackFailed
from mozhu.kernel.texts import text

_SHOWN = 8


class _Reader(gguf.GGUFReader):
    """The reference reader over a plain view of the file: slices of a memmap take half of its time."""

    def _get(self, *arguments: Any, **named: Any) -> Any:
        if isinstance(self.data, np.memmap):
            self.data = np.asarray(self.data)  # type: ignore[assignment]
        return super()._get(*arguments, **named)


def open_gguf(path: Path) -> gguf.GGUFReader:
    """The file's keys and tensors; tensors lie in the file until they are read."""
    return _Reader(path)


def check_gguf(path: Path, plan: GgufPlan, *, shown_path: Path) -> None:
    """Every tensor is there with its shape and type; vocabulary, end token and template are the source's.

    Raises:
        ReadBackFailed: EXPORT-011, listing every difference.
    """
    reader = _Reader(path)
    found = {tensor.name: tensor for tensor in reader.tensors}
    wanted = {tensor.name: tensor for tensor in plan.tensors}
    odd = sorted(found.keys() ^ wanted.keys())
    differences: list[tuple[str, object, object]] = [(name, name in found, name in wanted) for name in odd]
    for name in found.keys() & wanted.keys():
        shape = tuple(int(length) for length in reversed(found[name].shape))
        same = shape == wanted[name].shape and found[name].tensor_type == wanted[name].kind
        if not same or found[name].n_bytes != wanted[name].size_bytes:
            differences.append((name, f"{shape} {found[name].tensor_type.name}", str(wanted[name].shape)))

    for name, value, source in _keys(reader, plan):
        if value != source:
            differences.append((name, value, source))
    if differences:
        checks = [text("export.check.differs", name=n, found=f, wanted=w) for n, f, w in differences[:_SHOWN]]
        raise ReadBackFailed(path=str(shown_path), checks=checks)


def _keys(reader: gguf.GGUFReader, plan: GgufPlan) -> list[tuple[str, object, object]]:
    rows = next(tensor.shape[0] for tensor in plan.tensors if tensor.name == "token_embd.weight")
    tokens = reader.fields["tokenizer.ggml.tokens"]
    template = reader.fields.get("tokenizer.chat_template")
    return [
        ("tokenizer.ggml.tokens", len(tokens.data), rows),
        (
            "tokenizer.ggml.eos_token_id",
            reader.fields["tokenizer.ggml.eos_token_id"].contents(),
            plan.vocab.stops.eos,
        ),
        ("tokenizer.chat_template", template.contents() if template else None, plan.vocab.template),
        ("general.architecture", reader.fields["general.architecture"].contents(), _arch(plan)),
    ]


def _arch(plan: GgufPlan) -> str:
    return gguf.MODEL_ARCH_NAMES[plan.family.arch]
