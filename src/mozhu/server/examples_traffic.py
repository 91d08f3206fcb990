"""Examples of what comes in and goes out: uploads, imports, events, webhooks."""

from __future__ import annotations

from mozhu.server.examples_models import ENDED, HASH, Example

_DIGEST = HASH.removeprefix("sha256:")
_UPLOAD: Example = {
    "id": "u7Qd0kX2f9c1QmZ0",
    "owner": "local",
    "team": "local",
    "state": "open",
    "purpose": {"name": "medical-qa"},
    "files": [
        {
            "path": "adapter_model.safetensors",
            "size": 16777216,
            "sha256": HASH,
            "need": "parts",
            "challenge": None,
            "first_part": 1,
            "part_count": 4,
        }
    ],
    "part_size": 5242880,
    "part_count": 4,
    "missing": [[2, 4]],
    "missing_count": 3,
    "received_bytes": 5242880,
    "size_bytes": 16777216,
    "created": ENDED,
    "expires": "2026-11-28T09:00:00.000Z",
}
_WHOLE: Example = {
    **_UPLOAD,
    "state": "complete",
    "missing": [],
    "missing_count": 0,
    "received_bytes": 16777216,
}
_IMPORT: Example = {
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
    "progress": {"done": 4294967296, "total": 16060556376, "unit": "byte", "eta_s": 41.5},
    "owner": "local",
    "team": "local",
    "created": "2026-11-21T09:00:00.000Z",
    "finished": None,
}
_IMPORTED: Example = {
    **_IMPORT,
    "state": "ready",
    "run": "",
    "progress": None,
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
_EVENT: Example = {
    "id": 41,
    "time": ENDED,
    "what": "version.ready",
    "subject": "model",
    "model": "medical-qa",
    "version": "v1",
    "details": {"state": "ready"},
}
_HOOK: Example = {
    "id": "kX2f9c1QmZ0a8bYw",
    "owner": "local",
    "url": "https://hooks.example.com/mozhu",
    "events": ["version.ready"],
    "active": True,
    "created": ENDED,
    "secret": None,
}
_DELIVERY: Example = {
    "id": 7,
    "webhook_id": "kX2f9c1QmZ0a8bYw",
    "event_id": 41,
    "what": "version.ready",
    "state": "delivered",
    "attempts": 1,
    "due": ENDED,
    "created": ENDED,
    "ended": "2026-11-21T09:00:01.120Z",
    "status": 204,
    "reason": "",
}
_STREAM = (
    "id: 41\nevent: version.ready\n"
    'data: {"id":41,"time":"2026-11-21T09:00:00.000Z","what":"version.ready","subject":"model",'
    '"model":"medical-qa","version":"v1","details":{"state":"ready"}}\n\n'
)
_FILE: Example = {"path": "adapter_model.safetensors", "size": 16777216, "sha256": HASH}

TRAFFIC: dict[str, Example] = {
    "health": {"answer": {"status": "ok", "version": "0.1.0"}},
    "ready": {"answer": {"status": "ready", "version": "0.1.0"}},
    "list_uploads": {"answer": {"items": [_UPLOAD]}},
    "create_upload": {"body": {"files": [_FILE], "purpose": {"name": "medical-qa"}}, "answer": _UPLOAD},
    "show_upload": {"answer": _UPLOAD},
    "abort_upload": {"answer": {**_UPLOAD, "state": "aborted"}},
    "prove_upload_file": {"body": {"path": "adapter_model.safetensors", "answer": _DIGEST}, "answer": _WHOLE},
    "put_upload_part": {"answer": {"number": 2, "size": 5242880, "sha256": HASH, "already": False}},
    "complete_upload": {"answer": _WHOLE},
    "import_version": {
        "name": "Llama-3-8B",
        "body": {
            "upload": _IMPORT["upload"],
            "type": "text",
            "notes": "在1M中文对话数据上微调，loss降至0.32",
        },
        "answer": _IMPORT,
    },
    "list_imports": {"answer": {"items": [_IMPORTED], "next": None}},
    "show_import": {"answer": _IMPORTED},
    "retry_import": {"answer": _IMPORT},
    "remove_import": {},
    "list_events": {"after": 40, "answer": {"items": [_EVENT], "next": 41}},
    "stream_events": {"after": 40, "answer": _STREAM},
    "list_webhooks": {"answer": {"items": [_HOOK]}},
    "add_webhook": {
        "body": {"url": "https://hooks.example.com/mozhu", "events": ["version.ready"]},
        "answer": {**_HOOK, "secret": "whsec_…"},
    },
    "show_webhook": {"answer": _HOOK},
    "remove_webhook": {},
    "list_deliveries": {"answer": {"items": [_DELIVERY], "next": None}},
}
