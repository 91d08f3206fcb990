"""Values that a spec leaves to the model: learning rate, length, target modules."""

from __future__ import annotations

import re

from mozhu.engine.weights.folder import ModelFolder
from mozhu.specs.train import TrainSpec

# These put something of their own before or beside a row's tokens, so that rows cannot be laid end to end.
WITH_OWN_INPUTS = ("prefix", "multimodal")
_LONGEST_DEFAULT = 2048
_FULL_SHARE = 0.1  # a full fine-tune wants about a tenth of LoRA's rate
_BLOCK_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Weights of two sides inside a block that no adapter belongs on: they choose experts.
_ROUTERS = {"gate", "router", "shared_expert_gate", "classifier"}
_LIKE_EXPERTS = {"gate_proj", "up_proj", "down_proj", "gate_up_proj", "w1", "w2", "w3"}
# In a file with a tensor for each expert: the half of the gated parameter whose A is counted with the other half.
_GATED = {"up_proj", "w3"}
# Their fused kernels read these weights past an adapter (PEFT refuses them).
_NEVER = dict.fromkeys(("mamba", "mamba2", "falcon_mamba", "falcon_h1"), ("out_proj", "conv1d"))
_IN_BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.\d+\.")
_SEEING = re.compile(r"(?:^|\.)(?:visual|vision_tower|vision_model|multi_modal_projector)\.")
_LINEAR_ENDS = (".weight", ".qweight")

# IA3 scales keys, values and what the feed-forward layers read.
_FEED_FORWARD = ("down_proj", "c_proj", "dense_4h_to_h", "fc2", "w2")
_IA3_WITH = ("k_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn", "W_pack", "wqkv", "kv_b_proj")


def learning_rate(spec: TrainSpec, model: ModelFolder) -> float:
    """The spec's rate, else one from the model's width.

    LoRA: 5e-4 x (2000 / hidden size)^0.775, the fit of "LoRA Without Regret" (Schulman et al., 2025) for Qwen
    models; a tenth of it when every weight is trained.
    """
    if spec.learning_rate is not None:
        return spec.learning_rate
    width = int(model.text_config.get("hidden_size") or model.text_config.get("n_embd") or 2000)
    rate = float(5e-4 * (2000 / width) ** 0.775)
    return float(f"{rate * (_FULL_SHARE if spec.train_type == 'full' else 1.0):.2g}")


def max_length(spec: TrainSpec, model: ModelFolder) -> int:
    """Most tokens a row: the spec's, else the model's own limit, at most 2,048."""
    limit = model.max_length or _LONGEST_DEFAULT
    return min(spec.max_length, limit) if spec.max_length else min(limit, _LONGEST_DEFAULT)


def target_modules(spec: TrainSpec, model: ModelFolder) -> list[str]:
    """The modules to train: the spec's, else every linear layer of the language model's blocks, found in the files.

    Of a mixture of experts only the attention: experts are whole parameters in transformers, and PEFT takes layers
    named like theirs (shared experts, dense blocks) for them.
    """
    if spec.target_modules:
        return list(spec.target_modules)
    found = {name.split(".")[-2] for name in block_linears(model)} - _ROUTERS
    found -= set(_NEVER.get(model.family, ()))
    if any(map(is_expert, model.tensors)):
        found -= _LIKE_EXPERTS
    return [name for name in _BLOCK_LINEAR if name in found] + sorted(found - set(_BLOCK_LINEAR))


def block_linears(model: ModelFolder) -> list[str]:
    """The tensors of linear layers that can be adapted: of two sides, in a block, no expert's and no vision tower's."""
    return [
        name
        for name, info in model.tensors.items()
        if name.endswith(_LINEAR_ENDS)
        and len(info.shape) == 2
        and _IN_BLOCK.search(name)
        and not is_expert(name)
        and not _SEEING.search(name)
    ]


def is_expert(name: str) -> bool:
    return ".experts." in name


def expert_lora_parameters(model: ModelFolder, rank: int) -> int:
    """LoRA on every expert, r x (in + out) each; the gate and what it gates are one parameter, with one A for both."""
    found = 0
    for name, info in model.tensors.items():
        part = name.removesuffix(".weight").rpartition(".")[2]
        if not is_expert(name) or part.endswith("bias"):
            continue
        if len(info.shape) == 3:
            found += info.shape[0] * (info.shape[1] + info.shape[2])
        elif len(info.shape) == 2:
            found += info.shape[0] if part in _GATED else sum(info.shape)
    return rank * found


def missing_modules(spec: TrainSpec, model: ModelFolder) -> list[str]:
    """Modules that the spec names and the model does not have as layers of their own."""
    present = {part for name in model.tensors if not is_expert(name) for part in name.split(".")}
    return [name for name in spec.target_modules if name.split(".")[-1] not in present]


def ia3_modules(spec: TrainSpec, model: ModelFolder) -> tuple[list[str], list[str]]:
    """The layers that IA3 scales, and which of them where they read instead of where they write (Liu et al., 2022)."""
    targets = target_modules(spec, model)
    forward = [name for name in targets if name in _FEED_FORWARD]
    chosen = list(spec.target_modules) or [name for name in targets if name in _IA3_WITH] + forward
    return chosen, [name for name in chosen if name in _FEED_FORWARD]


def ia3_parameters(spec: TrainSpec, model: ModelFolder) -> int:
    """A number for each output of a scaled layer, or for each input where it is scaled there."""
    chosen, forward = ia3_modules(spec, model)
    shapes = {name: model.tensors[name].shape for name in block_linears(model)}
    return sum(
        shape[1] if name.split(".")[-2] in forward else shape[0]
        for name, shape in shapes.items()
        if name.split(".")[-2] in chosen
    )
