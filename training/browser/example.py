"""What the picture lab shows before a model is loaded: a run made beforehand, and the words that the model knows.

    python -m training.browser example

Writes below book/_static/lab/pictures/:

- example.webp: two rows of pictures, a column a step: what the sampler holds, and what the network expects;
- example.json: its settings, the words of its prompt, and where each place of the picture looks, step by step, as
  bytes (255 times the square root, so that small shares keep some digits), with the sha256 of the weights;
- strip.webp: seven moments of it, for readers without JavaScript;
- words.json: the phrases that the lab completes.
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bookkit import files, paths, results
from training.browser.graphs import finest, watched
from training.pocket_diffusion.captions import article

ROOT = paths.root()
MODEL = ROOT / "data/models/pocket-diffusion"
SHOWN = ROOT / "book/_static/lab/pictures"
SETTINGS = {"prompt": "a mushroom, 3d style, on a teal background", "negative": "", "seed": "0", "steps": 20,
            "guidance": 5.0, "sampler": "ddim"}  # fmt: skip
STRIP, GAP = 7, 6


def pipeline(model: Path):
    """The shipped pipeline, whose U-Net notes where it looks; and the list that it notes in."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(model, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe, watched(pipe.unet)


@torch.no_grad()
def run(model: Path, settings: dict) -> dict:
    """Every step of the library's own run: held and expected, uint8 (steps + 1, side, side, 3), and the attention."""
    pipe, seen = pipeline(model)
    steps, held, expected, maps = settings["steps"], [], [], []

    def decoded(latents):
        picture = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample[0]
        return np.round(255 * (picture / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).numpy()).astype(np.uint8)

    step = pipe.scheduler.step

    def noting(output, time, latents, **options):
        maps.append(finest(seen).numpy())
        seen.clear()
        made = step(output, time, latents, **options | {"return_dict": True})
        held.append(decoded(latents))
        expected.append(decoded(made.pred_original_sample))
        return (made.prev_sample,)

    pipe.scheduler.step = noting
    picture = pipe(settings["prompt"], negative_prompt=settings["negative"], num_inference_steps=steps,
                   guidance_scale=settings["guidance"], output_type="np",
                   generator=torch.Generator().manual_seed(int(settings["seed"]))).images[0]  # fmt: skip
    last = np.round(255 * picture).astype(np.uint8)
    return {"held": np.stack([*held, last]), "expected": np.stack([*expected, last]), "attention": np.stack(maps),
            "times": pipe.scheduler.timesteps.tolist(), "tokenizer": pipe.tokenizer}  # fmt: skip


def words_of(tokenizer, prompt: str) -> tuple[list[dict], int]:
    """The words of a prompt with the places of their tokens, as the lab's own tokenizer gives them; and the end's."""
    text, found = tokenizer(prompt, return_offsets_mapping=True), []
    for place, (begin, end) in enumerate(text.offset_mapping):
        if begin == end:
            continue
        if found and text.word_ids()[place] == text.word_ids()[place - 1]:
            found[-1]["count"] += 1
            found[-1]["text"] = prompt[found[-1]["at"] : end].lower()
        else:
            found.append({"text": prompt[begin:end].lower(), "at": begin, "first": place, "count": 1})
    return found, len(text.input_ids) - 1


def webp(picture: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", method=6, **options)
    return buffer.getvalue()


def strip(made: dict) -> np.ndarray:
    """Seven moments, two rows, with clear gaps."""
    steps, side = len(made["held"]) - 1, made["held"].shape[1]
    by = max(1, 128 // side)
    size = by * side
    sheet = np.zeros((2 * size + GAP, STRIP * (size + GAP) - GAP, 4), np.uint8)
    for column, moment in enumerate(np.linspace(0, steps, STRIP).round().astype(int)):
        for row, name in enumerate(("held", "expected")):
            one = made[name][moment].repeat(by, 0).repeat(by, 1)
            top, left = row * (size + GAP), column * (size + GAP)
            sheet[top : top + size, left : left + size] = np.dstack([one, np.full((size, size), 255, np.uint8)])
    return sheet


def known_words() -> dict:
    """The phrases that prompts are made of, in their order."""
    words = results.read("trajectories")["vocabulary"]
    return {"parts": [
        {"name": "subject", "phrases": words["subjects"]},
        {"name": "style", "phrases": [f"{style} style" for style in words["styles"]]},
        {"name": "background", "phrases": [f"on {article(colour)} background" for colour in words["backgrounds"]]},
    ]}  # fmt: skip


def weights_of(model: Path) -> dict[str, str]:
    """The sha256 of each file of weights, so that a test sees a picture of an older model."""
    return {path.relative_to(model).as_posix(): files.sha256(path) for path in sorted(model.rglob("*.safetensors"))}


def write(model: Path) -> str:
    """Make all four files; say what was made."""
    torch.set_num_threads(1)
    made = run(model, SETTINGS)
    words, last = words_of(made["tokenizer"], SETTINGS["prompt"])
    sheet = np.concatenate([np.concatenate(list(made[name]), axis=1) for name in ("held", "expected")])
    shares = np.round(255 * np.sqrt(made["attention"])).astype(np.uint8)
    record = {
        "settings": SETTINGS, "side": int(made["held"].shape[1]), "words": words, "last": last, "times": made["times"],
        "places": shares.shape[1], "length": shares.shape[2], "weights": weights_of(model),
        "attention": base64.b64encode(shares.tobytes()).decode(),
    }  # fmt: skip
    SHOWN.mkdir(parents=True, exist_ok=True)
    files.write_bytes(SHOWN / "example.webp", webp(sheet, quality=88))
    files.write_text(SHOWN / "example.json", json.dumps(record, separators=(",", ":")) + "\n")
    files.write_bytes(SHOWN / "strip.webp", webp(strip(made), quality=80))
    files.write_text(SHOWN / "words.json", json.dumps(known_words(), ensure_ascii=False, indent=1) + "\n")
    sizes = {path.name: path.stat().st_size for path in SHOWN.iterdir() if path.suffix in (".webp", ".json")}
    return f"{SETTINGS['prompt']!r}, {SETTINGS['steps']} steps: {sizes} bytes"
