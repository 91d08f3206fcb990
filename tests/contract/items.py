"""The seed documents' printed commands, word for word, and what a person may expect after each.

``printed`` is the text of the seed; only the model names in ``NAMES`` are replaced, by the starter model. An item
without ``printed`` is named in a seed's text and has no command of its own there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import accept
import torch
from scratch import Done, Place

# The 7B models that the seeds name; here the starter stands in, by its name or by its folder.
NAMES = {
    "meta-llama/Llama-2-7b-chat-hf": "starter",
    "Qwen/Qwen2.5-7B-Instruct": "starter",
    "meta-llama/Llama-2-7b-hf": "{starter}",
}


@dataclass(frozen=True)
class Item:
    """``folder`` is where it is typed; ``needs`` are items whose results it stands on; ``code`` is the exit code."""

    id: str
    seed: str
    command: str
    accept: Callable[[Place, Done], None]
    needs: tuple[str, ...] = ()
    folder: str = "."
    stdin: str = ""
    prepare: Callable[[Place], None] | None = None
    code: int = 0
    slow: bool = False
    printed: bool = True
    kind: str = "RUN"
    watched: bool = False


# The data that seed 004 prints (A07, A08).
TEXT_JSON = """[
  {
    "text": "这是第一个训练样本的完整文本内容。包含输入和期望输出。"
  },
  {
    "text": "这是第二个训练样本的完整文本内容。"
  }
]
"""
TEXT_CSV = """text
"这是第一个训练样本。模型应该学习这种格式和内容。"
"这是第二个训练样本。可以包含多行文本内容。"
"""
TOOLBOX_CODE = """from logger import Logger
from config_loader import ConfigLoader
from gpu_manager import GPUManager

# 创建日志器
logger = Logger("MyApp").get_logger()

# 加载配置
config_loader = ConfigLoader()
config = config_loader.load_config("config.json")

# 管理GPU
gpu_manager = GPUManager()
gpu_info = gpu_manager.get_gpu_info()
"""


def _toolbox(place: Place) -> None:
    place.write("config.json", '{"lora_rank": 8}')
    place.write("toolbox.py", TOOLBOX_CODE + "print(config, gpu_info)\nlogger.info('ready')\n")


def _text_json(place: Place) -> None:
    place.write("LLM/lora/your_dataset.json", TEXT_JSON)
    shutil.rmtree(place.root / "LLM/lora/lora_output", ignore_errors=True)


def _text_csv(place: Place) -> None:
    """The seed prints one output folder for both formats: a new request needs a new (here an emptied) folder."""
    place.write("LLM/lora/your_dataset.csv", TEXT_CSV)
    shutil.rmtree(place.root / "LLM/lora/lora_output", ignore_errors=True)


def _new_output(place: Place) -> None:
    """The seed prints one output folder for all its requests: a new one needs an emptied folder."""
    shutil.rmtree(place.root / "LLM/lora/lora_output", ignore_errors=True)


def _adapter_in_lora(place: Place) -> None:
    copy = place.root / "LLM/lora/your_lora_adapter"
    shutil.copytree(place.root / "models/finetuned/lora_adapter", copy, dirs_exist_ok=True)


def _adapter_in_root(place: Place) -> None:
    copy = place.root / "your_lora_adapter"
    shutil.copytree(place.root / "models/finetuned/lora_adapter", copy, dirs_exist_ok=True)


def _other_base(place: Place) -> None:
    """The starter with one weight changed: same shapes, another model."""
    _adapter_in_lora(place)
    with contextlib.suppress(FileExistsError):
        shutil.copytree(place.starter, place.root / "LLM/lora/other_base")
    path = place.root / "LLM/lora/other_base/model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40
    path.write_bytes(bytes(content))


def _questions(place: Place) -> None:
    place.write("questions.txt", "什么是人工智能？\n" + '{"question": "Who are you?", "id": 7}\n')


def _adapter_in_registry(place: Place) -> None:
    shutil.copytree(
        place.root / "models/finetuned/lora_adapter", place.root / "5_models/finetuned/lora/my_model"
    )


def _model_in_registry(place: Place) -> None:
    shutil.copytree(place.starter, place.root / "5_models/model", dirs_exist_ok=True)


def _pickled_model(place: Place) -> None:
    torch.save({"weight": torch.arange(4.0)}, place.root / "5_models/model.bin")


def _damaged_model(place: Place) -> None:
    _model_in_registry(place)
    path = place.root / "5_models/model/model.safetensors"
    path.write_bytes(path.read_bytes()[:100_000])


def _in_hub_cache(place: Place, name: str, files: dict[str, bytes]) -> None:
    """``name`` lies in Hugging Face's cache of this place's home, as its own tools leave it."""
    repository = place.home / ".cache/huggingface/hub" / name.replace("/", "--")
    snapshot = repository / "snapshots/c0ffee"
    snapshot.mkdir(parents=True, exist_ok=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs/main").write_text("c0ffee", encoding="utf-8")
    for file_name, content in files.items():
        (snapshot / file_name).write_bytes(content)


def _cached_data_set(place: Place) -> None:
    _in_hub_cache(place, "datasets/dataset_owner/dataset_name", {"train.json": TEXT_JSON.encode()})
    shutil.rmtree(place.root / "lora_output", ignore_errors=True)


def _cached_qwen(place: Place) -> None:
    """The model of the seed, downloaded before: here with the starter's files."""
    files = {path.name: path.read_bytes() for path in place.starter.iterdir() if path.is_file()}
    _in_hub_cache(place, "models/Qwen/Qwen2.5-0.5B-Instruct", files)


def _rows(count: int, name: str = "问题") -> str:
    rows = [{"instruction": f"{name}{number}", "output": f"回答{number}"} for number in range(count)]
    return json.dumps(rows, ensure_ascii=False)


def _qwen(place: Place) -> None:
    """The data set has the very name that the seed prints in its place."""
    _cached_qwen(place)
    (place.root / "您的数据集路径").mkdir(exist_ok=True)
    place.write("您的数据集路径/train.json", _rows(12))
    (place.root / "您的数据集路径/validation.json").unlink(missing_ok=True)
    shutil.rmtree(place.root / "lora-qwen2.5-output", ignore_errors=True)


def _qwen_with_validation(place: Place) -> None:
    _qwen(place)
    place.write("您的数据集路径/validation.json", _rows(3, "另一个问题"))


def _download_script(place: Place) -> None:
    _cached_qwen(place)
    place.write("download.py", _A23)
    shutil.rmtree(place.root / "local_model_directory", ignore_errors=True)


# Seed 004, lines 843 to 848 (A18), 877 to 882 (A19), 904 to 910 (A20), 916 to 922 (A21), 863 to 871 (A23).
_A18 = r"""python LLM/lora/lora_fine_tuning.py \
  --model_name_or_path "Qwen/Qwen2.5-0.5B-Instruct" \
  --dataset_path "您的数据集路径" \
  --output_dir "./lora-qwen2.5-output" \
  --lora_rank 8 \
  --lora_alpha 16"""
_A19 = _A18.replace("Qwen/Qwen2.5-0.5B-Instruct", "./local_model_directory")
_A20 = _A18 + " \\\n  --use_8bit  # 使用8位量化\n"
_A21 = _A18 + " \\\n  --use_4bit  # 使用4位量化\n"
_A22 = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"
_A23 = """from transformers import AutoModelForCausalLM, AutoTokenizer

# 下载并缓存模型和分词器
model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-0.5B-Instruct", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen2.5-0.5B-Instruct", trust_remote_code=True)

# 将模型保存到指定目录
model.save_pretrained("./local_model_directory")
tokenizer.save_pretrained("./local_model_directory")
"""
_A17 = r"""python lora_fine_tuning.py \
  --model_name_or_path "meta-llama/Llama-2-7b-hf" \
  --dataset_path "dataset_owner/dataset_name" \
  --text_column "text" \
  --output_dir "./lora_output"
"""
_A13 = r"""python finetune/train_lora.py \
    --base-model meta-llama/Llama-2-7b-chat-hf \
    --train-data data/finetune/train_train.jsonl \
    --val-data data/finetune/train_validation.jsonl \
    --output-dir models/finetuned \
    --epochs 3 \
    --batch-size 4 \
    --learning-rate 2e-4 \
    --lora-r 8 \
    --lora-alpha 16"""
_A38 = r"""python merge_lora.py --base_model_path "meta-llama/Llama-2-7b-hf" \
                     --lora_adapter_path "./your_lora_adapter" \
                     --output_path "./merged_model"
"""
_A39 = r"""# 1. 合并LoRA适配器（在evaluate_model.py中实现merge功能）
# 2. 使用llama.cpp转换（需要安装llama.cpp）
python finetune/convert_to_gguf.py \
    --model-path models/finetuned/merged_model \
    --quantization Q4_K_M \
    --create-modelfile \
    --model-name llama2-finetuned
"""

ITEMS = (
    Item(
        "A01", "002", "# 检查环境\npython 4_scripts/main.py tools --check_env\n", accept.environment_is_listed
    ),
    Item(
        "A02",
        "002",
        "# 验证配置\npython 4_scripts/train.py --dry_run\n",
        accept.plan_is_shown_and_nothing_written,
        needs=("A01",),
    ),
    Item(
        "A03",
        "002",
        "# 查看配置信息\npython 4_scripts/main.py info --config\n",
        accept.every_value_has_its_origin,
    ),
    Item(
        "A03/train",
        "002",
        "# 使用配置文件\npython 4_scripts/train.py --config 0_configs/0_train_config.json\n",
        accept.config_file_drove_the_run,
        slow=True,
    ),
    Item("A04", "002", "PYTHONPATH=1_utils python toolbox.py", accept.toolbox_works, prepare=_toolbox),
    Item(
        "A05",
        "003",
        "python finetune/create_sample_data.py --output-dir data/sample",
        accept.ten_sample_rows,
    ),
    Item(
        "A06",
        "003",
        r"""python finetune/prepare_data.py \
    --input data/sample/sample_data.json \
    --input-format json \
    --format-type alpaca \
    --output-dir data/finetune \
    --output-name train
""",
        accept.rows_are_prepared,
        needs=("A05",),
    ),
    Item("A13", "003", _A13, accept.adapter_is_trained, needs=("A06",)),
    Item(
        "A13/use-quantization",
        "003",
        _A13.replace("models/finetuned", "models/quantised") + " \\\n    --use-quantization",
        accept.quantisation_or_a_clear_fallback,
        needs=("A06",),
        slow=True,
        printed=False,
    ),
    Item(
        "A14",
        "002",
        r"""# 自定义训练参数
python 4_scripts/main.py train \
    --model Qwen/Qwen2.5-7B-Instruct \
    --dataset medical_qa_dataset \
    --train_type lora \
    --num_train_epochs 3 \
    --output_dir ./6_output/my_model
""",
        accept.named_run_is_made,
    ),
    Item(
        "A14/preset",
        "002",
        "# 使用LoRA预设训练\npython 4_scripts/main.py train --preset lora --model Qwen/Qwen2.5-7B-Instruct\n",
        accept.preset_run_is_made,
        slow=True,
    ),
    Item(
        "A15",
        "004",
        r"""python lora_fine_tuning.py \
  --model_name_or_path "meta-llama/Llama-2-7b-hf" \
  --dataset_path "your_dataset.json" \
  --text_column "text" \
  --output_dir "./lora_output"
""",
        accept.text_rows_are_trained,
        folder="LLM/lora",
        prepare=_text_json,
        slow=True,
    ),
    Item(
        "A16",
        "004",
        r"""python lora_fine_tuning.py \
  --model_name_or_path "meta-llama/Llama-2-7b-hf" \
  --dataset_path "your_dataset.csv" \
  --text_column "text" \
  --output_dir "./lora_output"
""",
        accept.text_rows_are_trained,
        folder="LLM/lora",
        prepare=_text_csv,
        slow=True,
    ),
    Item(
        "A17",
        "004",
        _A17,
        accept.hub_id_is_refused_offline,
        folder="LLM/lora",
        prepare=_new_output,
        code=4,
    ),
    Item(
        "A17/cached",
        "004",
        _A17.replace("python lora", "python LLM/lora/lora"),
        accept.cached_data_set_is_trained,
        needs=("A17",),
        prepare=_cached_data_set,
        slow=True,
        printed=False,
    ),
    Item("A18", "004", _A18, accept.qwen_adapter_is_made, prepare=_qwen),
    Item(
        "A23",
        "004",
        "HF_HUB_OFFLINE=1 python download.py",
        accept.model_is_saved_for_offline_use,
        prepare=_download_script,
        slow=True,
        kind="LIB",
    ),
    Item(
        "A19",
        "004",
        _A19,
        accept.trained_without_a_network_call,
        needs=("A18", "A23"),
        prepare=_qwen,
        slow=True,
        watched=True,
    ),
    Item(
        "A20",
        "004",
        _A20,
        accept.qwen_adapter_on_a_quantised_base,
        needs=("A19",),
        prepare=_qwen,
        slow=True,
    ),
    Item(
        "A21",
        "004",
        _A21,
        accept.qwen_adapter_on_a_quantised_base,
        needs=("A20",),
        prepare=_qwen,
        slow=True,
    ),
    Item(
        "A22",
        "004",
        _A18 + f" --target_modules {_A22} --max_seq_length 96",
        accept.named_modules_length_and_own_validation,
        needs=("A21",),
        prepare=_qwen_with_validation,
        slow=True,
        printed=False,
    ),
    Item(
        "A24/interactive",
        "002",
        r"""# 交互式对话
python 4_scripts/main.py infer \
    --checkpoint ./6_output/my_model \
    --mode interactive
""",
        accept.talks_until_the_end_of_input,
        needs=("A14",),
        stdin="什么是人工智能？\n",
    ),
    Item(
        "A24/single",
        "002",
        r"""# 单条推理
python 4_scripts/main.py infer \
    --checkpoint ./6_output/my_model \
    --mode single \
    --question "什么是人工智能？"
""",
        accept.one_answer,
        needs=("A14",),
    ),
    Item(
        "A24/batch",
        "002",
        "python 4_scripts/main.py infer --checkpoint ./6_output/my_model --mode batch --input questions.txt",
        accept.one_answer_a_line,
        needs=("A14",),
        prepare=_questions,
        slow=True,
        printed=False,
    ),
    Item(
        "A31",
        "003",
        r"""python finetune/evaluate_model.py \
    --base-model meta-llama/Llama-2-7b-chat-hf \
    --lora-model models/finetuned/lora_adapter \
    --interactive
""",
        accept.talks_until_exit,
        needs=("A13",),
        stdin="什么是人工智能？\n你是谁？\nexit\n这一行不该再被回答\n",
    ),
    Item(
        "A32",
        "003",
        r"""python finetune/evaluate_model.py \
    --base-model meta-llama/Llama-2-7b-chat-hf \
    --lora-model models/finetuned/lora_adapter \
    --test-data data/finetune/train_test.jsonl \
    --output evaluation_results.csv
""",
        accept.table_has_one_row_a_test_row,
        needs=("A13",),
    ),
    Item(
        "A38",
        "004",
        _A38,
        accept.adapter_is_merged,
        needs=("A13",),
        folder="LLM/lora",
        prepare=_adapter_in_lora,
    ),
    Item(
        "A38/by path",
        "004",
        _A38.replace("merge_lora.py", "LLM/lora/merge_lora.py"),
        accept.adapter_is_merged,
        needs=("A13",),
        prepare=_adapter_in_root,
        slow=True,
        printed=False,
    ),
    Item(
        "A38/wrong base",
        "004",
        _A38.replace("meta-llama/Llama-2-7b-hf", "./other_base").replace("./merged_model", "./wrong"),
        accept.wrong_base_is_refused,
        needs=("A13",),
        folder="LLM/lora",
        prepare=_other_base,
        code=3,
        printed=False,
    ),
    Item(
        "A39/merge",
        "003",
        "python finetune/evaluate_model.py --base-model meta-llama/Llama-2-7b-chat-hf "
        "--lora-model models/finetuned/lora_adapter --merge",
        accept.merged_beside_the_adapter,
        needs=("A13",),
        printed=False,
    ),
    Item("A39", "003", _A39, accept.gguf_with_modelfile, needs=("A39/merge",)),
    *(
        Item(
            f"A39/{name}",
            "003",
            _A39.replace("Q4_K_M", name),
            accept.gguf_with_modelfile,
            needs=("A39/merge",),
            slow=True,
            printed=False,
        )
        for name in ("Q5_K_M", "Q8_0", "F16")
    ),
    Item(
        "A56/empty",
        "000",
        "# 列出所有模型\npython model_registry.py list\n",
        accept.registry_answers,
        folder="5_models",
    ),
    Item(
        "A56/register",
        "000",
        "# 注册新模型\npython model_registry.py register --path ./finetuned/lora/my_model\n",
        accept.model_is_registered,
        needs=("A56/empty", "A13"),
        folder="5_models",
        prepare=_adapter_in_registry,
    ),
    Item(
        "A56/list",
        "000",
        "# 列出所有模型\npython model_registry.py list\n",
        accept.registry_lists_it,
        needs=("A56/register",),
        folder="5_models",
    ),
    Item(
        "A56/onnx",
        "000",
        "# 转换模型格式\npython model_converter.py --input ./model.bin --output ./model.onnx --format onnx\n",
        accept.other_formats_are_named,
        folder="5_models",
        prepare=_pickled_model,
        code=2,
    ),
    Item(
        "A56/convert",
        "000",
        "# 转换模型格式\npython model_converter.py --input ./model.bin --output ./safe --format safetensors\n",
        accept.pickle_is_safetensors,
        folder="5_models",
        prepare=_pickled_model,
        printed=False,
    ),
    Item(
        "A56/validate",
        "000",
        "# 验证模型完整性\npython model_validator.py --model_path ./model\n",
        accept.model_is_whole,
        folder="5_models",
        prepare=_model_in_registry,
    ),
    Item(
        "A56/damaged",
        "000",
        "# 验证模型完整性\npython model_validator.py --model_path ./model\n",
        accept.damage_is_named,
        needs=("A56/validate",),
        folder="5_models",
        prepare=_damaged_model,
        code=3,
    ),
)
BY_ID = {item.id: item for item in ITEMS}


def command_of(item: Item, place: Place) -> str:
    """The command as it is typed: the seed's, with the starter in place of the 7B model."""
    command = item.command
    for name, stand_in in NAMES.items():
        command = command.replace(name, stand_in.format(starter=place.starter))
    return command


def result_of(item_id: str, place: Place) -> Done:
    """What came of an item in this place: carried out once, after what it needs, and remembered."""
    item = BY_ID[item_id]
    for needed in item.needs:
        result_of(needed, place)

    def act() -> Done:
        if item.prepare is not None:
            item.prepare(place)
        command = command_of(item, place)
        (place.root.parent / "typed.txt").write_text(command, encoding="utf-8")
        return place.run(command, folder=item.folder, stdin=item.stdin, watched=item.watched)

    return place.once(item_id, act)
