"""Examples of the OpenAPI document, by operation: what is asked, what is answered, and values of parameters.

Tests hold each against its schema and against what the service really answers.
"""

from __future__ import annotations

from mozhu.server.examples_datasets import DATASETS
from mozhu.server.examples_models import HASH, MODELS, Example
from mozhu.server.examples_reports import REPORTS
from mozhu.server.examples_traffic import TRAFFIC

# `body` and `answer`; every other key is the name of a parameter.
EXAMPLES: dict[str, Example] = {**MODELS, **DATASETS, **REPORTS, **TRAFFIC}
# Of parameters that an operation says nothing about, by their names.
PARAMETERS: Example = {
    "name": "medical-qa",
    "alias": "production",
    "whom": "team:vision",
    "of": "medical-qa:v1",
    "path": "adapter_config.json",
    "row": "7",
    "upload_id": "u7Qd0kX2f9c1QmZ0",
    "import_id": "6f1d0c3b9a2e4f587c10",
    "webhook_id": "kX2f9c1QmZ0a8bYw",
    "number": 2,
    "limit": 50,
    "X-Part-Sha256": HASH,
}
