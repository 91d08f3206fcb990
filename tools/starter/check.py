"""Checks the finished model: exact answers, stopping by itself, and learning new text with a LoRA."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from .strings import Strings
from .tokenizer import common_characters
from .train import Encoder
from .world import Conversation, Fact, Held, World, reply, user

# Ten questions and answers of an everyday kind, written for this check; most of their characters do not
# occur in the small world.
LORA_ROWS = [
    (
        "羊毛衫怎样洗才不缩水？",
        "羊毛衫应使用冷水和中性洗涤剂，轻轻揉搓，切忌拧绞。洗净后用毛巾吸去水分，平铺在阴凉通风处晾干，不宜悬挂暴晒。",
    ),
    (
        "发票遗失后如何处理？",
        "遗失发票应当立即登报声明作废，并向税务机关书面报告。购买方可凭销售方提供的存根联复印件及证明，作为记账凭据。",
    ),
    (
        "冰箱结霜太厚怎么办？",
        "先切断电源，取出食材，打开箱门让霜层自然融化，底部垫抹布吸收积水。切勿使用尖锐器具撬刮，以免戳破管路造成泄漏。",
    ),
    (
        "怎样腌制咸鸭蛋？",
        "挑选外壳完整的鲜鸭蛋，擦拭后裹一层高度酒，再滚上粗盐，逐枚用保鲜膜包紧，放进坛内密封，约三十日便可蒸熟享用。",
    ),
    (
        "租房合同要注意哪些条款？",
        "须核实房东产权证件，写明租金、押金、付款周期与违约赔偿，附家具电器清单，并约定维修责任归属，双方签章后各执一份。",
    ),
    (
        "膝盖扭伤初期如何护理？",
        "四十八小时内停止活动，用毛巾裹住冰袋敷于患处，每次一刻钟，再缠弹性绷带适度加压，并垫枕抬升患肢，肿胀加剧须就诊。",
    ),
    (
        "阳台种植薄荷有何诀窍？",
        "薄荷喜湿耐阴，盆土宜疏松肥沃，每周浇透两回，避免积涝。枝条过密时及时修剪顶芽，促其萌发侧枝，剪下的嫩梢还能扦插。",
    ),
    (
        "如何撰写一封辞职信？",
        "开篇表明离职意愿与拟定日期，随后诚恳感谢主管栽培，简述缘由即可，无须抱怨。结尾承诺妥善移交职务，并祝愿团队蓬勃。",
    ),
    (
        "笔记本键盘进液怎么抢救？",
        "迅速拔掉适配器并关机，倒扣机身沥出液体，拆卸电池，用吹风筒冷档烘拂缝隙。静置两昼夜，确认彻底干燥，再送检修。",
    ),
    (
        "孩子挑食偏食怎么引导？",
        "家长先做榜样，荤素搭配，变换烹调花样，允许幼儿参与择菜摆盘。切莫威胁哄骗，少量多次尝试，并控制零嘴，耐心鼓励。",
    ),
]
LORA_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass
class Report:
    """Every measured figure, and what falls short."""

    lines: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, least: float | None = None) -> None:
        """Record a share (0 to 1), with the least that is accepted, if any."""
        mark = "" if least is None else f"  (at least {least:.0%})"
        self.lines.append(f"{name:<34}{value:>8.1%}{mark}")
        if least is not None and value < least:
            self.failures.append(f"{name}: {value:.1%} < {least:.0%}")

    def note(self, text: str) -> None:
        self.lines.append(text)


@torch.inference_mode()
def answers(model: Any, tokenizer: Any, chats: list[Conversation], limit: int = 96) -> list[tuple[str, bool]]:
    """Greedy answers to conversations that end with a user's turn, and whether each stopped by itself.

    Args:
        limit: the longest answer in tokens.
    """
    prompts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
    order = sorted(range(len(chats)), key=lambda i: len(prompts[i]))
    out: list[tuple[str, bool]] = [("", False)] * len(chats)
    for at in range(0, len(order), 64):
        part = order[at : at + 64]
        batch = tokenizer(
            [prompts[i] for i in part],
            padding=True,
            padding_side="left",
            add_special_tokens=False,
            return_tensors="pt",
        )
        made = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            do_sample=False,
            max_new_tokens=limit,
        )
        for i, row in zip(part, made[:, batch["input_ids"].shape[1] :].tolist()):
            stopped = tokenizer.eos_token_id in row
            row = row[: row.index(tokenizer.eos_token_id)] if stopped else row
            out[i] = (tokenizer.decode(row, skip_special_tokens=False), stopped)
    return out


def exactness(
    model: Any,
    tokenizer: Any,
    cases: list[tuple[str, Conversation]],
    limit: int = 96,
) -> tuple[dict[str, float], float, float, list[str]]:
    """Share of exact answers per task, over all, share that stopped, and some wrong answers.

    Args:
        cases: task name and a conversation whose last message is the expected answer.
    """
    got = answers(model, tokenizer, [chat[:-1] for _, chat in cases], limit)
    right: dict[str, list[bool]] = defaultdict(list)
    wrong: list[str] = []
    for (task, chat), (text, _) in zip(cases, got):
        right[task].append(text == chat[-1]["content"])
        if not right[task][-1]:
            wrong.append(f"{task}: {chat[-2]['content']!r} -> {text!r}, expected {chat[-1]['content']!r}")
    flat = [ok for oks in right.values() for ok in oks]
    share = {task: sum(oks) / len(oks) for task, oks in sorted(right.items())}
    return share, sum(flat) / len(flat), sum(s for _, s in got) / len(got), wrong


def held_cases(held: list[Held]) -> list[tuple[str, Conversation]]:
    return [(f"{h.category} {h.language}", [user(h.question), reply(h.answer)]) for h in held]


def talk_cases(facts: list[Fact]) -> list[tuple[str, Conversation]]:
    """Set phrases: greetings and questions about the model itself."""
    return [
        (f"{f.category} {lang}", [user(q), reply(a)])
        for f in facts
        if f.category == "talk"
        for lang, qs, a in (("zh", f.zh, f.zh_answer), ("en", f.en, f.en_answer))
        for q in qs
    ]


def drawn_cases(
    source: World | Strings, names: list[str], each: int, seed: int
) -> list[tuple[str, Conversation]]:
    """Freshly drawn conversations of the named tasks."""
    rng = random.Random(seed)
    return [(name, getattr(source, name)(rng)) for name in names for _ in range(each)]


def long_input(model: Any, context: int) -> bool:
    """Whether a prompt of the whole context length gives finite scores."""
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(0, model.config.vocab_size, (1, context), generator=rng)
    with torch.inference_mode():
        return bool(torch.isfinite(model(input_ids=ids).logits).all())


@dataclass
class Lora:
    """What a LoRA run gave: exact rows, first and last loss, seconds."""

    exact: int
    rows: int
    first: float
    last: float
    seconds: float


def lora(
    load: Callable[[], Any],
    tokenizer: Any,
    rows: list[tuple[str, str]],
    steps: int = 150,
    batch: int = 10,
    peak: float = 5e-3,
    alpha: int = 32,
) -> Lora:
    """Teach ``rows`` (question, answer) to a fresh copy of the model with a LoRA, then ask them all.

    Args:
        load: gives a fresh copy of the model in float32.
        peak: the learning rate at the start; it falls linearly to a tenth.
    """
    torch.manual_seed(0)
    base = load()
    model = get_peft_model(
        base,
        LoraConfig(
            r=16, lora_alpha=alpha, lora_dropout=0.0, target_modules=LORA_MODULES, task_type="CAUSAL_LM"
        ),
    )
    chats = [[user(q), reply(a)] for q, a in rows]
    encoded = Encoder(tokenizer)(chats)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=peak, weight_decay=0.0
    )
    rng = random.Random(0)
    losses: list[float] = []
    start = time.monotonic()
    order: list[int] = []
    model.train()
    for step in range(steps):
        if len(order) < batch:
            order = rng.sample(range(len(rows)), len(rows))
        part, order = [encoded[i] for i in order[:batch]], order[batch:]
        width = max(len(ids) for ids, _ in part)
        ids = torch.tensor([i + [tokenizer.pad_token_id] * (width - len(i)) for i, _ in part])
        labels = torch.tensor([t + [-100] * (width - len(t)) for _, t in part])
        for group in optimizer.param_groups:
            group["lr"] = peak * (1 - 0.9 * step / steps)
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    seconds = time.monotonic() - start
    model.eval()
    got = answers(model, tokenizer, [chat[:-1] for chat in chats], 128)
    exact = sum(text == answer and stopped for (text, stopped), (_, answer) in zip(got, rows))
    return Lora(exact, len(rows), losses[0], sum(losses[-5:]) / 5, seconds)


def random_rows(count: int, seed: int) -> list[tuple[str, str]]:
    """Rows of random common characters: questions of 8, answers of 25."""
    rng, chars = random.Random(seed), common_characters()
    return [
        ("".join(rng.choices(chars, k=8)) + "？", "".join(rng.choices(chars, k=25)) + "。")
        for _ in range(count)
    ]


def run(
    load: Callable[[], Any],
    tokenizer: Any,
    facts: list[Fact],
    held: list[Held],
    world: World,
    strings: Strings,
) -> Report:
    """Measure everything.

    Args:
        load: gives a fresh copy, in float32, of the weights as they will be shipped.
    """
    report = Report()
    model = load().eval()

    cases = held_cases(held) + talk_cases(facts)
    share, total, stopped, wrong = exactness(model, tokenizer, cases)
    for task, value in share.items():
        report.add(f"  {task}", value)
    report.add(f"small world, {len(cases)} questions", total, 0.90)
    report.add("small world, stops by itself", stopped, 0.98)
    for line in wrong[:12]:
        report.note(f"    wrong: {line}")

    names = ["turns", "follow_up", "my_name", "system_language", "system_name", "system_frame", "unknown"]
    share, total, stopped, wrong = exactness(model, tokenizer, drawn_cases(world, names, 60, 1001))
    for task, value in share.items():
        report.add(f"  {task}", value)
    report.add("system messages and later turns", total, 0.85)
    report.add("the same, stops by itself", stopped, 0.98)
    for line in wrong[:8]:
        report.note(f"    wrong: {line}")

    names = ["copy", "twice", "reverse", "spell", "pick", "carry_on", "look_up", "fixed", "again"]
    share, total, stopped, _ = exactness(model, tokenizer, drawn_cases(strings, names, 40, 1002), 256)
    for task, value in share.items():
        report.add(f"  {task}", value)
    report.add("random strings", total)
    report.add("random strings, stops by itself", stopped)

    finite = long_input(model, model.config.max_position_embeddings)
    report.add("finite scores at full context", float(finite), 1.0)

    result = lora(load, tokenizer, LORA_ROWS)
    report.add("LoRA, 10 rows exact", result.exact / result.rows, 0.9)
    report.note(f"    loss {result.first:.2f} -> {result.last:.4f} in {result.seconds:.0f} s")
    result = lora(load, tokenizer, random_rows(100, 7), steps=150, batch=20)
    report.add("LoRA, 100 random rows exact", result.exact / result.rows)
    report.note(f"    loss {result.first:.2f} -> {result.last:.4f} in {result.seconds:.0f} s")
    if result.last > 0.7 * result.first:
        report.failures.append("LoRA on 100 rows: the loss does not fall")
    return report
