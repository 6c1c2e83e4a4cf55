"""Which weights an adapter works on: trained beside weights in 16 bits or in NF4, and asked on both (chapter 12).

    python -m training.sweeps.qlora_grid

The task is the chapter's own, five lines and its settings, in float32. Kept are, for the weights "trained" beside,
those "asked" on, steps of training and seed: the mean nats a token of the right replies to NEW, and the replies that
the model writes. "before" holds both for the two kinds of weights without an adapter.
"""

import argparse
from pathlib import Path

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig, PeftModel
from torch.nn.functional import cross_entropy
from transformers import set_seed
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from bookkit import results
from training import recipe
from training.grounded_qa import base, evaluate
from training.sweeps.qlora import OPTIONS, kept, on

NAME = "qlora_grid"
SEEDS = (0, 1, 2)
STEPS = (8,)  # asked after so many
WEIGHTS = ("NF4", "16 bits")
INSTRUCTION = "Sort the message."
NEW_TOKENS = 12

LINES = {  # the chapter's my_data.jsonl
    "The lamp at our bus stop is dark.": "desk=streets urgent=no",
    "A gas pipe in Mill Lane is leaking!": "desk=works urgent=yes",
    "I would like to marry here in May.": "desk=registry urgent=no",
    "My bin was not emptied on Monday.": "desk=waste urgent=no",
    "A tree has fallen on the school!": "desk=works urgent=yes",
}
NEW = {  # messages that are not among them
    "There is a deep hole in Hill Street.": "desk=streets urgent=no",
    "The street lamp opposite the church flickers.": "desk=streets urgent=no",
    "The road sign at the bridge is bent.": "desk=streets urgent=no",
    "Water is running out of the pump house!": "desk=works urgent=yes",
    "A power line has come down in the park!": "desk=works urgent=yes",
    "The main in Oak Road has burst!": "desk=works urgent=yes",
    "When is the paper bin emptied?": "desk=waste urgent=no",
    "Somebody left old tyres behind the school.": "desk=waste urgent=no",
    "I need a second bin for garden waste.": "desk=waste urgent=no",
    "We want to get married in the town hall.": "desk=registry urgent=no",
    "I need a copy of my birth certificate.": "desk=registry urgent=no",
    "How do I register my new address?": "desk=registry urgent=no",
}


def prompt_of(message: str) -> list[dict]:
    """The conversation that asks for a reply."""
    return [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": message}]


def there(weights: str):
    """The chat model in float32, its weights through NF4 or as they came."""
    return on("nf4" if weights == "NF4" else "16 bits")


def fit(target: Path, weights: str, seed: int, steps: tuple[int, ...] = STEPS) -> None:
    """Train an adapter on the five lines, and keep it after each of some steps."""
    disable_progress_bars()
    set_seed(seed)
    rows = [
        {"prompt": prompt_of(message), "completion": [{"role": "assistant", "content": reply}]}
        for message, reply in LINES.items()
    ]
    trainer = SFTTrainer(
        model=there(weights),
        args=SFTConfig(
            output_dir=str(target),
            max_steps=max(steps),
            per_device_train_batch_size=len(LINES),
            learning_rate=0.002,
            lr_scheduler_type="constant",
            max_length=512,
            activation_checkpointing=False,
            bf16=False,
            use_cpu=True,
            logging_steps=8,
            save_steps=min(steps),
            save_only_model=True,
            seed=seed,
            disable_tqdm=True,
            report_to="none",
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=base.load_tokenizer(OPTIONS),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear"),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()


@torch.inference_mode()
def nats(model, tokenizer, message: str, reply: str) -> float:
    """Mean surprise of a model at the tokens of a reply."""
    before = tokenizer.apply_chat_template(prompt_of(message), add_generation_prompt=True, return_dict=False)
    chat = [*prompt_of(message), {"role": "assistant", "content": reply}]
    ids = torch.tensor([tokenizer.apply_chat_template(chat, return_dict=False)])
    logits = model(input_ids=ids).logits[0, len(before) - 1 : -1].float()
    return cross_entropy(logits, ids[0, len(before) :]).item()


def asked(model, messages: dict[str, str] = NEW) -> dict:
    """The nats of the right replies, and the replies that a model writes."""
    tokenizer = base.load_tokenizer(OPTIONS)
    found = [round(nats(model, tokenizer, message, reply), 4) for message, reply in messages.items()]
    texts = evaluate.write(model, tokenizer, [prompt_of(message) for message in messages], NEW_TOKENS)
    return {"nats": found, "replies": texts}


def grid(work: Path, seeds=SEEDS, steps: tuple[int, ...] = STEPS) -> list[dict]:
    """A row for each adapter, number of steps, and kind of weights that it is asked on."""
    rows = []
    for seed in seeds:
        for trained in WEIGHTS:
            folder = work / f"five lines {trained} {seed}"
            if not (folder / f"checkpoint-{max(steps)}/adapter_model.safetensors").exists():
                fit(folder, trained, seed, steps)
            for weights in WEIGHTS:
                for step in steps:
                    about = {"trained": trained, "asked": weights, "steps": step, "seed": seed}
                    adapter = folder / f"checkpoint-{step}"
                    found = kept(
                        work / f"five lines {trained} {weights} {step} {seed}.json",
                        lambda w=weights, a=adapter: asked(PeftModel.from_pretrained(there(w), a).eval()),
                    )
                    rows.append(about | found)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--work", help="folder for what is done (default: QLORA_SWEEP_DIR or the cache)")
    args = parser.parse_args()
    work = recipe.work_folder("QLORA_SWEEP_DIR", "bookkit-training/qlora-sweep", args.work)
    before = {
        weights: kept(work / f"five lines before {weights}.json", lambda w=weights: asked(there(w)))
        for weights in WEIGHTS
    }
    report = {"before": before, "rows": grid(work)}
    inputs = ["training/sweeps/qlora_grid.py", "training/sweeps/qlora.py", "src/bookkit/four_bits.py"]
    path = results.write(NAME, report, command=f"python -m training.sweeps.{NAME}", seeds=SEEDS, inputs=inputs)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
