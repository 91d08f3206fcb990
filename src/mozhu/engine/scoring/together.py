"""Several adapters on one base at once: what each does to a layer is added, each with its weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer

FIRST = "default"


@dataclass(frozen=True)
class Together:
    """Adapters with their weights; the first is the one that the model was loaded with."""

    adapters: Sequence[tuple[Path, float]]

    @property
    def is_plain(self) -> bool:
        return len(self.adapters) == 1 and self.adapters[0][1] == 1.0


def add_adapters(model: Any, together: Together) -> None:
    """The PEFT model ``model``, loaded with the first of the adapters, answers with all of them added up.

    Plain LoRA only: what other kinds do to a layer cannot be added.
    """
    if together.is_plain:
        return
    names = [FIRST]
    for number, (path, _) in enumerate(together.adapters[1:], start=2):
        names.append(f"adapter{number}")
        model.load_adapter(str(path), adapter_name=names[-1], is_trainable=False)
    model.base_model.set_adapter(names)
    weights = dict(zip(names, (weight for _, weight in together.adapters), strict=True))
    for module in model.modules():
        if isinstance(module, BaseTunerLayer) and hasattr(module, "scaling"):
            for name in module.scaling:
                module.scaling[name] *= weights[name]
    model.eval()
