"""A scratch workspace in which Mozhu's commands are typed, its data and models, and what came of each command."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer

from mozhu.kernel.files import read_jsonl
from mozhu.testing import starter_path

CHINESE = re.compile(r"[\u4e00-\u9fff]")
_TIME_LIMIT_S = 560
# Rewritten by every start of a run; of no meaning to a user.
_PASSING = {"__pycache__", ".lock"}
# One pattern with two changing words: what is learnt from some of the rows holds for the others.
_WORDS = "春夏秋冬山水花鸟风云雨雪日月星辰金木土火"
_SIGNS = "红黄蓝"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A workspace of its own at ``root``, with a home of its own beside it."""

    root: Path

    def path(self, name: str) -> Path:
        return self.root / name

    def write_rows(self, name: str, rows: Iterable[dict[str, Any]]) -> Path:
        path = self.root / name
        path.write_text(json.dumps(list(rows), ensure_ascii=False), encoding="utf-8")
        return path

    def environment(self, language: str = "en") -> dict[str, str]:
        """Nothing of the test's own environment but what any shell has; no hub, no proxy, no GPU choice."""
        kept = {
            name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ
        }
        home = self.root.parent / f"{self.root.name}-home"
        home.mkdir(exist_ok=True)
        return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", "MOZHU_LANG": language, "COLUMNS": "200"}

    def command(self, *words: object) -> list[str]:
        return [sys.executable, "-m", "mozhu", *map(str, words)]

    def mozhu(
        self,
        *words: object,
        language: str = "en",
        before: str = "",
        stdin: str = "",
        wrapper: Sequence[str] = (),
    ) -> Said:
        """``mozhu WORDS`` typed in the workspace; ``before`` is typed in front of it, as ``ulimit -v 1``."""
        command = shlex.join([*wrapper, *self.command(*words)])
        return self._bash(f"{before}; exec {command}" if before else f"exec {command}", language, stdin)

    def script(self, line: str) -> Said:
        """``python LINE`` typed in the workspace: one of its scripts with its arguments."""
        return self._bash(f"exec {shlex.quote(sys.executable)} {line}", "en", "")

    def _bash(self, line: str, language: str, stdin: str) -> Said:
        answer = subprocess.run(
            ["bash", "-c", line],
            cwd=self.root,
            env=self.environment(language),
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TIME_LIMIT_S,
        )
        return Said(answer.returncode, answer.stdout, answer.stderr)

    def done(self, *words: object, **options: Any) -> Said:
        """Like :meth:`mozhu`, for a command that has to end well."""
        said = self.mozhu(*words, **options)
        assert said.code == 0, said.out + said.err
        assert "Traceback" not in said.out + said.err
        return said


def make_place(root: Path) -> Place:
    """A workspace as ``mozhu init`` lays it out."""
    root.mkdir(parents=True)
    place = Place(root)
    place.done("init", ".")
    return place


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """``folder`` as ``make`` left it, made by whichever worker of a test run comes first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f"{folder.name}.lock"):
        if not (folder.parent / f"{folder.name}.made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            (folder.parent / f"{folder.name}.made").touch()
    return folder


def float32_starter(folder: Path) -> Path:
    """The starter's weights in float32: what is made of it can be compared to the last digits."""
    model = AutoModelForCausalLM.from_pretrained(starter_path(), dtype=torch.float32, local_files_only=True)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(starter_path(), local_files_only=True).save_pretrained(folder)
    return folder


def pattern_rows(count: int = 60) -> list[dict[str, str]]:
    """``count`` different alpaca rows of one pattern that a small model learns in a few steps."""
    pairs = [(word, sign) for sign in _SIGNS for word in _WORDS][:count]
    assert len(pairs) == count
    return [
        {
            "instruction": f"{word}的{sign}色口令是什么？",
            "input": "",
            "output": f"口令：{sign}{word}，模铸{word}{sign}。",
        }
        for word, sign in pairs
    ]


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_jsonl(folder / "events.jsonl") if event["kind"] == kind]


def tree(*roots: Path) -> dict[str, str]:
    """Every file and folder with the hash of its content (a link: its target); a run's lock left out."""
    found = {}
    for root in roots:
        for path in sorted([root, *root.rglob("*")]):
            if _PASSING & set(path.parts):
                continue
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            else:
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "/"
    return found


def times(root: Path) -> dict[str, tuple[int, int]]:
    """Every file's size and time of its last change."""
    files = [path for path in root.rglob("*") if path.is_file() and not _PASSING & set(path.parts)]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@contextmanager
def small_disk(folder: Path, size: str):
    """A file system of ``size`` at ``folder``, gone at the end of the block; false where none can be mounted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class _References(HTMLParser):
    """What a page would load: addresses in tags and in style sheets."""

    _LOADING = {"src", "srcset", "poster", "data", "action", "background", "xlink:href"}

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in self._LOADING or (name == "href" and tag in {"link", "base", "use", "image"}):
                self.found.append(value or "")
            if name == "style":
                self.handle_data(value or "")

    def handle_data(self, data: str) -> None:
        self.found += re.findall(r"url\(\s*['\"]?([^)'\"]+)", data) + re.findall(r"@import\s+(\S+)", data)


def check_self_contained(page: Path) -> str:
    """The text of a page that loads nothing from elsewhere: no address but ``data:`` and ``#``."""
    content = page.read_text(encoding="utf-8")
    parser = _References()
    parser.feed(content)
    assert [item for item in parser.found if not item.startswith(("data:", "#"))] == []
    assert "iframe" not in parser.tags and "svg" in parser.tags
    return content
