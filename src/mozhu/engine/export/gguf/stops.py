"""Which tokens end an answer: what the model's configuration says and what its own template writes there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mozhu.engine.weights.jinja import ChatTemplate
from mozhu.engine.weights.token_files import eos_ids, read_special_tokens, read_template, token_id
from mozhu.kernel.errors import MozhuError

_ANSWER = "Ωmozhuω"


@dataclass(frozen=True)
class Stops:
    """``eos`` is the tokenizer's own, ``more`` the others; ``texts`` are all of them as text."""

    eos: int | None
    more: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()


def find_stops(folder: Path, config: dict[str, Any]) -> Stops:
    """The tokens after which the model of ``folder`` is done."""
    ids = list(eos_ids(folder, config))
    own = _own_choice(folder, ids)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids += [number for number in _written_by_template(folder, tokenizer) if number not in ids]
    eos = own if own is not None else next(iter(ids), None)
    more = tuple(number for number in ids if number != eos)
    texts = [tokenizer.id_to_token(number) for number in ([] if eos is None else [eos, *more])]
    return Stops(eos, more, tuple(token for token in texts if token))


def _own_choice(folder: Path, ids: list[int]) -> int | None:
    """The tokenizer's own end token, else the first that the configuration names."""
    name = read_special_tokens(folder).get("eos_token")
    own = token_id(folder, name) if name else None
    return own if own is not None else next(iter(ids), None)


def _written_by_template(folder: Path, tokenizer: Tokenizer) -> list[int]:
    """The special token that the template writes after an answer, if it writes one."""
    source = read_template(folder)
    if source is None:
        return []
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _ANSWER}]
    try:
        rendered = ChatTemplate(source, read_special_tokens(folder), place=str(folder)).render(messages)
    except MozhuError:
        return []
    _, found, after = rendered.rpartition(_ANSWER)
    ids = tokenizer.encode(after.lstrip(), add_special_tokens=False).ids if found and after.strip() else []
    return [number for number in ids[:1] if number in tokenizer.get_added_tokens_decoder()]
