"""The trees, files and records that the seeds print (A07, A57 to A60), as a workspace has them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import jsonschema
import pytest
from accept import SEED_000_KEYS, check_sidecars
from items import TEXT_CSV, TEXT_JSON, result_of
from scratch import Place

from mozhu.engine.data.dataset import load_rows
from mozhu.kernel.errors import DamagedRecord
from mozhu.kernel.paths import (
    checkpoint_name,
    finetuned_name,
    is_semantic_version,
    parse_finetuned_name,
    parse_pretrained_name,
    pretrained_name,
)
from mozhu.kernel.slots import load
from mozhu.specs.records.sidecars import ModelInfo

# Seed 000, lines 59 to 77.
MODEL_INFO = """{
  "model_name": "Qwen2.5-7B-medical-lora",
  "base_model": "Qwen/Qwen2.5-7B-Instruct",
  "model_type": "lora",
  "task": "medical_qa",
  "version": "v1.0.0",
  "created_time": "2024-10-14T10:00:00Z",
  "training_dataset": "medical_qa_dataset",
  "training_steps": 1000,
  "performance": {
    "bleu": 0.75,
    "rouge-l": 0.68,
    "f1": 0.72
  },
  "file_size": "15.2GB",
  "checksum": "sha256:abc123...",
  "tags": ["medical", "qa", "chinese"],
  "description": "基于Qwen2.5-7B的医疗问答LoRA微调模型"
}
"""
# Seed 000, lines 10 to 26 (A58).
MODEL_TREE = """5_models/
├── pretrained/          # 预训练模型
│   ├── qwen/           # Qwen系列模型
│   ├── llama/          # LLaMA系列模型
│   └── custom/         # 自定义模型
├── finetuned/          # 微调后的模型
│   ├── lora/           # LoRA微调模型
│   ├── qlora/          # QLoRA微调模型
│   ├── full/           # 全参数微调模型
│   └── multimodal/     # 多模态微调模型
├── checkpoints/        # 训练检查点
│   ├── training_logs/  # 训练日志
│   └── intermediate/   # 中间检查点
└── exports/            # 导出的模型
    ├── onnx/          # ONNX格式
    ├── tensorrt/      # TensorRT格式
    └── safetensors/   # SafeTensors格式
"""
# Seed 002, lines 12 to 20 (A59) and 137 to 144 (A60).
PROJECT_TREE = """📁 项目根目录/
├── 0_configs/          # 📋 配置层：统一配置管理
├── 1_utils/            # 🔧 工具层：通用工具函数
├── 2_core/             # ⚙️  核心层：业务逻辑实现
├── 3_agents/           # 🤖 智能体层：专业智能体
├── 4_scripts/          # 💻 脚本层：命令行入口
├── 5_models/           # 📦 模型层：模型存储管理
├── 6_output/           # 📊 输出层：结果输出管理
└── 7_docs/             # 📚 文档层：文档和说明
"""
CONFIG_TREE = """0_configs/
├── 0_train_config.json     # 训练配置
├── 1_model_config.json     # 模型配置
├── 2_deploy_config.json    # 部署配置
└── agents/                 # 智能体配置
    ├── rag_config.json
    ├── preference_config.json
    └── medical_config.json
"""
SCHEMA_OF = {
    "0_train_config.json": "train",
    "1_model_config.json": "settings",
    "2_deploy_config.json": "deploy",
    "agents/rag_config.json": "agent",
    "agents/preference_config.json": "agent",
    "agents/medical_config.json": "agent",
}
KINDS = [pytest.param("clone"), pytest.param("wheel", marks=pytest.mark.slow)]


def printed_paths(tree: str) -> list[str]:
    """The paths that a printed tree draws, relative to its first line."""
    found: list[str] = []
    above: list[str] = []
    for line in tree.splitlines()[1:]:
        drawn, _, rest = line.partition("── ")
        depth = len(drawn) // 4
        above = [*above[:depth], rest.split()[0].rstrip("/")]
        found.append("/".join(above))
    return found


def test_printed_trees_are_read_as_drawn() -> None:
    assert printed_paths(MODEL_TREE)[:3] == ["pretrained", "pretrained/qwen", "pretrained/llama"]
    assert printed_paths(CONFIG_TREE)[-2:] == ["agents/preference_config.json", "agents/medical_config.json"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("root", "tree"), [(".", PROJECT_TREE), ("5_models", MODEL_TREE), ("0_configs", CONFIG_TREE)]
)
def test_workspace_has_every_printed_path(
    kind: str, root: str, tree: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(kind)
    for name in printed_paths(tree):
        path = place.path(root) / name
        assert path.is_file() if name.endswith(".json") else path.is_dir(), name


@pytest.mark.parametrize("kind", KINDS)
def test_config_files_validate_against_their_schemas(kind: str, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue(kind)
    configs = place.path("0_configs")
    for name, schema_name in SCHEMA_OF.items():
        content = json.loads((configs / name).read_text(encoding="utf-8"))
        schema_path = ((configs / name).parent / content["$schema"]).resolve()
        assert schema_path == (configs / f"schemas/{schema_name}.schema.json").resolve(), name
        schema = json.loads(schema_path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(content, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**content, "lora_rnak": 8}, schema)


def test_weights_are_kept_out_of_git(clone: Place) -> None:
    """Seed 000: ``init`` writes the rule."""
    rules = clone.path("5_models/.gitignore").read_text(encoding="utf-8").splitlines()
    assert "*" in rules and "!README.md" in rules


def test_the_printed_model_info_is_accepted_and_given_back_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "model_info.json"
    path.write_text(MODEL_INFO, encoding="utf-8")
    info = ModelInfo.read(path)
    info.write(path)
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(MODEL_INFO)
    assert list(json.loads(path.read_text(encoding="utf-8"))) == list(json.loads(MODEL_INFO)) == SEED_000_KEYS


@pytest.mark.parametrize("damage", [{"creator": "me"}, {"file_size": 15}, {"created_time": "yesterday"}])
def test_a_model_info_with_other_keys_or_values_is_refused(damage: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "model_info.json"
    path.write_text(json.dumps({**json.loads(MODEL_INFO), **damage}), encoding="utf-8")
    with pytest.raises(DamagedRecord) as caught:
        ModelInfo.read(path)
    assert caught.value.params["fields"] == list(damage)


def test_training_writes_exactly_the_printed_keys(clone: Place) -> None:
    result_of("A13", clone)
    adapter = clone.path("models/finetuned/lora_adapter")
    check_sidecars(adapter)
    info = ModelInfo.read(adapter / "model_info.json")
    assert (info.base_model, info.model_type, info.training_steps) == ("starter", "lora", 6)
    assert info.performance.keys() == {"train_loss", "eval_loss"}
    metrics = json.loads((adapter / "performance_metrics.json").read_text(encoding="utf-8"))
    assert metrics["train_loss"] == pytest.approx(info.performance["train_loss"], abs=1e-5)
    config = json.loads((adapter / "training_config.json").read_text(encoding="utf-8"))
    assert config["lora_rank"] == 8 and len(config["target_modules"]) == 7


def test_names_follow_seed_000() -> None:
    """``{model_family}-{size}-{variant}``, ``{base_model}-{task}-{train_type}-{timestamp}``, checkpoints, versions."""
    assert pretrained_name("Qwen2.5", "7B", "Instruct") == "Qwen2.5-7B-Instruct"
    assert parse_pretrained_name("Qwen2.5-7B-Instruct") == {
        "family": "Qwen2.5",
        "size": "7B",
        "variant": "Instruct",
    }
    name = finetuned_name("Qwen/Qwen2.5-7B-Instruct", "medical", "lora", datetime(2024, 10, 14))
    assert name == "Qwen2.5-7B-medical-lora-20241014"
    assert parse_finetuned_name(name) == {
        "base": "Qwen2.5-7B",
        "task": "medical",
        "train_type": "lora",
        "timestamp": "20241014",
    }
    assert [checkpoint_name(1000), checkpoint_name(None)] == ["checkpoint-1000", "checkpoint-final"]
    assert is_semantic_version("v1.0.0") and not is_semantic_version("1.0")


@pytest.mark.parametrize(("name", "content"), [("rows.json", TEXT_JSON), ("rows.csv", TEXT_CSV)])
def test_the_printed_text_formats_are_read_by_their_column(name: str, content: str, tmp_path: Path) -> None:
    """A07 and A08; another column name is possible."""

    (tmp_path / name).write_text(content, encoding="utf-8")
    loaded = load_rows(str(tmp_path / name), text_column="text")
    assert [row["text"][:6] for row in loaded.rows] == ["这是第一个训", "这是第二个训"]
    assert not loaded.rejected
    (tmp_path / name).write_text(content.replace("text", "body"), encoding="utf-8")
    assert len(load_rows(str(tmp_path / name), text_column="body").rows) == 2


def test_the_starter_is_a_named_model() -> None:
    assert load("mozhu.models", "starter")().name == "starter"
