"""Decorators: the same function, plus what the name says; plain and async."""

from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from decorators import cache, deprecated, disk_cache, retry, timing

from mozhu.kernel.errors import BadToolArgument, NotJsonValue


class Failing:
    """Fails ``times`` times, then answers; counts its calls."""

    def __init__(self, times: int, error: Exception) -> None:
        self.times, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "answer"


def test_waits_grow_by_the_factor_up_to_the_limit():
    waits: list[float] = []
    work = Failing(5, OSError("away"))
    again = retry(attempts=6, delay_s=1, backoff=2, max_delay_s=6, sleep=waits.append)(work)
    assert again() == "answer"
    assert waits == [1, 2, 4, 6, 6] and work.calls == 6


def test_the_last_error_comes_out_as_it_was_and_nothing_waits_after_it(caplog):
    waits: list[float] = []
    error = OSError("away")
    with caplog.at_level(logging.WARNING, "mozhu.toolbox"), pytest.raises(OSError) as caught:
        retry(attempts=3, sleep=waits.append)(Failing(9, error))()
    assert caught.value is error and waits == [1, 2]
    assert len(caplog.records) == 3 and "failed 3 time(s)" in caplog.messages[-1]


def test_other_errors_and_ctrl_c_are_not_retried():
    for error in (KeyError("x"), KeyboardInterrupt()):
        work = Failing(1, error)  # type: ignore[arg-type]
        with pytest.raises(type(error)):
            retry(exceptions=(OSError, ValueError), sleep=lambda _: None)(work)()
        assert work.calls == 1


def test_an_async_function_waits_without_blocking():
    waits: list[float] = []

    async def rest(seconds: float) -> None:
        waits.append(seconds)

    work = Failing(2, OSError("away"))

    @retry(delay_s=0.5, async_sleep=rest)
    async def fetch() -> str:
        return work()

    assert asyncio.run(fetch()) == "answer" and waits == [0.5, 1.0]
    assert inspect.iscoroutinefunction(fetch)


def test_retry_passes_arguments_and_keeps_the_name():
    @retry
    def add(a: int, b: int = 2) -> int:
        """Sum."""
        return a + b

    assert add(1, b=3) == 4 and (add.__name__, add.__doc__) == ("add", "Sum.")


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"delay_s": -1}, {"backoff": float("nan")}])
def test_a_retry_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(BadToolArgument):
        retry(**wrong)


def test_timing_tells_wall_and_cpu_apart():
    found = []

    @timing(report=found.append)
    def rest() -> None:
        time.sleep(0.05)

    @timing(report=found.append)
    async def rest_async() -> str:
        await asyncio.sleep(0.05)
        return "done"

    rest()
    assert asyncio.run(rest_async()) == "done"
    for item, name in zip(found, ("rest", "rest_async"), strict=True):
        assert item.function.endswith(name) and item.wall_s >= 0.05 > item.cpu_s >= 0


def test_a_failing_call_is_timed_too_and_logged(caplog):
    @timing
    def fail() -> None:
        raise ValueError

    with caplog.at_level(logging.INFO, "mozhu.toolbox"), pytest.raises(ValueError):
        fail()
    assert "fail took" in caplog.messages[0] and caplog.records[0].wall_s >= 0


def test_a_kept_result_is_not_computed_again_until_its_time_is_over():
    now = [0.0]
    calls: list[int] = []

    @cache(ttl_s=10, clock=lambda: now[0])
    def square(x: int) -> int:
        calls.append(x)
        return x * x

    assert [square(3), square(3), square(4)] == [9, 9, 16] and calls == [3, 4]
    now[0] = 9.9
    square(3)
    now[0] = 10.0
    square(3)
    assert calls == [3, 4, 3]
    assert square.cache_info() == (2, 3, 128, 2)
    square.cache_clear()
    square(3)
    assert calls == [3, 4, 3, 3]


def test_the_least_recently_used_result_goes_first():
    calls: list[int] = []

    @cache(maxsize=2)
    def same(x: int) -> int:
        calls.append(x)
        return x

    for x in (1, 2, 1, 3, 1, 2):
        same(x)
    assert calls == [1, 2, 3, 2]


def test_equal_values_of_other_types_and_failures_are_not_mixed_up():
    @cache
    def kind(x: object = None, **more: object) -> str:
        if x is None and not more:
            raise ValueError
        return f"{type(x).__name__}{sorted(more)}"

    assert [kind(1), kind(1.0), kind(True)] == ["int[]", "float[]", "bool[]"]
    assert kind(1, a=1, b=2) == kind(1, b=2, a=1) == "int['a', 'b']"
    for _ in range(2):
        with pytest.raises(ValueError):
            kind()
    with pytest.raises(TypeError, match="unhashable"):
        kind([1])


def test_none_is_a_result_like_any_other_and_async_results_are_kept():
    calls: list[int] = []

    @cache
    async def nothing(x: int) -> None:
        calls.append(x)

    async def twice() -> None:
        await nothing(1)
        await nothing(1)

    asyncio.run(twice())
    assert calls == [1]


def test_a_disk_cache_outlives_the_process_and_knows_calls_by_their_arguments(tmp_path):
    script = tmp_path / "work.py"
    toolbox = Path(__file__).resolve().parents[2] / "1_utils"
    script.write_text(
        "import sys\n"
        f"sys.path.append({str(toolbox)!r})\n"
        "from decorators import disk_cache\n"
        f"@disk_cache({str(tmp_path / 'kept')!r})\n"
        "def work(a, b=2, *rest, **more):\n"
        "    print('computed')\n"
        "    return {'和': [a, b, *rest], **more}\n"
        "assert work(1) == work(a=1, b=2) == {'和': [1, 2]}\n"
        "assert work(1, 2, 3, x=None) == {'和': [1, 2, 3], 'x': None}\n"
    )
    first, second = (
        subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert (first.count("computed"), second.count("computed")) == (2, 0)


def test_a_damaged_or_old_entry_and_a_new_version_are_computed_anew(tmp_path):
    now, calls = [1000.0], []

    def make(version: str = ""):
        @disk_cache(tmp_path, ttl_s=60, version=version, clock=lambda: now[0])
        def work(x: int) -> int:
            calls.append(x)
            return x * 2

        return work

    assert [make()(4), make()(4)] == [8, 8] and calls == [4]
    (entry,) = tmp_path.rglob("*.json")
    for damage in ("{", "[]", '{"saved": "x"}'):
        entry.write_text(damage)
        assert make()(4) == 8
    assert calls == [4] * 4
    now[0] += 60
    make()(4)
    make("2")(4)
    assert calls == [4] * 6
    make().cache_clear()
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("value", [(1, 2), {1: "a"}, float("nan"), {"a": {1}}, b"x"])
def test_what_json_would_change_is_refused_and_not_kept(tmp_path, value):
    @disk_cache(tmp_path)
    def give() -> object:
        return value

    @disk_cache(tmp_path)
    def take(x: object) -> int:
        return 1

    with pytest.raises(NotJsonValue):
        give()
    with pytest.raises(NotJsonValue):
        take([value])
    assert not list(tmp_path.rglob("*.json"))


def test_generators_and_async_functions_are_refused_where_they_cannot_be_kept(tmp_path):
    def numbers():
        yield 1

    async def work():
        return 1

    for wrong in (
        lambda: cache(numbers),
        lambda: disk_cache(tmp_path)(numbers),
        lambda: disk_cache(tmp_path)(work),
    ):
        with pytest.raises(BadToolArgument):
            wrong()
    for setting in ({"maxsize": 0}, {"ttl_s": -1}):
        with pytest.raises(BadToolArgument):
            cache(**setting)


def test_a_deprecated_function_works_and_names_its_replacement_at_the_callers_line():
    @deprecated("new_name", since="0.2")
    def old(x: int) -> int:
        return x + 1

    @deprecated()
    async def gone() -> int:
        return 1

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert old(1) == 2 and asyncio.run(gone()) == 1
    assert "use new_name instead. Since 0.2." in str(caught[0].message)
    assert caught[0].filename == __file__ and caught[0].category is DeprecationWarning
    assert "no replacement" in str(caught[1].message)
