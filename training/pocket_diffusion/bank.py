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
from training.pocket_diffusion import captions, data, finished, layouts, vae, words
from training.pocket_diffusion.configuration import Config


def load(config: Config, sprites: data.Sprites, tokenizer, say=print) -> dict[str, torch.Tensor]:
    """Latents and captions of the training pictures, computed once and kept in the work folder.

    Every training combination appears in `variants` variations of size and place, each with `captions` captions and,
    with `wiggle`, composed at random where its words leave something open.

    Returns:
        "latents": float16 (n, 4, r, r); "tokens": int16 (n, captions, length); on the sprites' device. In the free
        layout also "layout": float32 (n, captions, 8), see :func:`layouts.said`; "usual": float16 (m, …), for the same
        subjects, styles and backgrounds the latents in their usual size and place or, if training begins with a text
        encoder, what its vectors say of them; and "which": int32 (n,), the one of these m that belongs to each of
        the n.
    """
    options = config.pictures
    weights = config.work / "vae.safetensors"
    if not weights.exists():
        raise BookError(f"{weights} is missing: run the step `vae` first.")
    key = files.sha256(weights)[:12]
    drawn = f"{options['variants']}x{options['captions']}{'-moved' if options['wiggle'] else ''}"
    free = bool(sprites.layout.groups)
    chosen = json.dumps([options["layout"], config.start]) if free else ""
    drawn += "-free-" + hashlib.sha256(chosen.encode()).hexdigest()[:8] if free else ""
    path = config.work / f"bank-{key}-{drawn}.safetensors"
    if not path.exists():
        started = time.monotonic()
        encoder = vae.trained(config, sprites)
        rng = random.Random(f"{config.seed}/bank")
        pictures = sprites.everything("train")
        varied = [sprites.vary(p, rng) for p in pictures * (options["variants"] - (not free))]
        pictures = varied if free else pictures + varied
        pictures = [p for p in pictures if sprites.part(p) == "train"]
        short = free and config.precision == "bf16"
        moved = rng if options["wiggle"] else None
        latents, tokens, layout = [], [], []
        for start in range(0, len(pictures), 256):
            shown = pictures[start : start + 256]
            latents.append(encoded(encoder, sprites.composite(shown, moved), short))
            told = [sprites.layout.told(p, rng) for p in shown for _ in range(options["captions"])]
            texts = [captions.varied(p, sprites.tags[p.subject], rng) for p in told]
            tokens.append(words.encode(tokenizer, texts).to(torch.int16).view(len(shown), options["captions"], -1))
            layout.append(layouts.said(told).view(len(shown), options["captions"], -1))
        stored = {"latents": torch.cat(latents), "tokens": torch.cat(tokens)}
        if free:
            plain = [replace(sprites.layout.usual(p.subject, p.style, p.background), neighbour=p.neighbour)
                     for p in pictures]  # fmt: skip
            number = {picture: i for i, picture in enumerate(dict.fromkeys(plain))}
            if config.start:
                usual = codes(config, tokenizer, list(number)).half()
            else:
                chunks = [list(number)[start : start + 256] for start in range(0, len(number), 256)]
                usual = torch.cat([encoded(encoder, sprites.composite(chunk), short) for chunk in chunks])
            which = torch.tensor([number[picture] for picture in plain], dtype=torch.int32)
            stored |= {"layout": torch.cat(layout), "usual": usual, "which": which}
        part = path.with_suffix(".part")
        save_file({name: tensor.contiguous() for name, tensor in stored.items()}, part)
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


@torch.no_grad()
def codes(config: Config, tokenizer, pictures: list[data.Picture]) -> torch.Tensor:
    """What the text encoder that training begins with says of pictures, float32 (n, width); of two subjects, the mean.

    It says it at every place from a caption's end on; this is the mean of these vectors.
    """
    encoder = finished.text_encoder(config)
    shown = [[p.subject, p.neighbour] if p.neighbour else [p.subject] for p in pictures]
    sentences = [[captions.canonical(data.Picture(subject, p.style, p.background)) for subject in subjects]
                 for p, subjects in zip(pictures, shown, strict=True)]  # fmt: skip
    number = {sentence: i for i, sentence in enumerate(dict.fromkeys(sum(sentences, [])))}
    found = []
    for ids in words.encode(tokenizer, list(number)).split(256):
        done = (ids == tokenizer.eos_token_id).float()[..., None]
        found.append((encoder(ids)[0] * done).sum(1) / done.sum(1))
    found = torch.cat(found)
    return torch.stack([found[[number[sentence] for sentence in some]].mean(0) for some in sentences])
