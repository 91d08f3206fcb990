"""The only source of prompt text: a model's own chat template, rendered to token ids.

Training, inference, serving and export all come here, so that what a model is asked is token for token what
it was trained on. The mask of an answer is found by rendering the conversation up to the answer and past it
and comparing ids: no knowledge of any template is written down here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.weights.jinja import ChatTemplate, Messages, Tools
from mozhu.engine.weights.token_files import eos_ids, read_template
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import NoChatTemplate, TemplateRewritesTurns
from mozhu.kernel.files import read_json

_SENTINEL = "Ωmozhuω"


@dataclass(frozen=True)
class Rendered:
    """``mask[i]`` is true where token ``ids[i]`` is one that the assistant writes itself."""

    ids: list[int]
    mask: list[bool]

    def labels(self, ignore: int = -100) -> list[int]:
        """``ids`` where the mask is true, ``ignore`` elsewhere."""
        return [number if own else ignore for number, own in zip(self.ids, self.mask, strict=True)]


class Renderer:
    """Renders conversations by the template of one tokenizer.

    Args:
        tokenizer: As :func:`~mozhu.engine.weights.tokenizer.load_tokenizer` gives it.
        template: The template's text; by default the tokenizer's own.
        eos: Ids that end an answer by the model's configuration.
        place: The folder it comes from, for errors.

    Raises:
        NoChatTemplate: MODEL-003.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        template: str | None = None,
        eos: Sequence[int] = (),
        place: str | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.place = place or str(getattr(tokenizer, "name_or_path", ""))
        source = template if template is not None else _own_template(tokenizer)
        if source is None:
            raise NoChatTemplate(path=self.place)
        self.template = ChatTemplate(source, tokenizer.special_tokens_map, place=self.place)
        self._eos = tuple(eos)
        self.added_ids = frozenset(tokenizer.get_added_vocab().values()) | set(tokenizer.all_special_ids)

    @classmethod
    def from_folder(cls, path: str | Path, *, base: Path | None = None) -> Renderer:
        """The renderer of a model folder: its tokenizer, its template, its end-of-answer ids.

        Args:
            base: The full model, where ``path`` is an adapter that was saved with its own tokenizer.

        Raises:
            NoChatTemplate: MODEL-003. UnreadableTokenizer: MODEL-012. MissingFile: FILE-001.
        """
        folder = Path(path).expanduser()
        full = base or folder
        tokenizer = load_tokenizer(folder)
        config = read_json(full / "config.json") if (full / "config.json").is_file() else {}
        template = read_template(folder) or read_template(full)
        return cls(tokenizer, template=template, eos=eos_ids(full, config), place=str(folder))

    def text(
        self, messages: Messages, tools: Tools | None = None, *, prompt: bool = False, row: str | None = None
    ) -> str:
        """The text of a conversation; with ``prompt``, up to where the assistant begins its next answer."""
        return self.template.render(messages, tools, add_generation_prompt=prompt, row=row)

    def prompt_ids(
        self, messages: Messages, tools: Tools | None = None, *, row: str | None = None
    ) -> list[int]:
        """What the model is given when it is to answer ``messages``.

        Raises:
            RefusedConversation: MODEL-011.
        """
        return self.encode(self.text(messages, tools, prompt=True, row=row))

    def encode(self, text: str) -> list[int]:
        """Ids of a text that has its special tokens written in it; none are added."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def conversation_ids(
        self,
        messages: Messages,
        tools: Tools | None = None,
        *,
        row: str | None = None,
        only_last: bool = False,
    ) -> Rendered:
        """Ids of a whole conversation and which of them are the assistant's own.

        An answer's own tokens are what follows the generation prompt, up to and with the token that ends the
        turn; a line break that the template writes after that token is not among them. Before each answer the
        ids are exactly :meth:`prompt_ids` of the messages before it.

        Args:
            row: The row's id, for errors.
            only_last: Mask the last answer only; then earlier turns may be written in any way.

        Raises:
            TemplateRewritesTurns: MODEL-007, naming row and turn (``examples`` splits such conversations).
            RefusedConversation: MODEL-011.
        """
        turns = [number for number, message in enumerate(messages) if message.get("role") == "assistant"]
        turns = turns[-1:] if only_last else turns
        whole = self.text(messages, tools, row=row)
        spans = [self._span(messages, tools, whole, turn, row) for turn in turns]
        ids = self.encode(whole)
        marked = self._mark(ids, whole, spans)
        return marked if marked is not None else self._piecewise(whole, spans)

    def examples(
        self,
        messages: Messages,
        tools: Tools | None = None,
        *,
        row: str | None = None,
        only_last: bool = False,
    ) -> list[Rendered]:
        """Training examples of a conversation that together teach every answer once, as it will be asked.

        One example where the template writes a conversation the same whether or not it goes on; one for each
        answer where it does not (Qwen3 drops earlier reasoning, for instance).

        Args:
            only_last: Teach the last answer only: one example.

        Raises:
            TemplateRewritesTurns: MODEL-007 where even a single answer does not follow its own prompt.
            RefusedConversation: MODEL-011.
        """
        if only_last:
            return [self.conversation_ids(messages, tools, row=row, only_last=True)]
        try:
            return [self.conversation_ids(messages, tools, row=row)]
        except TemplateRewritesTurns:
            turns = [number for number, message in enumerate(messages) if message.get("role") == "assistant"]
            return [
                self.conversation_ids(messages[: turn + 1], tools, row=row, only_last=True) for turn in turns
            ]

    @property
    def stop_ids(self) -> list[int]:
        """Ids that end an answer: by the configuration, by the tokenizer, and the one the template writes."""
        own = self.tokenizer.eos_token_id
        found = [*self._eos, *([own] if isinstance(own, int) else []), *self.turn_end_ids()]
        return list(dict.fromkeys(found))

    def turn_end_ids(self) -> list[int]:
        """The special token that the template writes after an answer; empty where it writes none."""
        messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _SENTINEL}]
        _, found, after = self.text(messages).rpartition(_SENTINEL)
        ids = self.encode(after.lstrip()) if found else []
        return ids[:1] if ids and ids[0] in self.added_ids else []

    def _span(
        self, messages: Messages, tools: Tools | None, whole: str, turn: int, row: str | None
    ) -> tuple[int, int]:
        """The characters of ``whole`` that answer ``turn`` takes, with the template's text after it."""
        before = (
            self.text(messages[:turn], tools, prompt=True, row=row) if turn else self._first(messages, tools)
        )
        through = self.text(messages[: turn + 1], tools, row=row)
        if not whole.startswith(before) or not whole.startswith(through) or len(through) <= len(before):
            raise TemplateRewritesTurns(path=self.place, row=row or "-", turn=turn + 1)
        return len(before), len(through)

    def _first(self, messages: Messages, tools: Tools | None) -> str:
        """What stands before an answer that opens a conversation, where no prompt can be rendered."""
        text = self.text(messages[:1], tools)
        content = messages[0].get("content")
        place = text.find(content.strip()) if isinstance(content, str) and content.strip() else -1
        if place < 0:
            raise TemplateRewritesTurns(path=self.place, row="-", turn=1)
        return text[:place]

    def _mark(self, ids: list[int], whole: str, spans: list[tuple[int, int]]) -> Rendered | None:
        """The mask over ``ids``, when each prompt's and each turn's own ids are a prefix of them."""
        mask = [False] * len(ids)
        for start, end in spans:
            before = self.encode(whole[:start])
            through = ids if end == len(whole) else self.encode(whole[:end])
            if ids[: len(before)] != before or ids[: len(through)] != through:
                return None
            last = self._turn_end(ids, len(before), len(through))
            mask[len(before) : last] = [True] * (last - len(before))
        return Rendered(ids, mask)

    def _turn_end(self, ids: list[int], start: int, end: int) -> int:
        """One past the token that ends the turn: the last special token, when only blanks follow it."""
        for place in range(end - 1, start - 1, -1):
            if ids[place] in self.added_ids:
                return place + 1
            if self.tokenizer.decode([ids[place]]).strip():
                break
        return end

    def _piecewise(self, whole: str, spans: list[tuple[int, int]]) -> Rendered:
        """Ids where a token would reach over the border between prompt and answer: each side on its own.

        A model that is asked gets the prompt's ids before there is an answer, so an answer that begins with a
        line break must not be merged with the prompt's last one.
        """
        ids: list[int] = []
        mask: list[bool] = []
        place = 0
        for start, end in spans:
            prompt, answer = self._encode_from(whole, place, start), self._encode_from(whole, start, end)
            last = self._turn_end(answer, 0, len(answer))
            ids += prompt + answer
            mask += [False] * len(prompt) + [True] * last + [False] * (len(answer) - last)
            place = end
        rest = self._encode_from(whole, place, len(whole))
        return Rendered(ids + rest, mask + [False] * len(rest))

    def _encode_from(self, whole: str, start: int, end: int) -> list[int]:
        """Ids of a piece from the middle, without the blank that SentencePiece puts before a text."""
        piece = whole[start:end]
        if start == 0 or not piece:
            return self.encode(piece) if piece else []
        anchor = self.encode("\n")
        ids = self.encode("\n" + piece)
        # A tokenizer that merges the anchor with the piece has no such blank (byte-level BPE).
        return ids[len(anchor) :] if ids[: len(anchor)] == anchor else self.encode(piece)


def _own_template(tokenizer: Any) -> str | None:
    """The tokenizer's template; of several named ones the one called ``default``."""
    found = tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get("default")
    return found if isinstance(found, str) else None
