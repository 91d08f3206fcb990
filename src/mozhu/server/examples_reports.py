"""Examples of what is asked and answered of reports."""

from __future__ import annotations

from mozhu.server.examples_models import ENDED, HASH, Example

_REPORT: Example = {
    "reference": "medical-qa:v1",
    "kind": "evaluation",
    "run": "eval-medical-20261122",
    "metrics": {"bleu": {"value": 0.75, "low": 0.71, "high": 0.79, "n": 200, "signature": "sacrebleu"}},
    "sha256": HASH,
    "size": 48213,
    "created": ENDED,
    "attached_by": "local",
}
_OF = {"model": "medical-qa", "version": "v1"}
_NEW: Example = {
    "kind": "evaluation",
    "html": "<h1>评估</h1>",
    "run": "eval-medical-20261122",
    "metrics": {"bleu": {"value": 0.75, "n": 200}},
}

REPORTS: dict[str, Example] = {
    "list_reports": {"answer": {"items": [_REPORT], "next": None}},
    "list_version_reports": {**_OF, "answer": {"items": [_REPORT], "next": None}},
    "attach_report": {**_OF, "body": _NEW, "answer": _REPORT},
    "show_report": {**_OF, "sha256": HASH},
    "remove_report": {**_OF, "sha256": HASH},
}
