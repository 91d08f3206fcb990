"""Which type each tensor gets: llama.cpp's own mixtures (``llama-quant.cpp``), so that a file of ours and
one of ``llama-quantize`` have the same types.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import gguf

from mozhu.specs.export import Quantization

Type = gguf.GGMLQuantizationType
# The type that most tensors get, and the file's own number.
TARGETS: dict[Quantization, tuple[Type, gguf.LlamaFileType]] = {
    "F32": (Type.F32, gguf.LlamaFileType.ALL_F32),
    "F16": (Type.F16, gguf.LlamaFileType.MOSTLY_F16),
    "BF16": (Type.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "Q8_0": (Type.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "Q6_K": (Type.Q6_K, gguf.LlamaFileType.MOSTLY_Q6_K),
    "Q5_K_M": (Type.Q5_K, gguf.LlamaFileType.MOSTLY_Q5_K_M),
    "Q5_K_S": (Type.Q5_K, gguf.LlamaFileType.MOSTLY_Q5_K_S),
    "Q4_K_M": (Type.Q4_K, gguf.LlamaFileType.MOSTLY_Q4_K_M),
    "Q4_K_S": (Type.Q4_K, gguf.LlamaFileType.MOSTLY_Q4_K_S),
}
_PLAIN = {Type.F32, Type.F16, Type.BF16}
# Blocks of 256 do not fit a row: the neighbour with blocks of 32.
_FALLBACK = {Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0}
_LAYER = re.compile(r"^blk\.(\d+)\.")


class Mix:
    """Chooses types for one model.

    Args:
        tied: There is no output layer of its own; the embedding then counts as one.
        large: 80 layers with grouped heads (llama.cpp's ``LLM_TYPE_70B``).
    """

    def __init__(self, quantization: Quantization, *, layers: int, tied: bool, large: bool) -> None:
        self.quantization = quantization
        self.target = TARGETS[quantization][0]
        self._layers, self._tied, self._large = layers, tied, large

    def choose(self, name: str, shape: Sequence[int]) -> Type:
        """The type of tensor ``name``; ``shape`` with the row length last."""
        if len(shape) < 2 or not name.endswith("weight") or "_norm.weight" in name:
            return Type.F32
        if self.target in _PLAIN:
            return self.target
        return _fitting(self._wanted(name, shape[-1]), shape[-1])

    def _wanted(self, name: str, row: int) -> Type:
        if name == "output.weight" or (self._tied and name == "token_embd.weight"):
            if row % _block(self.target) or self.target is Type.Q8_0:
                return Type.Q8_0
            return Type.Q6_K
        if self.target not in (Type.Q4_K, Type.Q5_K):
            return self.target
        match = _LAYER.match(name)
        layer = int(match[1]) if match else 0
        if name.endswith("attn_v.weight"):
            return self._attention_value(layer)
        if name.endswith("ffn_down.weight"):
            return self._feed_forward_down(layer)
        return self.target

    def _attention_value(self, layer: int) -> Type:
        wanted = self.target
        if self.quantization.endswith("_M") and self._more_bits(layer):
            wanted = Type.Q6_K
        elif self.quantization == "Q4_K_S" and layer < 4:
            wanted = Type.Q5_K
        return Type.Q5_K if self._large and wanted is Type.Q4_K else wanted

    def _feed_forward_down(self, layer: int) -> Type:
        if self.quantization.endswith("_M") and self._more_bits(layer):
            return Type.Q6_K
        if self.quantization == "Q4_K_S" and layer < self._layers // 8:
            return Type.Q5_K
        return self.target

    def _more_bits(self, layer: int) -> bool:
        """The first and the last eighth of the layers, and every third between."""
        eighth = self._layers // 8
        return layer < eighth or layer >= 7 * self._layers // 8 or (layer - eighth) % 3 == 2


def _fitting(wanted: Type, row: int) -> Type:
    if row % _block(wanted) == 0:
        return wanted
    other = _FALLBACK.get(wanted, Type.F16)
    return other if row % _block(other) == 0 else Type.F16


def _block(kind: Type) -> int:
    return gguf.GGML_QUANT_SIZES[kind][0]
