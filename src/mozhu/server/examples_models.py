"""Examples of what is asked and answered of models."""

from __future__ import annotations

from typing import Any

Example = dict[str, Any]
ENDED = "2026-11-21T09:00:00.000Z"
HASH = "sha256:5b0b1f0e6c1f47d1c9a1a3f0f6f8a2b6a1d1e0c4f3b2a19080706050403020100"[:71]
VERSION: Example = {
    "reference": "medical-qa:v1",
    "name": "medical-qa",
    "label": "v1",
    "seq": 1,
    "notes": "第一次训练",
    "trashed": None,
    "state": "ready",
    "kind": "adapter",
    "model_type": "lora",
    "base_model": "Qwen/Qwen2.5-7B-Instruct",
    "task": "medical_qa",
    "description": "医疗问答",
    "training_dataset": "medical_qa:v1",
    "training_steps": 1000,
    "performance": {"bleu": 0.75, "rouge-l": 0.68},
    "tags": ["medical", "zh"],
    "path": "finetuned/lora/medical-qa/v1",
    "size_bytes": 16777216,
    "checksum": HASH,
    "certified": True,
    "created": "2026-11-21T08:00:00.120Z",
    "registered": ENDED,
    "owner": "local",
    "team": "local",
}
MODEL: Example = {
    "name": "medical-qa",
    "owner": "local",
    "team": "local",
    "created": ENDED,
    "updated": ENDED,
    "version_count": 1,
    "type": "text",
    "description": "医疗问答",
    "licence": "apache-2.0",
    "visibility": "team",
    "base_reference": "Qwen/Qwen2.5-7B-Instruct",
    "size_bytes": 16777216,
    "trashed": None,
    "newest": VERSION,
}
HISTORY: Example = {
    "time": ENDED,
    "what": "version.registered",
    "model": "medical-qa",
    "version": "v1",
    "details": {"state": "ready"},
}
DETAIL: Example = {
    "model": MODEL,
    "chosen": VERSION,
    "versions": [VERSION],
    "history": [HISTORY],
    "imports": [],
    "next": None,
}
ALIASES: Example = {"items": [{"name": "production", "reference": "medical-qa:v1", "protected": True}]}
SHARES: Example = {"items": [{"subject": "team:vision", "right": "use"}]}
RATING: Example = {"mean": 4.5, "count": 2}
DELETED: Example = {"deleted": ["medical-qa:v1"]}
ADVICE: Example = {
    "code": "note",
    "value": "新版本",
    "suggestion": "Qwen2.5-7B-Instruct 的 lora; 用 medical_qa:v1 训练; 1000 步",
    "words": "版本说明 `新版本` 没有说出这个版本是什么。",
}
_RUN = {"kind": "run", "reference": "medical-qa-lora-20261121"}
_THIS = {"kind": "version", "reference": "medical-qa:v1"}
_DATA = {"kind": "dataset", "reference": "medical_qa:v1"}
FILE: Example = {"path": "adapter_config.json", "size": 612, "sha256": HASH}

MODELS: dict[str, Example] = {
    "list_models": {"search": "医疗", "tag": "zh", "answer": {"items": [MODEL], "next": None}},
    "show_model": {"answer": DETAIL},
    "edit_model": {"body": {"description": "医疗问答", "visibility": "team"}, "answer": DETAIL},
    "set_notes": {"name": "medical-qa:v1", "body": {"notes": "加了急诊数据"}, "answer": DETAIL},
    "set_tags": {"name": "medical-qa:v1", "body": {"tags": ["medical", "zh"]}, "answer": DETAIL},
    "copy_model": {"body": {"name": "our-medical-qa", "team": "vision"}, "answer": DETAIL},
    "delete_model": {"name": "medical-qa:v1", "confirm": "medical-qa:v1", "answer": DELETED},
    "restore_model": {"name": "medical-qa:v1", "answer": DETAIL},
    "empty_trash": {"confirm": "trash", "days": 30, "answer": DELETED},
    "validate_model": {
        "name": "medical-qa:v1",
        "answer": {
            "path": "finetuned/lora/medical-qa/v1",
            "kind": "adapter",
            "reference": "medical-qa:v1",
            "state": "ready",
            "certified": True,
            "file_count": 6,
            "size_bytes": 16777216,
            "checksum": HASH,
            "is_whole": True,
            "problems": [],
        },
    },
    "rescan_registry": {
        "keep": False,
        "answer": {
            "models": 12,
            "versions": 31,
            "added": ["medical-qa:v1"],
            "gone": [],
            "failed": [],
            "refused": [],
            "datasets": {"datasets": 3, "versions": 4, "added": [], "gone": [], "failed": []},
        },
    },
    "list_aliases": {"answer": ALIASES},
    "set_alias": {"body": {"version": "v1", "protected": True}, "answer": ALIASES},
    "remove_alias": {"answer": {"items": []}},
    "list_shares": {"answer": SHARES},
    "set_share": {"body": {"right": "use"}, "answer": SHARES},
    "remove_share": {"answer": {"items": []}},
    "show_rating": {"answer": RATING},
    "rate_model": {"body": {"stars": 5, "comment": "好用"}, "answer": RATING},
    "show_lineage": {
        "answer": {
            "start": _THIS,
            "nodes": [_DATA, _RUN, _THIS],
            "edges": [
                {"source": _DATA, "target": _RUN, "relation": "data"},
                {"source": _RUN, "target": _THIS, "relation": "made"},
            ],
        }
    },
    "show_advice": {"name": "medical-qa:v1", "answer": {"items": [ADVICE]}},
    "suggest_version": {"answer": {"version": "v2"}},
    "show_statistics": {
        "answer": {
            "models": 12,
            "versions": 31,
            "size_bytes": 91268055040,
            "by_type": {"text": 11, "image": 1},
            "trashed": 2,
        }
    },
    "list_files": {
        "name": "medical-qa:v1",
        "answer": {
            "reference": "medical-qa:v1",
            "archive": "medical-qa/v1.zip",
            "size_bytes": 612,
            "items": [FILE],
        },
    },
    "download_file": {"name": "medical-qa:v1", "Range": "bytes=0-1048575"},
    "download_archive": {"name": "medical-qa:v1", "Range": "bytes=1048576-"},
}
