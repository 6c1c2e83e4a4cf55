"""Sheets of unselected pictures, to be looked at after every stretch of training.

    python -m training.pocket_diffusion.sheets --config training/pocket_diffusion/configs/warm128.json

They need what the steps `vae`, `text` and `train` have written so far, and no judge. ``sheets/forty.png`` shows forty
prompts of all kinds, each with a seed of its own, and ``forty.txt`` names them; in the free layout ``grid-named.png``
and ``grid-open.png`` show a sentence in each row, with all traits named or with the subject alone, and in each column
a seed.
"""

import random
from pathlib import Path

import torch

from training.pocket_diffusion import data, export, loop, masks
from training.pocket_diffusion.captions import canonical, noun_phrase, plain
from training.pocket_diffusion.configuration import Config, command, from_arguments, step_parser

FORTY = 40


@torch.no_grad()
def sample(pipe, asked: list[tuple[str, int]], guidance: float, steps: int, batch: int) -> torch.Tensor:
    """Generated pictures, float32 (n, 3, R, R) in [-1, 1], on the CPU.

    Every picture has its own seeded generator, so that the batch's size changes nothing but rounding.

    Args:
        pipe: a StableDiffusionPipeline.
        asked: (prompt, seed) for each picture.
        guidance: strength of classifier-free guidance.
        steps: of the sampler.
        batch: pictures at once.
    """
    pictures = []
    for start in range(0, len(asked), batch):
        chunk = asked[start : start + batch]
        generators = [torch.Generator("cpu").manual_seed(seed) for _, seed in chunk]
        output = pipe([prompt for prompt, _ in chunk], guidance_scale=guidance,
                      num_inference_steps=steps, generator=generators, output_type="pt")  # fmt: skip
        pictures.append(output.images.float().cpu() * 2 - 1)
    return torch.cat(pictures)


def grids(pipe, sprites: data.Sprites, options: dict) -> dict[str, tuple[list[str], torch.Tensor]]:
    """Several sentences, each with the same seeds: once with all traits "named", once with the subject alone ("open").

    Args:
        pipe: a StableDiffusionPipeline.
        sprites: in the free layout.
        options: the configuration's "evaluation"; its "grid" says how many sentences, and which seeds.

    Returns:
        {"named": (sentences, pictures (sentences, seeds, 3, R, R)), "open": …}.
    """
    grid = options["grid"]
    pictures = sprites.laid_out("placed", grid["sentences"], random.Random("grid"))
    sentences = {"named": list(map(canonical, pictures)), "open": [noun_phrase(plain(p.subject)) for p in pictures]}
    shown = {}
    for name, prompts in sentences.items():
        asked = [(prompt, seed) for prompt in prompts for seed in grid["seeds"]]
        images = sample(pipe, asked, options["guidance"], options["steps"], options["batch"])
        shown[name] = (prompts, images.view(len(prompts), len(grid["seeds"]), *images.shape[1:]))
    return shown


def write_grids(folder: Path, shown: dict[str, tuple[list[str], torch.Tensor]]) -> None:
    """``grid-NAME.png`` of what :func:`grids` returns: a row for each sentence, a column for each seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (sentences, pictures) in shown.items():
        seeds = pictures.shape[1]
        labels = ["" if seed else sentence for sentence in sentences for seed in range(seeds)]
        sheet = data.contact_sheet(data.to_pil(pictures.flatten(0, 1)), seeds, labels, whole=True)
        sheet.save(folder / f"grid-{name}.png")


def forty(sprites: data.Sprites) -> list[data.Picture]:
    """Forty things to ask for, evenly of every kind, always the same."""
    rng = random.Random("forty")
    kinds = [(name, sprites.everything(name)) for name in ("train", "triple", "pair")]
    kinds += [(name, None) for name in sprites.layout.groups]
    shares = [FORTY // len(kinds) + (i < FORTY % len(kinds)) for i in range(len(kinds))]
    return [
        picture
        for (name, pool), count in zip(kinds, shares, strict=True)
        for picture in (sprites.laid_out(name, count, rng) if pool is None else rng.sample(pool, min(count, len(pool))))
    ]


def write(config: Config, say=print) -> None:
    """All sheets of what has been trained so far; says how many of the forty agree with their words, by the pixels."""
    sprites = data.load(config, loop.device())
    pipe = export.pipeline(config, sprites)
    pipe.set_progress_bar_config(disable=True)
    options = config.evaluation
    folder = config.work / "sheets"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = forty(sprites)
    asked = [(canonical(picture), seed) for seed, picture in enumerate(pictures)]
    images = sample(pipe, asked, options["guidance"], options["steps"], options["batch"])
    data.contact_sheet(data.to_pil(images), 8, [prompt for prompt, _ in asked]).save(folder / "forty.png")
    agree = [masks.agrees(*pair) for pair in zip(masks.find(images), pictures, strict=True)]
    lines = [f"{seed + 1:2} {prompt} {scores or ''}\n" for (prompt, seed), scores in zip(asked, agree, strict=True)]
    (folder / "forty.txt").write_text("".join(lines), encoding="utf-8")
    if sprites.layout.groups:
        for name in ("size", "place", "two"):
            scores = [score[name] for score in agree if name in score]
            say(f"{name} as asked: {sum(scores)} of {len(scores)}")
        shown = grids(pipe, sprites, options)
        write_grids(folder, shown)
        for name, (_, grid) in shown.items():
            say(f"pictures of one sentence differ by {masks.spread(grid).mean():.3f} ({name})")
    say(f"look at {folder}")


def main(argv=None) -> None:
    parser = step_parser("Sheets of unselected pictures of what has been trained so far.")
    write(from_arguments(parser.parse_args(argv)))


if __name__ == "__main__":
    command(main)
