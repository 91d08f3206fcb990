"""Writing one GGUF file, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from mozhu.engine.export.checkpoint import Checkpoint, open_checkpoint
from mozhu.engine.export.gguf.families import Family, Shape, add_hyperparameters, find_family, read_shape
from mozhu.engine.export.gguf.mix import TARGETS, Mix
from mozhu.engine.export.gguf.tensors import Planned, plan_tensors, tensor_bytes
from mozhu.engine.export.gguf.vocab import Vocab, add_vocab, read_vocab
from mozhu.engine.export.steps import Steps
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.progress import Emit
from mozhu.specs.export import Quantization

_QUANTIZATION_VERSION = 2
_PLAIN = {"F32", "F16", "BF16"}


@dataclass
class GgufPlan:
    """All that is known of the file before its first byte is written."""

    model: ModelFolder
    checkpoint: Checkpoint
    family: Family
    shape: Shape
    vocab: Vocab
    tensors: list[Planned]
    quantization: Quantization
    name: str

    @property
    def size_bytes(self) -> int:
        """About the size of the file: its tensors and its vocabulary."""
        return sum(plan.size_bytes + 96 for plan in self.tensors) + 48 * len(self.vocab.tokens)


def plan_gguf(model: ModelFolder, quantization: Quantization, name: str) -> GgufPlan:
    """Check everything that can be checked without reading a weight.

    Raises:
        UnsupportedFamily: EXPORT-008. UnsupportedModelSetting: EXPORT-009. UnsupportedTokenizer: EXPORT-010.
    """
    family = find_family(model.config, model.path)
    shape = read_shape(model.config, family, model.path)
    checkpoint = open_checkpoint(model.shards)
    tied = model.tied or "lm_head.weight" not in checkpoint.entries
    large = shape.layers == 80 and shape.heads != shape.kv_heads and family.arch in _LARGE
    mix = Mix(quantization, layers=shape.layers, tied=tied, large=large)
    tensors = plan_tensors(checkpoint, family, shape, mix, model.path, tied=tied)
    rows = next(plan.shape[0] for plan in tensors if plan.name == "token_embd.weight")
    vocab = read_vocab(model.path, model.config, rows)
    return GgufPlan(model, checkpoint, family, shape, vocab, tensors, quantization, name)


_LARGE = {gguf.MODEL_ARCH.LLAMA, gguf.MODEL_ARCH.QWEN2}


def write_gguf(plan: GgufPlan, path: Path, emit: Emit, note: Callable[[str, object], None]) -> None:
    """Write the file at ``path``; the caller makes that atomic. ``note`` hears of narrowed settings."""
    writer = gguf.GGUFWriter(str(path), gguf.MODEL_ARCH_NAMES[plan.family.arch])
    try:
        _add_general(writer, plan)
        add_hyperparameters(writer, plan.model.config, plan.family, plan.shape, plan.model.path, note)
        add_vocab(writer, plan.vocab)
        for tensor in plan.tensors:
            _add_info(writer, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        steps = Steps(emit, len(plan.tensors), sum(tensor.size_bytes for tensor in plan.tensors))
        for tensor in plan.tensors:
            writer.write_tensor_data(tensor_bytes(plan.checkpoint, tensor, plan.model.path))
            steps.done(tensor.name, tensor.size_bytes)
    finally:
        writer.close()


def _add_general(writer: gguf.GGUFWriter, plan: GgufPlan) -> None:
    parameters = sum(int(np.prod(tensor.shape)) for tensor in plan.tensors)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(plan.name)
    writer.add_size_label(gguf.size_label(parameters, parameters, 0, 0))
    writer.add_file_type(TARGETS[plan.quantization][1])
    if plan.quantization not in _PLAIN:
        writer.add_quantization_version(_QUANTIZATION_VERSION)
    writer.add_vocab_size(len(plan.vocab.tokens))


def _add_info(writer: gguf.GGUFWriter, plan: Planned) -> None:
    plain = {gguf.GGMLQuantizationType.F32: np.float32, gguf.GGMLQuantizationType.F16: np.float16}
    if plan.kind in plain:
        writer.add_tensor_info(plan.name, plan.shape, np.dtype(plain[plan.kind]), plan.size_bytes, plan.kind)
        return
    block, size = gguf.GGML_QUANT_SIZES[plan.kind]
    byte_shape = (*plan.shape[:-1], plan.shape[-1] // block * size)
    writer.add_tensor_info(plan.name, byte_shape, np.dtype(np.uint8), plan.size_bytes, plan.kind)
