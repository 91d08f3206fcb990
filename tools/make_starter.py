"""Makes the starter model from nothing: text, vocabulary, weights, checks.

    python tools/make_starter.py --output src/mozhu/testing/starter

The same seed, thread count and machine type give the same bytes.  Nothing is written unless every check
passes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is local; never look anything up
# threads that wait busily stall each other on a loaded machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
from starter import check
from starter import tokenizer as tokens
from starter import world as worlds
from starter.card import CARD
from starter.initial import initialise
from starter.strings import Strings
from starter.train import CONTEXT, Plan, config, train
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2ForCausalLM
from transformers.utils import logging

VOCABULARY = 5504  # as many tokens as the size limit below leaves room for
MOST_BYTES = 8_000_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write; replaced if it is there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument(
        "--minutes-budget",
        type=float,
        default=30.0,
        help="give up early if training would take longer (minutes)",
    )
    parser.add_argument("--keep-failed", action="store_true", help="write the model even if a check fails")
    return parser.parse_args()


def untrained(tokenizer: Any, seen: dict[int, int]) -> list[str]:
    """The tokens that can occur in an answer but never carried loss."""
    never = set(range(tokenizer.get_vocab_size())) - set(seen) - tokens.unreachable(tokenizer)
    never -= {tokenizer.token_to_id(tokens.PAD), tokenizer.token_to_id(tokens.START)}
    return [tokenizer.id_to_token(i) for i in sorted(never)]


def save(model: Any, folder: Path) -> None:
    """Write weights and configuration in bf16, readable by older readers of Qwen2 models too."""
    model.to(torch.bfloat16)
    model.generation_config.do_sample = False
    model.generation_config.bos_token_id = None
    model.generation_config.eos_token_id = model.config.eos_token_id
    model.generation_config.pad_token_id = model.config.pad_token_id
    model.save_pretrained(folder)
    path = folder / "config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["rope_theta"] = written["rope_parameters"][
        "rope_theta"
    ]  # where transformers 4 and GGUF tools look
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def replace(source: Path, target: Path) -> None:
    """Put the finished folder in the target's place; the old one goes only when the new one is there."""
    old = target.with_name(target.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    for file in source.iterdir():
        file.chmod(0o644)  # the weights are written for their owner only, and a wheel keeps the mode
    if target.exists():
        target.rename(old)
    source.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def make(args: argparse.Namespace, folder: Path) -> list[str]:
    """Make and check the model in ``folder``; the names of the failed checks."""
    began = time.monotonic()
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    facts = worlds.all_facts()
    held = worlds.split(facts)
    common = tokens.common_characters()
    world = worlds.World(facts, common)
    built = tokens.build(world.texts(), VOCABULARY)
    tokens.save(built, folder, CONTEXT)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    strings = Strings(common, tokens.PUNCTUATION, tokens.whole_pieces(built))

    plan = Plan(steps=args.steps, minutes=args.minutes_budget)
    ids: dict[str, Any] = {t: built.token_to_id(t) for t in (tokens.PAD, tokens.START, tokens.END)}
    model: Any = Qwen2ForCausalLM(config(built.get_vocab_size(), ids))
    initialise(model)
    size = sum(p.numel() for p in model.parameters())
    print(f"{size:,} parameters, {built.get_vocab_size()} tokens, {len(facts)} facts, {len(held)} held back")
    usable = sorted(set(range(built.get_vocab_size())) - tokens.unreachable(built) - set(ids.values()))
    seen = train(model, world, strings, tokenizer, plan, args.seed, usable)
    strings.reach = 1.0
    trained = (time.monotonic() - began) / 60
    save(model, folder)

    def load() -> Any:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)

    report = check.run(load, tokenizer, facts, held, world, strings)
    never = untrained(built, seen)
    report.add("tokens trained", 1 - len(never) / built.get_vocab_size(), 1.0)
    if never:
        report.note(f"    never: {never[:40]}")
    figures = "\n".join(line for line in report.lines if not line.startswith("    "))
    cfg = model.config
    (folder / "README.md").write_text(
        CARD.format(
            layers=cfg.num_hidden_layers,
            hidden=cfg.hidden_size,
            ffn=cfg.intermediate_size,
            heads=cfg.num_attention_heads,
            kv=cfg.num_key_value_heads,
            vocab=cfg.vocab_size,
            parameters=f"{size:,}",
            context=cfg.max_position_embeddings,
            steps=plan.steps,
            tokens=plan.tokens,
            seed=args.seed,
            figures=figures,
        ),
        encoding="utf-8",
    )
    total = sum(f.stat().st_size for f in folder.iterdir())
    if total > MOST_BYTES:
        report.failures.append(f"folder: {total:,} bytes > {MOST_BYTES:,}")
    print("\n".join(report.lines))
    print(
        f"training {trained:.1f} min, everything {(time.monotonic() - began) / 60:.1f} min, {total:,} bytes"
    )
    return report.failures


def main() -> int:
    args = arguments()
    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    random.seed(args.seed)
    target = args.output.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".starter-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        try:
            failures = make(args, folder)
        except TimeoutError as error:
            print(f"stopped: {error}", file=sys.stderr)
            return 1
        for failure in failures:
            print(f"FAILED {failure}", file=sys.stderr)
        if failures and not args.keep_failed:
            print("nothing written", file=sys.stderr)
            return 1
        replace(folder, target)
    print(f"written to {args.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
