"""Lists and searches of many models, against going through all of them: each way of finding, on both engines."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import insert

from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.catalog import searching
from mozhu.platform.catalog.events import OF_MODEL
from mozhu.platform.catalog.models import Models
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.platform.database.grams import grams_of, plain, search_text
from mozhu.platform.database.tables import Model, Tag, Version
from mozhu.platform.database.tables_assets import SearchGram, Share

COUNT, TYPES, STATES = 240, ("text", "image"), ("ready", "checking", "failed")
TASKS = ("医疗问答", "客服", "legal_qa", "100% sure", "Größe")
ANN, NOBODY = Subject("ann", ("vision", "audio")), Subject("eve")


def made(number: int) -> dict[str, object]:
    """A model; every fifth is in the trash, every third is somebody else's, every seventh for everyone."""
    dice = random.Random(number)
    return {
        "id": number + 1,
        "name": f"{dice.choice(('qa', 'chat', 'Code'))}-{number * 7919 % 1000:03}",
        "owner": ("local", "ann", "bob")[number % 3],
        "team": ("local", "vision")[number % 2],
        "type": TYPES[number % 4 == 0],
        "visibility": "everyone" if number % 7 == 0 else ("private", "team")[number % 2],
        "description": TASKS[dice.randrange(len(TASKS))],
        "updated": f"2026-01-{dice.randrange(28) + 1:02}T00:00:00.000Z",
        "trashed": "2026-02-01T00:00:00.000Z" if number % 5 == 0 else None,
        "tags": ["every", f"t{number % 6}"],
        "state": STATES[number % len(STATES)],
    }


@pytest.fixture
def many(workspace, registry):  # type: ignore[no-untyped-def]
    """``COUNT`` models in the tables, each with two versions, the newer of them first in the trash of some."""
    rows = [made(number) for number in range(COUNT)]
    blank = dict.fromkeys(("base_model", "task", "description", "training_dataset", "path", "model_type"), "")
    blank |= {"kind": "adapter", "training_steps": 0, "size_bytes": 1, "checksum": "", "certified": False}
    blank |= {"created": "", "registered": "", "performance": {"bleu": 0.5}}
    columns = [column.name for column in Model.__table__.c]
    models, versions, tags, grams = [], [], [], []
    for row in rows:
        row["search_text"] = search_text([str(row["name"]), str(row["description"]), *row["tags"]])
        known = {"created": "", "version_count": 2, "size_bytes": 0, **row}
        models.append({name: known[name] for name in columns if name in known})
        grams += [{"kind": OF_MODEL, "gram": gram, "id": row["id"]} for gram in grams_of(row["search_text"])]
        for seq in (1, 2):
            trashed = "2026-02-01T00:00:00.000Z" if seq == 2 and row["id"] % 11 == 0 else None
            version = {**blank, "id": row["id"] * 2 + seq, "model_id": row["id"], "seq": seq}
            versions.append(version | {"label": f"v{seq}", "state": row["state"], "trashed": trashed})
            named = enumerate(row["tags"])
            tags += [{"tag": tag, "version_id": version["id"], "position": at} for at, tag in named]
    with registry.database.writing() as session:
        for table, content in ((Model, models), (Version, versions), (Tag, tags), (SearchGram, grams)):
            session.execute(insert(table), content)
        session.execute(insert(Share), {"subject": "team:audio", "model_id": 2, "right": "read"})
        session.execute(insert(Share), {"subject": "user:eve", "model_id": 3, "right": "read"})
    with Models(workspace, database=registry.database) as opened:
        yield opened, rows


def sees(subject: Subject, row: dict[str, object]) -> bool:
    shared = {2: "team:audio", 3: "user:eve"}.get(int(str(row["id"])))
    return (
        subject.is_admin
        or row["owner"] == subject.user
        or row["visibility"] == "everyone"
        or (row["visibility"] == "team" and row["team"] in subject.teams)
        or shared in subject.names
    )


def expected(rows, asked: ModelQuery, subject: Subject) -> list[str]:  # type: ignore[no-untyped-def]
    found = [
        row
        for row in rows
        if (row["trashed"] is not None) == asked.trash
        and sees(subject, row)
        and all(word in row["search_text"] for word in plain(asked.search).split())
        and asked.tag in (None, *row["tags"])
        and asked.state in (None, row["state"])
        and asked.owner in (None, row["owner"])
        and asked.type in (None, row["type"])
        and asked.team in (None, row["team"])
    ]
    if asked.sort == "name":
        return [row["name"] for row in sorted(found, key=lambda row: (row["name"], row["id"]))]
    return [row["name"] for row in sorted(found, key=lambda row: (row["updated"], row["id"]), reverse=True)]


def paged(models: Models, asked: ModelQuery, subject: Subject, limit: int) -> list[str]:
    names, after = [], None
    while True:
        page = models.page(asked, subject=subject, limit=limit, after=after)
        names += [item.name for item in page.items]
        assert all(item.newest.tags == ("every", item.newest.tags[1]) for item in page.items)
        assert all(item.newest.performance == {"bleu": 0.5} for item in page.items)
        if page.next is None:
            return names
        after = page.next


# How rare a gram is, how many models are gone through, what is many: small, so that each way is gone.
LIMITS = [(500, 1000, 3000), (8, 1000, 3000), (8, 20, 10), (2, 0, 10)]


def test_every_way_of_finding_finds_what_going_through_all_finds(many, monkeypatch):
    for limits in LIMITS:
        check(many, limits, monkeypatch)
    models, _ = many
    items = models.page(ModelQuery(), limit=200).items
    assert {item.newest.label for item in items} == {"v1", "v2"}, "the newest that is not in the trash"
    assert items[0].to_json()["newest"]["tags"] == list(items[0].newest.tags)


def check(many, limits, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    models, rows = many
    for name, value in zip(("_RARE", "_WINDOW", "_MANY"), limits, strict=True):
        monkeypatch.setattr(searching, name, value)
    monkeypatch.setattr(searching, "_LEAST", 2)
    dice = random.Random(str(limits))
    words = [
        "",
        "qa",
        "chat-",
        "e",
        "3",
        "医",
        "客服",
        "问答 t1",
        "qa legal",
        "00",
        "every",
        "% s",
        "größe",
        "GRÖSSE",
    ]
    words += ["zz", "服客", "_", str(rows[17]["name"]), f"{rows[31]['name']} every", "t5 qa-", "every t"]
    for search in words:
        asked = ModelQuery(
            search,
            type=dice.choice((None, None, "image")),
            tag=dice.choice((None, None, "every", "t1")),
            owner=dice.choice((None, None, "ann")),
            state=dice.choice((None, None, "ready")),
            sort=dice.choice(("updated", "name")),
            trash=dice.random() < 0.2,
            team=dice.choice((None, None, "vision")),
        )
        for question in (ModelQuery(search), asked):
            subject = dice.choice((LOCAL_ADMIN, ANN, NOBODY))
            found = paged(models, question, subject, dice.choice((7, 50)))
            assert found == expected(rows, question, subject), (question, subject)
