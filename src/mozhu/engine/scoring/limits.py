"""The limits of certificates, and why they are where they are."""

from __future__ import annotations

# An adapter whose largest logit change is below this has no effect that anybody could notice.
LEAST_EFFECT = 1e-3

# Merged and adapted model, both measured in float32: rounding only. Logits up to 10 may differ by 1e-4;
# larger ones in proportion, because float32 has a relative precision.
MERGE_MAX_ABS = 1e-4
_MERGE_AT = 10.0

# Merged weights that were rounded to 16 bits: nearly every next token must stay the same.
MERGE_TOP1_HALF = 0.98

# KL of (adapted, merged) over KL of (adapted, base): how much of what was learnt the merge lost.
MOST_EFFECT_LOST = 0.5

# A GGUF file against the model it was made from: mean KL in nats over the measured tokens. Measured on files of
# `mozhu convert`: of the starter (trained), and of tiny random models of width 256, which are the worst case.
#            F32    F16     BF16     Q8_0     Q6_K    Q5_K_M   Q4_K_M
# starter    0      1e-6    3e-5     0.0006   0.004   0.007    0.015
# random     0      1e-5    3e-4     0.003    0.023   0.059    0.19
GGUF_KL = {
    "F32": 1e-3,
    "F16": 5e-3,
    "BF16": 5e-3,
    "Q8_0": 2e-2,
    "Q6_K": 8e-2,
    "Q5_K_M": 0.15,
    "Q5_K_S": 0.2,
    "Q4_K_M": 0.5,
    "Q4_K_S": 0.6,
}
GGUF_KL_OTHER = 0.6
# And the share of positions with the same most likely token.
GGUF_TOP1 = {"F32": 0.99, "F16": 0.98, "BF16": 0.97}

# How much text a certificate is measured on: keeps the logits of a 150,000-token vocabulary below 0.4 GB.
MOST_TOKENS = 640


def merge_max_abs(largest_logit: float) -> float:
    return MERGE_MAX_ABS * max(1.0, largest_logit / _MERGE_AT)
