"""Renders a chat template to text as transformers does, with nothing but jinja2.

So the same text comes out where transformers is not installed (conversion to GGUF, the registry's checks),
and the date can be held still where a text is hashed. A test compares it with ``apply_chat_template``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from jinja2 import TemplateError
from jinja2 import nodes as jinja_nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mozhu.kernel.errors import RefusedConversation

Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]
_REASONING = ("reasoning_content", "thinking", "reasoning")


class GenerationBlock(Extension):
    """``{% generation %}`` marks what an assistant says; its text is the text of its body."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> jinja_nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja_nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Macro) -> str:
        return str(caller())


class ChatTemplate:
    """A template's text with the special tokens it may name.

    Args:
        source: The Jinja text, from the model's own folder.
        special_tokens: ``bos_token``, ``eos_token`` …
        now: What ``strftime_now`` sees; injected where the text must not depend on the day.
        place: Where the template comes from, for errors.
    """

    def __init__(
        self,
        source: str,
        special_tokens: Mapping[str, str],
        *,
        now: Callable[[], datetime] = datetime.now,
        place: str = "",
    ) -> None:
        self.source = source
        self.special_tokens = dict(special_tokens)
        self.place = place
        self.now = now

    def render(
        self,
        messages: Messages,
        tools: Tools | None = None,
        *,
        add_generation_prompt: bool = False,
        row: str | None = None,
        **more: Any,
    ) -> str:
        """The text of a conversation; ``more`` are the template's own switches (``enable_thinking`` …).

        Raises:
            RefusedConversation: MODEL-011, with the template's own words.
        """
        try:
            told = self.variables(messages, tools, add_generation_prompt=add_generation_prompt)
            text = _compiled(self.source).render(**{**told, **more})
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise RefusedConversation(path=self.place, row=row or "-", reason=str(error)) from error
        return str(text)

    def variables(
        self,
        messages: Messages,
        tools: Tools | None = None,
        *,
        add_generation_prompt: bool = False,
        strftime_now: Callable[[str], str] | None = None,
    ) -> dict[str, Any]:
        """What the template is given."""
        return {
            "messages": [plain_message(message) for message in messages],
            "tools": _plain(tools) if tools else None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            "strftime_now": strftime_now or (lambda form: self.now().strftime(form)),
            **self.special_tokens,
        }


Environment = TypeVar("Environment", bound=ImmutableSandboxedEnvironment)


def prepared(kind: type[Environment]) -> Environment:
    """A sandbox with what transformers gives to chat templates."""
    environment = kind(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = _refuse
    return environment


@lru_cache(maxsize=32)
def _compiled(source: str) -> Any:
    return prepared(ImmutableSandboxedEnvironment).from_string(source)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The ``tojson`` of transformers: nothing is escaped for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def plain_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Keys without a value are left out; reasoning goes by every name that templates read."""
    plain = {key: _plain(value) for key, value in message.items() if value is not None}
    reasoning = next((plain[key] for key in _REASONING if plain.get(key) is not None), None)
    if reasoning is not None:
        plain = {"thinking": reasoning, **plain, "reasoning_content": reasoning}
    return plain


def _plain(value: Any) -> Any:
    """JSON values only, so that a template reaches no method of ours."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else f"<{type(value).__name__}>"
