"""How fast conversations become token ids with masked labels, by the starter's own template.

Physical limits: each conversation rendered once by the bare Jinja template, all texts given to one raw ``tokenizers``
batch, ids read; no answer is found and no label made. ``encode_batch`` is the usual call, ``encode_batch_fast`` the
same without offsets. ``encode_rows`` finds the answers as well; it is to reach 70 % of a limit's speed.

Peer: transformers' ``apply_chat_template(tokenize=True, return_assistant_tokens_mask=True)``, one row after the
other, which is how TRL prepares ``assistant_only_loss``. It needs a template that marks answers with
``{% generation %}``; few models ship one, and the peer gets one written for it. Mozhu finds the answers in the
model's own template. Ids and masks are compared before anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

from benchmarks.harness import alternate, in_process, ratio
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from mozhu.engine.data.encoding import encode_rows
from mozhu.engine.data.tokens import IGNORED, Example, tokenize_rows
from mozhu.engine.weights.jinja import prepared
from mozhu.engine.weights.template import Renderer
from mozhu.testing import starter_path, tiny_rows

# The starter's template with its answers marked.
_MARKED = (
    "{%- for message in messages %}{%- if message['role'] == 'assistant' %}"
    "{{- '<|im_start|>assistant\\n' }}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{{- '\\n' }}{%- else %}{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
)
_MAX_LENGTH = 2048
_SHARE = 0.7  # of a limit's speed
_LIMIT, _LEAST = "render + encode_batch", "render + encode_batch_fast"


def measure(work: Path, size: Size) -> list[Comparison]:
    renderer = Renderer.from_folder(starter_path())
    found = []
    for turns in (1, 4):
        rows = tiny_rows(size["rows"], turns=turns)
        tokens = _check(rows, renderer)

        def ours(rows: list[dict[str, Any]] = rows) -> None:
            tokenize_rows(rows, renderer, max_length=_MAX_LENGTH)

        def theirs(rows: list[dict[str, Any]] = rows) -> None:
            _by_transformers(rows, renderer.tokenizer)

        def encoded(rows: list[dict[str, Any]] = rows) -> None:
            sum(len(example.labels()) for row in encode_rows(rows, renderer) for example in row.examples)

        def least(rows: list[dict[str, Any]] = rows) -> None:
            _render_and_encode(rows, renderer, renderer.tokenizer.backend_tokenizer.encode_batch_fast)

        def usual(rows: list[dict[str, Any]] = rows) -> None:
            _render_and_encode(rows, renderer, renderer.tokenizer.backend_tokenizer.encode_batch)

        measured = alternate(
            {
                "encode_rows": in_process(encoded),
                _LIMIT: in_process(usual),
                _LEAST: in_process(least),
                "tokenize_rows": in_process(ours),
                "apply_chat_template": in_process(theirs),
            }
        )
        cost = ratio(measured, "encode_rows", _LIMIT)
        found.append(
            Comparison(
                f"conversations of {turns} question{'s' if turns > 1 else ''}",
                measured,
                size["rows"],
                "rows",
                against=[
                    ("encode_rows", _LIMIT),
                    ("encode_rows", _LEAST),
                    ("tokenize_rows", "apply_chat_template"),
                ],
                limits=[Limit("CPU against the limit", cost.value, round(1 / _SHARE, 2), "x")]
                if cost
                else [],
                facts={"tokens": tokens},
            )
        )
    return found


def _render_and_encode(rows: list[dict[str, Any]], renderer: Renderer, encode: Callable[..., Any]) -> int:
    template = prepared(ImmutableSandboxedEnvironment).from_string(renderer.template.source)
    tokens = renderer.template.special_tokens
    texts = [
        template.render(messages=row["messages"], tools=None, add_generation_prompt=False, **tokens)
        for row in rows
    ]
    return sum(len(one.ids) for one in encode(texts, add_special_tokens=False))


def _by_transformers(rows: list[dict[str, Any]], tokenizer: Any) -> list[Example]:
    examples = []
    for row in rows:
        told = tokenizer.apply_chat_template(
            row["messages"],
            chat_template=_MARKED,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        ids, mask = told["input_ids"], told["assistant_masks"]
        labels = [number if own else IGNORED for number, own in zip(ids, mask, strict=True)]
        examples.append(Example(ids, labels, row["row_id"]))
    return examples


def _check(rows: list[dict[str, Any]], renderer: Renderer) -> int:
    """Both give the same ids and labels; returns the number of tokens."""
    ours = tokenize_rows(rows[:50], renderer, max_length=_MAX_LENGTH).examples
    assert ours == _by_transformers(rows[:50], renderer.tokenizer), "both sides do the same work"
    return tokenize_rows(rows, renderer, max_length=_MAX_LENGTH).stats.tokens
