"""What happens along Stable Diffusion's trajectories, over many prompts and seeds (chapter 10).

    python training/sweeps/trajectories.py

Every prompt names a subject, a style and a background, drawn at random from what the model knows. The judges, which
never saw a generated picture, say of each picture what they see: the subject (of all names, the one nearest to the
picture), the style, and the background (the named colour nearest to the median of the border). Kept are:

- "decided": what they see in the expected picture before every step and in the end, and the lengths of the vectors;
- "guidance": what they see in the end at several strengths of guidance, and how much the seeds differ;
- "samplers": what they see in the end for several samplers and numbers of steps.
"""

import json
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UniPCMultistepScheduler,
)
from torch.nn import functional as F
from transformers import CLIPModel, CLIPTokenizer, ResNetForImageClassification

import bookkit
from bookkit import results

NAME = "trajectories"
PROMPTS, SEEDS = 24, (0, 1, 2)
GUIDANCE, STEPS = 5.0, 40
GUIDANCES = (1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0)
NUMBERS = (5, 10, 20, 40)
SAMPLERS = {
    "DDIM": DDIMScheduler,
    "PNDM": PNDMScheduler,
    "Euler": EulerDiscreteScheduler,
    "Euler ancestral": EulerAncestralDiscreteScheduler,
    "DPM-Solver++": DPMSolverMultistepScheduler,
    "UniPC": UniPCMultistepScheduler,
}


class Judges:
    """Say what is seen in pictures: numbers of a subject, a style and a background."""

    def __init__(self, folder: str):
        self.words = json.loads((Path(folder) / "vocabulary.json").read_text(encoding="utf-8"))
        self.clip = CLIPModel.from_pretrained(folder).eval()
        self.style = ResNetForImageClassification.from_pretrained(folder, subfolder="style").eval()
        self.styles = [self.style.config.id2label[n] for n in range(len(self.words["styles"]))]
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        read = tokenizer(self.words["subjects"], padding="max_length", truncation=True, return_tensors="pt")
        names = self.clip.get_text_features(input_ids=read.input_ids)
        self.names = F.normalize(getattr(names, "pooler_output", names), dim=-1)
        self.colours = torch.tensor(list(self.words["backgrounds"].values())) / 127.5 - 1

    def __call__(self, pictures: torch.Tensor) -> np.ndarray:
        """Pictures (n, 3, side, side) from -1 to 1 → int (n, 3)."""
        found = self.clip.get_image_features(pixel_values=pictures)
        subject = (F.normalize(getattr(found, "pooler_output", found), dim=-1) @ self.names.T).argmax(1)
        style = self.style(pixel_values=pictures).logits.argmax(1)
        frame = torch.cat([pictures[..., :2, :].flatten(2), pictures[..., -2:, :].flatten(2),
                           pictures[..., :2].flatten(2), pictures[..., -2:].flatten(2)], dim=2)  # fmt: skip
        ground = torch.cdist(frame.median(dim=2).values, self.colours).argmin(1)
        return torch.stack([subject, style, ground], dim=1).numpy()


def draw_prompts(judges: Judges) -> tuple[list[str], np.ndarray]:
    """Prompts, and what each asks for: int (PROMPTS, 3)."""
    rng = random.Random(NAME)
    grounds, texts, asked = list(judges.words["backgrounds"]), [], []
    for subject in rng.sample(range(len(judges.words["subjects"])), PROMPTS):
        style, ground = rng.randrange(len(judges.styles)), rng.randrange(len(grounds))
        article = "an" if grounds[ground][0] in "aeiou" else "a"
        phrase = judges.words["styles"][judges.styles[style]]
        texts.append(f"{judges.words['subjects'][subject]}, {phrase}, on {article} {grounds[ground]} background")
        asked.append((subject, style, ground))
    return texts, np.array(asked)


def decode(pipe, latents: torch.Tensor) -> torch.Tensor:
    return pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample.clamp(-1, 1)


def starts(pipe, count: int, seed: int) -> torch.Tensor:
    """`count` noises, each from a generator of its own, as the pipeline draws them."""
    shape = (1, pipe.unet.config.in_channels, *[pipe.unet.config.sample_size] * 2)
    seeds = [1000 * seed + number for number in range(count)]
    return torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(own)) for own in seeds])


def packed(values, digits: int = 0) -> dict:
    """An array as its shape and one line of numbers, which keeps the file small."""
    values = np.asarray(values)
    return {"shape": list(values.shape), "values": " ".join(f"{value:.{digits}f}" for value in values.flat)}


def decided(pipe, judges: Judges, prompts: list[str]) -> dict:
    """What is seen in the expected pictures, (seeds, steps + 1, prompts, 3), and three lengths, (seeds, …, prompts)."""
    found = {"seen": [], "norm": [], "to_end": [], "apart": []}
    for seed in SEEDS:
        scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
        scheduler.set_timesteps(STEPS)
        with_text, without = pipe.encode_prompt(prompts, "cpu", 1, do_classifier_free_guidance=True)
        x, held, seen, apart = starts(pipe, len(prompts), seed), [], [], []
        for t in scheduler.timesteps:
            guess_without, guess = pipe.unet(torch.cat([x, x]), t, torch.cat([without, with_text])).sample.chunk(2)
            step = scheduler.step(guess_without + GUIDANCE * (guess - guess_without), t, x)
            held.append(x)
            seen.append(judges(decode(pipe, step.pred_original_sample)))
            apart.append((guess - guess_without).flatten(1).norm(dim=1).numpy())
            x = step.prev_sample
        held.append(x)
        seen.append(judges(decode(pipe, x)))
        held = torch.stack(held)
        lengths = held.flatten(2).norm(dim=2), (held - x).flatten(2).norm(dim=2), np.stack(apart)
        for name, values in zip(found, (np.stack(seen), *lengths), strict=True):
            found[name].append(np.asarray(values))
        print(f"decided, seed {seed}", flush=True)
    return {name: packed(values, 0 if name == "seen" else 2) for name, values in found.items()}


def pictures(pipe, prompts: list[str], seed: int, guidance: float, steps: int) -> torch.Tensor:
    latents = pipe(prompts, latents=starts(pipe, len(prompts), seed), guidance_scale=guidance,
                   num_inference_steps=steps, generator=torch.Generator().manual_seed(seed),
                   output_type="latent").images  # fmt: skip
    return decode(pipe, latents)


def spread(runs: list[torch.Tensor]) -> list[float]:
    """For each prompt the mean root mean square difference between pictures of different seeds."""
    pairs = [(a, b) for i, a in enumerate(runs) for b in runs[:i]]
    return torch.stack([(a - b).square().mean((1, 2, 3)).sqrt() for a, b in pairs]).mean(0).numpy().round(4).tolist()


@torch.inference_mode()
def main() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(bookkit.model("text-to-image"))
    pipe.set_progress_bar_config(disable=True)
    config = pipe.scheduler.config
    pipe.scheduler = DDIMScheduler.from_config(config)
    judges = Judges(bookkit.model("judge"))
    prompts, asked = draw_prompts(judges)
    report = {"prompts": prompts, "asked": asked.tolist(), "guidance": GUIDANCE, "steps": STEPS}
    report["decided"] = decided(pipe, judges, prompts)
    report["guidances"] = {}
    for guidance in GUIDANCES:
        runs = [pictures(pipe, prompts, seed, guidance, STEPS) for seed in SEEDS]
        report["guidances"][str(guidance)] = {"seen": packed([judges(run) for run in runs]), "spread": spread(runs)}
        print(f"guidance {guidance}", flush=True)
    report["samplers"] = {}
    for name, sampler in SAMPLERS.items():
        report["samplers"][name] = {}
        for number in NUMBERS:
            pipe.scheduler = sampler.from_config(config)
            runs = [pictures(pipe, prompts, seed, GUIDANCE, number) for seed in SEEDS]
            report["samplers"][name][str(number)] = packed([judges(run) for run in runs])
        print(name, flush=True)
    folder = bookkit.models.root() / "data/models"
    path = results.write(
        NAME,
        report,
        command=f"python training/sweeps/{NAME}.py",
        seeds=list(SEEDS),
        inputs=[
            f"training/sweeps/{NAME}.py",
            *(
                p.relative_to(bookkit.models.root()).as_posix()
                for p in sorted(folder.glob("pocket-[dj]*/**/*.safetensors"))
            ),
        ],
    )
    print(f"written: {path}")


if __name__ == "__main__":
    main()
