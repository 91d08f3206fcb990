"""The three formats: which keys each knows, with which defaults, and how a file is recognised as one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mozhu.kernel.files import read_json

FORMS = ("llama_factory", "ms_swift", "axolotl")
_KNOWN = Path(__file__).resolve().parent / "known"
# Keys that only one of the three has, and that hardly a file of it goes without.
_TELLING = {
    "llama_factory": {"model_name_or_path", "finetuning_type", "cutoff_len", "lora_target", "dataset_dir"},
    "ms_swift": {
        "tuner_type",
        "train_type",
        "sft_type",
        "rlhf_type",
        "torch_dtype",
        "swift_version",
        "loss_scale",
    },
    "axolotl": {
        "base_model",
        "datasets",
        "sequence_len",
        "micro_batch_size",
        "pretraining_dataset",
        "lora_r",
    },
}
_TELLS = 3


@dataclass(frozen=True)
class Form:
    """``keys``: each key with its default, as the package of ``version`` has them."""

    id: str
    name: str
    version: str
    keys: dict[str, Any]


@cache
def form_of(name: str) -> Form:
    found = read_json(_KNOWN / f"{name}.json")
    return Form(name, found["name"], found["version"], found["keys"])


def recognise(keys: Iterable[str]) -> str | None:
    """The format that knows most of ``keys``; ``None`` when none knows a telling one and half of them."""
    names = set(keys)
    if not names:
        return None
    scores = {form: _score(form, names) for form in FORMS}
    best = max(FORMS, key=lambda form: scores[form])
    told = bool(names & _TELLING[best])
    known = len(names & set(form_of(best).keys))
    return best if told or (known >= 4 and known * 2 > len(names)) else None


def _score(form: str, names: set[str]) -> int:
    return len(names & set(form_of(form).keys)) + _TELLS * len(names & _TELLING[form])
