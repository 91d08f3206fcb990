"""The documentation says what is so: commands parse, Python runs, links lead somewhere, everything has its heading."""

from __future__ import annotations

import importlib
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mozhu.cli.flags import parse_flags
from mozhu.cli.main import VERBS, find_verb
from mozhu.kernel import errors, slots
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.texts import page_texts
from mozhu.specs.agent import AgentSpec
from mozhu.specs.base import Spec
from mozhu.specs.fields import fields_of
from mozhu.specs.layers import preset_names
from mozhu.specs.serve import DeploySpec
from mozhu.specs.settings import ModelSettings
from mozhu.workspace.scripts import SCRIPTS, translate

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "7_docs"
GENERATED = {"commands.md", "errors.md"}
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
WRITTEN = [page for page in PAGES if page.name not in GENERATED]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_VARIABLE = re.compile(r"\bMOZHU_[A-Z]+(?:_[A-Z]+)*\b")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``kind`` is what stands after the fence: ``bash``, ``python``, ``python notest`` …"""

    page: Path
    line: int
    kind: str
    body: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(*kinds: str) -> list[Block]:
    found = []
    for page in WRITTEN:
        content = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(content):
            block = Block(page, content[: match.start()].count("\n") + 1, match[1].strip(), match[2])
            if block.kind in kinds:
                found.append(block)
    return found


def command_lines(body: str) -> list[list[str]]:
    """The commands of a bash block as words: lines joined at ``\\``, comments and variables in front left out."""
    lines = body.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    stripped = [[*_after_variables(line)] for line in words if line]
    return [line for line in stripped if line]


def _after_variables(words: list[str]) -> list[str]:
    while words and re.match(r"^[A-Z_]+=", words[0]):
        words = words[1:]
    return words


def as_verb(words: list[str]) -> list[str] | None:
    """The words after ``mozhu`` that a command means; ``None`` for a command that is not ours."""
    if words[0] == "mozhu":
        return words[1:]
    if words[0] == "python" and len(words) > 1 and words[1] in SCRIPTS:
        return translate(SCRIPTS[words[1]], words[2:])
    return None


def check_command(words: list[str]) -> None:
    """The verb is there, every flag is known and has its value."""
    if not words or words[0] in {"--help", "-h", "--version"}:
        return
    name, arguments = find_verb(words)
    command = importlib.import_module(VERBS[name]).COMMAND
    parsed = parse_flags(command.name, command.spec, command.switches, command.words, arguments)
    if command.spec is not None:
        for field in fields_of(command.spec):
            if field.kind == "choice" and field.name in parsed.values:
                assert parsed.values[field.name] in field.choices, (
                    f"--{field.name} {parsed.values[field.name]}"
                )
        if parsed.preset:
            assert parsed.preset in preset_names(command.spec)


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
def test_every_command_parses(block: Block) -> None:
    for words in command_lines(block.body):
        ours = as_verb(words)
        if ours is not None:
            check_command(ours)


def test_every_printed_script_is_one_of_ours() -> None:
    for block in blocks("bash"):
        for words in command_lines(block.body):
            if words[0] == "python" and len(words) > 1 and words[1].endswith(".py"):
                assert words[1] in SCRIPTS, f"{block}: {words[1]}"


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in WRITTEN:
        for target in re.findall(
            r"(?:^|`)make ([a-z][a-z-]*)", page.read_text(encoding="utf-8"), re.MULTILINE
        ):
            assert target in targets, f"{page.name}: make {target}"


def test_commands_named_in_the_text_exist() -> None:
    groups = {verb.split()[0] for verb in VERBS}
    for page in WRITTEN:
        for name in re.findall(r"`mozhu ([a-z]+)[^`]*`", page.read_text(encoding="utf-8")):
            assert name in groups, f"{page.name}: mozhu {name}"


@pytest.mark.parametrize(
    "block", blocks("python", "python notest", "python lora", "python slot-example"), ids=str
)
def test_every_python_block_compiles(block: Block) -> None:
    compile(block.body, str(block), "exec")


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_quick_python_blocks_run(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOZHU_WORKSPACE", str(tmp_path))
    exec(compile(block.body, str(block), "exec"), {"__name__": "block"})


def test_the_readme_s_plan_is_the_printed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOZHU_WORKSPACE", str(tmp_path))
    block = next(
        block for block in blocks("python") if block.page.name == "README.md" and "forecast" in block.body
    )
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(block.body, str(block), "exec"), names)
    assert names["prepared"].metrics["train_rows"] == 8
    assert names["plan"].steps == 100


def test_the_worked_example_of_a_slot_is_a_metric_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_added", {})
    (block,) = blocks("python slot-example")
    exec(compile(block.body, str(block), "exec"), {"__name__": "numbers_example"})
    metric = slots.load("mozhu.metrics", "keeps_numbers")
    scores = metric.score(
        [("前 2 小时免费", "前 2 小时免费"), ("前几小时免费", "前 2 小时免费"), ("好", "好")]
    )
    assert scores.rows == [1.0, 0.0, 1.0]
    assert scores.corpus == pytest.approx(2 / 3)
    assert scores.signature.startswith("keeps_numbers|digits|subset")


@pytest.mark.slow
def test_the_answers_on_lora_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a tiny model: everything that the page says works, works; what it says fails, fails."""
    from mozhu import api
    from mozhu.testing import make_tiny_adapter, make_tiny_model

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOZHU_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    make_tiny_model("base", "qwen2")
    for number, name in enumerate(("lora_adapter", "second_adapter")):
        make_tiny_adapter(name, "base", seed=number)
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            if Path("base", file).is_file():
                Path(name, file).write_bytes(Path("base", file).read_bytes())
    api.merge(adapter="lora_adapter", base_model="base", output_path="merged_model", quiet=True)
    names: dict[str, Any] = {"__name__": "block"}
    for block in blocks("python lora"):
        exec(compile(block.body, str(block), "exec"), names)
    assert len(list(Path("sharded").glob("*.safetensors"))) >= 1
    model, tokenizer = names["model"], names["tokenizer"]
    with pytest.raises(AttributeError):
        model.generate_text("您的提示文本")
    with pytest.raises(ValueError, match="adapter_name"):
        model.generate(**tokenizer("a", return_tensors="pt"), max_new_tokens=1, adapter_name="adapter2")
    with pytest.raises(TypeError):
        model.set_adapter(["default", "adapter2"])
    with pytest.raises(TypeError):
        names["merged"].push_to_hub("owner/name", tokenizer=tokenizer)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if not re.match(r"^[a-z]+:", link) and not link.startswith("#"):
            place = page.parent / link.partition("#")[0]
            assert place.exists(), f"{page.name}: {link}"


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name


def test_every_command_has_its_heading() -> None:
    headings = _headings("commands.md", 2)
    assert {f"mozhu {verb}" for verb in VERBS} <= headings


def test_every_error_has_its_heading() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MozhuError)
    ]
    assert {kind.code for kind in kinds if kind.code} <= _headings("errors.md", 2)


@pytest.mark.parametrize(
    ("page", "area", "codes"), [("training", "train", "TRAIN-"), ("data", "data", "DATA-1[01]")]
)
def test_every_finding_has_its_row(page: str, area: str, codes: str) -> None:
    """Findings have words and a code but no error class, so the page of errors does not hold them."""
    content = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    texts = page_texts("zh", area)
    wanted = {name.partition(".")[0] for name in texts if re.match(rf"{codes}\d*\.what$", name)}
    wanted = {code for code in wanted if errors.error_class(code) is None}
    told = set(re.findall(rf"^\| `({codes}\d*)` \|", content, re.MULTILINE))
    assert told == wanted


def test_every_slot_has_its_heading_and_its_built_in_names() -> None:
    page = (DOCS / "slots.md").read_text(encoding="utf-8")
    assert set(slots.BUILT_IN) == {name for name in _headings("slots.md", 3) if name.startswith("mozhu.")}
    for slot in ("mozhu.metrics", "mozhu.readers", "mozhu.training_engines", "mozhu.verbs", "mozhu.models"):
        section = page.partition(f"### {slot}\n")[2].partition("\n### ")[0]
        for name in slots.BUILT_IN[slot]:
            assert f"`{name}`" in section, f"{slot}: {name}"


def _specs() -> dict[str, type[Spec]]:
    """Every spec that a command takes, and those of the workspace's files, by verb."""
    commands = [importlib.import_module(module).COMMAND for module in VERBS.values()]
    found = [command.spec for command in commands if command.spec is not None]
    return {spec.verb: spec for spec in [*found, ModelSettings, DeploySpec, AgentSpec]}


@pytest.mark.parametrize("verb", sorted(_specs()))
def test_every_setting_has_its_row(verb: str) -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert f"\n### {verb}\n" in page
    section = page.partition(f"\n### {verb}\n")[2].partition("\n### ")[0]
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)` \|.*$", section, re.MULTILINE)}
    fields = {field.name: field for field in fields_of(_specs()[verb])}
    assert set(rows) == set(fields)
    for name, field in fields.items():
        cells = [cell.strip() for cell in rows[name].split(" | ")]
        assert cells[2] == _shown_default(field), f"{verb}.{name}"
        for choice in field.choices:
            assert f"`{choice}`" in cells[1], f"{verb}.{name}: {choice}"


def _shown_default(field: Any) -> str:
    if field.required:
        return "必填 required"
    if field.default in (None, (), {}, ""):
        return "—"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{' '.join(field.default) if isinstance(field.default, tuple) else field.default}`"


def test_every_preset_is_named() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    for spec in _specs().values():
        if spec.has_presets:
            for name in preset_names(spec):
                assert f"`{name}`" in page, f"{spec.verb}: {name}"


def test_every_environment_variable_is_explained() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tools").glob("*.py"), ROOT / "Makefile"]
    used = {name for file in files for name in _VARIABLE.findall(file.read_text(encoding="utf-8"))}
    general = {name for name in used if name.startswith("MOZHU_TRAIN")}  # MOZHU_<VERB>__<FIELD>
    for name in used - general - {"MOZHU"}:
        assert f"`{name}`" in page, name


def test_the_architecture_names_every_room() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "mozhu"
    for folder in sorted(path.parent for path in package.rglob("__init__.py")):
        if folder != package:
            assert f"{folder.name}/" in page or f"### {folder.name}" in page, folder.name
    contracts = re.findall(
        r"^\[importlinter:contract:([\w-]+)\]", (ROOT / ".importlinter").read_text(), re.MULTILINE
    )
    for contract in contracts:
        assert f"`{contract}`" in page, contract


def test_the_architecture_names_every_file_of_the_engine() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", page))
    for file in (ROOT / "src" / "mozhu" / "engine").rglob("*.py"):
        if file.name != "__init__.py" and file.parent.name != "report":
            assert file.stem in words, os.fspath(file.relative_to(ROOT))


def test_limits_of_certificates_are_those_of_the_code() -> None:
    limits = importlib.import_module("mozhu.specs.records.limits")
    page = (DOCS / "certificates.md").read_text(encoding="utf-8")
    for quantization, limit in limits.GGUF_KL.items():
        row = rf"^\| {quantization} \| {limit:g} \| {limits.GGUF_KL_FLOOR[quantization]:g} \|"
        assert re.search(row, page, re.MULTILINE), quantization
    assert f"≥ {limits.LEAST_EFFECT:g}" in page
    assert f"≥ {limits.MERGE_TOP1_HALF * 100:g} %" in page
    assert f"{limits.MOST_TOKENS} 个 token" in page and f"{limits.REAL_TOKENS} 个 token" in page
    assert f"KL ≤ {limits.HALF_KL_FLOOR:g}" in page and f"{limits.HALF_KL_TIMES:g} × 参照" in page
    assert f"KL ≤ {limits.GGUF_KL_TIMES:g} × 参照" in page
    for quantization, share in limits.GGUF_TOP1.items():
        assert f"{quantization} ≥ {share * 100:g} %" in page
    for name in limits.RULES:
        assert f"`{name}`" in page, name


def test_both_languages_stand_on_every_page() -> None:
    for page in WRITTEN:
        text = _FENCE.sub("", page.read_text(encoding="utf-8"))
        assert re.search(r"[\u4e00-\u9fff]{4}", text), page.name
        assert re.search(r"\b[A-Za-z]+ [a-z]+ [a-z]+ [a-z]+\b", text), page.name


def _headings(page: str, level: int) -> set[str]:
    content = (DOCS / page).read_text(encoding="utf-8")
    return set(re.findall(rf"^{'#' * level} (.+)$", content, re.MULTILINE))
