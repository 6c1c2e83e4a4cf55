"""Latents and captions of the training pictures, computed once and kept, so that a training step is one pass of the
model and nothing else."""

import hashlib
import json
import random
import time
from dataclasses import replace

import torch
from safetensors.torch import load_file, save_file

from bookkit import files
from bookkit.errors import BookError
from training.pocket_diffusion import data, vae, words
from training.pocket_diffusion.configuration import Config


def load(config: Config, sprites: data.Sprites, tokenizer, say=print) -> dict[str, torch.Tensor]:
    """Latents and captions of the training pictures, computed once and kept in the work folder.

    Every training combination appears in `variants` variations of size and place, each with `captions` captions and,
    with `wiggle`, composed at random where its words leave something open.

    Returns:
        "latents": float16 (n, 4, r, r); "tokens": int16 (n, captions, length); on the sprites' device. In the free
        layout also "layout": float32 (n, 4), see :meth:`layouts.Free.numbers`; "usual": float16 (m, 4, r, r), the
        latents of the same subjects, styles and backgrounds in their usual size and place; and "which": int32 (n,),
        the one of these m that belongs to each of the n.
    """
    options = config.pictures
    weights = config.work / "vae.safetensors"
    if not weights.exists():
        raise BookError(f"{weights} is missing: run the step `vae` first.")
    key = files.sha256(weights)[:12]
    drawn = f"{options['variants']}x{options['captions']}{'-moved' if options['wiggle'] else ''}"
    free = bool(sprites.layout.groups)
    drawn += "-free-" + hashlib.sha256(json.dumps(options["layout"]).encode()).hexdigest()[:8] if free else ""
    path = config.work / f"bank-{key}-{drawn}.safetensors"
    if not path.exists():
        started = time.monotonic()
        encoder = vae.trained(config, sprites)
        rng = random.Random(f"{config.seed}/bank")
        pictures = sprites.everything("train")
        pictures += [sprites.vary(p, rng) for p in pictures * (options["variants"] - 1)]
        pictures = [p for p in pictures if sprites.part(p) == "train"]
        short = free and config.precision == "bf16"
        moved = rng if options["wiggle"] else None
        latents, tokens, numbers = [], [], []
        for start in range(0, len(pictures), 256):
            shown = pictures[start : start + 256]
            places = sprites.places(shown, moved)
            latents.append(encoded(encoder, sprites.paint(shown, places), short))
            numbers.append(sprites.layout.numbers(places) if free else None)
            texts = [sprites.caption(p, rng) for p in shown for _ in range(options["captions"])]
            tokens.append(words.encode(tokenizer, texts).to(torch.int16).view(len(shown), options["captions"], -1))
        stored = {"latents": torch.cat(latents).contiguous(), "tokens": torch.cat(tokens)}
        if free:
            stored |= {"layout": torch.cat(numbers)} | usual(encoder, sprites, pictures, short)
        part = path.with_suffix(".part")
        save_file(stored, part)
        part.replace(path)
        say(f"bank: {len(pictures)} latents in {time.monotonic() - started:.0f} s")
    try:
        return {name: tensor.to(sprites.device) for name, tensor in load_file(path).items()}
    except Exception as error:
        raise BookError(f"{path} is truncated or damaged: delete it and run the step again.") from error


@torch.no_grad()
def encoded(encoder, pictures: torch.Tensor, short: bool = False) -> torch.Tensor:
    """The latents of pictures, float16 on the CPU; computed in bfloat16 if `short`."""
    at_once = max(1, 2**20 // pictures.shape[-1] ** 2)
    with torch.autocast(pictures.device.type, torch.bfloat16, enabled=short):
        latents = [encoder.encode(some).latent_dist.mode() for some in pictures.split(at_once)]
    return torch.cat(latents).half().cpu()


def usual(encoder, sprites: data.Sprites, pictures: list[data.Picture], short: bool) -> dict[str, torch.Tensor]:
    """What :func:`load` calls "usual" and "which"."""
    plain = [replace(sprites.layout.usual(p.subject, p.style, p.background), neighbour=p.neighbour) for p in pictures]
    number = {picture: i for i, picture in enumerate(dict.fromkeys(plain))}
    distinct = list(number)
    chunks = [distinct[start : start + 256] for start in range(0, len(distinct), 256)]
    latents = torch.cat([encoded(encoder, sprites.composite(chunk), short) for chunk in chunks])
    which = torch.tensor([number[picture] for picture in plain], dtype=torch.int32)
    return {"usual": latents.contiguous(), "which": which}
