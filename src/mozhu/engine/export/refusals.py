"""Why an adapter cannot be merged, from its settings alone: every reason at once, each by name."""

from __future__ import annotations

from typing import Any

from mozhu.kernel.texts import text

MERGEABLE = ("LORA", "IA3", "TRAINABLE_TOKENS")
# Settings that change what a forward pass computes in a way that no weight of the base can hold, or that change
# the base itself before training.
REFUSED = (
    "layer_replication",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
    "megatron_config",
)
# Settings of these forms are variants of LoRA; those that are known to change nothing about merging.
_VARIANT_BEGIN, _VARIANT_END = "use_", "_config"
KNOWN = {
    "use_rslora",
    "use_dora",
    "eva_config",
    "corda_config",
    "loftq_config",
    "lora_ga_config",
    "runtime_config",
}
_BASE_CHANGING = ("pissa", "olora", "loftq", "corda", "lora_ga", "mica")


def reasons_against(config: dict[str, Any]) -> list[str]:
    """Every reason why an adapter with these settings would not give the trained model when merged."""
    kind = str(config.get("peft_type", "?")).upper()
    reasons = [] if kind in MERGEABLE else [text("export.reason.peft_type", kind=kind)]
    refused = [name for name in REFUSED if config.get(name)]
    unknown = [name for name, value in config.items() if value and _is_unknown_variant(name)]
    reasons += [text("export.reason.setting", name=name) for name in dict.fromkeys([*refused, *unknown])]
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_BASE_CHANGING):
        reasons.append(text("export.reason.init", value=start))
    return reasons


def _is_unknown_variant(name: str) -> bool:
    return (name.startswith(_VARIANT_BEGIN) or name.endswith(_VARIANT_END)) and name not in KNOWN
