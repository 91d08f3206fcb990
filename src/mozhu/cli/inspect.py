"""``mozhu inspect PATH``: what a file, archive or folder is, made safe to use; exit 6 when it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mozhu.cli.command import Call
from mozhu.cli.engine_verb import engine_command
from mozhu.kernel.errors import UnsafeUpload
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.specs.inspect import InspectSpec
from mozhu.specs.records.result import Result

_SHOWN = 20


def _next(spec: Any, result: Result) -> Sequence[str]:
    return []


def _told(call: Call, spec: Any, result: Result) -> tuple[dict[str, Any], str]:
    """The facts.

    Raises:
        UnsafeUpload: SAFE-001 with every reason.
    """
    details = result.details
    faults = [f"- {finding['message']}" for finding in details["findings"] if finding["level"] == "error"]
    if details["verdict"] != "clean":
        raise UnsafeUpload(path=spec.path, count=len(faults), problems="\n".join(faults[:_SHOWN]))
    lines = [text("safe.inspect.clean", path=spec.path, kind=text(f"safe.kind.{details['kind']}"))]
    lines += [text("safe.inspect.fact", name=name, value=value) for name, value in _facts(details)]
    return {}, "\n".join(lines)


def _facts(details: dict[str, Any]) -> list[tuple[str, object]]:
    count, size = details["parameters"], human_size(details["size_bytes"])
    facts = {
        "architecture": details["architecture"] or details["family"],
        "parameters": None if count is None else f"{count:,}",
        "size": size,
        "dtype": details["dtype"],
        "template": "✓" if details["has_template"] else "–",
        "licence": details["licence"],
        "base_model": details["base_model"],
        "converted": ", ".join(details["converted"]) or None,
    }
    return [(text(f"safe.fact.{name}"), value) for name, value in facts.items() if value]


COMMAND = engine_command("inspect", InspectSpec, _next, afterwards=_told, first_word="path", usage="PATH")
