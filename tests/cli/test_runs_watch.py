"""``mozhu runs watch``: the picture says what the events say, at any size, live and afterwards."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from mozhu.cli.main import main
from mozhu.display.curve import Series, draw_curve
from mozhu.display.training_picture import TrainingPicture
from mozhu.kernel.files import write_json
from mozhu.kernel.progress import EventLog
from mozhu.kernel.texts import set_language
from mozhu.workspace.runs import RunFolder


@pytest.fixture(autouse=True)
def english() -> Any:
    set_language("en")
    yield
    set_language(None)


def step(number: int, **more: Any) -> dict[str, Any]:
    fields = {"step": number, "total": 100, "loss": 4 / number + 0.5, "loss_smooth": 4 / number + 0.6}
    return {**fields, "lr": 1e-3, "tokens_per_s": 1234.0, "memory_bytes": 3 << 20, "eta_s": 61.0, **more}


def make_run(folder: Path, steps: int, state: str | None = "succeeded") -> RunFolder:
    record = {"schema": 1, "verb": "train", "run": folder.name, "created": "2026-11-22T08:00:00Z"}
    write_json(folder / "spec.json", {**record, "fields": {}, "origins": {}, "inputs": []})
    log = EventLog(folder / "events.jsonl")
    for number in range(1, steps + 1):
        log.emit("step", **step(number))
    log.emit("eval", step=steps, loss=0.75)
    log.emit("sample", step=steps, row_id="d#1", question="二加二？", answer="四\n[b]五[/b]", expected="四")
    log.emit("finding", level="warning", code="TRAIN-080", params={"sink": "wandb", "reason": "gone"})
    if state:
        error = {"code": "TRAIN-003", "message": "loss is nan"} if state == "failed" else None
        write_json(folder / "result.json", {"schema": 1, "state": state, "seconds": 1.0, "error": error})
        if error:
            log.emit("failed", level="error", code=error["code"], params={}, message=error["message"])
    log.close()
    return RunFolder(folder)


def rows_of(lines: list[Any], mark: str = "o") -> list[int]:
    return [row for row, line in enumerate(lines) if mark in line.plain]


def test_a_lower_value_is_drawn_lower_and_further_right() -> None:
    marks = [(1, 5.0), (50, 3.0), (100, 1.0)]
    lines = draw_curve([Series(marks, "", "marks")], 60, 12)
    places = [(row, line.plain.index("o")) for row, line in enumerate(lines) if "o" in line.plain]
    assert len(places) == 3 and places == sorted(places)
    assert [column for _, column in places] == sorted(column for _, column in places)


def test_every_size_is_kept_and_none_crashes() -> None:
    series = [Series([(n, 10.0 / (n + 1)) for n in range(50)], "cyan")]
    for width in (1, 15, 16, 20, 33, 80, 250):
        for height in (0, 1, 2, 3, 8, 40):
            lines = draw_curve(series, width, height)
            assert len(lines) <= height and all(line.cell_len <= width for line in lines)
            assert bool(lines) == (width >= 16 and height >= 3)


def test_losses_that_are_not_finite_leave_a_gap() -> None:
    nan = float("nan")
    assert draw_curve([Series([(1, nan)], "")], 40, 10) == []
    flat = draw_curve([Series([(1, 2.0), (2, nan), (3, 2.0)], "")], 60, 9)
    inside = "".join(line.plain.partition("│")[2] or line.plain.partition("┤")[2] for line in flat[:-2])
    assert len(inside.strip()) > 2 and " " in inside.strip(), "the two points are not joined"
    assert draw_curve([Series([(5, 1.0)], "")], 60, 9), "a single point is a curve, too"


def test_without_braille_the_curve_is_plain_ascii() -> None:
    lines = draw_curve([Series([(1, 3.0), (9, 1.0)], "bold")], 40, 9, braille=False)
    assert any("*" in line.plain for line in lines)
    assert not any(ord(sign) >= 0x2800 for line in lines for sign in line.plain)


@pytest.mark.parametrize(("width", "height"), [(30, 8), (40, 14), (80, 24), (200, 60)])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    picture = TrainingPicture("a_run_with_quite_a_long_name", state="running")
    assert len(picture.lines(width, height)) <= height, "before the first event"
    for number in range(1, 31):
        picture.take({"kind": "step", **step(number, accuracy=0.5)})
    picture.take({"kind": "eval", "step": 30, "loss": "nan"})
    picture.take(
        {"kind": "finding", "level": "info", "code": "TRAIN-080", "params": {"sink": "x", "reason": "y"}}
    )
    lines = picture.lines(width, height)
    assert len(lines) <= height and all(line.cell_len <= width for line in lines)
    assert any("⠀" < sign <= "⣿" for line in lines for sign in line.plain)


def test_a_step_that_is_made_again_moves_the_picture(tmp_path: Path) -> None:
    picture = TrainingPicture("r")
    picture.take({"kind": "step", **step(7)})
    picture.take({"kind": "again", "of": "step", **step(6)})
    assert picture.facts()["step"] == 6
    assert set(picture.losses) == {6, 7}


@pytest.mark.parametrize(
    ("state", "word"),
    [("succeeded", "done"), ("failed", "failed"), ("cancelled", "stopped"), (None, "unfinished")],
)
def test_once_draws_a_run_as_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str | None, word: str
) -> None:
    run = make_run(tmp_path / "run", 40, state)
    assert main(["runs", "watch", str(run.path), "--once"]) == 0
    told = capsys.readouterr().out
    assert f"run  {word}" in told and "40/100" in told
    assert "validation loss 0.7500" in told and "best 0.7500 (step 40)" in told
    assert "1,234" in told and "3.0MB" in told and "1.00e-03" in told
    assert "TRAIN-080" in told
    assert "二加二？" in told and "四 ⏎ [b]五[/b]" in told, "an answer is no markup and keeps to its line"
    assert ("TRAIN-003: loss is nan" in told) == (state == "failed")
    assert "\x1b" not in told, "no colours where nobody sees them"


def test_a_picture_is_the_same_facts_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", 40)
    assert main(["runs", "watch", str(run.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["step"], told["total"]) == ("succeeded", 40, 100)
    assert told["best"] == {"step": 40, "loss": 0.75} and told["eval_loss"] == 0.75


def test_a_run_without_a_curve_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"schema": 1, "verb": "evaluate", "run": "e", "created": "2026-11-22T08:00:00Z"}
    write_json(tmp_path / "e" / "spec.json", {**record, "fields": {}, "origins": {}, "inputs": []})
    assert main(["runs", "watch", str(tmp_path / "e")]) == 0
    assert capsys.readouterr().out.strip() == "unfinished"


def test_on_a_terminal_a_running_training_is_drawn_live_and_follows_its_size(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 5, state=None)
    with run.locked():
        screen = Screen(["runs", "watch", str(run.path)], rows=24, columns=80)
        try:
            assert screen.sees(r"running.*5/100")
            log = EventLog(run.path / "events.jsonl")
            log.emit("step", **step(77))
            log.close()
            assert screen.sees(r"77/100")
            screen.resize(rows=14, columns=50)
            assert screen.sees(r"1,234")
            last = screen.last_page()
            assert max(len(line) for line in last.splitlines()) <= 50
        finally:
            screen.interrupt()
    assert screen.wait() == 0, "Ctrl-C ends the watching, not in an error"


class Screen:
    """A pseudo-terminal with ``mozhu`` in it."""

    def __init__(self, words: list[str], *, rows: int, columns: int) -> None:
        self._master, slave = pty.openpty()
        self._size(slave, rows, columns)
        environment = {**os.environ, "MOZHU_LANG": "en", "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mozhu", *words],
            stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.content = ""

    def _size(self, terminal: int, rows: int, columns: int) -> None:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, *, rows: int, columns: int) -> None:
        self.content = ""
        self._size(self._master, rows, columns)

    def sees(self, pattern: str, seconds: float = 30.0) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, self.plain(), re.DOTALL):
                return True
            if select.select([self._master], [], [], 0.2)[0]:
                self.content += os.read(self._master, 1 << 16).decode("utf-8", "replace")
        return False

    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.content).replace("\r", "")

    def last_page(self) -> str:
        time.sleep(1)
        while select.select([self._master], [], [], 0.2)[0] and self.content.count("\x1b[H") < 6:
            self.content += os.read(self._master, 1 << 16).decode("utf-8", "replace")
        pages = self.content.split("\x1b[H")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", pages[-2] if len(pages) > 2 else pages[-1])

    def interrupt(self) -> None:
        self._process.send_signal(2)

    def wait(self) -> int:
        end = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < end:
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    os.read(self._master, 1 << 16)
                except OSError:
                    break
        return self._process.wait(5)


def test_a_sample_is_a_line_of_its_own_in_every_view() -> None:
    from mozhu.display.progress import describe_event

    event = {"kind": "sample", "step": 4, "question": "二加二？", "answer": "四\n五"}
    assert describe_event(event) == "answer at step 4: 二加二？ → 四 五"
    assert describe_event({"kind": "sample", "row": 1, "prompt": "of an evaluation"}) is None
