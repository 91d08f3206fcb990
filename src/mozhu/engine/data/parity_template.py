"""What is wrong with a chat template whatever the rows: found by comparing renders, never by its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from mozhu.engine.data.parity_report import ParityFinding
from mozhu.engine.weights.jinja import ChatTemplate, Messages, Tools
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.token_files import TEMPLATE_FILE, read_special_tokens
from mozhu.kernel.errors import RefusedConversation
from mozhu.kernel.files import read_json, read_text

_MARK = "Ωmozhuω"
_DAYS = (datetime(2024, 2, 29, 11, 58), datetime(2031, 10, 3, 4, 5))
_SHOWN = 60

_QUESTION: dict[str, Any] = {"role": "user", "content": "a"}
_ANSWER: dict[str, Any] = {"role": "assistant", "content": _MARK}
_TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name} <b>",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    for name in ("weather", "time")
]
_CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "北京", "at": 8}}}


@dataclass(frozen=True)
class Probe:
    """A conversation that a copy must write as the model does, whatever the rows hold."""

    name: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None


def _said(*texts: str) -> list[dict[str, Any]]:
    return [
        {"role": ("user", "assistant")[place % 2], "content": content} for place, content in enumerate(texts)
    ]


PROBES = (
    Probe("probe#turns", _said("你好！", "早上好。", "  2 + 3?\n", "\n= 5.\n")),
    Probe("probe#system", [{"role": "system", "content": " 要简短。\r\n"}, *_said("a\n\nb", "c")]),
    Probe(
        "probe#tools",
        [
            _QUESTION,
            {"role": "assistant", "content": "", "tool_calls": [_CALL]},
            {"role": "tool", "content": "晴 <b>"},
            {"role": "assistant", "content": "晴"},
        ],
        _TOOLS,
    ),
    Probe("probe#thinking", _said("1", "<think>\nx\n</think>\n\ny", "2", "<think>\nz\n</think>\n\n3")),
)


def template_findings(renderer: Renderer, folder: Path, rows: Sequence[Any] = ()) -> list[ParityFinding]:
    """Everything that the template of ``folder`` shows by itself.

    Args:
        rows: Conversations on which two templates in one folder are compared, besides the probes.
    """
    found = [
        *_two_templates(renderer, folder, rows),
        *_no_generation_prompt(renderer),
        *_todays_date(renderer),
    ]
    inserted = inserted_system(renderer, [_QUESTION])
    if inserted:
        found.append(ParityFinding("info", "DATA-259", {"system": inserted}))
    return found


def inserted_system(renderer: Renderer, messages: Messages, tools: Tools | None = None) -> str | None:
    """The system prompt that the template puts before a conversation that has none; ``None`` where it puts none."""
    if not messages or messages[0].get("role") == "system":
        return None
    told = [{"role": "system", "content": _MARK}, *messages]
    try:
        plain, marked = renderer.text(messages, tools), renderer.text(told, tools)
    except RefusedConversation:
        return None
    before, found, after = marked.partition(_MARK)
    # The same text round the mark: what stands at its place is the template's own prompt.
    if not found or not plain.startswith(before) or not plain.endswith(after):
        return None
    return plain[len(before) : len(plain) - len(after)].strip() or None


def _no_generation_prompt(renderer: Renderer) -> list[ParityFinding]:
    """The template ignores ``add_generation_prompt`` and writes special tokens before the answer: the model would
    have to learn to write them itself, and no server expects that.
    """
    try:
        prompt, bare = renderer.text([_QUESTION], prompt=True), renderer.text([_QUESTION])
        whole = renderer.text([_QUESTION, _ANSWER])
    except RefusedConversation:
        return []
    if prompt != bare or not whole.startswith(prompt):
        return []
    header = whole[len(prompt) :].partition(_MARK)[0]
    added = renderer.tokenizer.added_tokens_decoder.items()
    special = {*renderer.tokenizer.all_special_ids, *(number for number, token in added if token.special)}
    if not special.intersection(renderer.encode(header)):
        return []
    return [ParityFinding("error", "DATA-256", {"path": renderer.place, "header": header.strip()})]


def _todays_date(renderer: Renderer) -> list[ParityFinding]:
    texts = []
    for day in _DAYS:
        own = renderer.template
        now = partial(_same, day)
        dated = ChatTemplate(own.source, own.special_tokens, now=now, place=own.place)
        try:
            texts.append(dated.render([_QUESTION]))
        except RefusedConversation:
            return []
    return [] if texts[0] == texts[1] else [ParityFinding("info", "DATA-260", {"path": renderer.place})]


def _same(day: datetime) -> datetime:
    return day


def _two_templates(renderer: Renderer, folder: Path, rows: Sequence[Any]) -> list[ParityFinding]:
    """Places of one folder whose templates write different text: who serves it may read either."""
    places = template_places(folder)
    special = {**read_special_tokens(folder), **renderer.template.special_tokens}
    findings: list[ParityFinding] = []
    (first, source), *others = places or [("", "")]
    for name, other in others:
        if other == source:
            continue
        left, right = (ChatTemplate(told, special, place=str(folder)) for told in (source, other))
        told = next(filter(None, (_differs(left, right, probe) for probe in _conversations(rows))), None)
        if told:
            params = {"path": str(folder), "left": first, "right": name, **told}
            findings.append(ParityFinding("error", "DATA-255", params))
    return findings


def template_places(folder: Path) -> list[tuple[str, str]]:
    """Each file of ``folder`` that holds a chat template, with its text; the one that counts first."""
    found = []
    if (folder / TEMPLATE_FILE).is_file():
        found.append((TEMPLATE_FILE, read_text(folder / TEMPLATE_FILE)))
    for name in ("tokenizer_config.json", "chat_template.json"):
        value = read_json(folder / name) if (folder / name).is_file() else {}
        template = value.get("chat_template") if isinstance(value, dict) else None
        if isinstance(template, list):
            named = {item.get("name"): item.get("template") for item in template if isinstance(item, dict)}
            template = named.get("default")
        if isinstance(template, str):
            found.append((name, template))
    return found


def _conversations(rows: Sequence[Any]) -> list[Probe]:
    told = [Probe(row["row_id"], row["messages"], row.get("tools")) for row in rows if row.get("messages")]
    return [*told, *PROBES]


def _differs(left: ChatTemplate, right: ChatTemplate, probe: Probe) -> dict[str, Any] | None:
    """Where the texts of two templates part, as parameters; ``None`` where they do not."""
    for prompt in (False, True):
        turns = probe.messages[:-1] if prompt else probe.messages
        one, two = (_text(template, turns, probe.tools, prompt) for template in (left, right))
        if one != two:
            place = next(
                (at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b),
                min(len(one), len(two)),
            )
            return {
                "row": probe.name,
                "position": place,
                "left_text": one[place : place + _SHOWN],
                "right_text": two[place : place + _SHOWN],
            }
    return None


def _text(template: ChatTemplate, messages: Messages, tools: Tools | None, prompt: bool) -> str:
    """The text, or nothing where the template refuses."""
    try:
        return template.render(messages, tools, add_generation_prompt=prompt)
    except RefusedConversation:
        return ""
