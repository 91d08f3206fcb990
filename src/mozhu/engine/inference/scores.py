"""Models that score instead of writing: the class of a text with every class's probability, or an answer's reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mozhu.engine.data.stage_tokens import answered_ids, asked_ids
from mozhu.engine.inference.answers import Answer, Messages, OnText, with_system
from mozhu.engine.inference.generate import Progress
from mozhu.engine.weights.device import pick_device
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.head_record import Head, head_of
from mozhu.engine.weights.load import load_model, tokenizer_folder
from mozhu.engine.weights.references import FoundModel
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import NoAnswerToScore, NoChatTemplate, PromptTooLong
from mozhu.specs.serve import InferSpec

REWARD = "reward"


class Scorer:
    """A model with a scoring head, ready to score conversations by the tokens that training saw."""

    def __init__(self, found: FoundModel, head: Head, *, dtype: str, device: str) -> None:
        home = tokenizer_folder(found)
        self.head = head
        self._renderer = _renderer(home)
        self._tokenizer = load_tokenizer(home)
        self.model = load_model(found, dtype=dtype, device=str(pick_device(device)))
        self._limit = ModelFolder.open(found.base).max_length or 2048

    def ids(self, messages: Messages) -> list[int]:
        """The tokens that are scored: up to where an answer begins (classes), or to its end (reward).

        Raises:
            NoAnswerToScore: INFER-003. PromptTooLong: INFER-002.
        """
        row = {"row_id": "-", "messages": list(messages)}
        if not self.head.is_reward:
            found = asked_ids(row, self._renderer, self._tokenizer)
        elif not messages or messages[-1].get("role") != "assistant":
            raise NoAnswerToScore()
        else:
            found = answered_ids(row, self._renderer, self._tokenizer)
        if len(found) > self._limit:
            raise PromptTooLong(tokens=len(found), limit=self._limit)
        return found

    def score(self, conversations: Sequence[Messages], progress: Progress | None = None) -> list[Answer]:
        """A class with probabilities, or a reward, for each; in their order."""
        rows = [self.ids(messages) for messages in conversations]
        said = []
        for ids in rows:
            said.append(self._answer(record_scores(self.model, [ids])[0][0], len(ids)))
            if progress:
                progress(len(said), len(rows))
        return said

    def _answer(self, numbers: torch.Tensor, tokens: int) -> Answer:
        if self.head.is_reward:
            value = float(numbers[0])
            return Answer(f"{value:.4f}", tokens, True, {REWARD: value})
        shares = torch.softmax(numbers.double(), -1).tolist()
        scores = dict(zip(self.head.labels, shares, strict=True))
        return Answer(max(scores, key=lambda name: scores[name]), tokens, True, scores)


class ScoreChat:
    """A :class:`Scorer` asked like a chat; nothing before the last question counts."""

    def __init__(self, scorer: Scorer, spec: InferSpec) -> None:
        self._scorer, self._spec = scorer, spec
        self.reads_answers = scorer.head.is_reward

    def answer(self, messages: Messages, on_text: OnText | None = None) -> Answer:
        last = messages if self.reads_answers else messages[-1:]
        found = self.answer_many([last])[0]
        if on_text:
            on_text(shown(found))
        return found

    def answer_many(
        self, conversations: Sequence[Messages], progress: Progress | None = None
    ) -> list[Answer]:
        told = [list(with_system(messages, self._spec.system)) for messages in conversations]
        return self._scorer.score(told, progress)

    def close(self) -> None:
        del self._scorer


def open_scorer(found: FoundModel, *, dtype: str = "auto", device: str = "auto") -> Scorer | None:
    """The scorer that ``found`` is; ``None`` for a model that writes text.

    Raises:
        What the model's folder and its adapter raise.
    """
    head = head_of(ModelFolder.open(found.path))
    return None if head is None else Scorer(found, head, dtype=dtype, device=device)


@torch.inference_mode()
def record_scores(model: Any, rows_ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """The scores of each row on the CPU in float32, shape (1, labels); one row at a time, so none is padded."""
    device = next(model.parameters()).device
    found = []
    for ids in rows_ids:
        given = torch.tensor([list(ids)], device=device)
        mask = torch.ones_like(given)
        found.append(model(input_ids=given, attention_mask=mask, use_cache=False).logits.float().cpu())
    return found


def shown(answer: Answer) -> str:
    """The class with the share of every class, or the reward, as a person reads it."""
    scores = answer.scores or {}
    if REWARD in scores and len(scores) == 1:
        return answer.text
    order = sorted(scores.items(), key=lambda item: -item[1])
    return f"{answer.text} ({', '.join(f'{name} {share:.1%}' for name, share in order)})"


def _renderer(home: Any) -> Renderer | None:
    try:
        return Renderer.from_folder(home)
    except NoChatTemplate:
        return None
