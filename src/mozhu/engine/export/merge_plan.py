"""What a merge will do, known from headers and records alone: in a moment, and without a model library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mozhu.engine.export.adapter import Adapter, open_adapter
from mozhu.engine.export.checkpoint import NUMPY_KINDS, Checkpoint, open_checkpoint
from mozhu.engine.export.merge_record import CONVERT_RECORD, MERGE_RECORD
from mozhu.engine.export.names import BaseNames
from mozhu.engine.export.plan import Change, plan_changes
from mozhu.engine.export.shards import NewShard, NewTensor, cut_shards, same_shard
from mozhu.engine.export.targets import check_folder_target, resolved
from mozhu.engine.export.trained_on import quantised_base
from mozhu.engine.weights.adapter_fit import fit_reasons
from mozhu.engine.weights.base_record import BASE_RECORD, read_base_record
from mozhu.engine.weights.fingerprint import QUICK, differing_parts, quick_differences, weights_hash
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.headers import TensorInfo
from mozhu.engine.weights.references import find_model
from mozhu.engine.weights.shards import INDEX
from mozhu.kernel.errors import AdapterMismatch, NoAdapter, NoEffect, NotMergeable, SumNotPossible
from mozhu.kernel.files import read_json
from mozhu.kernel.sizes import parse_size
from mozhu.kernel.texts import text
from mozhu.specs.export import MergeSpec
from mozhu.specs.records.manifest import NOT_LISTED
from mozhu.specs.records.sidecars import ABOUT

_BASE_PARTS = ("weights", "tokenizer")
_METADATA = {"format": "pt"}
# Never copied from the base: its weights, and records that speak about the base and not about the result.
_NOT_COPIED = {*NOT_LISTED, *ABOUT, MERGE_RECORD, CONVERT_RECORD, BASE_RECORD}
_WEIGHT_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf", ".index.json")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


@dataclass(frozen=True)
class Inputs:
    """What is merged. ``adapters`` come with their weights; the first one's tokenizer and template count."""

    model: ModelFolder
    base: Checkpoint
    adapters: list[tuple[Adapter, float]]
    target: Path

    @property
    def adapter(self) -> Adapter:
        return self.adapters[0][0]


@dataclass(frozen=True)
class Planned:
    """What will be made. ``untied``: two layers that shared a tensor part."""

    shards: list[NewShard]
    sources: dict[str, TensorInfo]
    changes: dict[str, list[Change]]
    untied: bool

    @property
    def size_bytes(self) -> int:
        return sum(shard.size_bytes for shard in self.shards)


def open_inputs(spec: MergeSpec) -> Inputs:
    """What is to be merged, as far as headers and records say a base that it may be merged into.

    Raises:
        NoAdapter, NotMergeable: EXPORT-001 and 002. AdapterMismatch: EXPORT-004. OutputInsideInput: EXPORT-007.
        TargetExists: FILE-007. What the models raise when they are found and opened.
    """
    found = find_model(spec.adapter, base=spec.base_model)
    if found.adapter is None:
        raise NoAdapter(path=str(found.path))
    folders = [found.adapter]
    for ref in spec.more_adapters:
        other = find_model(ref, base=str(found.base))
        if other.adapter is None:
            raise NoAdapter(path=str(other.path))
        folders.append(other.adapter)
    adapters = [open_adapter(path) for path in folders]
    model = ModelFolder.open(found.base)
    target = resolved(spec.output_path)
    check_folder_target(target, mark=MERGE_RECORD, inputs=[model.path, *folders], overwrite=spec.overwrite)
    for adapter in adapters:
        _check_quickly(adapter, model)
        _check_names(adapter, model)
    weights = spec.weights or (1.0,) * len(adapters)
    base = open_checkpoint(model.shards)
    return Inputs(model, base, list(zip(adapters, weights, strict=True)), target)


def check_whole(inputs: Inputs) -> None:
    """Every byte of the base is what an adapter recorded at its training, where it recorded that.

    Raises:
        AdapterMismatch: EXPORT-004.
    """
    for adapter, _ in inputs.adapters:
        told = _recorded(adapter, inputs.model)
        found = {"weights": weights_hash(inputs.model)} if "weights" in told else {}
        _refuse(adapter, differing_parts(told, found))


def files_beside(inputs: Inputs) -> dict[str, Path]:
    """Everything beside the weights, by its name: the base's; the tokenizer and template from the adapter where it has
    its own and the vocabulary is the base's.
    """
    base, adapter = inputs.model.path, inputs.adapter.folder
    found = {
        file.name: file
        for file in sorted(base.iterdir())
        if file.is_file() and file.name not in _NOT_COPIED and not file.name.endswith(_WEIGHT_ENDINGS)
    }
    if _same_vocabulary(base / "tokenizer.json", adapter / "tokenizer.json"):
        found |= {name: adapter / name for name in _TOKENIZER_FILES if (adapter / name).is_file()}
    return found


def has_index(base: Path, shards: list[NewShard], *, anew: bool) -> bool:
    """Whether an index comes with ``shards``: where there are several, or where the base has one for its only one."""
    return len(shards) > 1 or (not anew and (base / INDEX).is_file())


def plan_merge(inputs: Inputs, spec: MergeSpec) -> Planned:
    """Every change, and where it goes.

    Raises:
        NotMergeable, NoEffect, AdapterMismatch: EXPORT-002 to 004. SumNotPossible: EXPORT-031.
    """
    model, base, adapter = inputs.model, inputs.base, inputs.adapter
    if model.config.get("quantization_config"):
        reason = text("export.reason.quantised_base", path=model.path)
        raise NotMergeable(path=str(adapter.folder), reasons=[reason])
    names = BaseNames(base, tied=model.tied)
    changes = _gathered(inputs, names, model.family)
    sources = {name: base.entries[name] for name in base.entries}
    untied = _parts(names, changes, adapter)
    if untied and names.head and names.head not in sources:
        sources[names.head] = base.entries[names.embedding or ""]
    _check_types(adapter, changes, sources)
    return Planned(_shards(base, sources, spec.max_shard_size), sources, changes, untied)


def _gathered(inputs: Inputs, names: BaseNames, family: str) -> dict[str, list[Change]]:
    gathered: dict[str, list[Change]] = {}
    for adapter, weight in inputs.adapters:
        for name, change in plan_changes(adapter, names, family).items():
            gathered.setdefault(name, []).append(change.weighed(weight))
    if not gathered:
        raise NoEffect(path=str(inputs.adapter.folder), reason=text("export.reason.no_tensors"))
    if len(inputs.adapters) > 1 or inputs.adapters[0][1] != 1.0:
        kinds = {
            "dora" if change.magnitude else change.kind
            for changes in gathered.values()
            for change in changes
            if change.kind != "lora" or change.magnitude or change.start
        }
        if kinds:
            raise SumNotPossible(kinds=sorted(kinds))
    return gathered


def _parts(names: BaseNames, changes: dict[str, list[Change]], adapter: Adapter) -> bool:
    """Whether the adapter parts two layers that share a tensor: it trained one of them, or each in its own way.

    Tokens are trained in both at once, and so is everything with ``ensure_weight_tying``.
    """
    if not names.tied or names.embedding is None or names.head is None:
        return False
    inside = {name: changes[name][0] for name in (names.embedding, names.head) if name in changes}
    if not inside:
        return False
    together = adapter.config.get("ensure_weight_tying") or {c.kind for c in inside.values()} == {"tokens"}
    if not together:
        return True
    change = inside.get(names.embedding) or inside[names.head]
    changes.pop(names.head, None)
    changes[names.embedding] = [change.moved(names.embedding)]
    if names.head in names.base.entries:
        changes[names.head] = [change.moved(names.head)]
    return False


def _check_types(adapter: Adapter, changes: dict[str, list[Change]], sources: dict[str, TensorInfo]) -> None:
    """Every tensor that changes is of a floating-point type."""
    packed = [name for name in changes if sources[name].dtype not in NUMPY_KINDS]
    if packed:
        reasons = [
            text("export.reason.packed", tensor=name, dtype=sources[name].dtype) for name in packed[:8]
        ]
        raise NotMergeable(path=str(adapter.folder), reasons=reasons)


def _shards(base: Checkpoint, sources: dict[str, TensorInfo], limit: str | None) -> list[NewShard]:
    """The base's files, with a new tensor beside the one it comes from; or files of at most ``limit``."""
    new = [name for name in sources if name not in base.entries]
    if limit is not None:
        tensors = [NewTensor(name, info.dtype, info.shape) for name, info in sources.items()]
        return cut_shards(tensors, parse_size(limit), _METADATA)
    shards = []
    for shard in base.shards:
        names = [entry.name for entry in shard.entries]
        names += [name for name in new if sources[name].path == shard.path]
        shards.append(same_shard(shard, [NewTensor(n, sources[n].dtype, sources[n].shape) for n in names]))
    return shards


def _check_quickly(adapter: Adapter, model: ModelFolder) -> None:
    """Where the adapter recorded the fingerprint of its base, all that is known of this one in a moment is equal."""
    told = _recorded(adapter, model)
    if "weights" in told:
        record = read_base_record(adapter.folder)
        known = record.fingerprint if record else {}
        told = {**told, **{part: known[part] for part in QUICK if part in known}}
    if told:
        _refuse(adapter, [part for part in quick_differences(told, model) if part in told])


def _check_names(adapter: Adapter, model: ModelFolder) -> None:
    """PEFT leaves out, without a word, what is called otherwise than it looks for: such an adapter has no effect."""
    found = fit_reasons(ModelFolder.open(adapter.folder), model)
    if problems := [reason.line for reason in found if reason.code == "prefix"]:
        raise AdapterMismatch(path=str(adapter.folder), count=len(problems), problems=problems)


def _recorded(adapter: Adapter, model: ModelFolder) -> dict[str, str]:
    """What counts of the fingerprint that was recorded.

    A template may have been changed for the merged model on purpose; weights and vocabulary may not. Packed weights
    differ from those of the original that they were made from.
    """
    record = read_base_record(adapter.folder)
    if record is None:
        return {}
    packed = quantised_base(adapter)
    counting = ("tokenizer",) if packed and packed.resolve() != model.path.resolve() else _BASE_PARTS
    return {part: value for part, value in record.fingerprint.items() if part in counting}


def _refuse(adapter: Adapter, parts: list[str]) -> None:
    if parts:
        problems = [text("export.reason.fingerprint", part=part) for part in parts]
        raise AdapterMismatch(path=str(adapter.folder), count=len(parts), problems=problems)


def _same_vocabulary(first: Path, second: Path) -> bool:
    if not (first.is_file() and second.is_file()):
        return False
    one, two = read_json(first), read_json(second)
    return bool(
        one["model"].get("vocab") == two["model"].get("vocab")
        and [t["content"] for t in one.get("added_tokens", [])]
        == [t["content"] for t in two.get("added_tokens", [])]
    )
