"""Examples of what is asked and answered of data sets."""

from __future__ import annotations

from mozhu.server.examples_models import ENDED, HASH, RATING, SHARES, Example

_VERSION: Example = {
    "reference": "medical_qa:v1",
    "name": "medical_qa",
    "label": "v1",
    "seq": 1,
    "state": "ready",
    "description": "门诊问答",
    "tags": ["medical", "zh"],
    "path": "datasets/medical_qa/v1",
    "size_bytes": 4718592,
    "row_count": 9650,
    "rejected_count": 350,
    "parts": {"train": {"path": "train.jsonl", "rows": 9000, "size": 4194304, "sha256": HASH}},
    "content": HASH,
    "created": "2026-11-21T07:00:00.000Z",
    "registered": ENDED,
    "owner": "local",
    "team": "local",
    "kind": "sft",
    "notes": "去掉了重复的问题",
    "trashed": None,
}
_DATASET: Example = {
    "name": "medical_qa",
    "owner": "local",
    "team": "local",
    "created": ENDED,
    "updated": ENDED,
    "version_count": 1,
    "newest": _VERSION,
    "kind": "sft",
    "description": "门诊问答",
    "licence": "cc-by-4.0",
    "visibility": "team",
    "size_bytes": 4718592,
    "trashed": None,
}
_DETAIL: Example = {
    "dataset": _DATASET,
    "chosen": _VERSION,
    "versions": [_VERSION],
    "recipe": {"fixers": ["spaces"]},
    "files": ["train.jsonl", "snapshot.json", "card.md"],
    "used_by": ["medical-qa:v1"],
    "history": [
        {
            "time": ENDED,
            "what": "dataset.registered",
            "model": "medical_qa",
            "version": "v1",
            "details": {"state": "ready"},
        }
    ],
}
_ALIASES: Example = {"items": [{"name": "production", "reference": "medical_qa:v1", "protected": True}]}
_NAME, _NAMED = {"name": "medical_qa"}, {"name": "medical_qa:v1"}

DATASETS: dict[str, Example] = {
    "list_datasets": {"search": "门诊", "kind": "sft", "answer": {"items": [_DATASET], "next": None}},
    "show_dataset": {**_NAME, "answer": _DETAIL},
    "edit_dataset": {**_NAME, "body": {"licence": "cc-by-4.0", "visibility": "team"}, "answer": _DETAIL},
    "set_dataset_notes": {**_NAMED, "body": {"notes": "去掉了重复的问题"}, "answer": _DETAIL},
    "set_dataset_tags": {**_NAMED, "body": {"tags": ["medical", "zh"]}, "answer": _DETAIL},
    "copy_dataset": {**_NAME, "body": {"name": "our_qa", "team": "vision"}, "answer": _DETAIL},
    "delete_dataset": {**_NAMED, "confirm": "medical_qa:v1", "answer": {"deleted": ["medical_qa:v1"]}},
    "restore_dataset": {**_NAMED, "answer": _DETAIL},
    "show_dataset_row": {
        **_NAMED,
        "answer": {
            "row_id": "train-000007",
            "part": "train",
            "row": {
                "messages": [
                    {"role": "user", "content": "怎么预约挂号？"},
                    {"role": "assistant", "content": "打电话，说明科室。"},
                ]
            },
        },
    },
    "validate_dataset": {
        **_NAMED,
        "answer": {
            "path": "datasets/medical_qa/v1",
            "reference": "medical_qa:v1",
            "state": "ready",
            "row_count": 9650,
            "file_count": 3,
            "size_bytes": 4718592,
            "content": HASH,
            "is_whole": True,
            "problems": [],
        },
    },
    "list_dataset_shares": {**_NAME, "answer": SHARES},
    "set_dataset_share": {**_NAME, "body": {"right": "use"}, "answer": SHARES},
    "remove_dataset_share": {**_NAME, "answer": {"items": []}},
    "list_dataset_aliases": {**_NAME, "answer": _ALIASES},
    "set_dataset_alias": {**_NAME, "body": {"version": "v1", "protected": True}, "answer": _ALIASES},
    "remove_dataset_alias": {**_NAME, "answer": {"items": []}},
    "show_dataset_rating": {**_NAME, "answer": RATING},
    "rate_dataset": {**_NAME, "body": {"stars": 4}, "answer": RATING},
}
