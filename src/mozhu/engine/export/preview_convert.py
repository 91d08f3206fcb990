"""What ``--dry_run`` of a conversion shows; nothing is written and no pickle is opened."""

from __future__ import annotations

from pathlib import Path

from mozhu.engine.export.convert import MODELFILE, plan_convert
from mozhu.engine.export.gguf.tensors import mix_of
from mozhu.engine.export.handed_in import pickles_of
from mozhu.engine.export.merge_record import CONVERT_RECORD
from mozhu.engine.export.preview import RECORDS, Preview, PreviewFile, copied_files, made_files, weight_files
from mozhu.engine.export.resave import plan_resave, resave_target
from mozhu.engine.weights.shards import INDEX
from mozhu.specs.export import ConvertSpec

_OF_A_MODEL = ("config.json", "tokenizer.json")


def preview_convert(spec: ConvertSpec) -> Preview:
    """The GGUF file, or the safetensors files, and what lies beside them.

    Raises:
        What :func:`~mozhu.engine.export.convert.run_convert` raises before it reads a weight.
    """
    return _gguf(spec) if spec.format == "gguf" else _safetensors(spec)


def _gguf(spec: ConvertSpec) -> Preview:
    target, plan, modelfile = plan_convert(spec)
    made = [*([] if modelfile is None else [MODELFILE]), CONVERT_RECORD, *RECORDS]
    weights = PreviewFile(target.file, plan.size_bytes, mix_of(plan.tensors))
    files = [weights, *(PreviewFile(target.named(name)) for name in made)]
    facts = {"tensors": len(plan.tensors), "quantization": spec.quantization}
    return Preview(target.folder, files, "gguf", facts)


def _safetensors(spec: ConvertSpec) -> Preview:
    if pickles := pickles_of(spec.model):
        # What they hold is known when they have been opened, which is done in a process of its own.
        target = resave_target(spec, Path(spec.model).expanduser())
        files = [PreviewFile(f"{path.stem}.safetensors") for path in pickles]
        kind = (
            "conversion" if all((pickles[0].parent / name).is_file() for name in _OF_A_MODEL) else "weights"
        )
        facts = {"pickles": [path.name for path in pickles]}
        return Preview(target, [*files, *made_files([CONVERT_RECORD])], kind, facts)
    plan = plan_resave(spec)
    index = [INDEX] if len(plan.shards) > 1 else []
    files = [*weight_files(plan.shards), *copied_files(plan.beside), *made_files([*index, CONVERT_RECORD])]
    count = sum(len(shard.places) for shard in plan.shards)
    return Preview(plan.target, files, plan.certificate, {"tensors": count})
