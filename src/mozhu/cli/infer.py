"""``mozhu infer``: one question, a file of questions, or a conversation at the terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.display.progress import open_view
from mozhu.kernel import slots
from mozhu.kernel.errors import NoQuestion
from mozhu.kernel.files import read_text, write_jsonl
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.serve import InferSpec
from mozhu.workspace.places import with_absolute_paths

# The answer that came with a question, which only a model that scores answers reads.
_GIVEN = "_given_answer"
_LEAVE = {"exit", "quit", "/exit", "/quit", "退出"}


def act(call: Call) -> int:
    spec: InferSpec = with_absolute_paths(with_references(call.spec, call.home))
    questions = _questions(spec)
    call.output.say(text("infer.loading", name=spec.checkpoint))
    with contextlib.redirect_stdout(
        sys.stderr
    ):  # libraries that print while loading must not mix with answers
        chat = slots.load("mozhu.rooms", "chat")(spec)
    try:
        if spec.mode == "interactive":
            return talk(chat)
        if spec.mode == "single":
            return _answer_one(call, spec, chat)
        return _answer_all(call, spec, chat, questions)
    finally:
        chat.close()


def talk(chat: Any) -> int:
    """A conversation at the terminal until ``exit``, Ctrl-D or Ctrl-C; the history is kept."""
    print(text("infer.hint"), file=sys.stderr)
    history: list[dict[str, str]] = []
    while True:
        try:
            question = input(f"{text('infer.you')}> ").strip()
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stderr)
            return 0
        if question.lower() in _LEAVE:
            return 0
        if question == "/clear":
            history.clear()
            print(text("infer.cleared"), file=sys.stderr)
        elif question:
            history.append({"role": "user", "content": question})
            print(f"{text('infer.model')}> ", end="", flush=True)
            answer = chat.answer(history, _print_piece)
            print()
            history.append({"role": "assistant", "content": answer.text})


def _print_piece(piece: str) -> None:
    print(piece, end="", flush=True)


def _questions(spec: InferSpec) -> list[dict[str, Any]]:
    """The rows of a batch, read before the model is loaded, so that a wrong file costs no time.

    Raises:
        NoQuestion: INFER-001. MissingFile: FILE-001.
    """
    if spec.mode == "single" and not (spec.question or "").strip():
        raise NoQuestion()
    if spec.mode != "batch":
        return []
    if not spec.input:
        raise NoQuestion()
    rows = [_row(line) for line in read_text(spec.input).splitlines() if line.strip()]
    if not rows:
        raise NoQuestion()
    return rows


def _row(line: str) -> dict[str, Any]:
    """A line as a conversation: JSON with ``messages``, ``question``, ``prompt`` or ``instruction``, else text.

    ``messages`` end with the question; an answer that came with it is kept under :data:`_GIVEN`.
    """
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return {"messages": [{"role": "user", "content": line.strip()}]}
    if isinstance(value.get("messages"), list):
        messages = value["messages"]
        answered = bool(messages) and messages[-1].get("role") == "assistant"
        asked = messages[:-1] if answered else messages
        given = messages[-1].get("content") if answered else value.get("answer")
        return {**value, "messages": asked, _GIVEN: given}
    asked = (
        value.get("question") or value.get("prompt") or value.get("instruction") or value.get("text") or ""
    )
    if value.get("input"):
        asked = f"{asked}\n{value['input']}"
    given = value.get("answer") or value.get("output") or value.get("completion")
    return {**value, "messages": [{"role": "user", "content": str(asked)}], _GIVEN: given}


def _told(row: dict[str, Any], chat: Any) -> list[dict[str, Any]]:
    """What is put to the model: the question, and for one that scores answers the answer as well."""
    messages: list[dict[str, Any]] = list(row["messages"])
    given = row.get(_GIVEN)
    if getattr(chat, "reads_answers", False) and given:
        messages.append({"role": "assistant", "content": str(given)})
    return messages


def _said(answer: Any) -> dict[str, Any]:
    """The fields of an answer, or of a score."""
    if answer.scores is None:
        return {"answer": answer.text, "tokens": answer.tokens, "stopped": answer.stopped}
    if list(answer.scores) == ["reward"]:
        return {"score": answer.scores["reward"], "tokens": answer.tokens}
    return {"label": answer.text, "scores": answer.scores, "tokens": answer.tokens}


def _answer_one(call: Call, spec: InferSpec, chat: Any) -> int:
    live = None if call.output.as_json else _print_piece
    question = str(spec.question)
    row = {"messages": [{"role": "user", "content": question}], _GIVEN: spec.answer}
    answer = chat.answer(_told(row, chat), live)
    if call.output.as_json:
        call.output.data({"question": question, **_said(answer)})
    else:
        print()
    if not answer.stopped:
        call.output.say(text("infer.cut", tokens=answer.tokens))
    return 0


def _answer_all(call: Call, spec: InferSpec, chat: Any, rows: list[dict[str, Any]]) -> int:
    view = open_view(quiet=call.quiet)

    def show(made: int, total: int) -> None:
        view.show({"kind": "step", "t": "1970-01-01T00:00:00Z", "step": made, "total": total})

    try:
        made = chat.answer_many([_told(row, chat) for row in rows], show)
    finally:
        view.close()
    answers = [
        {**{name: value for name, value in row.items() if name != _GIVEN}, **_said(answer)}
        for row, answer in zip(rows, made, strict=True)
    ]
    if spec.output:
        write_jsonl(Path(spec.output), answers)
        call.output.data(
            {"rows": len(answers), "output": spec.output},
            text("infer.wrote", rows=len(answers), path=spec.output),
        )
    else:
        human = "\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers)
        call.output.data(answers, human)
    return 0


COMMAND = Command("infer", act, InferSpec, switches=("quiet",))
