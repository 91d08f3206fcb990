"""What the model answers while it is trained: the same few questions of the validation rows at each evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mozhu.engine.data.tokens import IGNORED, Example
from mozhu.engine.inference.generate import generate_many
from mozhu.engine.training.engines.flat.forward import causal_of, make_flat, make_plain
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.token_files import eos_ids
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import NoChatTemplate
from mozhu.kernel.files import read_json
from mozhu.specs.train import TrainSpec

# Stages whose model writes text; the others give numbers.
_WRITING = ("sft", "pt", "dpo", "orpo", "kto")
_MOST_TOKENS = 64
# Of a text without a question the first tokens stand for one.
_TEXT_START = 16
_MARK = "ΩquestionΩ"


@dataclass(frozen=True)
class Asked:
    """``prompt`` are the very tokens that training puts before the answer."""

    row_id: str
    prompt: list[int]
    question: str
    expected: str


class Samples:
    """``answers(network)`` gives one greedy answer a question; it changes neither weights nor random numbers."""

    def __init__(self, asked: Sequence[Asked], tokenizer: Any, stop_ids: Sequence[int]) -> None:
        self.asked = list(asked)
        self._tokenizer = tokenizer
        self._stop_ids = list(stop_ids)

    def answers(self, network: Any) -> list[dict[str, Any]]:
        """Fields of ``sample`` events. A network that takes flat rows is transformers' own while it writes."""
        was_flat = "forward" in vars(causal_of(network))
        make_plain(network)
        try:
            made = generate_many(
                network,
                self._tokenizer,
                [asked.prompt for asked in self.asked],
                max_new_tokens=_MOST_TOKENS,
                stop_ids=self._stop_ids,
            )
        finally:
            if was_flat:
                make_flat(network)
        return [
            {
                "row_id": asked.row_id,
                "question": asked.question,
                "answer": answer.text.strip(),
                "expected": asked.expected,
                "stopped": answer.stopped,
            }
            for asked, answer in zip(self.asked, made, strict=True)
        ]


def choose_samples(spec: TrainSpec, described: ModelFolder, validation: Sequence[Any]) -> Samples | None:
    """The first ``eval_samples`` rows of the validation part that have an answer; ``None`` where there are none,
    where the model does not write text, and where no process has the whole of it.
    """
    is_shared_out = spec.world_size > 1 and (spec.strategy != "ddp" or spec.tensor_parallel > 1)
    if not spec.eval_samples or spec.stage not in _WRITING or is_shared_out:
        return None
    tokenizer, renderer = load_tokenizer(described.path), _renderer(described)
    stop_ids = renderer.stop_ids if renderer else _stop_ids(described)
    reader = _Reader(tokenizer, renderer)
    asked: dict[str, Asked] = {}
    for item in validation:
        example = _example(item)
        if example is not None and example.row_id not in asked and (found := reader.read(example)):
            asked[example.row_id] = found
        if len(asked) == spec.eval_samples:
            break
    return Samples(list(asked.values()), tokenizer, stop_ids) if asked else None


class _Reader:
    """Finds question and answer in a row's tokens."""

    def __init__(self, tokenizer: Any, renderer: Renderer | None) -> None:
        self._tokenizer = tokenizer
        self._around = _around_a_question(renderer) if renderer else None

    def read(self, example: Example) -> Asked | None:
        start, end = last_answer(example.labels)
        if start < 2:  # a text: all of it is learned
            start = min(_TEXT_START, len(example.ids) // 2)
        prompt, answer = example.ids[:start], example.ids[start : min(end, start + _MOST_TOKENS)]
        if not prompt or not answer:
            return None
        expected = self._tokenizer.decode(answer, skip_special_tokens=True).strip()
        return Asked(example.row_id, list(prompt), self._question(prompt), expected)

    def _question(self, prompt: Sequence[int]) -> str:
        """The last thing the user said: what stands between the template's words; else the whole prompt."""
        if self._around is not None:
            before, after = self._around
            whole = self._tokenizer.decode(list(prompt), skip_special_tokens=False)
            inner = whole.removesuffix(after)
            if inner != whole and before in inner:
                return str(inner.rpartition(before)[2]).strip()
        return str(self._tokenizer.decode(list(prompt), skip_special_tokens=True)).strip()


def last_answer(labels: Sequence[int]) -> tuple[int, int]:
    """Where the last stretch of learned tokens begins and ends; (0, 0) where nothing is learned."""
    end = next((place for place in range(len(labels), 0, -1) if labels[place - 1] != IGNORED), 0)
    start = end
    while start and labels[start - 1] != IGNORED:
        start -= 1
    return start, end


def _around_a_question(renderer: Renderer) -> tuple[str, str] | None:
    """What the template writes right before and after a user's words in a prompt."""
    text = renderer.text([{"role": "user", "content": _MARK}], prompt=True)
    before, _, after = text.partition(_MARK)
    tokens = [renderer.tokenizer.decode([number]) for number in renderer.added_ids]
    places = [before.rfind(token) for token in tokens if token and token in before]
    head = before[max(places) :] if places else before[-24:]
    return (head, after) if head and after else None


def _example(item: Any) -> Example | None:
    """The answer that is wanted, of a row of any stage."""
    if isinstance(item, Example):
        return item
    if hasattr(item, "wanted"):
        wanted: Example = item.wanted
        return wanted
    return item.example if item.mark else None


def _renderer(described: ModelFolder) -> Renderer | None:
    try:
        return Renderer.from_folder(described.path)
    except NoChatTemplate:
        return None


def _stop_ids(described: ModelFolder) -> list[int]:
    return list(eos_ids(described.path, read_json(described.path / "config.json")))
