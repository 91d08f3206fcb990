"""Mozhu 模铸: from raw question-and-answer data to a fine-tuned model, provably the one you serve.

Every verb is also a function here, with the spec's fields as keywords; it is imported on first use::

    import mozhu
    run = mozhu.train(preset="starter", output_dir="6_output/first")
    chat = mozhu.chat(checkpoint="6_output/first")
    print(chat.ask("你是谁？"))
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
# Name -> the module that holds it.
_FUNCTIONS = {
    **dict.fromkeys(
        (
            "sample",
            "prepare",
            "convert_data",
            "stats",
            "preview",
            "parity",
            "check",
            "fix_preview",
            "import_config",
            "forecast",
            "train",
            "evaluate",
            "merge",
            "adapters_list",
            "adapters_show",
            "adapters_compare",
            "adapters_combine",
            "adapters_scale",
            "adapters_extract",
            "convert",
            "inspect",
            "certify",
            "verify",
            "load",
            "register",
            "registry_list",
            "registry_show",
            "registry_lineage",
            "registry_edit",
            "registry_share",
            "registry_copy",
            "registry_report",
            "registry_rate",
            "registry_suggest",
            "registry_delete",
            "registry_restore",
            "registry_alias",
            "registry_validate",
            "registry_rescan",
            "datasets_register",
            "datasets_list",
            "datasets_show",
            "datasets_validate",
            "datasets_edit",
            "datasets_share",
            "datasets_alias",
            "datasets_copy",
            "datasets_delete",
            "datasets_restore",
            "engines_install",
            "engines_list",
            "engines_remove",
            "init",
            "runs",
            "stop",
            "chat",
            "run",
            "Run",
            "Conversation",
        ),
        "mozhu.api",
    ),
    # Seed 004's converters of data formats, by their own names.
    "convert_to_text_format": "mozhu.engine.data.convert",
    "convert_conversations": "mozhu.engine.data.convert",
}
__all__ = ["__version__", *_FUNCTIONS]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FUNCTIONS})
