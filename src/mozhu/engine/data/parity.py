"""The parity gate: what is trained, what is asked and what is served are the same token ids.

For each row the ids of the training render are compared with those of the inference render (before every
answer must stand exactly what the model is given when it is asked), of plain transformers, and of the copies
and files made from the model. The first token that differs is shown with its row, its turn and its text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mozhu.engine.data.parity_report import (
    Difference,
    ParityReport,
    Token,
    difference_findings,
)
from mozhu.engine.data.parity_sides import Copy, Ids, PlainTransformers, Side, token_text
from mozhu.engine.data.parity_template import PROBES, template_findings
from mozhu.engine.data.stops import copied_stop_findings, read_stops, shown_stops, stop_findings
from mozhu.engine.data.tokens import TrainOn
from mozhu.engine.weights.template import Rendered, Renderer
from mozhu.kernel.errors import ParityBroken, RefusedConversation, TemplateRewritesTurns
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text

GATE_ROWS = 200
_CONTEXT_TOKENS = 16
_TWO_TEMPLATES_ROWS = 20


def check_parity(
    rows: Sequence[dict[str, Any]],
    folder: Path,
    renderer: Renderer | None,
    tokenizer: Any,
    *,
    train_on: TrainOn = "all",
    copies: Sequence[Path] = (),
    sides: Sequence[Side] = (),
) -> ParityReport:
    """Compare ``rows``; the report names every kind of difference once, with its first place.

    Args:
        rows: Prepared rows.
        folder: The model's own folder.
        renderer: Of that folder; ``None`` for a model without a chat template.
        copies: Folders made from the model: adapters, merged models.
        sides: Further sides to compare with, such as a GGUF file.
    """
    started = time.perf_counter()
    report = ParityReport()
    plain = PlainTransformers(folder)
    compared: list[Side] = [plain] if plain.has_template else []
    made = [Copy(Renderer.from_folder(path, base=folder)) for path in copies] if renderer else []
    served: list[Side] = [*made, *sides]
    own = text("data.side.training")
    report.sides = [own, text("data.side.inference"), *(side.name for side in [*compared, *served])]
    check = _Check(renderer, tokenizer, plain, [*compared, *served], train_on, report)
    differences = [item for row in rows for item in check.row(row)]
    if renderer is not None and served:
        check = _Check(renderer, tokenizer, plain, served, train_on, ParityReport())
        for probe in PROBES:
            row = {"row_id": probe.name, "messages": probe.messages, "tools": probe.tools}
            differences += check.sides_of(row)
    report.findings += difference_findings(differences)
    _check_folder(report, folder, renderer, tokenizer, rows, made)
    report.seconds = time.perf_counter() - started
    return report


def require_parity(
    rows: Sequence[dict[str, Any]],
    folder: Path,
    renderer: Renderer | None,
    tokenizer: Any,
    *,
    emit: Emit,
    train_on: TrainOn = "all",
    accept: Sequence[str] = (),
    model: str = "",
    dataset: str = "",
) -> ParityReport:
    """In the first 200 rows nothing differs, or what differs is accepted by name; every finding is emitted.

    Raises:
        ParityBroken: DATA-250 with every finding that is not in ``accept``.
    """
    report = check_parity(rows[:GATE_ROWS], folder, renderer, tokenizer, train_on=train_on)
    for finding in report.findings:
        taken = finding.level == "error" and finding.code in accept
        emit("finding", level="warning" if taken else finding.level, code=finding.code, params=finding.params)
    broken = report.broken(accept)
    if broken:
        raise ParityBroken(
            model=model or str(folder),
            dataset=dataset,
            problems="\n".join(f"  {finding.code}: {finding.words}" for finding in broken),
            codes=" ".join(dict.fromkeys(finding.code for finding in broken)),
        )
    numbers = {"rows": report.rows, "turns": report.turns, "seconds": f"{report.seconds:.1f}"}
    emit("log", message=text("data.parity.holds", sides=", ".join(report.sides), **numbers))
    return report


@dataclass
class _Check:
    """Compares rows; counts what it has seen in ``report``."""

    renderer: Renderer | None
    tokenizer: Any
    plain: PlainTransformers
    sides: Sequence[Side]
    train_on: TrainOn
    report: ParityReport
    training: str = field(default_factory=lambda: text("data.side.training"))
    inference: str = field(default_factory=lambda: text("data.side.inference"))

    def __post_init__(self) -> None:
        self._stops = self.renderer.stop_ids if self.renderer else []

    def row(self, row: dict[str, Any]) -> Iterator[Difference]:
        self.report.rows += 1
        if row.get("images"):
            self.report.refused += 1
        elif "messages" not in row:
            yield from self._text_row(row)
        elif self.renderer is not None:
            yield from self._messages_row(row, self.renderer)

    def sides_of(self, row: dict[str, Any]) -> Iterator[Difference]:
        """Only the other sides, on a conversation that is no row of the data."""
        assert self.renderer is not None
        turns = _turns(row["messages"], self.train_on)
        yield from self._sides(row, self.renderer, row["messages"], turns, None)

    def _messages_row(self, row: dict[str, Any], renderer: Renderer) -> Iterator[Difference]:
        messages, tools = row["messages"], row.get("tools")
        try:
            examples = renderer.examples(
                messages, tools, row=row["row_id"], only_last=self.train_on == "last"
            )
        except RefusedConversation:
            self.report.refused += 1
            return
        except TemplateRewritesTurns as error:
            turn = error.params.get("turn")
            yield from self._broken_turn(row, renderer, turn if isinstance(turn, int) else len(messages))
            return
        turns = _turns(messages, self.train_on)
        single = len(examples) == 1
        for place, example in enumerate(examples):
            self.report.tokens += len(example.ids)
            told = messages if single else messages[: turns[place] + 1]
            answers = turns if single else [turns[place]]
            self.report.turns += len(answers)
            yield from self._doubled_bos(row, example.ids)
            for turn in answers:
                yield from self._answer(row, renderer, example, turn)
            yield from self._sides(row, renderer, told, answers, example)

    def _answer(
        self, row: dict[str, Any], renderer: Renderer, example: Rendered, turn: int
    ) -> Iterator[Difference]:
        """Before the answer stands exactly its prompt, and the last token that it teaches ends the turn."""
        prompt = renderer.prompt_ids(row["messages"][:turn], row.get("tools")) if turn else None
        if prompt is not None and example.ids[: len(prompt)] != prompt:
            ids = (example.ids, prompt)
            yield self._difference("DATA-251", row, turn, "prompt", self.training, self.inference, ids)
            return
        start = len(prompt) if prompt is not None else _first(example.mask)
        end = start
        while end < len(example.ids) and example.mask[end]:
            end += 1
        last = example.ids[end - 1] if end > start else None
        if last is None or last not in self._stops:
            taught = Token(last, self._shown(last) if last is not None else text("data.side.nothing"))
            wanted = Token(None, " | ".join(self._shown(number) for number in self._stops))
            name, stops = self.training, text("data.side.stops")
            yield Difference(
                "DATA-261", row["row_id"], turn + 1, "whole", max(0, end - 1), name, stops, taught, wanted
            )

    def _sides(
        self,
        row: dict[str, Any],
        renderer: Renderer,
        messages: Sequence[dict[str, Any]],
        turns: Sequence[int],
        example: Rendered | None,
    ) -> Iterator[Difference]:
        for side in self.sides:
            found = self._whole(row, renderer, messages, side, example)
            for turn in turns:
                found = found or self._prompt(row, renderer, side, turn)
            if found:
                yield found

    def _whole(
        self,
        row: dict[str, Any],
        renderer: Renderer,
        messages: Sequence[dict[str, Any]],
        side: Side,
        example: Rendered | None,
    ) -> Difference | None:
        tools = row.get("tools")
        theirs = _asked(side.whole, messages, tools)
        if example is not None and theirs == example.ids:
            return None
        # An answer that begins with a line break is not merged with its prompt in training: the render counts.
        ours = _asked(lambda told, given: renderer.encode(renderer.text(told, given)), messages, tools)
        if ours == theirs or (isinstance(ours, str) and isinstance(theirs, str)):
            return None
        return self._sided(row, len(messages) - 1, "whole", side, ours, theirs)

    def _prompt(self, row: dict[str, Any], renderer: Renderer, side: Side, turn: int) -> Difference | None:
        if turn == 0:
            return None
        messages, tools = row["messages"][:turn], row.get("tools")
        ours, theirs = _asked(renderer.prompt_ids, messages, tools), _asked(side.prompt, messages, tools)
        if ours == theirs or (isinstance(ours, str) and isinstance(theirs, str)):
            return None
        return self._sided(row, turn, "prompt", side, ours, theirs)

    def _sided(
        self,
        row: dict[str, Any],
        turn: int,
        render: Literal["prompt", "whole", "text"],
        side: Side,
        ours: Ids | str,
        theirs: Ids | str,
    ) -> Difference:
        """The difference between our ids and a side's; a string is the reason of a refusal."""
        if isinstance(ours, list) and isinstance(theirs, list):
            return self._difference(
                side.code, row, turn, render, self._own(render), side.name, (ours, theirs), side
            )
        left, right = (
            Token(
                None,
                text("data.side.refuses", reason=said)
                if isinstance(said, str)
                else text("data.side.accepts"),
            )
            for said in (ours, theirs)
        )
        return Difference(
            side.code, row["row_id"], turn + 1, render, 0, self._own(render), side.name, left, right
        )

    def _own(self, render: str) -> str:
        return self.inference if render == "prompt" else self.training

    def _broken_turn(self, row: dict[str, Any], renderer: Renderer, turn: int) -> Iterator[Difference]:
        """Where an answer does not follow its own prompt: the texts part here."""
        messages, tools, place = row["messages"], row.get("tools"), turn - 1
        try:
            prompt = renderer.prompt_ids(messages[:place], tools)
            through = renderer.encode(renderer.text(messages[:turn], tools))
        except RefusedConversation:
            self.report.refused += 1
            return
        yield self._difference(
            "DATA-251", row, place, "prompt", self.training, self.inference, (through, prompt)
        )

    def _text_row(self, row: dict[str, Any]) -> Iterator[Difference]:
        content = str(row["text"])
        ours = list(self.tokenizer(content, add_special_tokens=True, verbose=False)["input_ids"])
        self.report.tokens += len(ours)
        yield from self._doubled_bos(row, ours)
        theirs = self.plain.text_ids(content)
        if theirs != ours:
            side = self.plain
            ids = (ours, theirs)
            yield self._difference(side.code, row, None, "text", self.training, side.name, ids, side)

    def _doubled_bos(self, row: dict[str, Any], ids: Ids) -> Iterator[Difference]:
        bos = self.tokenizer.bos_token_id
        if bos is None:
            return
        for place in range(1, len(ids)):
            if ids[place] == bos and ids[place - 1] == bos:
                token = Token(bos, self._shown(bos))
                once = Token(None, text("data.side.once"))
                name = self.training
                yield Difference("DATA-257", row["row_id"], None, "whole", place, name, "-", token, once)
                return

    def _difference(
        self,
        code: str,
        row: dict[str, Any],
        turn: int | None,
        render: Literal["prompt", "whole", "text"],
        left: str,
        right: str,
        ids: tuple[Ids, Ids],
        side: Side | None = None,
    ) -> Difference:
        ours, theirs = ids
        place = first_difference(ours, theirs)
        shown = side.shown if side else self._shown
        before = str(self.tokenizer.decode(ours[max(0, place - _CONTEXT_TOKENS) : place]))
        tokens = (_token_at(ours, place, self._shown), _token_at(theirs, place, shown))
        number = None if turn is None else turn + 1
        return Difference(code, row["row_id"], number, render, place, left, right, *tokens, before)

    def _shown(self, token: int) -> str:
        return token_text(self.tokenizer, token)


def first_difference(left: Sequence[int], right: Sequence[int]) -> int:
    """The first place at which two lists differ; the length of the shorter where it begins the longer."""
    for place, (one, two) in enumerate(zip(left, right, strict=False)):
        if one != two:
            return place
    return min(len(left), len(right))


def _check_folder(
    report: ParityReport,
    folder: Path,
    renderer: Renderer | None,
    tokenizer: Any,
    rows: Sequence[dict[str, Any]],
    made: Sequence[Copy],
) -> None:
    """Templates and stop tokens of the folder and of every copy, by their files."""
    stops = read_stops(folder, tokenizer, renderer)
    report.stops[str(folder)] = shown_stops(stops, tokenizer)
    if renderer is not None:
        report.findings += template_findings(renderer, folder, rows[:_TWO_TEMPLATES_ROWS])
        report.findings += stop_findings(stops, tokenizer)
    for copy in made:
        path = Path(copy.renderer.place)
        theirs = read_stops(path, copy.renderer.tokenizer, copy.renderer)
        report.stops[str(path)] = shown_stops(theirs, copy.renderer.tokenizer)
        own = template_findings(copy.renderer, path, rows[:_TWO_TEMPLATES_ROWS])
        report.findings += [finding for finding in own if finding.level != "info"]
        report.findings += copied_stop_findings(stops, theirs, tokenizer)


def _asked(
    render: Any, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None
) -> Ids | str:
    """What a side writes, or the reason why it refuses."""
    try:
        return list(render(messages, tools))
    except RefusedConversation as error:
        return str(error.params.get("reason", "-"))


def _turns(messages: Sequence[dict[str, Any]], train_on: TrainOn) -> list[int]:
    turns = [place for place, message in enumerate(messages) if message.get("role") == "assistant"]
    return turns[-1:] if train_on == "last" else turns


def _token_at(ids: Ids, place: int, shown: Any) -> Token:
    return Token(ids[place], shown(ids[place])) if place < len(ids) else Token(None, text("data.side.end"))


def _first(mask: Sequence[bool]) -> int:
    return next((place for place, own in enumerate(mask) if own), len(mask))
