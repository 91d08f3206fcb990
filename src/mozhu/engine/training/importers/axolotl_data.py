"""Axolotl's list of data sets: where the rows are, how they are written, which of their turns are learned."""

from __future__ import annotations

from typing import Any

from mozhu.engine.training.importers.data_places import put_places, written_place
from mozhu.engine.training.importers.values import plain
from mozhu.engine.training.importers.work import Work
from mozhu.kernel.texts import text

# How rows are written -> the words that their type begins with. These are recognised from the rows themselves.
_TURNS = ("chat_template", "sharegpt", "chatml", "llama3", "messages", "user_defined")
# Prompts of Axolotl's own making, which no model's template has.
_OWN_PROMPTS = (
    "alpaca",
    "gpteacher",
    "oasst",
    "reflection",
    "jeopardy",
    "creative_acr",
    "summarizetldr",
    "context_qa",
    "explainchoice",
    "concisechoice",
    "load_choice",
    "pygmalion",
    "metharme",
    "orcamini",
    "stepwise_supervised",
    "input_output",
    "user_defined",
)
_ROLES = {"assistant", "gpt", "model"}
# Parts of an entry that only say where rows are or how they are read, which is found from the rows.
_QUIET = {
    "path",
    "type",
    "name",
    "split",
    "data_files",
    "ds_type",
    "field",
    "field_messages",
    "message_field_role",
    "message_field_content",
    "message_property_mappings",
    "roles",
    "roles_to_train",
    "train_on_eos",
    "train_on_eot",
    "chat_template",
    "trust_remote_code",
    "preprocess_shards",
    "text_column",
    "conversation",
    "field_chosen",
    "field_rejected",
    "field_tools",
    "input_format",
}


def put_datasets(work: Work, replaced: str | None) -> None:
    """``datasets``, ``pretraining_dataset`` and ``test_datasets``."""
    if replaced:
        key = "pretraining_dataset" if work.has("pretraining_dataset") else "datasets"
        work.put("dataset", replaced, key, note=text("importing.note.replaced", flag="--dataset"))
    for field, key in (
        ("dataset", "pretraining_dataset"),
        ("dataset", "datasets"),
        ("val_dataset", "test_datasets"),
    ):
        if not work.has(key):
            continue
        entries = _entries(work, key)
        if field == "dataset" and replaced:
            continue
        places = [_place(work, key, number, entry) for number, entry in enumerate(entries)]
        if key != "test_datasets":
            _stage(work, key, entries)
        put_places(work, field, key, [place for place in places if place])
        if key == "pretraining_dataset" and entries:
            work.values["stage"] = "pt"


def _entries(work: Work, key: str) -> list[dict[str, Any]]:
    value = work.get(key, plain)
    value = [value] if isinstance(value, (str, dict)) else value
    if not isinstance(value, list) or not all(isinstance(entry, (str, dict)) for entry in value):
        work.refuse(key, text("importing.expected.datasets"))
        return []
    return [{"path": entry} if isinstance(entry, str) else entry for entry in value]


def _stage(work: Work, key: str, entries: list[dict[str, Any]]) -> None:
    kinds = {str(entry.get("type") or "").partition(".")[0] for entry in entries}
    if "stage" in work.values or not kinds:
        return
    if kinds <= {"completion", "pretrain"}:
        work.values["stage"] = "pt"
        column = entries[0].get("field") or entries[0].get("text_column")
        if column:
            work.values["text_column"] = str(column)


def _place(work: Work, key: str, number: int, entry: dict[str, Any]) -> str:
    """The rows of one entry as a reference; what changes what is learned is said part by part."""
    path = entry.get("path")
    if not path or not isinstance(path, str):
        work.refuse(key, text("importing.expected.datasets"))
        return ""
    _check(work, key, number, entry)
    files = entry.get("data_files")
    files = [files] if isinstance(files, str) else files
    if path in {"json", "csv", "text", "parquet"} and files:
        place = written_place(work, str(files[0]))
        if len(files) > 1:
            work.inside(
                key, (number, "data_files"), files, "several_files", count=len(files), folder="data/joined"
            )
    elif files and len(files) == 1:
        place = written_place(work, f"{path}/{files[0]}")
    else:
        place = written_place(work, path)
    subset = entry.get("name")
    return f"{place}:{subset}" if subset else place


def _check(work: Work, key: str, number: int, entry: dict[str, Any]) -> None:
    kind = entry.get("type")
    name = "user_defined" if isinstance(kind, dict) else str(kind or "").partition(".")[0].partition(":")[0]
    is_preference = work.values.get("stage") in {"dpo", "orpo", "kto", "rm"}
    if isinstance(kind, dict) or (name in _OWN_PROMPTS and not is_preference):
        work.inside(key, (number, "type"), kind, "own_prompt", value=name)
    elif name and not (
        is_preference or name in _TURNS or name in {"completion", "pretrain", "chat_template"}
    ):
        work.inside(key, (number, "type"), kind, "row_type", value=name)
    template = str(entry.get("chat_template") or "tokenizer_default")
    if not template.startswith("tokenizer_default"):
        work.inside(key, (number, "chat_template"), template, "template_other", value=template)
    roles = entry.get("roles_to_train")
    if roles is not None and set(map(str, roles if isinstance(roles, list) else [roles])) - _ROLES:
        work.inside(key, (number, "roles_to_train"), roles, "roles")
    for part in ("train_on_eos", "train_on_eot"):
        if entry.get(part) not in (None, "turn"):
            work.inside(key, (number, part), entry[part], "ends")
    if entry.get("split") not in (None, "train") and key != "test_datasets":
        work.inside(key, (number, "split"), entry["split"], "split", part=entry["split"])
    for part in entry:
        if part not in _QUIET and entry[part] not in (None, "", [], {}, False):
            work.inside(key, (number, part), entry[part], "entry_part", part=part)
