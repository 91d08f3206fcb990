"""ms-swift trains as ``swift sft`` does, at its defaults; runs in its environment."""

from __future__ import annotations

from benchmarks.peers.steps import settings, watch_steps


def main() -> None:
    asked = settings()
    from swift.arguments import SftArguments
    from swift.pipelines.train.sft import SwiftSft

    watch_steps(asked)
    told = SftArguments(
        model=asked["model"],
        model_type="qwen2",
        template="qwen2_5",
        torch_dtype="bfloat16",
        dataset=[asked["jsonl"]],
        output_dir=asked["output"],
        add_version=False,
        use_cpu=True,
        per_device_train_batch_size=asked["batch"],
        gradient_accumulation_steps=1,
        max_steps=asked["steps"],
        seed=asked["seed"],
        report_to=["none"],
    )
    SwiftSft(told).main()


if __name__ == "__main__":
    main()
