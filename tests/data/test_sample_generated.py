"""The generated sample sets: the same bytes everywhere, no row twice, true of their world, usable without options."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zlib
from collections import Counter
from itertools import combinations
from math import log
from pathlib import Path

import pytest

from mozhu.engine.data.checks.run import run_check
from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.prepare import run_prepare
from mozhu.engine.data.sample import run_sample, sample_files, write_sample
from mozhu.engine.data.samples.captions import BACKGROUNDS, COLOURS, NUMBERS, PLACES, scene_of
from mozhu.engine.data.samples.classification import LABELS
from mozhu.engine.data.samples.dice import Dice
from mozhu.engine.data.samples.generate import generated_rows
from mozhu.engine.data.samples.preference import REASONS
from mozhu.engine.data.samples.shop import GOODS
from mozhu.engine.data.samples.town import inhabitant
from mozhu.kernel.errors import TargetExists
from mozhu.specs.data import CheckSpec, PrepareSpec, SampleSpec

KINDS = ("qa", "classification", "multi_turn", "preference", "image_captions")
SHAPES = dict(zip(KINDS, ("alpaca", "classification", "messages", "preference", "messages"), strict=True))
# Of the hundred rows of each kind with the default seed: what everybody has.
SHA256 = {
    "qa": "6739fb2099bfdddf",
    "classification": "204253bf69acd522",
    "multi_turn": "f426fe194a2e3608",
    "preference": "386ff3af658c4eee",
    "image_captions": "74b253335fcaac2f",
}


def content(folder: Path) -> str:
    """The hash of every file below ``folder`` with its name."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("samples")
    return {kind: write_sample(folder, kind=kind, count=1000) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_request_gives_the_same_bytes_everywhere(kind: str, tmp_path: Path) -> None:
    write_sample(tmp_path, kind=kind, count=100)
    assert content(tmp_path) == SHA256[kind]


def test_neither_hashing_nor_locale_changes_a_byte(tmp_path: Path) -> None:
    code = "import sys; from mozhu.engine.data.sample import write_sample as w; w(sys.argv[1], kind='multi_turn')"
    for number, environment in enumerate(
        ({"PYTHONHASHSEED": "1", "LC_ALL": "C"}, {"PYTHONHASHSEED": "2", "PYTHONUTF8": "1"})
    ):
        command = [sys.executable, "-c", code, str(tmp_path / str(number))]
        subprocess.run(command, check=True, env={**os.environ, **environment})
    assert content(tmp_path / "0") == content(tmp_path / "1")


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_gives_other_rows(kind: str) -> None:
    assert list(generated_rows(kind, 20, 1)) != list(generated_rows(kind, 20, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_rows_have_no_finding_and_no_duplicate(kind: str, thousand: dict[str, Path]) -> None:
    report = run_check(CheckSpec(dataset=str(thousand[kind])))
    assert report.rows == {"train": 1000}
    assert report.findings == []


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_recognised_and_prepared_without_options(
    kind: str, thousand: dict[str, Path], tmp_path: Path, events: list
) -> None:
    target = tmp_path / "prepared"
    outcome = run_prepare(PrepareSpec(input=str(thousand[kind]), output_dir=str(target)), tmp_path, events)
    assert outcome.metrics["rejected_rows"].value == 0
    assert outcome.details["shape"] == SHAPES[kind]
    assert outcome.metrics["train_rows"].value >= 780
    assert run_check(CheckSpec(dataset=str(target))).errors == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [10, 11, 257])
def test_any_number_of_rows_can_be_asked_for(kind: str, count: int) -> None:
    rows = list(generated_rows(kind, count, 42))
    assert len(rows) == count
    assert len({repr(row) for row in rows}) == count


def test_names_and_defaults_say_what_is_in_a_file(tmp_path: Path, events: list) -> None:
    assert [path.name for path in sample_files(SampleSpec())] == ["sample_data.json"]
    captions = SampleSpec(kind="image_captions", output_dir=str(tmp_path))
    assert [path.name for path in sample_files(captions)] == ["image_captions_100.json", "image_captions_100"]
    assert run_sample(captions, tmp_path, events).metrics["rows"].value == 100
    assert all(path.exists() for path in sample_files(captions))
    with pytest.raises(ValueError, match="count"):
        SampleSpec(count=9)


@pytest.mark.parametrize("kind", ["classification", "image_captions"])
def test_other_content_in_the_place_is_left_as_it_is(kind: str, tmp_path: Path) -> None:
    write_sample(tmp_path, kind=kind, count=10)
    before = content(tmp_path)
    write_sample(tmp_path, kind=kind, count=10)
    assert content(tmp_path) == before
    with pytest.raises(TargetExists):
        write_sample(tmp_path, kind=kind, count=10, seed=7)
    assert content(tmp_path) == before


def test_a_folder_with_another_image_is_left_as_it_is(tmp_path: Path) -> None:
    path = write_sample(tmp_path, kind="image_captions", count=10)
    path.unlink()
    (path.with_suffix("") / "mine.png").write_bytes(b"")
    with pytest.raises(TargetExists):
        write_sample(tmp_path, kind="image_captions", count=10)
    assert not path.exists()


def test_a_stopped_write_leaves_nothing(tmp_path: Path) -> None:
    def stop(kind: str, **fields: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path, stop, kind="preference", count=100_000)
    assert list(tmp_path.iterdir()) == []


def test_labels_are_balanced_and_lengths_vary(thousand: dict[str, Path]) -> None:
    rows = json.loads(thousand["classification"].read_text(encoding="utf-8"))
    assert Counter(row["label"] for row in rows) == dict.fromkeys(LABELS, 125)
    lengths = sorted(len(row["text"]) for row in rows)
    assert lengths[0] < 25 and lengths[50] < 36 and lengths[-50] > 70
    assert 90 <= sum(row["text"].isascii() for row in rows) <= 150


def test_the_labels_can_be_learned_and_not_from_single_letters(thousand: dict[str, Path]) -> None:
    """Naive Bayes over pairs of letters, trained on 800 messages, knows nearly all of the other 200."""
    rows = json.loads(thousand["classification"].read_text(encoding="utf-8"))
    pairs = naive_bayes(rows[:800], rows[800:], 2)
    assert pairs >= 0.93


def naive_bayes(train: list[dict[str, str]], test: list[dict[str, str]], gram: int) -> float:
    seen = {label: Counter[str]() for label in LABELS}
    for row in train:
        seen[row["label"]].update(grams(row["text"], gram))
    size = len(set().union(*seen.values()))
    totals = {label: sum(counts.values()) + size for label, counts in seen.items()}

    def best(content: str) -> str:
        found = grams(content, gram)
        return max(LABELS, key=lambda name: sum(log((seen[name][g] + 1) / totals[name]) for g in found))

    return sum(best(row["text"]) == row["label"] for row in test) / len(test)


def grams(content: str, size: int) -> list[str]:
    return [content[start : start + size] for start in range(len(content) - size + 1)]


def test_dialogues_have_two_to_five_rounds_and_lean_on_what_was_said(thousand: dict[str, Path]) -> None:
    rows = json.loads(thousand["multi_turn"].read_text(encoding="utf-8"))
    rounds = Counter((len(row["messages"]) - 1) // 2 for row in rows)
    assert set(rounds) == {2, 3, 4, 5} and min(rounds.values()) > 50
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["system", *["user", "assistant"] * (len(roles) // 2)]
        order = next(
            (n for m in row["messages"] if m["role"] == "user" for n in re.findall(r"\d{8}", m["content"])),
            None,
        )
        answers = " ".join(m["content"] for m in row["messages"] if m["role"] == "assistant")
        assert order is None or set(re.findall(r"\d{8}", answers)) <= {order}


def test_prices_and_sums_of_the_shop_are_right(thousand: dict[str, Path]) -> None:
    prices = {good.name: good.yuan for good in GOODS}
    known = "|".join(sorted(prices, key=len, reverse=True))
    single = 0
    for kind in ("multi_turn", "preference"):
        for row in json.loads(thousand[kind].read_text(encoding="utf-8")):
            turns = row.get("messages", []) + [{"role": "assistant", "content": row.get("chosen", "")}]
            said = " ".join(turn["content"] for turn in turns if turn["role"] == "assistant")
            for name, yuan in re.findall(rf"({known})(?:每.)?(\d+)元", said):
                assert prices[name] == int(yuan), said
                single += 1
            for count, name, total in re.findall(rf"(\d+).({known})是(\d+)元", said):
                assert int(count) * prices[name] == int(total), said
            for first, second, total in re.findall(r"是(\d+)元；.*?是(\d+)元。合计(\d+)元", said):
                assert int(first) + int(second) == int(total), said
    assert single > 500


def test_reasons_are_balanced_and_the_worse_answer_is_worse_in_that_way(thousand: dict[str, Path]) -> None:
    rows = json.loads(thousand["preference"].read_text(encoding="utf-8"))
    assert Counter(row["reason"] for row in rows) == dict.fromkeys(REASONS, 250)
    for row in rows:
        assert row["chosen"] != row["rejected"]
        if row["reason"] == "too_short":
            assert len(row["rejected"]) < len(row["chosen"]) / 3
        if row["reason"] == "rude":
            assert len(row["rejected"]) > 15 and row["rejected"] not in row["chosen"]


def test_the_facts_of_the_town_never_contradict_each_other() -> None:
    rows = list(generated_rows("qa", 3000, 42))
    answers: dict[str, str] = {}
    for row in rows:
        assert answers.setdefault(row["instruction"], row["output"]) == row["output"]
    people = [inhabitant(number, 42) for number in range(3000 // 12)]
    assert (
        len({person.name.zh for person in people})
        == len({person.name.en for person in people})
        == len(people)
    )
    told = {person.name.zh: person for person in people} | {person.name.en: person for person in people}
    born = 0
    for row in rows:
        for name, year in re.findall(r"(\w{3})(?:出生于|是青禾镇的\w+，生于|生于)(\d{4})年", row["output"]):
            born += 1
            assert told[name].born == int(year)
    assert born > 300


def test_facts_come_back_in_other_words_so_that_they_can_be_learned() -> None:
    rows = list(generated_rows("qa", 1000, 42))
    answers = Counter(row["output"] for row in rows)
    assert sum(count for count in answers.values() if count > 1) > 250


def test_captions_are_true_of_their_pictures(thousand: dict[str, Path]) -> None:
    """Counted in the picture: shapes of each colour, where they lie, and the background."""
    path = thousand["image_captions"]
    rows = json.loads(path.read_text(encoding="utf-8"))
    checked = 0
    for row in rows[:150]:
        caption = row["messages"][1]["content"]
        if caption.isascii():
            continue
        points, palette = decoded((path.parent / row["images"][0]).read_bytes())
        names = {rgb: name for name, (_, rgb) in {**COLOURS, **BACKGROUNDS}.items()}
        assert (
            names[palette[points[0][0]]] + "的背景" in caption
            or f"背景是{names[palette[points[0][0]]]}" in caption
            or (f"一张{names[palette[points[0][0]]]}底" in caption)
        )
        blobs = shapes_in(points)
        assert Counter((names[palette[colour]], PLACES[place]) for colour, place in blobs) == said_in(caption)
        checked += 1
    assert checked > 100


def said_in(caption: str) -> Counter[tuple[str, str]]:
    colours, places = "|".join(COLOURS), "|".join(PLACES)
    found = Counter(
        (colour, place) for place, colour in re.findall(rf"({places})是一个.的({colours})", caption)
    )
    found += Counter(re.findall(rf"({colours})的.\w{{2,3}}在({places})", caption))
    for number, colour, where in re.findall(rf"(.)个.的({colours})\w+（(.*?)）", caption):
        listed = where.split("、")
        assert NUMBERS.index(number) == len(listed)
        found.update((colour, place) for place in listed)
    return found


def decoded(png: bytes) -> tuple[list[list[int]], list[tuple[int, ...]]]:
    """The points of a PNG with four bits each, and its colours; every chunk's check sum is right."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks: dict[bytes, bytes] = {}
    start = 8
    while start < len(png):
        size = int.from_bytes(png[start : start + 4], "big")
        name, body = png[start + 4 : start + 8], png[start + 8 : start + 8 + size]
        assert zlib.crc32(name + body) == int.from_bytes(png[start + 8 + size : start + 12 + size], "big")
        chunks[name] = body
        start += 12 + size
    side = int.from_bytes(chunks[b"IHDR"][:4], "big")
    lines = zlib.decompress(chunks[b"IDAT"])
    width = side // 2 + 1
    rows = [lines[number * width + 1 : (number + 1) * width] for number in range(side)]
    points = [[half for byte in row for half in (byte >> 4, byte & 15)] for row in rows]
    colours = chunks[b"PLTE"]
    return points, [tuple(colours[place : place + 3]) for place in range(0, len(colours), 3)]


def shapes_in(points: list[list[int]]) -> list[tuple[int, int]]:
    """(colour, place from 0 to 8) of every connected patch that is not background."""
    side = len(points)
    left = {(x, y) for y in range(side) for x in range(side) if points[y][x]}
    found = []
    while left:
        edge = [left.pop()]
        patch = list(edge)
        while edge:
            x, y = edge.pop()
            for near in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                if near in left:
                    left.remove(near)
                    edge.append(near)
                    patch.append(near)
        colours = {points[y][x] for x, y in patch}
        assert len(colours) == 1
        middle = [(min(axis) + max(axis)) / 2 for axis in zip(*patch, strict=True)]
        found.append((colours.pop(), int(middle[1] * 3 // side) * 3 + int(middle[0] * 3 // side)))
    return found


def test_the_pictures_open_in_an_image_library(thousand: dict[str, Path]) -> None:
    images = pytest.importorskip("PIL.Image")
    for row in json.loads(thousand["image_captions"].read_text(encoding="utf-8"))[:20]:
        with images.open(thousand["image_captions"].parent / row["images"][0]) as image:
            image.load()
            assert image.format == "PNG" and 64 <= image.width == image.height <= 128


def test_images_are_found_beside_their_rows(thousand: dict[str, Path]) -> None:
    loaded = load_rows(str(thousand["image_captions"]))
    assert not loaded.rejected
    assert all(Path(row["images"][0]).is_file() for row in loaded.rows)


def test_no_place_of_a_scene_is_used_twice() -> None:
    for number in range(200):
        things = scene_of(Dice("test", number)).things
        assert all(first.place != second.place for first, second in combinations(things, 2))
