"""From prepared rows to what is scored: token ids with their mask, questions with their reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mozhu.engine.scoring.perplexity import Example
from mozhu.engine.weights.template import Rendered, Renderer

Row = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """One question to a model. ``question`` is the last message before the answer, as a person reads it."""

    row: int
    prompt_ids: tuple[int, ...]
    question: str
    reference: str


def row_examples(row: Row, tokenizer: Any, renderer: Renderer | None) -> list[Example]:
    """What is scored of one row: the assistant's own tokens of a conversation, every token of a text.

    Several examples where the template writes a conversation anew at each turn; none when nothing is scored.
    """
    if row.get("messages") and renderer is not None:
        if not any(message.get("role") == "assistant" for message in row["messages"]):
            return []
        rendered = renderer.examples(row["messages"], row.get("tools"), row=row.get("row_id"))
        return [_example(item, tokenizer) for item in rendered if any(item.mask[1:])]
    if row.get("text"):
        ids = tuple(tokenizer(row["text"])["input_ids"])
        return [Example(ids, (True,) * len(ids), len(row["text"].encode("utf-8")))] if len(ids) > 1 else []
    return []


def row_ask(number: int, row: Row, renderer: Renderer | None) -> Ask | None:
    """The question whose reference answer is the last message of a conversation; ``None`` for other rows."""
    messages = row.get("messages") or []
    if renderer is None or len(messages) < 2 or messages[-1].get("role") != "assistant":
        return None
    before, reference = messages[:-1], plain_content(messages[-1])
    if not reference.strip():
        return None
    ids = renderer.prompt_ids(before, row.get("tools"), row=row.get("row_id"))
    return Ask(number, tuple(ids), plain_content(before[-1]), reference)


def question_of(row: Row) -> str:
    """The row's last question, or the beginning of its text."""
    messages = row.get("messages") or []
    asked = [message for message in messages if message.get("role") == "user"]
    return plain_content(asked[-1]) if asked else str(row.get("text", ""))


def plain_content(message: dict[str, Any]) -> str:
    """A message's content as text; of parts the texts only."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _example(rendered: Rendered, tokenizer: Any) -> Example:
    own = [number for number, scored in zip(rendered.ids, rendered.mask, strict=True) if scored]
    text = tokenizer.decode(own, skip_special_tokens=True)
    return Example(tuple(rendered.ids), tuple(rendered.mask), len(text.encode("utf-8")))


def flattened(groups: Sequence[Sequence[Example]]) -> tuple[list[Example], list[int]]:
    """All examples in one list, and for each the row it belongs to."""
    examples = [example for group in groups for example in group]
    owners = [number for number, group in enumerate(groups) for _ in group]
    return examples, owners
