"""Rows with more than one answer: the wanted and the unwanted one, or answers with scores."""

from __future__ import annotations

import math
import re
from typing import Any

from mozhu.engine.data.asking import answer_turns, asked_turns, is_alpaca, message, present
from mozhu.engine.data.conversations import in_order
from mozhu.engine.data.field_names import (
    ANSWERS_FIELDS,
    PAIRS,
    PROMPT_FIELDS,
    SCORES_FIELDS,
    TURN_FIELDS,
    UNWANTED_ONLY,
)
from mozhu.engine.data.fields import filled
from mozhu.engine.data.rows import RowProblem
from mozhu.kernel.texts import text

# Anthropic's HH-RLHF writes a conversation as one string.
_SPEAKERS = re.compile(r"\n\n(Human|Assistant): ?")
_WANTED = frozenset(chosen for chosen, _ in PAIRS)
_SCORED = ("score", "rating", "overall_score", "reward", "rank")


def pair_of(value: dict[str, Any]) -> tuple[str, str] | None:
    """The fields of the wanted and the unwanted answer; the first is empty where it ends the conversation."""
    for chosen, rejected in () if _WANTED.isdisjoint(value) else PAIRS:
        if value.get(chosen) is not None and value.get(rejected) is not None:
            return chosen, rejected
    unwanted = present(value, UNWANTED_ONLY)
    return ("", unwanted) if unwanted and present(value, TURN_FIELDS) else None


def is_ranking(value: dict[str, Any]) -> bool:
    """Whether several answers stand in a list, with scores beside or in them."""
    name = present(value, ANSWERS_FIELDS)
    answers = value.get(name) if name else None
    if not isinstance(answers, list):
        return False
    in_them = bool(answers) and isinstance(answers[0], dict) and present(answers[0], _SCORED) is not None
    return in_them or present(value, SCORES_FIELDS) is not None


def preference(value: dict[str, Any]) -> dict[str, Any]:
    """``messages`` (what is asked), ``chosen`` and ``rejected`` (the messages that answer).

    Where both are whole conversations, what they share at their beginning is what is asked.
    """
    chosen_name, rejected_name = pair_of(value) or ("chosen", "rejected")
    wanted, unwanted, asked = _sides(value, chosen_name, rejected_name)
    if any(turn["role"] != "assistant" for turn in wanted[:1]):
        shared = _shared(wanted, unwanted)
        if not shared:
            raise RowProblem("DATA-150", chosen_name)
        asked = _joined(asked, wanted[:shared], chosen_name)
        wanted, unwanted = wanted[shared:], unwanted[shared:]
    messages = in_order(asked, "messages", answered=False)
    for name, turns in ((chosen_name or "messages", wanted), (rejected_name, unwanted)):
        if not turns or turns[0]["role"] != "assistant":
            raise RowProblem("DATA-105", name)
        in_order(messages + turns, name)
    if wanted == unwanted:
        raise RowProblem("DATA-143", rejected_name)
    return {"messages": messages, "chosen": wanted, "rejected": unwanted}


def ranking(value: dict[str, Any]) -> dict[str, Any]:
    """A preference of the best answer over the worst; all answers with their scores stay in ``ranking``."""
    name = present(value, ANSWERS_FIELDS) or "answers"
    answers, smaller_is_better = _scored(value, name)
    order = sorted(answers, key=lambda item: item[1], reverse=not smaller_is_better)
    if order[0][1] == order[-1][1]:
        raise RowProblem("DATA-145", name, reason=text("data.ranking.equal"))
    if order[0][0] == order[-1][0]:
        raise RowProblem("DATA-143", name)
    return {
        "messages": in_order(asked_turns(value), "messages", answered=False),
        "chosen": [message("assistant", order[0][0])],
        "rejected": [message("assistant", order[-1][0])],
        "ranking": [{"content": content, "score": score} for content, score in answers],
    }


def _sides(
    value: dict[str, Any], chosen_name: str, rejected_name: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """The wanted turns, the unwanted ones, and what is asked apart from both, which may be nothing."""
    if not chosen_name:
        asked = asked_turns(value)
        start = len(asked)
        while start and asked[start - 1]["role"] == "assistant":
            start -= 1
        return asked[start:], _turns(value, rejected_name), asked[:start]
    has_question = is_alpaca(value) or present(value, (*TURN_FIELDS, *PROMPT_FIELDS)) is not None
    asked = asked_turns(value) if has_question else []
    return _turns(value, chosen_name), _turns(value, rejected_name), asked


def _turns(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    answer = value.get(name)
    if isinstance(answer, str) and answer.lstrip().startswith("Human:"):
        return _dialogue("\n\n" + answer.strip(), name)
    return answer_turns(value, name)


def _dialogue(content: str, name: str) -> list[dict[str, Any]]:
    pieces = _SPEAKERS.split(content)[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = []
    for speaker, said in zip(pieces[::2], pieces[1::2]):
        code = "DATA-105" if speaker == "Assistant" else "DATA-106"
        turns.append(message(roles[speaker], filled(said.strip(), name, code)))
    return turns


def _shared(wanted: list[dict[str, Any]], unwanted: list[dict[str, Any]]) -> int:
    """How many turns are the same in both up to the last question before they part."""
    same = 0
    for first, second in zip(wanted, unwanted):
        if first != second:
            break
        same += 1
    while same and wanted[same - 1]["role"] == "assistant":
        same -= 1
    return same


def _joined(asked: list[dict[str, Any]], shared: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """``asked`` is usually a part of ``shared``; a system message that stands only there is kept."""
    if not asked or asked[-1]["content"].strip() == shared[-1]["content"].strip():
        system = asked[:1] if asked and asked[0]["role"] == "system" and shared[0]["role"] != "system" else []
        return system + shared
    if asked[-1]["role"] in {"assistant", "system"}:
        return asked + shared
    raise RowProblem("DATA-150", name)


def _scored(value: dict[str, Any], name: str) -> tuple[list[tuple[str, float]], bool]:
    answers: list[Any] = value[name] if isinstance(value.get(name), list) else []
    contents = [_answer({name: answer}, name, number) for number, answer in enumerate(answers)]
    beside = present(value, SCORES_FIELDS)
    if beside is not None:
        scores: list[Any] = value[beside] if isinstance(value[beside], list) else []
        field = beside
    else:
        field = (
            present(answers[0], _SCORED) if answers and isinstance(answers[0], dict) else None
        ) or "score"
        scores = [answer.get(field) for answer in answers if isinstance(answer, dict)]
    if len(contents) < 2:
        raise RowProblem("DATA-145", name, reason=text("data.ranking.few"))
    if len(scores) != len(contents):
        reason = text("data.ranking.scores", answers=len(contents), scores=len(scores))
        raise RowProblem("DATA-145", name, reason=reason)
    return list(zip(contents, [_number(score, name) for score in scores])), field in {"rank", "ranks"}


def _answer(value: dict[str, Any], name: str, number: int) -> str:
    try:
        return str(answer_turns(value, name)[0]["content"])
    except RowProblem as problem:
        place = problem.field.replace(name, f"{name}[{number}]", 1)
        raise RowProblem(problem.code, place, **problem.params) from problem


def _number(score: Any, name: str) -> float:
    if isinstance(score, (int, float)) and not isinstance(score, bool) and math.isfinite(score):
        return float(score)
    raise RowProblem("DATA-145", name, reason=text("data.ranking.number", score=score))
