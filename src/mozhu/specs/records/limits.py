"""The limits of certificates: one table for who measures and for who judges, and why they are where they are.

A limit depends on the check, on the kind of the certificate and on what the check itself states beside its value:
``largest`` (the largest logit), ``reference`` (what rounding alone does to the source, measured on the same model and
the same text), ``type`` (of a quantised file). Who judges a certificate computes the limit anew from these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

# An adapter whose largest logit change is below this has no effect that anybody could notice.
LEAST_EFFECT = 1e-3

# Two models that are the same, both measured in float32: rounding only. Logits up to 10 may differ by 1e-4;
# larger ones in proportion, because float32 has a relative precision.
MERGE_MAX_ABS = 1e-4
_MERGE_AT = 10.0

# Weights that were rounded to 16 bits: nearly every next token must stay the same. Of a model with near-flat
# predictions (random weights) correct rounding alone can change more: then twice as many as that, measured on the
# same model, and never more than a tenth.
MERGE_TOP1_HALF = 0.98
LEAST_TOP1 = 0.9
# And the distance (mean KL in nats) may be so many times that of correct rounding, or this small.
HALF_KL_FLOOR = 5e-3
HALF_KL_TIMES = 4.0

# KL of (adapted, merged) over KL of (adapted, base): how much of what was learnt the merge lost.
MOST_EFFECT_LOST = 0.5

# A GGUF file against the model it was made from: mean KL in nats over the measured tokens. What quantisation does
# to a model depends on the model, so the limit is a multiple of the reference: the KL between the source and the
# source with its own weights quantised to the same types, which is computed without the file. llama.cpp also rounds
# activations, which the reference does not: measured, a correct file lies at 1.7 to 2.2 times the reference (Q8_0),
# 1.1 (Q6_K) and 1.0 to 1.1 (Q5_K_M, Q4_K_M), on trained and on random weights alike. Below it a floor, for types
# that hardly round.
GGUF_KL_TIMES = 3.0
GGUF_KL_FLOOR = {
    "F32": 1e-4,
    "F16": 1e-3,
    "BF16": 5e-3,
    "Q8_0": 2e-3,
    "Q6_K": 5e-3,
    "Q5_K_M": 5e-3,
    "Q5_K_S": 5e-3,
    "Q4_K_M": 5e-3,
    "Q4_K_S": 5e-3,
    "INT8": 5e-3,
    "INT4": 1e-2,
}
# Above this a model is no longer what it was, whatever the reference says; it is also the limit where there is no
# reference (an architecture that `mozhu convert` does not write).
GGUF_KL = {
    "F32": 1e-3,
    "F16": 5e-3,
    "BF16": 2e-2,
    "Q8_0": 0.1,
    "Q6_K": 0.2,
    "Q5_K_M": 0.4,
    "Q5_K_S": 0.4,
    "Q4_K_M": 0.8,
    "Q4_K_S": 0.8,
    "INT8": 0.2,
    "INT4": 0.8,
}
GGUF_KL_OTHER = 0.8
# And the share of positions with the same most likely token.
GGUF_TOP1 = {"F32": 0.99, "F16": 0.98, "BF16": 0.97}

# The mean log-likelihood of the measured text may change by the KL limit and by this many standard deviations of
# what such a KL lets it change by chance (the variance of a log-ratio is about twice its KL).
PERPLEXITY_DEVIATIONS = 4.0

# float16 holds no larger number.
LARGEST_HALF = 65504.0

# How much text a certificate is measured on: keeps the logits of a 150,000-token vocabulary below 0.6 GB.
MOST_TOKENS = 640
REAL_TOKENS = 256

Direction = Literal["at_most", "at_least", "equal"]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """``limit`` is a number, or a function of the kind of certificate and the facts that a check states."""

    direction: Direction
    limit: float | bool | None | Callable[[str, Facts], float | None]

    def limit_of(self, kind: str, facts: Facts) -> float | bool | None:
        return self.limit(kind, facts) if callable(self.limit) else self.limit


def merge_max_abs(largest_logit: float) -> float:
    return MERGE_MAX_ABS * max(1.0, largest_logit / _MERGE_AT)


def top1_limit(least: float, reference: float | None) -> float:
    """At least ``least``; where correct rounding alone keeps less, twice what it changes, and a tenth at most."""
    if reference is None:
        return least
    return min(least, max(LEAST_TOP1, 1.0 - 2.0 * (1.0 - reference)))


def gguf_kl_limit(kind: str | None, reference: float | None) -> float:
    """The limit for a file of type ``kind`` whose reference was measured, or not."""
    most = GGUF_KL.get(str(kind), GGUF_KL_OTHER)
    if reference is None:
        return most
    return min(most, max(GGUF_KL_FLOOR.get(str(kind), 1e-2), GGUF_KL_TIMES * reference))


def perplexity_limit(kl_limit: float, positions: int) -> float:
    """In nats of mean log-likelihood: the logarithm of the ratio of two perplexities."""
    return kl_limit + PERPLEXITY_DEVIATIONS * math.sqrt(2.0 * kl_limit / max(positions, 1))


def _max_abs(kind: str, facts: Facts) -> float:
    return merge_max_abs(float(facts.get("largest", 1000.0)))


def _top1(kind: str, facts: Facts) -> float:
    least = GGUF_TOP1.get(str(facts.get("type")), LEAST_TOP1) if kind == "gguf" else MERGE_TOP1_HALF
    return top1_limit(least, facts.get("reference"))


def _kl(kind: str, facts: Facts) -> float:
    reference = facts.get("reference")
    if kind in ("gguf", "quantised"):
        return gguf_kl_limit(facts.get("type"), reference)
    return max(HALF_KL_FLOOR, HALF_KL_TIMES * float(reference or 0.0))


def _perplexity(kind: str, facts: Facts) -> float:
    return perplexity_limit(_kl(kind, facts), int(facts.get("positions", 1)))


RULES: dict[str, Rule] = {
    "base_fingerprint": Rule("equal", True),
    "tensors_finite": Rule("at_most", 0),
    "targets_matched": Rule("at_most", 0),
    "tensors_matched": Rule("at_most", 0),
    "tensors_rounded": Rule("at_most", 0),
    "tensors_equal": Rule("at_most", 0),
    "tensors_changed": Rule("at_least", 1),
    "tying_equal": Rule("equal", True),
    "config_equal": Rule("at_most", 0),
    "adapter_effect": Rule("at_least", LEAST_EFFECT),
    "training_effect": Rule("at_least", LEAST_EFFECT),
    "scores_differ": Rule("at_least", LEAST_EFFECT),
    "max_abs_logit_difference": Rule("at_most", _max_abs),
    "top1_agreement": Rule("at_least", _top1),
    "kl_mean": Rule("at_most", _kl),
    "perplexity_difference": Rule("at_most", _perplexity),
    "effect_lost": Rule("at_most", MOST_EFFECT_LOST),
    "activations_in_range": Rule("at_most", LARGEST_HALF),
    "stop_ids_equal": Rule("equal", None),
    "vocabulary_equal": Rule("at_most", 0),
    "template_parity": Rule("at_least", 1.0),
    "token_parity": Rule("at_least", 1.0),
    "eos_id_equal": Rule("equal", None),
    "stop_ids_end": Rule("equal", None),
    "chat_template_equal": Rule("equal", True),
    "greedy_equal": Rule("at_least", 1.0),
    "files_checked": Rule("at_least", 1),
    "faults_found": Rule("at_most", 0),
}

# What a certificate of each kind cannot do without; of several names in one entry one is enough.
_LANGUAGE = (("stop_ids_equal",), ("vocabulary_equal",), ("template_parity",))
_SAME = ("max_abs_logit_difference", "top1_agreement")
REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    "adapter": (("tensors_finite",), ("targets_matched",), ("adapter_effect",), *_LANGUAGE),
    "merge": (("targets_matched",), ("adapter_effect",), ("effect_lost",), _SAME, *_LANGUAGE),
    "full": (
        ("tensors_finite",),
        ("tensors_matched",),
        ("config_equal",),
        ("tensors_changed",),
        ("training_effect", "scores_differ"),
        ("stop_ids_equal", "scores_differ"),
        ("vocabulary_equal",),
        ("template_parity",),
    ),
    "conversion": (("tensors_finite",), ("tensors_matched",), _SAME, *_LANGUAGE),
    # Weights that nothing can be asked: without tokenizer or template, or with a library that is not here.
    "weights": (("tensors_finite",), ("tensors_matched",), ("tensors_equal",)),
    # What strangers hand in: the safe loader has looked at every file. It says nothing of what a model answers.
    "handed_in": (("files_checked",), ("faults_found",)),
    "quantised": (("tensors_finite",), ("kl_mean",), ("perplexity_difference",), *_LANGUAGE),
    "gguf": (("token_parity",), ("eos_id_equal",), ("stop_ids_end",), ("chat_template_equal",), ("kl_mean",)),
}


def holds(direction: Direction, value: Any, limit: Any) -> bool:
    """Whether ``value`` keeps to ``limit``; not-a-number keeps to none."""
    if direction == "equal":
        return bool(value == limit)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return False
    return bool(value <= limit if direction == "at_most" else value >= limit)
