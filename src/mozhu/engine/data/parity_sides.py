"""Those who turn a conversation into token ids: our renderer, plain transformers, a copy of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from jinja2 import TemplateError
from transformers import AutoTokenizer

from mozhu.engine.weights.jinja import Messages, Tools, plain_message
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import RefusedConversation
from mozhu.kernel.texts import text

Ids = list[int]


class Side(Protocol):
    """``code`` is the finding that a difference from this side is; ``name`` is it in words."""

    code: str
    name: str

    def prompt(self, messages: Messages, tools: Tools | None) -> Ids:
        """What a model served by this side is given; RefusedConversation where its template refuses."""
        ...

    def whole(self, messages: Messages, tools: Tools | None) -> Ids:
        """The ids of a conversation with its answers."""
        ...

    def shown(self, token: int) -> str:
        """The text of one token."""
        ...


def token_text(tokenizer: Any, token: int) -> str:
    """The text of one token; its name where it has no text by itself (part of a letter, SentencePiece's blank)."""
    said = str(tokenizer.decode([token]))
    return said if said and "\ufffd" not in said else str(tokenizer.convert_ids_to_tokens(token))


class PlainTransformers:
    """``AutoTokenizer`` and ``apply_chat_template`` and nothing else: what most servers do.

    ``has_template`` is false where the folder's template is one that only a processor reads.
    """

    code = "DATA-252"

    def __init__(self, folder: Path) -> None:
        self.name = text("data.side.transformers")
        self.folder = folder
        self.tokenizer: Any = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        self.has_template = bool(self.tokenizer.chat_template)

    def prompt(self, messages: Messages, tools: Tools | None) -> Ids:
        return self._ids(messages, tools, prompt=True)

    def whole(self, messages: Messages, tools: Tools | None) -> Ids:
        return self._ids(messages, tools, prompt=False)

    def text_ids(self, content: str) -> Ids:
        return list(self.tokenizer(content, add_special_tokens=True, verbose=False)["input_ids"])

    def shown(self, token: int) -> str:
        return token_text(self.tokenizer, token)

    def _ids(self, messages: Messages, tools: Tools | None, *, prompt: bool) -> Ids:
        try:
            ids = self.tokenizer.apply_chat_template(
                [plain_message(message) for message in messages],
                tools=list(tools) if tools else None,
                add_generation_prompt=prompt,
                tokenize=True,
                return_dict=False,
                tokenizer_kwargs={"verbose": False},
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise RefusedConversation(path=str(self.folder), row="-", reason=str(error)) from error
        return list(ids)


class Copy:
    """A folder made from the model (adapter, merged model), by its own tokenizer and template."""

    code = "DATA-253"

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self.name = text("data.side.copy", path=renderer.place)

    def prompt(self, messages: Messages, tools: Tools | None) -> Ids:
        return self.renderer.prompt_ids(messages, tools)

    def whole(self, messages: Messages, tools: Tools | None) -> Ids:
        return self.renderer.encode(self.renderer.text(messages, tools))

    def shown(self, token: int) -> str:
        return token_text(self.renderer.tokenizer, token)
