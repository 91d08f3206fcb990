"""``mozhu openapi``: the OpenAPI document of this release, for clients in any language."""

from __future__ import annotations

import json

from mozhu.cli.command import Call, Command
from mozhu.kernel import slots
from mozhu.kernel.files import write_text
from mozhu.kernel.texts import text
from mozhu.specs.service import DocumentSpec
from mozhu.workspace.places import with_absolute_paths


def act(call: Call) -> int:
    spec: DocumentSpec = with_absolute_paths(call.spec)
    document = slots.load("mozhu.rooms", "open_document")()
    content = json.dumps(document, ensure_ascii=False, indent=2)
    if spec.output is None:
        print(content)
        return 0
    write_text(spec.output, content + "\n")
    call.output.data({"output": spec.output}, text("up.document", path=spec.output))
    return 0


COMMAND = Command("openapi", act, DocumentSpec)
