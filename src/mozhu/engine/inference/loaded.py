"""A model in this process with any number of adapters: the object that seed 004's answers are written for."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import BitsAndBytesConfig

from mozhu.engine.weights.adapter_fit import check_adapter_fits
from mozhu.engine.weights.device import pick_device, pick_dtype
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import check_base, load_base, load_model, tokenizer_folder
from mozhu.engine.weights.references import find_model
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import MissingExtra, NoSuchAdapter
from mozhu.specs.serve import LoadSpec

FIRST = "default"
BASE = "__base__"


class LoadedModel:
    """``model`` is transformers' own, or PEFT's; ``tokenizer`` its tokenizer.

    Adapters are named as in PEFT: the first is ``default``; ``__base__`` asks the base without any.
    """

    def __init__(self, model: Any, renderer: Renderer, base: ModelFolder) -> None:
        self.model, self.tokenizer = model, renderer.tokenizer
        self._renderer, self._base = renderer, base

    @property
    def adapters(self) -> list[str]:
        return sorted(self.model.peft_config) if isinstance(self.model, PeftModel) else []

    def generate_text(
        self, prompt: str, *, adapter_name: str | None = None, max_new_tokens: int = 128
    ) -> str:
        """The model's own answer to ``prompt``, without the prompt; greedy.

        Args:
            adapter_name: Of this answer only; the adapter in force stays.

        Raises:
            NoSuchAdapter: INFER-010, with the names there are.
        """
        names = None if adapter_name is None else [adapter_name]
        return self.generate_texts([prompt], adapter_names=names, max_new_tokens=max_new_tokens)[0]

    @torch.inference_mode()
    def generate_texts(
        self, prompts: Sequence[str], *, adapter_names: Sequence[str] | None = None, max_new_tokens: int = 128
    ) -> list[str]:
        """An answer a prompt, all in one batch, each by its own adapter where ``adapter_names`` gives one a prompt.

        Raises:
            NoSuchAdapter: INFER-010.
        """
        self._check(adapter_names or ())
        rows = [self._renderer.prompt_ids([{"role": "user", "content": prompt}]) for prompt in prompts]
        width, stops = max(map(len, rows)), self._renderer.stop_ids
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else stops[0]
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=self.model.device)
        mask = torch.tensor(
            [[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.model.device
        )
        more = {"adapter_names": list(adapter_names)} if adapter_names and self.adapters else {}
        made = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=pad,
            **more,
        )[:, width:]
        return [text.strip() for text in self.tokenizer.batch_decode(made, skip_special_tokens=True)]

    def load_adapter(self, adapter: str | Path, adapter_name: str) -> None:
        """Put a further adapter beside those there are; it answers when it is named.

        Raises:
            BaseMismatch: MODEL-008. AdapterDoesNotFit: MODEL-009.
        """
        folder = ModelFolder.open(find_model(str(adapter), base=str(self._base.path)).path)
        check_adapter_fits(folder, self._base)
        check_base(folder, self._base)
        if isinstance(self.model, PeftModel):
            self.model.load_adapter(str(folder.path), adapter_name=adapter_name, is_trainable=False)
        else:
            self.model = PeftModel.from_pretrained(
                self.model, str(folder.path), adapter_name=adapter_name, local_files_only=True
            )
        self.model.eval()

    def set_adapter(self, names: str | Sequence[str], weights: Sequence[float] | None = None) -> str:
        """The adapter in force from now on; of several their weighted sum (by default each counted once).

        Returns:
            Its name; that of a sum is ``a+b``.

        Raises:
            NoSuchAdapter: INFER-010.
        """
        chosen = [names] if isinstance(names, str) else list(names)
        self._check(chosen)
        if len(chosen) == 1 and weights is None:
            self.model.set_adapter(chosen[0])
            return chosen[0]
        shares = list(weights) if weights is not None else [1.0] * len(chosen)
        together = "+".join(chosen)
        if together in self.adapters:
            self.model.delete_adapter(together)
        self.model.add_weighted_adapter(chosen, shares, adapter_name=together, combination_type="cat")
        self.model.set_adapter(together)
        self.model.eval()
        return together

    def _check(self, names: Sequence[str]) -> None:
        for name in names:
            if name != BASE and name not in self.adapters:
                raise NoSuchAdapter(name=name, known=self.adapters)


def load(spec: LoadSpec) -> LoadedModel:
    """The model that ``spec.model`` means, with its adapter, where it has one, as ``default``.

    Raises:
        MissingExtra: ENV-001, quantisation without bitsandbytes. What find_model and load_model raise.
    """
    found = find_model(spec.model, base=spec.base_model)
    base = ModelFolder.open(found.base)
    renderer = Renderer.from_folder(tokenizer_folder(found), base=found.base)
    if spec.quantization == "none":
        return LoadedModel(load_model(found, dtype=spec.dtype, device=spec.device), renderer, base)
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtra(
            wanted_by=f"quantization={spec.quantization}", module="bitsandbytes", extra="quant"
        )
    place = pick_device(spec.device)
    dtype = pick_dtype(place, base, spec.dtype)
    config = _quantised(spec.quantization, dtype)
    loaded = LoadedModel(load_base(base, place, dtype, quantization_config=config), renderer, base)
    if found.adapter is not None:
        loaded.load_adapter(found.adapter, FIRST)
    return loaded


def _quantised(kind: str, dtype: torch.dtype) -> Any:
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
