"""The training loop that all models share: Accelerate, an average of the weights, exact resume.

Every random choice of a step is drawn from generators seeded with (seed, model, step, process), so that a run
that was interrupted and resumed takes the same steps as one that was not, and needs no other state than
weights, optimizer, average and step number.
"""

import math
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from bookkit.errors import BookError
from training import recipe
from training.pocket_diffusion.configuration import Config, Training


class Average:
    """Exponential moving average of a module's parameters, in float32.

    The decay rises as (1 + n) / (10 + n) to its final value, so that the average forgets the random start.
    """

    def __init__(self, module: torch.nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self.names = [name for name, _ in module.named_parameters()]
        self.shadow = [parameter.detach().clone() for parameter in module.parameters()]

    @torch.no_grad()
    def update(self, module: torch.nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.shadow, [p.detach() for p in module.parameters()], 1 - decay)

    def state_dict(self) -> dict:
        return {"updates": self.updates, "shadow": dict(zip(self.names, self.shadow, strict=True))}

    def load_state_dict(self, state: dict) -> None:
        self.updates = state["updates"]
        for name, shadow in zip(self.names, self.shadow, strict=True):
            shadow.copy_(state["shadow"][name])


class Progress:
    """The number of steps taken and of steps in all, as something that Accelerate can save."""

    def __init__(self, steps: int):
        self.step, self.steps = 0, steps

    def state_dict(self) -> dict:
        return vars(self)

    def load_state_dict(self, state: dict) -> None:
        self.step, self.steps = state["step"], state["steps"]


def optimizers(module: torch.nn.Module, training: Training) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters that are trained or, with `training.muon`, Muon for `module.matrices()` and AdamW for
    the rest. Each group knows its "peak" learning rate."""
    matrices = module.matrices() if training.muon else []
    hidden = {id(matrix) for matrix in matrices}
    rest = [p for p in module.parameters() if p.requires_grad and id(p) not in hidden]
    found = [torch.optim.AdamW([{"params": rest, "peak": training.lr}], training.lr, betas=(0.9, 0.99),
                               weight_decay=training.weight_decay, fused=True)]  # fmt: skip
    if matrices:
        found.append(torch.optim.Muon([{"params": matrices, "peak": training.muon}], training.muon,
                                      weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))  # fmt: skip
    return found


FITTING = (40, 140)  # the steps between which the speed is measured; before them things are compiled


def synchronize(where: torch.device) -> None:
    """Wait until the device has done what it was asked to."""
    if where.type == "cuda":
        torch.cuda.synchronize()


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    name: str,
    config: Config,
    module: torch.nn.Module,
    batch: Callable[[int, random.Random], tuple],
    minutes: float | None = None,
    stop_at: int | None = None,
    fit: float | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Train one model, from its checkpoint if there is one.

    Args:
        name: the model's key in ``config.training``; its files are ``NAME.jsonl`` (the log),
            ``NAME.safetensors`` (averaged weights) and ``NAME-checkpoint/``, all in the work folder.
        config: the configuration.
        module: maps a batch to a dict of scalars, of which "loss" is minimised.
        batch: (pictures in this process, rng) → the arguments of `module`; torch's generators are seeded too.
        minutes: stop after so long, with a checkpoint, and be ready to go on.
        stop_at: stop after this step (for tests of resuming).
        fit: choose the number of steps, once their speed is known, so that all of them take so many minutes;
            a run that is resumed keeps the choice.

    Returns:
        Whether all steps are done.
    """
    from accelerate import Accelerator

    training = config.training[name]
    started = time.monotonic()
    accelerator = Accelerator(mixed_precision=config.precision, cpu=not torch.cuda.is_available())
    if accelerator.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        module = module.to(memory_format=torch.channels_last)
    if training.compile:
        for part in module.heavy():
            part.compile()
    module, *prepared = accelerator.prepare(module, *optimizers(module, training))
    bare = accelerator.unwrap_model(module)
    average, progress = Average(bare, training.ema), Progress(training.steps)
    accelerator.register_for_checkpointing(average, progress)

    folder = config.work / f"{name}-checkpoint"
    if (old := older(folder)).exists() and not folder.exists():
        old.rename(folder)  # the last run was stopped between two renames
    if folder.exists():
        load(accelerator, folder)
    log = recipe.Log(config.work / f"{name}.jsonl", progress.step, accelerator.is_main_process)
    share = max(1, training.batch // accelerator.num_processes)
    say(f"{name}: step {progress.step} of {progress.steps} on {accelerator.device}")
    fitting = FITTING if fit is not None and progress.step == 0 else (None, None)

    module.train()
    totals, since, clock = {}, 0, time.monotonic()
    while progress.step < (last := min(progress.steps, stop_at or progress.steps)):
        step = progress.step
        rng = random.Random(f"{config.seed}/{name}/{step}/{accelerator.process_index}")
        torch.manual_seed(rng.getrandbits(62))
        share_of_peak = recipe.pace(step, progress.steps, training.warmup, training.lr_end)
        for group in (group for optimizer in prepared for group in optimizer.param_groups):
            group["lr"] = group["peak"] * share_of_peak
        metrics = module(*batch(share, rng))
        accelerator.backward(metrics["loss"])
        accelerator.clip_grad_norm_(module.parameters(), training.clip)
        for optimizer in prepared:
            optimizer.step()
            optimizer.zero_grad()
        average.update(bare)
        progress.step, since = step + 1, since + 1
        for key, value in metrics.items():
            totals[key] = totals.get(key, 0) + value.detach()
        if progress.step == fitting[0]:
            synchronize(accelerator.device)
            measured = time.monotonic()
        elif progress.step == fitting[1]:
            synchronize(accelerator.device)
            each = (time.monotonic() - measured) / (fitting[1] - fitting[0])
            progress.steps = progress.step + int(max(0, 60 * fit - (time.monotonic() - started)) / each)
            last = min(progress.steps, stop_at or progress.steps)
            say(f"{name}: {each:.4f} s/step, so {progress.steps} steps fit into {fit:g} minutes")
        late = minutes is not None and time.monotonic() - started > 60 * minutes
        if since == training.log_every or progress.step == last or late:
            means = {key: round(float(value) / since, 5) for key, value in totals.items()}
            if not math.isfinite(means["loss"]):
                raise BookError(f"{name} diverged at step {progress.step}: lower its learning rate and resume.")
            spent = (time.monotonic() - clock) / since
            log.write({"step": progress.step, **means, "seconds_per_step": round(spent, 4)})
            say(f"{name} {progress.step}/{progress.steps} " + " ".join(f"{k} {v:.4f}" for k, v in means.items())
                + f" {spent:.3f} s/step")  # fmt: skip
            totals, since, clock = {}, 0, time.monotonic()
        if progress.step % training.save_every == 0 or progress.step == last or late:
            save(accelerator, folder)
            if accelerator.is_main_process:
                tensors = {key: value.detach().cpu().contiguous() for key, value in bare.state_dict().items()}
                tensors |= {
                    key: value.cpu().contiguous() for key, value in zip(average.names, average.shadow, strict=True)
                }
                part = config.work / f"{name}.safetensors.part"
                save_file(tensors, part, {"step": str(progress.step)})
                part.replace(config.work / f"{name}.safetensors")
            clock = time.monotonic()
        if late:
            break
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    return progress.step >= progress.steps


def older(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old")


def save(accelerator, folder: Path) -> None:
    """Write a checkpoint beside the old one, then put it in its place: an interruption leaves one whole."""
    part, old = folder.with_name(folder.name + ".part"), older(folder)
    if accelerator.is_main_process:
        shutil.rmtree(part, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(part)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def load(accelerator, folder: Path) -> None:
    try:
        accelerator.load_state(folder)
    except Exception as error:  # every format has its own errors for a cut file
        raise BookError(f"The checkpoint {folder} cannot be read ({type(error).__name__}): it is damaged or of "
                        "another configuration; delete it to begin again.") from error  # fmt: skip


def load_weights(module: torch.nn.Module, path: Path, step: str, only: str = "") -> torch.nn.Module:
    """Put averaged weights into a module.

    Args:
        module: with the parameters that were averaged.
        path: what :func:`train` wrote.
        step: the step of the recipe that writes it, for the message.
        only: how the names of the parameters begin that are meant; others stay as they are.
    """
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise BookError(f"{path} is missing: run the step `{step}` first.") from None
    except Exception as error:
        raise BookError(f"{path} is truncated or damaged: delete it and run the step `{step}` again.") from error
    try:
        module.load_state_dict({name: w for name, w in weights.items() if name.startswith(only)}, strict=not only)
    except RuntimeError as error:
        raise BookError(f"{path} belongs to another configuration: use another work folder, or delete it.") from error
    return module
