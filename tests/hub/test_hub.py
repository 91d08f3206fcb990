"""Data sets come from a hub as people write them: fetched once when that is allowed, then read without a network."""

from __future__ import annotations

from typing import Any

import pytest
from standin import rows

pytest.importorskip("datasets")


def test_a_data_set_is_fetched_once_and_read_without_the_hub_afterwards(desk: Any) -> None:
    done = desk.prepare("hf::owner/plain#100")
    assert done.returncode == 0, done.stderr
    first = desk.prepared()
    assert {name: len(part) for name, part in first.items()} == {"train": 80, "validation": 10, "test": 10}
    assert len(desk.hub.downloads()) == 2  # the card and the file, which comes from the hub's storage
    assert any("/cdn/" in line for line in desk.hub.downloads())
    asked = len(desk.hub.asked)
    again = desk.prepare("owner/plain#100", HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert desk.prepared() == first
    assert len(desk.hub.asked) == asked


def test_a_row_knows_its_line_in_the_published_file(desk: Any) -> None:
    assert desk.prepare("owner/plain").returncode == 0
    for row in desk.prepared()["test"]:
        assert row["source"]["file"] == "train.jsonl"
        number = row["source"]["line"] - 1
        assert row["messages"][1]["content"] == f"甲{number}"


@pytest.mark.slow
def test_each_subset_is_fetched_when_it_is_named(desk: Any) -> None:
    """One subset in the cache is not taken for the other."""
    for subset, count in (("other", 30), ("qa", 120), ("other", 30)):
        done = desk.prepare(f"owner/carded:{subset}")
        assert done.returncode == 0, done.stderr
        assert sum(map(len, desk.prepared().values())) == count
    wrong = desk.prepare("owner/carded:nope")
    assert wrong.returncode == 3 and "DATA-013" in wrong.stderr
    assert "`qa`, `other`" in wrong.stderr and "owner/carded:qa" in wrong.stderr
    unnamed = desk.prepare("owner/plain:nope")
    assert unnamed.returncode == 3 and "DATA-013" in unnamed.stderr


def test_nothing_is_asked_for_where_the_settings_do_not_allow_it(desk: Any) -> None:
    desk.allowed = "none"
    done = desk.prepare("owner/plain")
    assert done.returncode == 4 and "ENV-003" in done.stderr and "`owner/plain`" in done.stderr
    assert '"hub": "huggingface"' in done.stderr
    assert desk.hub.asked == []


def test_the_libraries_own_offline_switch_wins(desk: Any) -> None:
    done = desk.prepare("owner/plain", HF_HUB_OFFLINE="1")
    assert done.returncode == 4 and "ENV-003" in done.stderr
    assert desk.hub.asked == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reason", "remedy"),
    [
        ("owner/nothing", "no access", "HF_TOKEN"),
        ("owner/private", "no access", "HF_TOKEN"),
        ("owner/gated", "consent", "Agree to its terms"),
        ("owner/empty", "no data file", "Download it"),
    ],
)
def test_what_the_hub_refuses_is_one_clear_error(desk: Any, name: str, reason: str, remedy: str) -> None:
    done = desk.prepare(name)
    assert done.returncode == 4
    assert "ENV-005" in done.stderr and f"`{name}`" in done.stderr and desk.hub.address in done.stderr
    assert reason in done.stderr and remedy in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (desk.root / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["owner/private", "owner/gated"])
def test_a_token_opens_what_is_not_public(desk: Any, name: str) -> None:
    done = desk.prepare(name, HF_TOKEN="hf_of_a_member")
    assert done.returncode == 0, done.stderr
    assert sum(map(len, desk.prepared().values())) == 60


@pytest.mark.slow
def test_a_download_that_breaks_off_says_so_and_goes_well_the_next_time(desk: Any) -> None:
    """The half of a file that is there is never taken for the whole."""
    desk.hub.cut = {"train.jsonl"}
    broken = desk.prepare("owner/plain")
    assert broken.returncode == 4 and "ENV-005" in broken.stderr and "broke off" in broken.stderr
    offline = desk.prepare("owner/plain", HF_HUB_OFFLINE="1")
    assert offline.returncode == 4 and "ENV-003" in offline.stderr
    desk.hub.cut = set()
    done = desk.prepare("owner/plain")
    assert done.returncode == 0, done.stderr
    assert sum(map(len, desk.prepared().values())) == 150


@pytest.mark.slow
def test_one_file_of_two_is_not_taken_for_the_data_set(desk: Any) -> None:
    repository = desk.hub.repositories["owner/plain"]
    repository.files = {"README.md": b"# two\n", "a.jsonl": rows(40, "庚"), "b.jsonl": rows(50, "辛")}
    desk.hub.cut = {"b.jsonl"}
    assert desk.prepare("owner/plain").returncode == 4
    desk.hub.cut = set()
    assert desk.prepare("owner/plain", HF_HUB_OFFLINE="1").returncode == 4
    assert desk.prepare("owner/plain").returncode == 0
    assert sum(map(len, desk.prepared().values())) == 90
