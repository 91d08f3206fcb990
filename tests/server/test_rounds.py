"""What the service does by itself goes on over failures, without hurry."""

from __future__ import annotations

import threading
import time

import pytest

from mozhu.server import rounds
from mozhu.server.rounds import Rounds


def test_what_fails_is_put_off_and_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_MOST_S", 0.1)
    calls, fails, done = {"good": 0, "bad": 0}, threading.Event(), threading.Event()
    fails.set()

    def good() -> int:
        calls["good"] += 1
        return 0

    def bad() -> int:
        calls["bad"] += 1
        if fails.is_set():
            raise RuntimeError("away")
        done.set()
        return 1

    made = Rounds([("bad", bad), ("good", good)], every_s=0.005)
    made.start()
    until = time.monotonic() + 10
    while calls["bad"] < 4 and time.monotonic() < until:
        time.sleep(0.005)
    assert calls["bad"] >= 4 and calls["good"] > 2 * calls["bad"]
    fails.clear()
    assert done.wait(10), "it is called again when it can be done"
    made.stop()
