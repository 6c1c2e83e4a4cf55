"""What happens along Stable Diffusion's trajectories, over many prompts and seeds (chapter 10).

    python training/sweeps/trajectories.py

Every prompt names a subject, a style and a background, drawn at random from what the model knows. The judges, which
never saw a generated picture, say of each picture what they see: the subject (of all names, the one nearest to the
picture), the style, and the background (the named colour nearest to the median of the border). Kept are:

- "decided": what they see in the expected picture before every step and in the end, and the lengths of the vectors;
- "switched": what they see in the end when, after some of the steps, the prompt was exchanged for another one;
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
NUMBERS = (5, 10, 20)
SWITCHES = (1, 2, 4, 6, 9, 12, 16, 20, 28)  # steps taken with the first prompt
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


def draw_prompts(judges: Judges) -> tuple[np.ndarray, np.ndarray]:
    """What PROMPTS prompts ask for, and what others ask for that differ in all three: int (PROMPTS, 3) each."""
    rng = random.Random(NAME)
    sizes = [len(judges.words[kind]) for kind in ("subjects", "styles", "backgrounds")]
    first = [[*pair] for pair in zip(*(rng.choices(range(size), k=PROMPTS) for size in sizes[1:]), strict=True)]
    subjects = rng.sample(range(sizes[0]), 2 * PROMPTS)
    other = [[(old + rng.randrange(1, size)) % size for old, size in zip(pair, sizes[1:], strict=True)]
             for pair in first]  # fmt: skip
    return tuple(
        np.array([[subject, *pair] for subject, pair in zip(chosen, pairs, strict=True)])
        for chosen, pairs in ((subjects[:PROMPTS], first), (subjects[PROMPTS:], other))
    )


def wording(judges: Judges, asked: np.ndarray) -> list[str]:
    """Prompts for rows of (subject, style, background)."""
    grounds, texts = list(judges.words["backgrounds"]), []
    for subject, style, ground in asked:
        article = "an" if grounds[ground][0] in "aeiou" else "a"
        phrase = judges.words["styles"][judges.styles[style]]
        texts.append(f"{judges.words['subjects'][subject]}, {phrase}, on {article} {grounds[ground]} background")
    return texts


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


def encode(pipe, prompts: list[str]) -> torch.Tensor:
    """The text encoder's vectors of the empty prompt and of each prompt: (2 × prompts, places, width)."""
    with_text, without = pipe.encode_prompt(prompts, "cpu", 1, do_classifier_free_guidance=True)
    return torch.cat([without, with_text])


def ddim(pipe) -> DDIMScheduler:
    scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(STEPS)
    return scheduler


def guided(pipe, x: torch.Tensor, t: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The guided guess, and how far apart the two guesses lie."""
    without, with_text = pipe.unet(torch.cat([x, x]), t, text).sample.chunk(2)
    return without + GUIDANCE * (with_text - without), (with_text - without).flatten(1).norm(dim=1)


def decided(pipe, judges: Judges, prompts: list[str]) -> dict:
    """What is seen in the expected pictures, (seeds, steps + 1, prompts, 3), and three lengths, (seeds, …, prompts)."""
    found = {"seen": [], "norm": [], "to_end": [], "apart": []}
    for seed in SEEDS:
        scheduler, text = ddim(pipe), encode(pipe, prompts)
        x, held, seen, apart = starts(pipe, len(prompts), seed), [], [], []
        for t in scheduler.timesteps:
            output, gap = guided(pipe, x, t, text)
            step = scheduler.step(output, t, x)
            held.append(x)
            seen.append(judges(decode(pipe, step.pred_original_sample)))
            apart.append(gap.numpy())
            x = step.prev_sample
        held.append(x)
        seen.append(judges(decode(pipe, x)))
        held = torch.stack(held)
        lengths = held.flatten(2).norm(dim=2), (held - x).flatten(2).norm(dim=2), np.stack(apart)
        for name, values in zip(found, (np.stack(seen), *lengths), strict=True):
            found[name].append(np.asarray(values))
        print(f"decided, seed {seed}", flush=True)
    return {name: packed(values, 0 if name == "seen" else 2) for name, values in found.items()}


def switched(pipe, judges: Judges, prompts: list[str], others: list[str]) -> dict:
    """What is seen in the end when `others` take over after each of SWITCHES: (seeds, switches, prompts, 3)."""
    first, second, found = encode(pipe, prompts), encode(pipe, others), []
    for seed in SEEDS:
        scheduler, x, seen = ddim(pipe), starts(pipe, len(prompts), seed), []
        for taken, t in enumerate(scheduler.timesteps[: max(SWITCHES) + 1]):
            if taken in SWITCHES:
                y = x
                for later in scheduler.timesteps[taken:]:
                    y = scheduler.step(guided(pipe, y, later, second)[0], later, y).prev_sample
                seen.append(judges(decode(pipe, y)))
            x = scheduler.step(guided(pipe, x, t, first)[0], t, x).prev_sample
        found.append(seen)
        print(f"switched, seed {seed}", flush=True)
    return {"after": SWITCHES, "seen": packed(found)}


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
    asked, instead = draw_prompts(judges)
    prompts = wording(judges, asked)
    report = {"prompts": prompts, "asked": asked.tolist(), "guidance": GUIDANCE, "steps": STEPS}
    report["vocabulary"] = judges.words | {"styles": judges.styles}
    report["decided"] = decided(pipe, judges, prompts)
    report["switched"] = switched(pipe, judges, prompts, wording(judges, instead)) | {"asked": instead.tolist()}
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
    folder = bookkit.paths.root() / "data/models"
    path = results.write(
        NAME,
        report,
        command=f"python training/sweeps/{NAME}.py",
        seeds=list(SEEDS),
        inputs=[
            f"training/sweeps/{NAME}.py",
            *(
                p.relative_to(bookkit.paths.root()).as_posix()
                for p in sorted(folder.glob("pocket-[dj]*/**/*.safetensors"))
            ),
        ],
    )
    print(f"written: {path}")


if __name__ == "__main__":
    main()
