"""Answers of a GGUF file, by llama.cpp and by the chat template that the file itself carries."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from mozhu.engine.inference.answers import Answer, Messages, OnText, with_system
from mozhu.engine.inference.llama_cpp import LlamaCpp
from mozhu.engine.weights.jinja import ChatTemplate
from mozhu.kernel.errors import NoChatTemplate, PromptTooLong
from mozhu.specs.serve import InferSpec

Progress = Callable[[int, int], object]
_CONTEXT_TOKENS = 2048
_MAGIC = b"GGUF"


def is_gguf(ref: str) -> bool:
    """Whether ``ref`` is a GGUF file, by its first bytes."""
    path = Path(ref)
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(8)
    return head[:4] == _MAGIC and len(head) == 8 and struct.unpack("<I", head[4:])[0] >= 2


class GgufChat:
    """Greedy answers of a GGUF model on the CPU."""

    def __init__(self, path: Path, spec: InferSpec) -> None:
        self._model = LlamaCpp(path, context=_CONTEXT_TOKENS)
        source = self._model.chat_template
        if source is None:
            raise NoChatTemplate(path=str(path))
        self._template = ChatTemplate(source, self._special_tokens(), place=str(path))
        self._spec = spec

    def answer(self, messages: Messages, on_text: OnText | None = None) -> Answer:
        """Answer a conversation; the whole text comes to ``on_text`` at once.

        Raises:
            PromptTooLong: INFER-002.
        """
        told = list(with_system(messages, self._spec.system))
        prompt = self._model.tokenize(self._template.render(told, None, add_generation_prompt=True))
        room = self._model.context - len(prompt)
        if room < 1:
            raise PromptTooLong(tokens=len(prompt), limit=self._model.context)
        stops = [self._model.eos_id]
        made = self._model.greedy(prompt, min(self._spec.max_new_tokens, room), stops)
        stopped = bool(made) and self._model.is_end(made[-1])
        text = self._model.text(made[:-1] if stopped else made).strip()
        if on_text:
            on_text(text)
        return Answer(text, len(made), stopped)

    def answer_many(
        self, conversations: Sequence[Messages], progress: Progress | None = None
    ) -> list[Answer]:
        """One answer after the other: llama.cpp is held with one sequence here."""
        answers = []
        for number, messages in enumerate(conversations, start=1):
            answers.append(self.answer(messages))
            if progress:
                progress(number, len(conversations))
        return answers

    def _special_tokens(self) -> dict[str, str]:
        """The words that a template may write by name: Llama-2's and Gemma's begin with ``bos_token``."""
        ids = {"bos_token": self._model.bos_id, "eos_token": self._model.eos_id}
        return {name: self._model.text([token], special=True) for name, token in ids.items() if token >= 0}

    def close(self) -> None:
        self._model.close()
