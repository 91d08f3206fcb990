"""Examples of the OpenAPI document, by operation; a test holds each against its schema."""

from __future__ import annotations

from typing import Any

VERSION: dict[str, Any] = {
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
    "training_dataset": "medical_qa:v3",
    "training_steps": 1000,
    "performance": {"bleu": 0.75, "rouge-l": 0.68},
    "tags": ["medical", "zh"],
    "path": "finetuned/lora/medical-qa/v1",
    "size_bytes": 16777216,
    "checksum": "sha256:5b0b1f0e6c1f",
    "certified": True,
    "created": "2026-11-21T08:00:00.120Z",
    "registered": "2026-11-21T09:00:00.000Z",
    "owner": "local",
    "team": "local",
}
MODEL: dict[str, Any] = {
    "name": "medical-qa",
    "owner": "local",
    "team": "local",
    "created": "2026-11-21T09:00:00.000Z",
    "updated": "2026-11-21T09:00:00.000Z",
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
IMPORT: dict[str, Any] = {
    "id": "6f1d0c3b9a2e4f587c10",
    "upload": "q3V0c2l4kT9nA7bZ1xYwUe5R",
    "model": "Llama-3-8B",
    "version": "v1",
    "reference": "Llama-3-8B:v1",
    "type": "text",
    "state": "checking",
    "waits": False,
    "findings": [],
    "recognised": {},
    "advice": [],
    "run": "import-6f1d0c3b9a2e4f587c10",
    "owner": "local",
    "team": "local",
    "created": "2026-11-21T09:00:00.000Z",
    "finished": None,
}
READY: dict[str, Any] = {
    **IMPORT,
    "state": "ready",
    "run": "",
    "findings": [
        {
            "level": "warning",
            "code": "SAFE-202",
            "params": {"file": "optimizer.pt"},
            "message": "`optimizer.pt`: no part of a model; neither read nor kept",
        }
    ],
    "recognised": {
        "kind": "model",
        "architecture": "LlamaForCausalLM",
        "family": "llama",
        "parameters": 8030261248,
        "size_bytes": 16060556376,
        "dtype": "bfloat16",
        "has_template": True,
        "licence": "llama3",
        "base_model": None,
    },
    "finished": "2026-11-21T09:02:00.000Z",
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "list_models": {"search": "医疗", "answer": {"items": [MODEL], "next": None}},
    "show_model": {"name": "medical-qa"},
    "import_version": {
        "name": "Llama-3-8B",
        "body": {"upload": IMPORT["upload"], "type": "text", "notes": "在1M中文对话数据上微调，loss降至0.32"},
        "answer": IMPORT,
    },
    "list_imports": {"answer": {"items": [READY], "next": None}},
    "show_import": {"import_id": IMPORT["id"], "answer": READY},
    "retry_import": {"import_id": IMPORT["id"], "answer": IMPORT},
    "remove_import": {"import_id": IMPORT["id"]},
    "add_webhook": {
        "body": {"url": "https://hooks.example.com/mozhu", "events": ["version.ready"]},
        "answer": {
            "id": "kX2f9c1QmZ0a8bYw",
            "owner": "local",
            "url": "https://hooks.example.com/mozhu",
            "events": ["version.ready"],
            "active": True,
            "created": "2026-11-21T09:00:00.000Z",
            "secret": "whsec_…",
        },
    },
}
