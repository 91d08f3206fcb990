"""TRL's ``SFTTrainer`` with packing, at its defaults otherwise; runs in the environment of Mozhu, which has it.

A packed row is as long as TRL's default ``max_length`` (1,024 tokens, some six rows of the data), so a batch has
one. ``checkpointing`` is its default, too; on a CPU with memory enough one turns it off, so both are measured.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.peers.steps import settings, watch_steps


def main() -> None:
    asked = settings()
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(1)
    lines = Path(asked["jsonl"]).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    data = Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": row["instruction"]}],
                "completion": [{"role": "assistant", "content": row["output"]}],
            }
            for row in rows
        ]
    )
    watch_steps(asked)
    SFTTrainer(
        model=asked["model"],
        args=SFTConfig(
            output_dir=asked["output"],
            packing=True,
            per_device_train_batch_size=1,
            max_steps=asked["steps"],
            gradient_checkpointing=asked["checkpointing"],
            model_init_kwargs={"dtype": "bfloat16"},
            seed=asked["seed"],
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=data,
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
    ).train()


if __name__ == "__main__":
    main()
