"""What a merge or a conversion would write, in words."""

from __future__ import annotations

from typing import Any

from mozhu.cli.engine_run import shown
from mozhu.kernel.files import free_bytes, human_size
from mozhu.kernel.texts import has_text, text


def preview_lines(plan: Any) -> list[str]:
    """Where, then every file with its size and types, then the kind of certificate; nothing was written."""
    free = human_size(free_bytes(plan.target))
    size = human_size(plan.size_bytes)
    lines = [text("export.preview.target", path=shown(plan.target), size=size, free=free)]
    width = max(len(file.name) for file in plan.files)
    for file in plan.files:
        known = text("export.preview.later") if file.size_bytes is None else human_size(file.size_bytes)
        types = ", ".join(f"{kind} × {count}" for kind, count in file.types.items())
        lines.append(f"  {file.name:<{width}}  {known:>9}  {types}".rstrip())
    for name, value in plan.facts.items():
        if has_text(f"export.preview.{name}"):
            told = ", ".join(str(one) for one in value) if isinstance(value, list) else value
            lines.append("  " + text(f"export.preview.{name}", value=told))
    lines.append("  " + text("export.preview.certificate", kind=plan.certificate))
    return [*lines, text("export.preview.nothing")]
