"""Training of a GPT2LMHeadModel with Accelerate: the same on CPU and GPU, exactly resumable.

The order of the data is a function of the seed and the step alone, so a run that is interrupted and resumed goes
through the same batches as one that is not.
"""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from transformers import GPT2Config, GPT2LMHeadModel

from bookkit.errors import BookError
from training import recipe
from training.pocket_gpt2 import checkpoints
from training.pocket_gpt2.export import LIMIT

LOWEST = 0.1  # the share of the highest learning rate at which a run ends


def new_model(config: dict, entries: int, end: int, dropout: float) -> GPT2LMHeadModel:
    """A GPT-2 of the chosen size with random weights.

    Args:
        config: the settings under `model`.
        entries: of the vocabulary.
        end: id of the end-of-text token.
        dropout: of residuals, embeddings and attention.

    Raises:
        BookError: it would not fit into LIMIT bytes.
    """
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=entries,
            n_positions=config["context"],
            bos_token_id=end,
            eos_token_id=end,
            pad_token_id=end,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            dtype="float32",
            **config["sizes"][config["size"]],
        )
    )
    if 2 * model.num_parameters() > LIMIT:
        raise BookError(
            f"The size {config['size']} takes {2 * model.num_parameters():,} bytes as float16: the limit is {LIMIT:,}."
        )
    return model


def order(seed: int, epoch: int, tokens: int, context: int) -> tuple[int, np.ndarray]:
    """Where the rows of an epoch start in the token stream: a random offset, and the rows in random order."""
    random = np.random.default_rng([seed, epoch])
    offset = int(random.integers(context))
    return offset, random.permutation((tokens - offset - 1) // context)


def batches(
    tokens: np.ndarray, config: dict, context: int, seed: int, start: int, total: int
) -> Iterator[torch.Tensor]:
    """The batches of steps `start` to `total`, each a tensor of ids (batch, context)."""
    size = config["batch"]
    per_epoch = max(1, ((len(tokens) - context - 1) // context) // size)
    epoch, places = -1, None
    for step in range(start, total):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            offset, places = order(seed, epoch, len(tokens), context)
        rows = places[(step % per_epoch) * size : (step % per_epoch + 1) * size]
        yield torch.from_numpy(
            np.stack([tokens[offset + r * context : offset + (r + 1) * context] for r in rows]).astype(np.int64)
        )


def places(rows: torch.Tensor, end: int) -> torch.Tensor:
    """The place of every token in its own text, for rows (batch, context) of texts that begin with the id `end`.

    Where positions begin anew, transformers lets no token look back, so the texts of a row do not see each other:
    but only without a key-value cache and an attention mask of one's own.
    """
    steps = torch.arange(rows.shape[1], device=rows.device)
    return steps - torch.where(rows == end, steps, 0).cummax(dim=1).values


def optimizers(model: GPT2LMHeadModel, options: dict) -> dict[str, torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for tables, norms and biases.

    From the same texts Muon (Jordan et al., 2024) learns more in as many steps.

    Args:
        model: to train.
        options: the settings under `training`.

    Returns:
        The optimizers, each under the setting that is its highest learning rate.
    """
    matrices = [p for name, p in model.named_parameters() if name.startswith("transformer.h.") and p.dim() == 2]
    tables = [model.transformer.wte.weight, model.transformer.wpe.weight]
    rest = [p for p in model.parameters() if p.dim() == 1]
    decay = options["weight_decay"]
    adamw = torch.optim.AdamW(
        [{"params": tables, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}],
        lr=options["learning_rate"],
        betas=(0.9, 0.95),
        fused=True,
    )
    # The adjustment makes Muon's steps as long as AdamW's, so the decay means the same in both.
    muon = torch.optim.Muon(matrices, lr=options["muon"], weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return {"learning_rate": adamw, "muon": muon}


def losses(logits: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy in nats per token: the mean weighted by what the next token is, and the plain mean.

    Args:
        logits: of the rows, (batch, context, entries).
        rows: ids (batch, context).
        weights: of every entry of the vocabulary, (entries,).
    """
    after = rows[:, 1:].flatten()
    each = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), after, reduction="none")
    return (each * weights[after]).sum() / weights[after].sum(), each.detach().mean()


def train(
    tokens: dict[str, np.ndarray],
    folder: Path,
    config: dict,
    entries: int,
    end: int,
    names: list[int],
    max_steps: int | None = None,
    stop_after: int | None = None,
    device: str | None = None,
) -> tuple[GPT2LMHeadModel, list[dict]]:
    """Train, or go on training, in a folder.

    Args:
        tokens: ids of the splits "train" and "validation", each text after an end-of-text token.
        folder: of the run: log.jsonl, checkpoints/ and, at the end, model/.
        config: the whole settings.
        entries: of the vocabulary.
        end: id of the end-of-text token.
        names: ids of the tokens with which first names begin.
        max_steps: instead of the settings' number of epochs or steps.
        stop_after: stop at this step as if interrupted, with a checkpoint (for tests and time limits).
        device: "cpu" to stay off a GPU; None takes what there is.

    Returns:
        The model and the log.

    Raises:
        BookError: too little disk space, or a corpus too small for one batch.
    """
    options, context = config["training"], config["model"]["context"]
    set_seed(config["seed"])
    model = new_model(config["model"], entries, end, options["dropout"])
    folder.mkdir(parents=True, exist_ok=True)
    # float32 weights and at most two moments in each checkpoint, one more while it is written, and the model
    recipe.need_space(folder, 4 * model.num_parameters() * (3 * (options["keep"] + 1) + 1), "training")
    rows = len(tokens["train"]) // context
    if rows <= options["batch"]:
        raise BookError(
            f"The corpus has only {rows} rows of {context} tokens: raise corpus.engine or lower training.batch."
        )
    total = max_steps or options["max_steps"] or options["epochs"] * (rows // options["batch"])

    accelerator = Accelerator(cpu=device == "cpu", mixed_precision="bf16" if _bf16(device) else "no")
    taught = optimizers(model, options)
    model, *prepared = accelerator.prepare(model, *taught.values())
    taught = dict(zip(taught, prepared, strict=True))

    def surprises(rows: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = model(input_ids=rows, position_ids=places(rows, end), use_cache=False).logits
        return losses(logits, rows, weights)

    if options["compile"]:
        surprises = torch.compile(surprises)

    main = accelerator.is_main_process
    whole = recipe.newest(folder / "checkpoints", checkpoints.KIND, accelerator.print, main)
    if whole:
        accelerator.load_state(str(whole))
    start = recipe.step_of(whole)
    log = recipe.Log(folder / "log.jsonl", start, main)
    finish = min(total, stop_after or total)
    model.train()
    plain = torch.ones(entries, device=accelerator.device)
    people = plain.index_fill(0, torch.tensor(names, device=accelerator.device), options["names"]["weight"])
    clock, seen, recent = time.perf_counter(), 0, []
    for step, batch in enumerate(batches(tokens["train"], options, context, config["seed"], start, finish), start):
        share = recipe.pace(step, total, options["warmup"], LOWEST)
        for setting, optimizer in taught.items():
            for group in optimizer.param_groups:
                group["lr"] = share * options[setting]
        mine = batch[accelerator.process_index :: accelerator.num_processes].to(accelerator.device)
        with accelerator.autocast():
            # Of thirty tokens one begins a name: how to choose it is lost among the others without more weight.
            goal, loss = surprises(mine, people if step < options["names"]["steps"] else plain)
        accelerator.backward(goal)
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in taught.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        recent.append(loss)
        seen += batch.numel()
        done = step + 1
        if done % options["log_every"] == 0 or done == finish:
            mean = torch.stack(recent).mean().item()
            seconds = time.perf_counter() - clock
            entry = {
                "step": done,
                "loss": round(mean, 5),
                "rate": round(share * options["learning_rate"], 7),
                "tokens": done * batch.numel(),
                "tokens_per_second": round(seen / seconds),
            }
            if not math.isfinite(mean):
                raise BookError(
                    f"The loss is {mean} at step {done}: lower training.learning_rate and training.muon and resume."
                )
            clock, seen, recent = time.perf_counter(), 0, []
            if done % options["validate_every"] == 0 or done == total:
                entry["validation_loss"] = round(
                    validate(model, tokens["validation"], context, end, options, accelerator), 5
                )
                clock = time.perf_counter()
            log.write(entry)
            accelerator.print(json.dumps(entry), flush=True)
        if done % options["checkpoint_every"] == 0 or done == finish:
            accelerator.wait_for_everyone()
            if main:
                checkpoints.save(
                    folder / "checkpoints", done, lambda to: accelerator.save_state(str(to)), options["keep"]
                )
    bare = accelerator.unwrap_model(model)
    if finish == total and main:
        bare.save_pretrained(folder / "model")
    return bare, log.entries


def _bf16(device: str | None) -> bool:
    """Whether bfloat16 helps: on a GPU that has it, and on a CPU with instructions for it."""
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


@torch.no_grad()
def validate(model, tokens: np.ndarray, context: int, end: int, options: dict, accelerator: Accelerator) -> float:
    """Mean loss in nats per token over the first rows of the validation split, evenly spread."""
    rows = len(tokens) // context
    chosen = np.linspace(0, rows - 1, min(rows, options["validation_rows"])).astype(int)
    model.eval()
    losses = []
    for start in range(0, len(chosen), options["batch"]):
        part = chosen[start : start + options["batch"]]
        batch = torch.from_numpy(np.stack([tokens[r * context : (r + 1) * context] for r in part]).astype(np.int64))
        batch = batch.to(accelerator.device)
        with accelerator.autocast():
            loss = model(input_ids=batch, position_ids=places(batch, end), labels=batch, use_cache=False).loss
        losses.append(loss.item() * len(part))
    model.train()
    return sum(losses) / len(chosen)
