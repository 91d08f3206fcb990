"""The stop proof: every answer that is learned ends with a token at which the served model stops.

A model learns to stop only where the end-of-turn token carries a label, and it does stop only where the
serving side knows that token: ``generation_config.json`` for transformers and vLLM, ``config.json`` where
there is none, the tokenizer's ``eos_token`` for llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.data.parity_report import ParityFinding
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.token_files import read_special_tokens, token_id
from mozhu.kernel.files import read_json

CONFIG, GENERATION, TOKENIZER, MAP, TEMPLATE = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template",
)


@dataclass(frozen=True)
class StopPlaces:
    """The ids that end an answer by each place that names them; empty where a place names none."""

    folder: Path
    config: tuple[int, ...]
    generation: tuple[int, ...]
    tokenizer: tuple[int, ...]
    special_map: tuple[int, ...]
    template: tuple[int, ...]

    @property
    def served(self) -> tuple[str, tuple[int, ...]]:
        """The file that a server asks, and what it says."""
        return (GENERATION, self.generation) if self.generation else (CONFIG, self.config)

    def named(self) -> dict[str, tuple[int, ...]]:
        return {
            CONFIG: self.config,
            GENERATION: self.generation,
            TOKENIZER: self.tokenizer,
            MAP: self.special_map,
            TEMPLATE: self.template,
        }


def read_stops(folder: Path, tokenizer: Any, renderer: Renderer | None) -> StopPlaces:
    """What each place of a model folder says; an adapter's folder has a tokenizer only."""
    older = _token(_object(folder / MAP).get("eos_token"))
    own = tokenizer.eos_token_id
    told = read_special_tokens(folder).get("eos_token")
    in_file = token_id(folder, told) if told else None
    return StopPlaces(
        folder=folder,
        config=_eos(_object(folder / CONFIG)),
        generation=_eos(_object(folder / GENERATION)),
        tokenizer=tuple(dict.fromkeys(number for number in (in_file, own) if isinstance(number, int))),
        special_map=_known(token_id(folder, older) if older else None),
        template=tuple(renderer.turn_end_ids()) if renderer else (),
    )


def stop_findings(places: StopPlaces, tokenizer: Any) -> list[ParityFinding]:
    """Every disagreement between the places of one folder; an adapter's folder, which configures nothing, has
    none.
    """
    findings = []
    file, served = places.served
    path = str(places.folder)
    missing = [number for number in places.template if number not in served]
    if missing and (places.config or places.generation):
        params = {"path": path, "file": file, "token": _shown(tokenizer, missing)}
        findings.append(ParityFinding("error", "DATA-262", {**params, "named": _shown(tokenizer, served)}))
    for left, right, agree in _pairs(places):
        if not agree:
            params = {
                "path": path,
                "left": left,
                "right": right,
                "left_token": _shown(tokenizer, places.named()[left]),
                "right_token": _shown(tokenizer, places.named()[right]),
            }
            findings.append(ParityFinding("error", "DATA-263", params))
    return findings


def copied_stop_findings(source: StopPlaces, copy: StopPlaces, tokenizer: Any) -> list[ParityFinding]:
    """Places of a copy that name other ids than the model's; places that it does not have are left out."""
    findings = []
    before, after = source.named(), copy.named()
    for place in (CONFIG, GENERATION, TOKENIZER, TEMPLATE):
        there = place in (TOKENIZER, TEMPLATE) or (copy.folder / place).is_file()
        if there and set(before[place]) != set(after[place]):
            params = {
                "path": str(copy.folder),
                "file": place,
                "token": _shown(tokenizer, after[place]),
                "wanted": _shown(tokenizer, before[place]),
            }
            findings.append(ParityFinding("error", "DATA-264", params))
    return findings


def shown_stops(places: StopPlaces, tokenizer: Any) -> dict[str, str]:
    """Each place with its tokens in words, for a table."""
    return {name: _shown(tokenizer, ids) for name, ids in places.named().items()}


def _pairs(places: StopPlaces) -> list[tuple[str, str, bool]]:
    """Which places must agree: what the configuration names is among what generation stops at; the tokenizer's
    own token is one that the configuration names; the older map says what the newer says.
    """
    config, generation, tokenizer = (
        set(places.config),
        set(places.generation),
        set(places.tokenizer),
    )
    pairs = []
    if config and generation:
        pairs.append((CONFIG, GENERATION, config <= generation))
    if tokenizer and config:
        pairs.append((TOKENIZER, CONFIG, tokenizer <= config))
    elif tokenizer and generation:
        pairs.append((TOKENIZER, GENERATION, tokenizer <= generation))
    if places.special_map and tokenizer:
        pairs.append((MAP, TOKENIZER, set(places.special_map) == tokenizer))
    return pairs


def _shown(tokenizer: Any, ids: tuple[int, ...] | list[int]) -> str:
    return ", ".join(f"{tokenizer.decode([number])} ({number})" for number in ids) or "-"


def _eos(config: dict[str, Any]) -> tuple[int, ...]:
    value = config.get("eos_token_id")
    nested = config.get("text_config")
    if value is None and isinstance(nested, dict):
        value = nested.get("eos_token_id")
    found = value if isinstance(value, list) else [value]
    return tuple(item for item in found if isinstance(item, int))


def _known(number: int | None) -> tuple[int, ...]:
    return () if number is None else (number,)


def _token(value: Any) -> str | None:
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else None


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}
