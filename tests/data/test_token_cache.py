"""Examples on disk are those that were put there; a kept entry is whole or made anew, whoever else is at work."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.engine.data.encoding import EncodedExample
from mozhu.engine.data.token_cache import DamagedEntry, TokenCache, cache_key, token_cache
from mozhu.engine.data.token_store import FILES, StoreWriter, TokenStore, write_numbers
from mozhu.engine.data.tokens import Example, token_stats

examples = st.lists(
    st.tuples(st.integers(1, 40), st.lists(st.integers(0, 40), max_size=6), st.text(max_size=8)), max_size=30
)


def _encoded(count: int, edges: list[int], first: int) -> EncodedExample:
    places = sorted({min(edge, count) for edge in edges})
    return EncodedExample(
        array("i", range(first, first + count)), tuple(zip(places[::2], places[1::2], strict=False))
    )


@settings(max_examples=50, deadline=None)
@given(given=examples)
def test_a_store_gives_back_what_was_written(tmp_path_factory: Any, given: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("store")
    made = [(_encoded(count, edges, number * 7), row) for number, (count, edges, row) in enumerate(given)]
    with StoreWriter(folder) as writer:
        for example, row_id in made:
            writer.add(example, row_id)
    wanted = [Example(item.ids.tolist(), item.labels().tolist(), row_id) for item, row_id in made]
    store = TokenStore(folder)
    assert list(store) == wanted and store[:] == wanted and len(store) == len(wanted)
    assert writer.stats == token_stats(wanted)
    chosen = array("q", range(len(wanted) - 1, -1, -2))
    write_numbers(folder / "chosen.i64", chosen)
    part = TokenStore(folder, folder / "chosen.i64")
    assert list(part) == wanted[::-2]
    assert part[:3] == wanted[::-2][:3]
    if wanted:
        assert part[-1] == wanted[::-2][-1]
        with pytest.raises(IndexError):
            part[len(part)]
    assert list(pickle.loads(pickle.dumps(part))) == wanted[::-2], "a worker process opens the same files"


def test_a_store_is_little_endian_numbers(tmp_path: Path) -> None:
    with StoreWriter(tmp_path) as writer:
        writer.add(EncodedExample(array("i", [1, 258]), ((1, 2),)), "行#1")
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    assert (tmp_path / "ids.i32").read_bytes() == b"\x01\0\0\0\x02\x01\0\0"
    assert (tmp_path / "rows.txt").read_text(encoding="utf-8") == "行#1"


def _cache(tmp_path: Path, limit: int = 1 << 30) -> TokenCache:
    return TokenCache(tmp_path / "cache", limit)


def _build(content: bytes = b"tokens") -> Callable[[Path], dict[str, Any]]:
    def build(folder: Path) -> dict[str, Any]:
        (folder / "ids.i32").write_bytes(content)
        return {"said": "once"}

    return build


def test_an_entry_is_found_by_its_key_alone(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    key, other = cache_key({"rows": 1}), cache_key({"rows": 2})
    assert cache.find(key) is None and cache.peek(key) is None
    made = cache.make(key, _build())
    found = cache.find(key)
    assert found is not None and found == made and found.facts["said"] == "once"
    assert cache.peek(key) == found.facts
    assert cache.find(other) is None


@pytest.mark.parametrize(
    "fault", [b"token!", b"tok", None], ids=["a changed byte", "cut short", "a file that is gone"]
)
def test_a_damaged_entry_is_noticed_and_removed(tmp_path: Path, fault: bytes | None) -> None:
    cache, key = _cache(tmp_path), cache_key({})
    path = cache.make(key, _build()).path / "ids.i32"
    path.unlink() if fault is None else path.write_bytes(fault)
    with pytest.raises(DamagedEntry):
        cache.find(key)
    assert cache.find(key) is None
    assert cache.make(key, _build()).path.is_dir()


@pytest.mark.parametrize("record", ["{", "[]", '{"key": "another"}', "{}"])
def test_a_damaged_record_is_noticed_too(tmp_path: Path, record: str) -> None:
    cache, key = _cache(tmp_path), cache_key({})
    (cache.make(key, _build()).path / "entry.json").write_text(record)
    assert cache.peek(key) is None
    with pytest.raises(DamagedEntry):
        cache.find(key)


def test_nothing_is_left_of_an_entry_that_failed_or_was_stopped(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    for error in (ValueError, KeyboardInterrupt):

        def build(folder: Path, error: type[BaseException] = error) -> dict[str, Any]:
            (folder / "half").write_bytes(b"x")
            raise error

        with pytest.raises(error):
            cache.make(cache_key({}), build)
    assert list(cache.root.iterdir()) == []


def test_the_longest_unused_goes_first_and_the_newest_never(tmp_path: Path) -> None:
    cache = _cache(tmp_path, limit=6_000)
    keys = [cache_key({"n": number}) for number in range(4)]
    for number, key in enumerate(keys[:3]):
        entry = cache.make(key, _build(bytes(1_500)))
        os.utime(entry.path / "entry.json", (1_000 + number, 1_000 + number))
    assert cache.find(keys[0]) is not None  # used again: now the youngest
    cache.make(keys[3], _build(bytes(1_500)))
    assert [cache.find(key) is not None for key in keys] == [True, False, True, True]
    huge = cache.make(cache_key({"n": 9}), _build(bytes(50_000)))
    assert huge.path.is_dir() and cache.find(keys[3]) is None


def test_two_processes_make_one_entry(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from mozhu.engine.data.token_cache import *\n"
        "cache = TokenCache(Path(sys.argv[1]), 1 << 30); key = cache_key({})\n"
        "def build(folder):\n"
        "    (folder / 'ids.i32').write_bytes(b'x' * 100); time.sleep(0.5); print('built', flush=True); return {}\n"
        "with cache.locked(key, lambda: print('waits', flush=True)):\n"
        "    found = cache.find(key) or cache.make(key, build)\n"
        "print(found.path.name)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "c")], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert sum(words.count("built") for words in said) == 1
    assert said[0][-1] == said[1][-1]


def test_a_maker_without_a_lock_keeps_the_entry_that_was_first(tmp_path: Path) -> None:
    cache, key = _cache(tmp_path), cache_key({})

    def build(folder: Path) -> dict[str, Any]:
        cache.make(key, _build(b"first"))
        return _build(b"second")(folder)

    entry = cache.make(key, build)
    assert (entry.path / "ids.i32").read_bytes() == b"first"
    found = cache.find(key)
    assert found is not None and found.facts == entry.facts
    assert [path.name for path in cache.root.iterdir()] == [entry.path.name]


def test_the_environment_moves_and_limits_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert token_cache().root == tmp_path / "6_output" / ".cache" / "tokens"
    monkeypatch.setenv("MOZHU_TOKEN_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("MOZHU_TOKEN_CACHE_GB", "0.5")
    assert token_cache() == TokenCache(tmp_path / "elsewhere", 1 << 29)
    monkeypatch.setenv("MOZHU_TOKEN_CACHE_GB", "much")
    assert token_cache().limit_bytes == 20 << 30
