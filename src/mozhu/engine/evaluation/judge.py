"""A model that scores, on rows whose class or better answer is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from mozhu.engine.evaluation.progress import Progress
from mozhu.engine.evaluation.score import Scored
from mozhu.engine.inference.answers import Messages
from mozhu.engine.inference.generate import Answer
from mozhu.engine.inference.scores import REWARD, Scorer
from mozhu.engine.scoring.examples import Ask, plain_content, question_of
from mozhu.engine.scoring.intervals import mean_of
from mozhu.engine.scoring.metrics import Scores

Row = dict[str, Any]
_STEP = 16


def stage_of(scorer: Scorer) -> str:
    """Which rows such a model is evaluated on."""
    return "rm" if scorer.head.is_reward else "classification"


def judge(scorer: Scorer, rows: Sequence[Row], progress: Progress) -> Scored:
    """Classes: accuracy, macro F1 and the confusion matrix. A reward: pairs in the right order, and by how much.

    Rows of a class that the model does not know are left out and counted in ``details``.
    """
    began = time.monotonic()
    report = progress.part("answers")
    scored = (
        _judge_pairs(scorer, rows, report) if scorer.head.is_reward else _judge_classes(scorer, rows, report)
    )
    scored.seconds = time.monotonic() - began
    return scored


def _judge_classes(scorer: Scorer, rows: Sequence[Row], report: Any) -> Scored:
    labels = scorer.head.labels
    number = {label: place for place, label in enumerate(labels)}
    known = [index for index, row in enumerate(rows) if str(row.get("label")) in number]
    said = _said(scorer, [rows[index]["messages"] for index in known], report)
    scored, cells = Scored(), np.zeros((len(known), len(labels) ** 2))
    for place, (index, answer) in enumerate(zip(known, said, strict=True)):
        wanted = str(rows[index]["label"])
        cells[place, number[wanted] * len(labels) + number[answer.text]] = 1
        scored.asks[index] = Ask(index, (), question_of(rows[index]), wanted)
        scored.answers[index] = Answer((), answer.text, True)
        scored.tokens += answer.tokens
    matrix = cells.sum(0).reshape(len(labels), -1)
    unknown = len(rows) - len(known)
    scored.details = {
        "labels": list(labels),
        "confusion": matrix.astype(int).tolist(),
        "unknown_labels": unknown,
    }
    if known:
        right = [float(scored.answers[index].text == scored.asks[index].reference) for index in known]
        mean = Scores(
            right, float(np.mean(right)), "share of rows whose likeliest class is theirs", None, mean_of
        )
        scored.add("accuracy", mean, known, "higher")
        macro = Scores(
            right, macro_f1(cells.sum(0)), "mean of each class's F1|classes seen or said", cells, macro_f1
        )
        scored.add("macro_f1", macro, known, "higher")
    return scored


def _judge_pairs(scorer: Scorer, rows: Sequence[Row], report: Any) -> Scored:
    known = [index for index, row in enumerate(rows) if row.get("chosen") and row.get("rejected")]
    sides = [
        rows[index]["messages"] + rows[index][side] for index in known for side in ("chosen", "rejected")
    ]
    said = _said(scorer, sides, report)
    scored, margins = Scored(), []
    for place, index in enumerate(known):
        better, worse = ((said[2 * place + side].scores or {})[REWARD] for side in (0, 1))
        margins.append(better - worse)
        wanted = plain_content(rows[index]["chosen"][-1])
        scored.asks[index] = Ask(index, (), question_of(rows[index]), wanted)
        sign = ">" if better > worse else "≤"
        scored.answers[index] = Answer((), f"{better:.4f} {sign} {worse:.4f}", True)
        scored.tokens += said[2 * place].tokens + said[2 * place + 1].tokens
    if known:
        right = [float(margin > 0) for margin in margins]
        share = Scores(
            right, float(np.mean(right)), "share of pairs whose wanted answer scores higher", None, mean_of
        )
        scored.add("pair_accuracy", share, known, "higher")
        apart = Scores(
            margins, float(np.mean(margins)), "score of the wanted answer less the other's", None, mean_of
        )
        scored.add("margin", apart, known, "higher")
    return scored


def macro_f1(cells: np.ndarray) -> float:
    """The mean F1 of the classes that were seen or said, from the confusion matrix laid out in one row."""
    size = round(len(cells) ** 0.5)
    matrix = np.asarray(cells).reshape(size, size)
    right, both = np.diag(matrix), matrix.sum(0) + matrix.sum(1)
    there = both > 0
    return float((2 * right[there] / both[there]).mean()) if there.any() else float("nan")


def _said(scorer: Scorer, conversations: Sequence[Messages], report: Any) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(conversations), _STEP):
        found += scorer.score(conversations[start : start + _STEP])
        report(len(found), len(conversations))
    return found
