"""Latents and captions of the training pictures, computed once and kept, so that a training step is one pass of the
model and nothing else."""

import random
import time

import torch
from safetensors.torch import load_file, save_file

from bookkit import files
from bookkit.errors import BookError
from training.pocket_diffusion import data, vae, words
from training.pocket_diffusion.configuration import Config


def load(config: Config, sprites: data.Sprites, tokenizer, say=print) -> dict[str, torch.Tensor]:
    """Latents and captions of the training pictures, computed once and kept in the work folder.

    Every training combination appears in `variants` variations of size and place, each with `captions` captions and,
    with `wiggle`, moved by a few pixels.

    Returns:
        "latents": float16 (n, 4, r, r); "tokens": int16 (n, captions, length); on the sprites' device.
    """
    options = config.pictures
    weights = config.work / "vae.safetensors"
    if not weights.exists():
        raise BookError(f"{weights} is missing: run the step `vae` first.")
    key = files.sha256(weights)[:12]
    drawn = f"{options['variants']}x{options['captions']}{'-moved' if options['wiggle'] else ''}"
    path = config.work / f"bank-{key}-{drawn}.safetensors"
    if not path.exists():
        started = time.monotonic()
        encoder = vae.trained(config, sprites)
        rng = random.Random(f"{config.seed}/bank")
        pictures = sprites.everything("train")
        pictures += [data.vary(p, rng) for p in pictures * (options["variants"] - 1)]
        pictures = [p for p in pictures if data.part(p) == "train"]
        moved = rng if options["wiggle"] else None
        latents, tokens = [], []
        for start in range(0, len(pictures), 256):
            shown = pictures[start : start + 256]
            with torch.no_grad():
                latents.append(encoder.encode(sprites.composite(shown, moved)).latent_dist.mode().half().cpu())
            texts = [sprites.caption(p, rng) for p in shown for _ in range(options["captions"])]
            tokens.append(words.encode(tokenizer, texts).to(torch.int16).view(len(shown), options["captions"], -1))
        part = path.with_suffix(".part")
        save_file({"latents": torch.cat(latents).contiguous(), "tokens": torch.cat(tokens)}, part)
        part.replace(path)
        say(f"bank: {len(pictures)} latents in {time.monotonic() - started:.0f} s")
    try:
        return {name: tensor.to(sprites.device) for name, tensor in load_file(path).items()}
    except Exception as error:
        raise BookError(f"{path} is truncated or damaged: delete it and run the step again.") from error
