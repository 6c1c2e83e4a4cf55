"""Which weights an adapter works on: trained beside weights in 16 bits or in NF4, and asked on both (chapter 12).

    python -m training.sweeps.qlora_grid

Adapters are trained for STEPS steps of BATCH short items, in float32; what is done stays in the work folder of
`training.sweeps.qlora`, and the same command goes on. Kept are STEPS, BATCH, and the replies: "trained beside", "asked
on", seed, item.
"""

import argparse
import tempfile
from pathlib import Path

from datasets import disable_progress_bars
from peft import LoraConfig, PeftModel
from transformers import set_seed
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig

from bookkit import paths, results
from training import recipe
from training.grounded_qa import base, data, house, settings
from training.grounded_qa.train import AnswerTrainer, conversations
from training.sweeps.qlora import OPTIONS, answers, kept, on

NAME = "qlora_grid"
SEEDS = (12,)
STEPS, BATCH, SHORT, RATE = 50, 4, 480, 0.001  # steps, items a step, shortest items to draw from, learning rate
ASKED = 60  # the shortest test items
WEIGHTS = ("nf4", "16 bits")


def shortest(items: list[dict], number: int) -> list[dict]:
    """The items with the shortest prompts, in letters, in their old order."""
    lengths = [len(house.user(item["passages"], item["question"])) for item in items]
    chosen = sorted(range(len(items)), key=lambda k: (lengths[k], k))[:number]
    return [items[k] for k in sorted(chosen)]


def fit(items: list[dict], target: Path, weights: str, seed: int, steps: int = STEPS, options: dict = OPTIONS) -> None:
    """Train an adapter and save it."""
    disable_progress_bars()
    set_seed(seed)
    model, tokenizer = on(weights, options), base.load_tokenizer(options)
    trainer = AnswerTrainer(
        model=model,
        args=SFTConfig(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=RATE,
            lr_scheduler_type="linear",
            warmup_steps=max(1, steps // 12),
            max_length=512,
            completion_only_loss=True,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            logging_steps=10,
            save_strategy="no",
            seed=seed,
            disable_tqdm=True,
            report_to="none",
        ),
        train_dataset=conversations(items),
        processing_class=tokenizer,
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear"),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    print(target.name, [round(entry["loss"], 2) for entry in trainer.state.log_history if "loss" in entry], flush=True)
    trainer.save_model(str(target))


def grid(items: dict[str, list[dict]], work: Path, seeds=SEEDS, steps: int = STEPS, options: dict = OPTIONS) -> dict:
    """Replies: the weights trained beside, the weights asked on, seed, item."""
    train, asked = shortest(items["train"], SHORT), shortest(items["test"], ASKED)

    def cell(trained: str, there: str, seed: int) -> dict[str, str]:
        adapter = work / f"adapter {trained} {seed}"
        if not (adapter / "adapter_model.safetensors").exists():
            fit(train, adapter, trained, seed, steps, options)
        return answers(PeftModel.from_pretrained(on(there, options), adapter).eval(), asked, options)

    found: dict = {trained: {there: {} for there in WEIGHTS} for trained in WEIGHTS}
    for seed in seeds:
        for trained in WEIGHTS:
            for there in WEIGHTS:
                path = work / f"grid {trained} {there} {seed}.json"
                made = kept(path, lambda t=trained, h=there, s=seed: cell(t, h, s))
                found[trained][there][str(seed)] = made
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--work", help="folder for what is done (default: QLORA_SWEEP_DIR or the cache)")
    args = parser.parse_args()
    work = recipe.work_folder("QLORA_SWEEP_DIR", "bookkit-training/qlora-sweep", args.work)
    items = {split: data.rows(settings.DATA / f"{split}.jsonl") for split in ("train", "test")}
    report = {"steps": STEPS, "batch": BATCH, "replies": grid(items, work)}
    root = paths.root()
    inputs = ["training/sweeps/qlora_grid.py", "training/sweeps/qlora.py"]
    inputs += ["training/grounded_qa/house.py", "src/bookkit/four_bits.py"]
    inputs += [(settings.DATA / f"{split}.jsonl").relative_to(root).as_posix() for split in ("train", "test")]
    path = results.write(NAME, report, command=f"python -m training.sweeps.{NAME}", seeds=SEEDS, inputs=inputs)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
