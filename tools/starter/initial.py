"""The starting weights: random, except for a small circuit that copies.

Copying means: find where the current token stood before, and say what came after it.  A model this small
needs many times the training below to find that out from random weights; with the circuit in place it
copies from the first step, and training only has to sharpen it.  Two layers take part: in the first, two
heads look one position back (by their biases and the rotary embedding alone) and write down a sketch of the
token they see; in the third, two heads look for the position whose sketch matches the current token and pass
on the token that stands there.
"""

from __future__ import annotations

import math
from typing import Any

import torch

EMBEDDING = 0.1  # standard deviation: large enough for the tied output to tell 5,500 tokens apart
BACK = 60.0  # how sharply the first layer's heads look one position back
MATCH = 3.0  # how sharply the third layer's heads match
PASS_ON = 2.0  # how loudly they pass on what they found
TURNING = 8  # rotary pairs that tell neighbouring positions apart
STEADY = 12  # rotary pairs from here on hardly turn over a few dozen positions: contents are matched there


def _orthogonal(size: int) -> torch.Tensor:
    matrix: torch.Tensor = torch.linalg.qr(torch.randn(size, size))[0]
    return matrix


@torch.no_grad()
def initialise(model: Any) -> None:
    """Set the starting weights of a Qwen2 model in place, from torch's global random generator."""
    hidden, theta = model.config.hidden_size, model.config.rope_parameters["rope_theta"]
    model.model.embed_tokens.weight.normal_(0.0, EMBEDDING)
    look, find = model.model.layers[0].self_attn, model.model.layers[2].self_attn
    size = look.head_dim
    half, shared = size // 2, model.config.num_attention_heads // model.config.num_key_value_heads
    wide = size * model.config.num_key_value_heads
    sketch, mark = _orthogonal(hidden)[:wide], _orthogonal(hidden)[:, :wide]
    token = _orthogonal(hidden)[:wide]

    turn = theta ** (-torch.arange(TURNING) / half)
    amount = math.sqrt(BACK)
    key, query = torch.zeros(size), torch.zeros(size)
    key[:TURNING] = amount
    query[:TURNING], query[half : half + TURNING] = amount * torch.cos(turn), -amount * torch.sin(turn)
    steady = torch.ones(size, 1)
    steady[:STEADY], steady[half : half + STEADY] = 0.0, 0.0
    written = math.sqrt(EMBEDDING / 0.7)  # the sketch is about as large as the token's own embedding

    for group in range(model.config.num_key_value_heads):
        kv = slice(group * size, (group + 1) * size)
        head = slice(group * shared * size, (group * shared + 1) * size)
        look.q_proj.weight[head] *= 0.25
        look.k_proj.weight[kv] *= 0.25
        look.q_proj.bias[head], look.k_proj.bias[kv] = query, key
        look.v_proj.weight[kv] = sketch[kv] * written
        look.o_proj.weight[:, head] = mark[:, kv] * written
        find.q_proj.weight[head] = sketch[kv] * steady * MATCH
        find.k_proj.weight[kv] = mark[:, kv].T * steady * MATCH
        find.v_proj.weight[kv] = token[kv] * math.sqrt(PASS_ON)
        find.o_proj.weight[:, head] = token[kv].T * math.sqrt(PASS_ON)
