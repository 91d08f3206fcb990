"""Answers of one model in this process: base, adapter, merged model or GGUF file, by the same renderer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from mozhu.engine.inference.answers import Answer, Messages, OnText, with_system
from mozhu.engine.inference.generate import Progress, generate_many
from mozhu.engine.inference.gguf_chat import GgufChat, is_gguf
from mozhu.engine.inference.pictures import shown_prompt
from mozhu.engine.inference.scores import ScoreChat, open_scorer
from mozhu.engine.weights.load import OpenModel, open_model
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import PromptTooLong
from mozhu.kernel.machine import free_core_count
from mozhu.specs.serve import InferSpec


class Chat(Protocol):
    """A model that answers. ``answer`` gives text as it comes to ``on_text``; ``close`` frees the model."""

    def answer(self, messages: Messages, on_text: OnText | None = None) -> Answer: ...

    def answer_many(
        self, conversations: Sequence[Messages], progress: Progress | None = None
    ) -> list[Answer]:
        """One answer a conversation, in their order; ``progress`` is called with (made, all)."""
        ...

    def close(self) -> None: ...


def open_chat(spec: InferSpec) -> Chat:
    """The model that ``spec.checkpoint`` means, ready to answer.

    Raises:
        What the model's folder, its adapter or its template raise.
    """
    if is_gguf(spec.checkpoint):
        return GgufChat(Path(spec.checkpoint), spec)
    torch.set_num_threads(free_core_count())
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # of no use to who asks
    found = find_model(spec.checkpoint, base=spec.base_model)
    if scorer := open_scorer(found, dtype=spec.dtype, device=spec.device):
        return ScoreChat(scorer, spec)
    opened = open_model(spec.checkpoint, base=spec.base_model, dtype=spec.dtype, device=spec.device)
    return TransformersChat(opened, spec)


class TransformersChat:
    """A transformers model (with its adapter, where it has one)."""

    def __init__(self, opened: OpenModel, spec: InferSpec) -> None:
        self._opened = opened
        self._spec = spec
        self._limit = opened.folder.max_length or 2048

    def answer(self, messages: Messages, on_text: OnText | None = None) -> Answer:
        """Answer a conversation; greedy at temperature 0, else sampled with the spec's seed.

        Raises:
            PromptTooLong: INFER-002.
        """
        opened, spec = self._opened, self._spec
        told, images = list(with_system(messages, spec.system)), list(spec.images)
        prompt, shown = (
            shown_prompt(opened, told, images) if images else (opened.renderer.prompt_ids(told), {})
        )
        room = self._limit - len(prompt)
        if room < 1:
            raise PromptTooLong(tokens=len(prompt), limit=self._limit)
        ids = torch.tensor([prompt], device=opened.device)
        torch.manual_seed(spec.seed)
        with torch.inference_mode():
            made = opened.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                **shown,
                generation_config=generation_config(spec, opened, room),
                streamer=_Streamer(opened.tokenizer, on_text) if on_text else None,
            )[0, len(prompt) :].tolist()
        stopped = bool(made) and made[-1] in opened.renderer.stop_ids
        text = opened.tokenizer.decode(made, skip_special_tokens=True)
        return Answer(text.strip(), len(made), stopped)

    def answer_many(
        self, conversations: Sequence[Messages], progress: Progress | None = None
    ) -> list[Answer]:
        """Answers in batches of the spec's size; in float32 the same as asked one by one.

        Raises:
            PromptTooLong: INFER-002, for the first conversation that is.
        """
        opened, spec = self._opened, self._spec
        prompts = [opened.renderer.prompt_ids(list(with_system(told, spec.system))) for told in conversations]
        longest = max(map(len, prompts), default=0)
        if longest >= self._limit:
            raise PromptTooLong(tokens=longest, limit=self._limit)
        made = generate_many(
            opened.model,
            opened.tokenizer,
            prompts,
            max_new_tokens=min(spec.max_new_tokens, self._limit - longest),
            stop_ids=opened.renderer.stop_ids,
            temperature=spec.temperature,
            top_p=spec.top_p,
            seed=spec.seed,
            batch_size=spec.batch_size,
            progress=progress,
        )
        return [Answer(answer.text.strip(), len(answer.ids), answer.stopped) for answer in made]

    def close(self) -> None:
        del self._opened


def generation_config(spec: InferSpec, opened: OpenModel, room: int) -> GenerationConfig:
    """Every value written out, so that no default of a model folder changes an answer."""
    stops = opened.renderer.stop_ids
    pad = opened.tokenizer.pad_token_id
    config = GenerationConfig(
        max_new_tokens=min(spec.max_new_tokens, room),
        do_sample=spec.temperature > 0,
        eos_token_id=stops,
        pad_token_id=pad if pad is not None else stops[0],
        bos_token_id=opened.tokenizer.bos_token_id,
    )
    if spec.temperature > 0:
        config.temperature, config.top_p, config.top_k = spec.temperature, spec.top_p, 0
    return config


class _Streamer(BaseStreamer):
    """Gives text as soon as its characters are whole: a Chinese character may be several tokens."""

    def __init__(self, tokenizer: Any, on_text: OnText) -> None:
        self._tokenizer = tokenizer
        self._on_text = on_text
        self._ids: list[int] = []
        self._shown = 0
        self._is_prompt = True

    def put(self, value: torch.Tensor) -> None:
        if self._is_prompt:
            self._is_prompt = False
            return
        self._ids.extend(value.reshape(-1).tolist())
        self._show(self._tokenizer.decode(self._ids, skip_special_tokens=True), final=False)

    def end(self) -> None:
        self._show(self._tokenizer.decode(self._ids, skip_special_tokens=True), final=True)

    def _show(self, text: str, *, final: bool) -> None:
        if not final and text.endswith("\ufffd"):
            return
        if len(text) > self._shown:
            self._on_text(text[self._shown :])
            self._shown = len(text)
