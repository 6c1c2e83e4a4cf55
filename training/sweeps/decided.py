"""When a picture's layout, colour, outlines and detail are decided, measured on the pictures alone (chapter 10).

    python -m training.sweeps.decided --minutes 8    # about once on one core; slices that are done are kept

No network judges here, since none was made for half-finished pictures. Kept are, for a guidance of 1 (the prompt's
guess alone) and of 7.5 (the library's default), over the first prompts of the sweep "trajectories":

- "watched": how like the expected picture of every step is to the last one, (seeds, steps + 1, prompts, 4);
- "chance": how like the last pictures of two different prompts are, (seeds, prompts, 4);
- "switched": how like the end is to the ends of both prompts, when the second takes over after some of the steps:
  (switches, 2, prompts, 4), first seed;
- "spread": how much the pictures of several seeds differ, prompts that name all traits and ones that name the
  subject alone: (kinds, subjects).

Interrupt whenever you like: finished slices are kept below _build/sweeps/ and not repeated.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

import bookkit
from bookkit import results
from training.sweeps import trajectories
from training.sweeps.trajectories import draw_prompts, encode, packed, starts, wording

NAME = "decided"
SEEDS, GUIDANCES, STEPS = (0, 1), (1.0, 7.5), trajectories.STEPS
SWITCHES = (4, 10, 16, 22, 28, 34)  # steps taken with the first prompt
PROMPTS, SPREAD_SEEDS, SPREAD_SUBJECTS, SPREAD_STEPS = 16, 4, 6, 20
MEASURES = ("layout", "colour", "outlines", "detail")


def looks(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Four looks at pictures (n, side, side, 3) from 0 to 1: a mask, a colour, and two grey pictures."""
    rim = [pictures[:, :2], pictures[:, -2:], pictures[:, :, :2], pictures[:, :, -2:]]
    rim = np.concatenate([part.reshape(len(pictures), -1, 3) for part in rim], axis=1)
    background = np.median(rim, axis=1)
    away = np.linalg.norm(pictures - background[:, None, None], axis=-1)
    grey = pictures.mean(axis=-1)
    down, right = np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]
    block = grey.shape[1] // 16
    coarse = grey.reshape(len(grey), 16, block, 16, block).mean(axis=(2, 4))
    detail = grey - coarse.repeat(block, axis=1).repeat(block, axis=2)
    return {"layout": away > 0.2, "colour": background, "outlines": np.hypot(down, right), "detail": detail}


def alike(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> np.ndarray:
    """How alike pictures are in the four looks, 1 for the same: (n, 4)."""
    both = (a["layout"] & b["layout"]).sum(axis=(1, 2))
    either = (a["layout"] | b["layout"]).sum(axis=(1, 2))
    found = [np.where(either > 0, both / np.maximum(either, 1), 1.0)]
    found.append(1 - np.linalg.norm(a["colour"] - b["colour"], axis=1) / 3**0.5)
    for name in ("outlines", "detail"):
        x, y = (look[name].reshape(len(both), -1) for look in (a, b))
        x, y = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
        found.append((x * y).sum(axis=1) / np.maximum(np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1), 1e-9))
    return np.stack(found, axis=1)


class Run:
    """The pipeline, its sampling by hand and the prompts."""

    def __init__(self):
        self.pipe = StableDiffusionPipeline.from_pretrained(bookkit.model("text-to-image"))
        judges = trajectories.Judges(bookkit.model("judge"))
        asked, instead = (rows[:PROMPTS] for rows in draw_prompts(judges))
        self.prompts, self.others = wording(judges, asked), wording(judges, instead)
        self.subjects = [judges.words["subjects"][row[0]] for row in asked]
        self.scheduler = DDIMScheduler.from_config(self.pipe.scheduler.config)

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        return trajectories.decode(self.pipe, latents).permute(0, 2, 3, 1).numpy() / 2 + 0.5

    def denoise(self, x: torch.Tensor, text: torch.Tensor, guidance: float, steps: int = STEPS, begin: int = 0):
        """Yield (latents held, latents expected) of every step from `begin` on, and the end twice."""
        self.scheduler.set_timesteps(steps)
        for t in self.scheduler.timesteps[begin:]:
            if guidance == 1:
                output = self.pipe.unet(x, t, text.chunk(2)[1]).sample
            else:
                without, with_text = self.pipe.unet(torch.cat([x, x]), t, text).sample.chunk(2)
                output = without + guidance * (with_text - without)
            step = self.scheduler.step(output, t, x)
            yield x, step.pred_original_sample
            x = step.prev_sample
        yield x, x

    def end(self, *args, **options) -> np.ndarray:
        return self.decode(list(self.denoise(*args, **options))[-1][0])

    def watched(self, guidance: float, seed: int) -> dict[str, np.ndarray]:
        x, text = starts(self.pipe, len(self.prompts), seed), encode(self.pipe, self.prompts)
        seen = [looks(self.decode(expected)) for _, expected in self.denoise(x, text, guidance)]
        shifted = {name: np.roll(look, 1, axis=0) for name, look in seen[-1].items()}
        return {"watched": np.stack([alike(look, seen[-1]) for look in seen]), "chance": alike(shifted, seen[-1])}

    def switched(self, guidance: float, seed: int) -> dict[str, np.ndarray]:
        first, second = encode(self.pipe, self.prompts), encode(self.pipe, self.others)
        x = starts(self.pipe, len(self.prompts), seed)
        held = [now for now, _ in self.denoise(x, first, guidance)]
        ends = [looks(self.decode(held[-1])), looks(self.end(x, second, guidance))]
        found = []
        for taken in SWITCHES:
            mixed = looks(self.end(held[taken], second, guidance, begin=taken))
            found.append([alike(mixed, end) for end in ends])
        return {"switched": np.array(found), "apart": alike(*ends)}

    def spread(self, guidance: float, open_prompt: bool) -> dict[str, np.ndarray]:
        prompts = (self.subjects if open_prompt else self.prompts)[:SPREAD_SUBJECTS]
        text = encode(self.pipe, prompts)
        runs = [self.end(starts(self.pipe, len(prompts), seed), text, guidance, steps=SPREAD_STEPS)
                for seed in range(SPREAD_SEEDS)]  # fmt: skip
        pairs = [np.sqrt(((a - b) ** 2).mean(axis=(1, 2, 3))) for i, a in enumerate(runs) for b in runs[:i]]
        overlap = [alike(looks(a), looks(b)) for i, a in enumerate(runs) for b in runs[:i]]
        return {"spread": np.mean(pairs, axis=0), "alike": np.mean(overlap, axis=0)}


def slices() -> dict[str, tuple]:
    """Name of each slice, and what makes it."""
    found = {}
    for guidance in GUIDANCES:
        for seed in SEEDS:
            found[f"watched {guidance:g} {seed}"] = ("watched", guidance, seed)
        found[f"switched {guidance:g}"] = ("switched", guidance, SEEDS[0])
    for guidance in (1.0, 2.0, 7.5):
        for open_prompt in (False, True):
            found[f"spread {guidance:g} {'subject' if open_prompt else 'all'}"] = ("spread", guidance, open_prompt)
    return found


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1e9, help="stop before a slice that begins after so many")
    limit, started = parser.parse_args().minutes, time.monotonic()
    kept = Path(__file__).resolve().parents[2] / "_build" / "sweeps" / NAME
    kept.mkdir(parents=True, exist_ok=True)
    run, found = Run(), {}
    for name, (method, *args) in slices().items():
        path = kept / f"{name.replace(' ', '_')}.npz"
        if not path.exists():
            if time.monotonic() - started > 60 * limit:
                print("more to do: run the command again")
                return
            np.savez(path, **getattr(run, method)(*args))
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        with np.load(path) as arrays:
            found[name] = {key: packed(values, 3) for key, values in arrays.items()}
    report = {
        "prompts": run.prompts, "others": run.others, "subjects": run.subjects, "steps": STEPS,
        "switches": SWITCHES, "guidances": GUIDANCES, "measures": MEASURES, "slices": found,
    }  # fmt: skip
    folder = bookkit.paths.root() / "data/models"
    models = sorted(folder.glob("pocket-diffusion/**/*.safetensors"))
    path = results.write(
        NAME, report, command=f"python -m training.sweeps.{NAME}", seeds=list(SEEDS),
        inputs=[
            f"training/sweeps/{NAME}.py", "training/sweeps/trajectories.py",
            *(path.relative_to(bookkit.paths.root()).as_posix() for path in models),
        ],
    )  # fmt: skip
    print(f"written: {path}")


if __name__ == "__main__":
    main()
