"""``mozhu data stats`` on the terminal, as JSON, from Python and as a page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import mozhu
from mozhu.cli.data_stats_view import bar
from mozhu.cli.main import main
from mozhu.engine.data.statistics.lengths import Bin
from mozhu.engine.scoring.report.bars import Labels, Series, histogram
from mozhu.kernel.texts import LANGUAGES, page_texts
from mozhu.testing import tiny_rows

KEYS = {"schema", "dataset", "model", "settings", "parts", "whole", "repeats", "samples"}
PART_KEYS = {
    *("rows", "rejected", "rejected_reasons", "sources", "kinds", "shapes", "characters", "turns", "extras"),
    *(
        "languages",
        "answers_in_another_language",
        "first_words",
        "labels",
        "pairs",
        "tokens",
        "longest",
        "shortest",
    ),
}
TOKEN_KEYS = {
    *("max_length", "rows", "examples", "lengths", "trained", "over", "rows_over", "lost", "trained_total"),
    *(
        "trained_lost",
        "dropped",
        "kept_tokens",
        "kept_trained",
        "trained_share",
        "fits",
        "padding",
        "packing",
    ),
    "not_measured",
}


class Page(HTMLParser):
    """The open elements at the end, every element's name, and what the page would load from elsewhere."""

    VOID = {"meta", "br", "link", "img", "input"}

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.loaded: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)


@pytest.fixture
def chat(write: Callable[..., Path]) -> Path:
    return write("chat.json", [{"messages": row["messages"]} for row in tiny_rows(30, turns=2)])


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["data", "stats", *words])
    return code, capsys.readouterr().out


def test_the_json_has_its_documented_keys(chat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--dataset", str(chat), "--model", "starter", "--max_length", "40", "--json")
    told = json.loads(out)
    assert code == 0 and told.keys() == KEYS
    assert told["whole"].keys() == PART_KEYS == told["parts"]["train"].keys()
    assert told["whole"]["tokens"].keys() == TOKEN_KEYS
    assert told["settings"]["max_length"] == 40 and told["schema"] == 1
    documented = (Path(__file__).parents[2] / "7_docs" / "data.md").read_text(encoding="utf-8")
    for name in KEYS | PART_KEYS | TOKEN_KEYS:
        assert f"`{name}`" in documented, name


def test_without_a_model_nothing_is_told_about_tokens(chat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "--dataset", str(chat), "--json")
    assert code == 0 and json.loads(out)["whole"]["tokens"] is None
    code, out = run(capsys, "--dataset", str(chat))
    assert code == 0 and "no model was named" in out


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_table_and_the_page_show_the_numbers_of_the_json(
    lang: str, chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "page.html"
    words = ["--dataset", str(chat), "--model", "starter", "--max_length", "40", "--lang", lang]
    code, out = run(capsys, *words, "--html", str(html))
    told = json.loads(run(capsys, *words, "--json")[1])
    page = html.read_text(encoding="utf-8")
    tokens = told["whole"]["tokens"]
    numbers = [tokens["lengths"]["summary"][name] for name in ("p50", "p95", "max", "total")]
    numbers += [tokens["lost"], tokens["trained_lost"], tokens["rows_over"], told["whole"]["rows"]]
    for number in numbers:
        assert f"{number:,}" in out and f"{number:,}" in page, number
    for share in [tokens["trained_share"], *(one["shuffled"] for one in tokens["padding"])]:
        assert f"{100 * share:.1f} %" in out and f"{100 * share:.1f} %" in page
    for word in page_texts(lang, "stats")["part.train"], page_texts(lang, "stats")["repeats"]:
        assert word in out and word in page
    assert code == 0 and f'lang="{"zh-CN" if lang == "zh" else "en"}"' in page


def test_the_page_needs_nothing_else_and_is_whole(
    chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "page.html"
    assert (
        run(capsys, "--dataset", str(chat), "--model", "starter", "--max_length", "60", "--html", str(html))[
            0
        ]
        == 0
    )
    content = html.read_text(encoding="utf-8")
    page = Page(content)
    assert page.open == [] and page.loaded == [] and "script" not in page.names
    assert "svg" in page.names and "@import" not in content and "url(" not in content
    assert re.search(r'class="limit"', content) and "prefers-color-scheme: dark" in content


def test_what_rows_say_cannot_change_the_page(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = '<script>alert("x")</script><img src=http://x.y/z>'
    rows = [{"question": f"{evil} {n}?", "answer": f"{evil}{n}"} for n in range(4)]
    rows.append(
        {
            "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": evil}],
            "system": evil,
        }
    )
    path, html = write("rows.json", rows[:4]), tmp_path / "page.html"
    assert run(capsys, "--dataset", str(path), "--html", str(html))[0] == 0
    page = Page(html.read_text(encoding="utf-8"))
    assert "script" not in page.names and "img" not in page.names and page.loaded == []
    marks = [{"text": evil, "label": evil}, {"text": "b", "label": "[bold]x[/bold]"}]
    code, out = run(capsys, "--dataset", str(write("marks.json", marks)), "--html", str(html))
    assert code == 0 and "[bold]x[/bold]" in out
    assert "script" not in Page(html.read_text(encoding="utf-8")).names


def test_a_cut_off_without_a_model_is_refused(chat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "stats", "--dataset", str(chat), "--max_length", "40"]) != 0
    assert "max_length" in capsys.readouterr().err


def test_python_gives_the_same(chat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: Any = mozhu.stats(chat, model="starter", max_length=40)
    out = run(capsys, "--dataset", str(chat), "--model", "starter", "--max_length", "40", "--json")[1]
    assert json.loads(out) == json.loads(json.dumps(told.to_json()))


def test_every_shape_has_a_page(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes: dict[str, list[dict[str, Any]]] = {
        "text": [{"text": "一段文字"}],
        "pairs": [{"prompt": "问", "chosen": "好的", "rejected": "坏"}],
        "kto": [{"prompt": "问", "completion": "答", "label": True}],
        "classes": [{"text": "新闻", "label": 3}],
        "one": [{"question": "问", "answer": "答"}],
    }
    for name, rows in shapes.items():
        html = tmp_path / f"{name}.html"
        code, out = run(
            capsys, "--dataset", str(write(f"{name}.json", rows)), "--model", "starter", "--html", str(html)
        )
        assert code == 0 and name in out and Page(html.read_text(encoding="utf-8")).open == []


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.5, 1.0, 3.0])
def test_bars_of_letters_fill_their_share(share: float) -> None:
    drawn = bar(share, 10)
    assert len(drawn) <= 10 and bool(drawn) == (share > 0)
    assert (drawn == "█" * 10) == (share >= 1)


def test_a_histogram_draws_every_bin_that_holds_something() -> None:
    bins = [Bin(0, 9, 4), Bin(10, 19, 0), Bin(20, 29, 2), Bin(30, 500, 1)]
    drawn = histogram([Series("rows", "main", bins)], Labels("tokens", "share", "cut"), 25).markup
    wide = drawn[: drawn.index("</svg>")]
    assert wide.count("<rect") == 3 and "20–29: 2" in wide and "≥ 30" in wide and 'class="limit"' in wide
    assert histogram([Series("rows", "main", [])], Labels("tokens")).markup == ""
