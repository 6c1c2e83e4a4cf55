"""Supervised fine-tuning with trl and peft, the loss on the answer alone; exactly resumable; on one process or several.

The batch of the settings is that of all processes together: however many there are, the same items make a step.
"""

import hashlib
import json
import math
import time
from pathlib import Path

import torch
from accelerate import PartialState
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from torch.nn.functional import cross_entropy
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from bookkit.errors import BookError
from training import recipe
from training.grounded_qa import base, data, house

KIND = "checkpoint"  # what the names of transformers' checkpoints begin with
IGNORED = -100  # the label of a token that does not count


def conversations(items: list[dict]) -> Dataset:
    """Items as trl takes them: the messages of the prompt, and the one of the completion."""
    return Dataset.from_list(
        [{"prompt": house.prompt(i), "completion": [{"role": "assistant", "content": house.reply(i)}]} for i in items]
    )


def shares(batch: int, micro_batch: int, processes: int) -> tuple[int, int]:
    """Items at a time in one process, and how many such turns make a step.

    Raises:
        BookError: the batch cannot be shared out evenly.
    """
    each = min(micro_batch, batch // processes)
    if not each or batch % (each * processes):
        raise BookError(
            f"A batch of {batch} cannot be shared by {processes} processes in turns of at most {micro_batch}: "
            "make training.batch a multiple of both."
        )
    return each, batch // (each * processes)


def arguments(config: dict, folder: Path, processes: int) -> SFTConfig:
    """The settings in trl's words."""
    options, gpu = config["training"], torch.cuda.is_available()
    each, turns = shares(options["batch"], options["micro_batch"], processes)
    validate = options["validate_every"]
    return SFTConfig(
        output_dir=str(folder / "checkpoints"),
        per_device_train_batch_size=each,
        per_device_eval_batch_size=each,
        gradient_accumulation_steps=turns,
        num_train_epochs=options["epochs"],
        max_steps=options["max_steps"] or -1,
        learning_rate=options["learning_rate"],
        lr_scheduler_type="linear",
        warmup_steps=options["warmup"],
        weight_decay=options["weight_decay"],
        max_grad_norm=options["clip"],
        max_length=config["model"]["context"],
        completion_only_loss=options["answer_only"],  # the prompt's tokens are read, not learned
        shuffle_dataset=False,
        bf16=config["model"]["precision"] != "float32",
        gradient_checkpointing=False,
        eval_strategy="steps" if validate else "no",
        eval_steps=validate,
        logging_steps=options["log_every"],
        logging_nan_inf_filter=False,
        save_steps=options["checkpoint_every"],
        save_total_limit=options["keep"],
        seed=config["seed"],
        data_seed=config["seed"],
        use_cpu=not gpu,
        ddp_find_unused_parameters=False if processes > 1 else None,
        disable_tqdm=True,
        report_to="none",
    )


class AnswerTrainer(SFTTrainer):
    """SFTTrainer whose output layer speaks only where there is something to learn.

    On a CPU trl scores every position, although only the few of the answer count: half the time of a step.
    """

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs["labels"][:, 1:]
        counted = (labels != IGNORED).any(0).nonzero().flatten()
        rest = {name: value for name, value in inputs.items() if name != "labels"}
        outputs = model(**rest, logits_to_keep=counted, use_cache=False)
        labels = labels[:, counted]
        loss = cross_entropy(outputs.logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="sum")
        if num_items_in_batch is None:
            loss = loss / (labels != IGNORED).sum()
        else:  # the labels of all processes, whose gradients are averaged
            loss = loss * self.accelerator.num_processes / num_items_in_batch
        return (loss, outputs) if return_outputs else loss


def train(items: dict[str, list[dict]], folder: Path, config: dict, stop_after: int | None = None) -> list[dict]:
    """Train, or go on training, in a folder.

    Args:
        items: those of "train" and "validation".
        folder: of the run: run.json, log.jsonl, checkpoints/ and, at the end, adapter/.
        config: the whole settings.
        stop_after: stop at this step as if interrupted, with a checkpoint (for tests and time limits).

    Returns:
        The log.

    Raises:
        BookError: an item is longer than the context, the folder holds another run, the loss is not finite, or the
            run was interrupted.
    """
    disable_progress_bars()
    state = PartialState(cpu=not torch.cuda.is_available())
    settings = arguments(config, folder, state.num_processes)
    tokenizer = base.load_tokenizer(config["model"])
    for split, members in items.items():
        data.longest(members, tokenizer, config["model"]["context"], f"{split}.jsonl")
    model = base.load_model(config["model"], config["model"]["precision"], config["seed"])
    origin = base.identity(model, config["model"])
    if state.is_main_process:
        _same_run(folder, config, origin, items["train"])
    state.wait_for_everyone()
    resumed = recipe.newest(folder / "checkpoints", KIND, state.print, state.is_main_process)
    start = recipe.step_of(resumed)
    log = Log(recipe.Log(folder / "log.jsonl", start, state.is_main_process))
    lora = config["lora"]
    trainer = AnswerTrainer(
        model=model,
        args=settings,
        train_dataset=conversations(items["train"]),
        eval_dataset=conversations(items["validation"]) if config["training"]["validate_every"] else None,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            task_type="CAUSAL_LM",
            r=lora["r"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            target_modules=lora["targets"],
        ),
        callbacks=[log, Seal(), *([Stop(stop_after)] if stop_after else [])],
    )
    trainer.remove_callback(PrinterCallback)
    # for 4-bit models trl makes the adapter bfloat16: too coarse to learn in
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    state.print(f"step {start} of {config['training']['max_steps'] or _steps(trainer, settings)}")
    try:
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    except KeyboardInterrupt:
        whole = recipe.newest(folder / "checkpoints", KIND, state.print, state.is_main_process)
        raise BookError(
            f"Interrupted at step {trainer.state.global_step}: the same command goes on from step "
            f"{recipe.step_of(whole)}, the newest whole checkpoint."
        ) from None
    if trainer.state.global_step == trainer.state.max_steps:
        trainer.save_model(str(folder / "adapter"))
        if state.is_main_process:
            base.sign(folder / "adapter", origin, config["model"]["precision"])
    state.wait_for_everyone()
    return log.kept.entries


def _steps(trainer: SFTTrainer, settings: SFTConfig) -> int:
    batches = len(trainer.get_train_dataloader())
    return math.ceil(math.ceil(batches / settings.gradient_accumulation_steps) * settings.num_train_epochs)


def _same_run(folder: Path, config: dict, origin: dict, items: list[dict]) -> None:
    """Write what the run is, or compare it with what stands there.

    Raises:
        BookError: the folder holds a run with other settings, data or another base model.
    """
    idle = ("keep", "log_every", "checkpoint_every", "micro_batch")
    digest = hashlib.sha256(json.dumps(items, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    run = {
        "seed": config["seed"],
        "model": config["model"],
        "lora": config["lora"],
        "training": {name: value for name, value in config["training"].items() if name not in idle},
        "base": origin,
        "data": {"items_sha256": digest},
    }
    path = folder / "run.json"
    if not path.exists():
        recipe.write_json(path, run)
        return
    there = json.loads(path.read_text(encoding="utf-8"))
    flat, other = _flat(run), _flat(there)
    if different := [name for name in flat if flat[name] != other.get(name)]:
        name = different[0]
        raise BookError(
            f"{folder} holds a run with other settings ({name}: {other.get(name)} there, {flat[name]} now): "
            "give this one another folder with --work, or remove the old one."
        )


def _flat(part: dict, before: str = "") -> dict:
    found = {}
    for key, value in part.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return found


# --- callbacks --------------------------------------------------------------------------------------------


class Log(TrainerCallback):
    """A line for every logged step, in the log that is kept and on the screen; an infinite loss ends the run."""

    def __init__(self, kept: recipe.Log):
        self.kept = kept

    def on_train_begin(self, args, state, control, **kwargs):
        self.clock, self.since = time.perf_counter(), state.global_step

    def on_evaluate(self, args, state, control, **kwargs):
        self.clock, self.since = time.perf_counter(), state.global_step

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs and not math.isfinite(logs["loss"]):
            raise BookError(f"The loss is {logs['loss']} at step {state.global_step}: lower training.learning_rate.")
        names = {
            "loss": "loss",
            "learning_rate": "rate",
            "eval_loss": "validation_loss",
        }
        entry = {"step": state.global_step} | {new: logs[old] for old, new in names.items() if old in logs}
        if "loss" in logs and state.global_step > self.since:
            now = time.perf_counter()
            entry["seconds_per_step"] = round((now - self.clock) / (state.global_step - self.since), 3)
            self.clock, self.since = now, state.global_step
        if len(entry) < 2 or "train_runtime" in logs:
            return
        self.kept.write(entry)
        if self.kept.writes:
            print(json.dumps(entry), flush=True)


class Stop(TrainerCallback):
    """Stop at a step, with a checkpoint."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step >= self.step:
            control.should_save = control.should_training_stop = True
        return control


class Seal(TrainerCallback):
    """Writes, last of all, what a checkpoint holds, so that one cut off half-way is known as such."""

    def on_save(self, args, state, control, **kwargs):
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            recipe.seal(Path(args.output_dir) / f"{KIND}-{state.global_step}")
