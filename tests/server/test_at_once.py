"""Fifty requests at once, reading and writing: every one is answered, and none with an error."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from running import Running


def test_fifty_at_once_are_all_answered(stocked: Running) -> None:
    pages = (
        "/api/v1/models",
        "/api/v1/models?search=%E5%8C%BB%E7%96%97",
        "/api/v1/models/medical",
        "/api/v1/datasets",
        "/api/v1/events/history",
    )

    def ask(number: int) -> int:
        if number % 10 == 9:
            return stocked.post("/api/v1/models/shop/validate").status_code
        return stocked.get(pages[number % len(pages)]).status_code

    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(ask, range(300)))
    assert answers == {200: 300}
