"""Whether two model folders speak the same language: tokens, template, end of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.scoring.conversations import FIXED
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import NoChatTemplate, RefusedConversation, TemplateRewritesTurns
from mozhu.kernel.files import read_json
from mozhu.specs.records.certificate import Check

_BY_FILE = ("config.json", "generation_config.json")


def stop_ids_by_place(folder: Path, tokenizer: Any) -> dict[str, list[int]]:
    """The ids that end an answer, by each file that names them and by the tokenizer."""
    places = {name: _eos_in(folder / name) for name in _BY_FILE}
    own = tokenizer.eos_token_id
    return {**places, "tokenizer": [] if own is None else [int(own)]}


def stop_ids_check(before: dict[str, list[int]], after: dict[str, list[int]]) -> Check:
    """Every place names the same ids in the same order as before."""
    return Check(name="stop_ids_equal", value=_shown(after), limit=_shown(before), ok=before == after)


def tokenizer_checks(source: Any, copy: Any) -> list[Check]:
    """The whole vocabulary, added tokens included, is the same."""
    before, after = source.get_vocab(), copy.get_vocab()
    different = sum(1 for token in before.keys() | after.keys() if before.get(token) != after.get(token))
    return [Check(name="vocabulary_equal", value=different, limit=0, ok=different == 0, tokens=len(before))]


def template_check(
    source: Renderer | None, copy: Renderer | None, rows: Sequence[dict[str, Any]] = ()
) -> Check:
    """The share of conversations that both render to the same ids, as prompts and as whole conversations.

    A conversation that one template refuses counts as equal only when the other refuses it too. Two folders
    without any template agree.
    """
    if source is None or copy is None:
        same = source is None and copy is None
        return Check(name="template_parity", value=float(same), limit=1.0, ok=same)
    texts = [*FIXED, *conversations_of(rows)]
    equal = sum(_rendered(source, messages) == _rendered(copy, messages) for messages in texts)
    return Check(name="template_parity", value=equal / len(texts), limit=1.0, ok=equal == len(texts))


def open_renderer(folder: Path) -> Renderer | None:
    """The folder's renderer; ``None`` where the model has no chat template."""
    try:
        return Renderer.from_folder(folder)
    except NoChatTemplate:
        return None


def conversations_of(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [row["messages"] for row in rows if row.get("messages")]


@dataclass(frozen=True)
class Measured:
    """The texts that models are compared on and their token ids, none added. ``real``: how many are rows of data."""

    texts: list[str]
    ids: list[list[int]]
    real: int = 0


def measured_rows(
    renderer: Renderer | None,
    tokenizer: Any,
    rows: Sequence[dict[str, Any]] = (),
    *,
    most_tokens: int,
    real_tokens: int = 0,
) -> Measured:
    """The fixed conversations up to ``most_tokens``, then ``rows`` up to ``real_tokens``, rendered by the template.

    Without a template the messages are put line by line; a conversation that it refuses is left out. A row of data
    is cut where it would take more than half of their tokens.
    """
    fixed = _encoded(
        _texts(renderer, [{"messages": list(messages)} for messages in FIXED]), tokenizer, most_tokens
    )
    real = _encoded(_texts(renderer, rows), tokenizer, real_tokens, longest=max(real_tokens // 2, 1))
    return Measured([*fixed[0], *real[0]], [*fixed[1], *real[1]], len(real[0]))


def _encoded(
    texts: Iterable[str], tokenizer: Any, room: int, longest: int | None = None
) -> tuple[list[str], list[list[int]]]:
    found: tuple[list[str], list[list[int]]] = ([], [])
    for text in texts:
        if room <= 0:
            break
        ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])[: min(room, longest or room)]
        if ids:
            found[0].append(text)
            found[1].append(ids)
            room -= len(ids)
    return found


def _texts(renderer: Renderer | None, rows: Sequence[dict[str, Any]]) -> Iterable[str]:
    for row in rows:
        messages = row.get("messages")
        if not messages:
            if row.get("text"):
                yield str(row["text"])
        elif renderer is None:
            yield "\n".join(str(message["content"]) for message in messages)
        else:
            try:
                yield renderer.text(messages)
            except RefusedConversation:
                continue


def _rendered(renderer: Renderer, messages: list[dict[str, Any]]) -> object:
    """Ids of the prompt and of the whole with its mask, or the code of the refusal."""
    try:
        prompt = renderer.prompt_ids(messages[:-1])
        whole = renderer.conversation_ids(messages)
    except (RefusedConversation, TemplateRewritesTurns) as error:
        return error.code
    return prompt, whole.ids, whole.mask


def _eos_in(path: Path) -> list[int]:
    if not path.is_file():
        return []
    content = read_json(path)
    value = content.get("eos_token_id")
    if value is None and isinstance(content.get("text_config"), dict):
        value = content["text_config"].get("eos_token_id")
    if value is None:
        return []
    return [int(item) for item in value] if isinstance(value, list) else [int(value)]


def _shown(places: dict[str, list[int]]) -> str:
    return "; ".join(f"{name} {ids}" for name, ids in places.items())
