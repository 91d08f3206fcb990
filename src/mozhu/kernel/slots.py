"""Named slots for adapters. Built-ins are ``module:name`` strings, imported on first use; third parties add
theirs under the entry-point group of the slot's name.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from mozhu.kernel.errors import MissingExtra, UnknownSlotName

# What carries out a verb: a callable (spec, folder, emit) -> result fields, run by `mozhu run FOLDER`.
BUILT_IN: dict[str, dict[str, str]] = {
    "mozhu.specs": {
        "train": "mozhu.specs.train:TrainSpec",
        "infer": "mozhu.specs.serve:InferSpec",
        "evaluate": "mozhu.specs.evaluate:EvaluateSpec",
        "download": "mozhu.specs.download:DownloadSpec",
        "merge": "mozhu.specs.export:MergeSpec",
        "convert": "mozhu.specs.export:ConvertSpec",
        "adapters.combine": "mozhu.specs.adapters:CombineSpec",
        "adapters.scale": "mozhu.specs.adapters:ScaleSpec",
        "adapters.extract": "mozhu.specs.adapters:ExtractSpec",
        "inspect": "mozhu.specs.inspect:InspectSpec",
        "data.sample": "mozhu.specs.data:SampleSpec",
        "data.prepare": "mozhu.specs.data:PrepareSpec",
        "data.convert": "mozhu.specs.data:DataConvertSpec",
    },
    "mozhu.verbs": {
        "train": "mozhu.engine.training.run:run_training",
        "download": "mozhu.engine.weights.hub_download:run_download",
        "merge": "mozhu.engine.export.merge:run_merge",
        "convert": "mozhu.engine.export.convert:run_convert",
        "adapters.combine": "mozhu.engine.export.adapters.arithmetic:run_combine",
        "adapters.scale": "mozhu.engine.export.adapters.arithmetic:run_scale",
        "adapters.extract": "mozhu.engine.export.adapters.extract:run_extract",
        "inspect": "mozhu.engine.intake.inspect:run_inspect",
        "evaluate": "mozhu.engine.evaluation.run:run_evaluate",
        "data.sample": "mozhu.engine.data.sample:run_sample",
        "data.prepare": "mozhu.engine.data.prepare:run_prepare",
        "data.convert": "mozhu.engine.data.convert:run_convert",
    },
    # Verb -> a callable (run folder) that writes the run's report.html from its records.
    "mozhu.reports": {
        "train": "mozhu.engine.scoring.report.training:write_training_report",
    },
    "mozhu.training_engines": {
        "hf": "mozhu.engine.training.engines.hf_lean:HfEngine",
        "swift": "mozhu.engine.training.engines.swift.engine:SwiftEngine",
    },
    # Where a training's curve is shown beside its records: classes made with a SinkRun.
    "mozhu.training_sinks": {
        "tensorboard": "mozhu.engine.training.sinks.tensorboard_files:TensorBoardFiles",
        "wandb": "mozhu.engine.training.sinks.weights_and_biases:WeightsAndBiases",
        "mlflow": "mozhu.engine.training.sinks.mlflow_runs:MlflowRuns",
        "swanlab": "mozhu.engine.training.sinks.swan_lab:SwanLab",
    },
    # Engine -> a callable (spec) -> findings that preflight asks; loads neither torch nor the engine.
    "mozhu.engine_checks": {
        "swift": "mozhu.engine.training.engines.swift.check:check",
    },
    "mozhu.readers": {
        "json": "mozhu.engine.data.json_readers:JsonReader",
        "jsonl": "mozhu.engine.data.json_readers:JsonLinesReader",
        "csv": "mozhu.engine.data.table_reader:CsvReader",
        "text": "mozhu.engine.data.text_reader:TextReader",
        "parquet": "mozhu.engine.data.arrow_readers:ParquetReader",
        "arrow": "mozhu.engine.data.arrow_readers:ArrowReader",
        "xlsx": "mozhu.engine.data.xlsx_reader:XlsxReader",
    },
    "mozhu.metrics": {
        "bleu": "mozhu.engine.scoring.metrics:bleu",
        "rouge1": "mozhu.engine.scoring.metrics:rouge1",
        "rouge2": "mozhu.engine.scoring.metrics:rouge2",
        "rougeL": "mozhu.engine.scoring.metrics:rouge_longest",
        "exact_match": "mozhu.engine.scoring.metrics:exact",
        "f1": "mozhu.engine.scoring.metrics:f1",
    },
    "mozhu.rooms": {
        "adapters_list": "mozhu.engine.export.adapters.look:adapters_list",
        "adapters_show": "mozhu.engine.export.adapters.look:adapters_show",
        "adapters_compare": "mozhu.engine.export.adapters.look:adapters_compare",
        "certify_merge": "mozhu.engine.scoring.certificates:certify_merge",
        "certify_adapter": "mozhu.engine.scoring.certificates:certify_adapter",
        "certify_full": "mozhu.engine.scoring.certificates_full:certify_full",
        "certify_conversion": "mozhu.engine.scoring.certificates_same:certify_conversion",
        "certify_weights": "mozhu.engine.scoring.certificates_weights:certify_weights",
        "certify_unpickled": "mozhu.engine.scoring.certificates_unpickled:certify_unpickled",
        "certify_handed_in": "mozhu.engine.scoring.certificates_handed_in:certify_handed_in",
        "certify_gguf": "mozhu.engine.export.gguf.certificate:certify_gguf",
        "preview_merge": "mozhu.engine.export.preview:preview_merge",
        "preview_convert": "mozhu.engine.export.preview_convert:preview_convert",
        "write_weights": "mozhu.engine.export.stream:write_weights",
        "resave": "mozhu.engine.export.resave:run_resave",
        "certify": "mozhu.engine.export.certifying:run_certify",
        "verify": "mozhu.engine.export.verifying:run_verify",
        "mean_metric": "mozhu.engine.scoring.metrics:MeanMetric",
        "calculate_perplexity": "mozhu.engine.scoring.perplexity:calculate_perplexity",
        "evaluate_domain_knowledge": "mozhu.engine.scoring.questions:evaluate_domain_knowledge",
        "get_model_responses": "mozhu.engine.scoring.questions:get_model_responses",
        "plant_changed_eos": "mozhu.testing.faults:plant_changed_eos",
        "plant_no_effect_adapter": "mozhu.testing.faults:plant_no_effect_adapter",
        "demo_report": "mozhu.engine.evaluation.demo_report:write_demo_report",
        "preflight": "mozhu.engine.training.preflight:preflight",
        "build_tokens": "mozhu.engine.training.token_build:build_tokens",
        "forecast": "mozhu.engine.training.forecast:forecast",
        "launch_lines": "mozhu.engine.training.processes.lines:launch_lines",
        "import_config": "mozhu.engine.training.importers.run:run_import",
        "read_training_yaml": "mozhu.engine.training.importers.yaml_file:read_yaml",
        "write_sample": "mozhu.engine.data.sample:write_sample",
        "sample_files": "mozhu.engine.data.sample:sample_files",
        "parity": "mozhu.engine.scoring.parity:run_parity",
        "preview": "mozhu.engine.scoring.preview:run_preview",
        "stats": "mozhu.engine.scoring.stats:run_stats",
        "check": "mozhu.engine.data.checks.run:run_check",
        "fix": "mozhu.engine.data.fixers.preview:run_fix",
        "find_copies": "mozhu.engine.data.copies:find_copies",
        "fuse_with_liger": "liger_kernel.transformers.monkey_patch:_apply_liger_kernel_to_instance",
        "open_image": "PIL.Image:open",
        "vision_data": "mozhu.engine.training.vision_data:vision_data",
        "open_opencc": "mozhu.engine.data.fixers.opencc:OpenCC",
        "open_zstd": "mozhu.engine.data.packed_zstd:ZstdFile",
        "hub_files": "mozhu.engine.data.hub_download:hub_files",
        "card_configs": "mozhu.engine.data.hub_cards:card_configs",
        "chat": "mozhu.engine.inference.chat:open_chat",
        "load": "mozhu.engine.inference.loaded:load",
        "wanted_from_hub": "mozhu.engine.weights.hub_download:wanted_from_hub",
        "find_model": "mozhu.engine.weights.references:find_model",
        "serve": "mozhu.server.run:serve",
        "check_service": "mozhu.server.run:check",
        "download_version": "mozhu.client.downloads:download",
        "client": "mozhu.client.client:Client",
        "choose_files": "mozhu.client.upload_files:choose_files",
        "open_document": "mozhu.server.run:open_document",
        "s3_parts": "mozhu.platform.uploads.parts_s3:S3Parts",
        "find_reference": "mozhu.platform.catalog.service:find_reference",
        "register_dataset": "mozhu.platform.catalog.datasets.service:datasets_register",
        "find_dataset": "mozhu.platform.catalog.datasets.service:find_dataset",
        "migrate_database": "mozhu.platform.database.migrate:migrate",
        "model_folder": "mozhu.engine.weights.folder:ModelFolder",
        "fingerprint": "mozhu.engine.weights.fingerprint:fingerprint",
    },
    # Scheme of an address -> a callable (address) -> BlobStore.
    "mozhu.stores": {
        "s3": "mozhu.platform.storage.clouds:open_s3",
        "gs": "mozhu.platform.storage.clouds:open_gcs",
        "az": "mozhu.platform.storage.clouds:open_azure",
    },
    # Where models are downloaded from, by the word of the setting `hub`: classes as in hub_huggingface.py.
    "mozhu.model_hubs": {
        "huggingface": "mozhu.engine.weights.hub_huggingface:HuggingFace",
        "modelscope": "mozhu.engine.weights.hub_modelscope:ModelScope",
    },
    "mozhu.models": {
        "starter": "mozhu.testing:starter_path",
    },
    # Callables (reference) -> folder or None, for references that are neither names nor folders.
    "mozhu.model_finders": {},
}
_added: dict[str, dict[str, Any]] = {}

# The extra that brings a module, so that its absence is named with the command that adds it.
EXTRA_OF_MODULE = {
    "torch": "train",
    "transformers": "train",
    "peft": "train",
    "trl": "train",
    "accelerate": "train",
    "tokenizers": "train",
    "safetensors": "train",
    "datasets": "train",
    "huggingface_hub": "train",
    "modelscope": "modelscope",
    "pyarrow": "data",
    "openpyxl": "data",
    "zstandard": "data",
    "opencc": "data",
    "yaml": "data",
    "bitsandbytes": "quant",
    "liger_kernel": "gpu",
    "PIL": "vision",
    "tensorboardX": "train",
    "wandb": "tracking",
    "mlflow": "tracking",
    "swanlab": "tracking",
    "numpy": "train",
    "gguf": "export",
    "xllamacpp": "export",
    "sacrebleu": "train",
    "fastapi": "server",
    "starlette": "server",
    "uvicorn": "server",
    "prometheus_client": "server",
    "httpx2": "server",
    "zipstream": "server",
    "psycopg": "postgres",
    "obstore": "cloud",
    "boto3": "cloud",
    "botocore": "cloud",
}


def register(slot: str, name: str, value: Any) -> None:
    """Put ``value`` into ``slot`` under ``name`` for this process (a workspace's ``2_core/*.py`` does this)."""
    _added.setdefault(slot, {})[name] = value


def names(slot: str) -> list[str]:
    """Every name in ``slot``: built in, registered, and installed by third parties."""
    installed = [point.name for point in entry_points(group=slot)]
    return sorted({*BUILT_IN.get(slot, {}), *_added.get(slot, {}), *installed})


def load(slot: str, name: str) -> Any:
    """The object under ``name`` in ``slot``, imported on first use.

    Raises:
        UnknownSlotName: ENV-004 with the nearest names. MissingExtra: ENV-001 with the command to install it.
    """
    if name in _added.get(slot, {}):
        return _added[slot][name]
    if name in BUILT_IN.get(slot, {}):
        return _import(BUILT_IN[slot][name], wanted_by=name)
    for point in entry_points(group=slot):
        if point.name == name:
            return _import(point.value, wanted_by=name)
    known = names(slot)
    near = get_close_matches(name, known, 3, 0.5) or known
    raise UnknownSlotName(slot=slot, name=name, known=near)


def load_built_in(slot: str, name: str) -> None:
    """Import what is built in under ``name``, so that it is there when it is asked for; nothing where it is not."""
    if name in BUILT_IN.get(slot, {}):
        _import(BUILT_IN[slot][name], wanted_by=name)


def _import(target: str, *, wanted_by: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        extra = EXTRA_OF_MODULE.get(missing)
        if extra is None:
            raise
        raise MissingExtra(wanted_by=wanted_by, module=missing, extra=extra) from error
