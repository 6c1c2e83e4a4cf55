# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Stable Diffusion: denoising trajectories
#
# Everyone has seen the film in which a picture comes out of noise in forty steps. What *is* that noise, who decides what comes out of it, and when: is the colour settled before the subject, or after?
#
# ![Four rows of small pictures from left to right, from noise to a picture: what the sampler holds, and below it what the network expects.](../book/_static/openings/10_stable_diffusion.svg)
#
# In this chapter you take Stable Diffusion apart, put its forty steps together again by hand in a loop of some twenty lines, and look inside at every one of them.

# %% [markdown]
# ## You will be able to
#
# - name the four parts of Stable Diffusion, open each, and say what goes in and comes out;
# - write its sampling loop, and show that it equals the library's;
# - decode a trajectory step by step, and measure when a picture's colour, style and subject are decided;
# - derive classifier-free guidance, and choose its strength by measurement;
# - compare samplers and numbers of steps fairly, and find the mistake of a scheduler that is stepped twice.
#
# ## You need
#
# [Chapter 9](09_diffusion_from_scratch.ipynb) for noise, schedules and DDIM, [chapter 4](04_attention.ipynb) for attention.
#
# <!-- price:begin --><!-- price:end -->

# %% [markdown]
# ## Set-up
#
# The first cell matters on Colab only. The second loads the model: in this book's pocket size it is `pocket-diffusion`, a Stable Diffusion that this project trained on emoji of animals, plants, food and drink; its [passport](../book/passports/text-to-image.md) says how. Beside it stands the *judge*: a small model that compares pictures with words, and another that tells styles apart. Neither has ever seen a generated picture.

# %% cellView="form" tags=["hide-input"]
# @title On Colab: fetch the book's helper, data and pocket models (skipped elsewhere)
import sys

REPOSITORY = "https://github.com/OWNER/generative-ai-cell-by-cell"
PAGES = "https://OWNER.github.io/generative-ai-cell-by-cell"
if "google.colab" in sys.modules:
    # !test -d /content/book || git clone --quiet --depth 1 {REPOSITORY} /content/book
    # %cd -q /content/book/notebooks
    # %pip install --quiet --no-deps -r ../requirements-colab.txt -e ..
    sys.path.insert(0, "/content/book/src")
    print("The published pages of this book:", PAGES)

# %% tags=["needed-by-exercises"]
import json
import math
import time
from pathlib import Path

import diffusers
import ipywidgets as widgets
import matplotlib.pyplot as plt
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
from transformers import CLIPModel, CLIPProcessor, ResNetForImageClassification

import bookkit
from bookkit import figures, repro, results
from bookkit.viewers import trajectory

figures.use_style()
repro.setup(seed=0, packages=("torch", "diffusers", "transformers"))
diffusers.utils.logging.disable_progress_bar()

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.float16 if DEVICE == "cuda" else torch.float32
pipe = StableDiffusionPipeline.from_pretrained(
    bookkit.model("text-to-image"), revision=bookkit.revision("text-to-image"), torch_dtype=DTYPE
).to(DEVICE)
pipe.set_progress_bar_config(disable=True)
# DDIM, without random numbers after the first, is what this chapter steps through
pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
torch.set_grad_enabled(False)  # nothing is trained in this chapter

judge = CLIPModel.from_pretrained(bookkit.model("judge"), revision=bookkit.revision("judge"))
processor = CLIPProcessor.from_pretrained(bookkit.model("judge"), revision=bookkit.revision("judge"))
PROMPT = "a slice of pizza, 3d style, on a teal background"
GUIDANCE, STEPS = 5.0, 40

# %% [markdown]
# ## 1. One picture, four parts
#
# First the whole machine: a sentence goes in, a picture comes out. The `generator` holds the only randomness there is, the noise at the start; the four pictures differ in nothing but its seed.

# %%
def show(rows: list[list], titles: list[str] = (), alt: str = "", width: float = 7.2) -> None:
    """Show rows of pictures (height, width, 3) from 0 to 1, each row with a title on its left."""
    most = max(map(len, rows))
    fig, axes = plt.subplots(
        len(rows), most, figsize=(width, width / most * len(rows) * 1.04), squeeze=False
    )
    for row, line in enumerate(axes):
        for ax, picture in zip(line, rows[row]):
            ax.imshow(picture)
        for ax in line:
            ax.set_xticks([])
            ax.set_yticks([])
            for spine in ax.spines.values():
                spine.set_visible(False)
        if titles:
            line[0].set_ylabel(titles[row], rotation=0, ha="right", va="center")
    figures.show(fig, alt=alt)


def noise(*seeds: int) -> list[torch.Generator]:
    """One generator for each picture, always on the CPU, so that every device starts alike."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


settings = {"guidance_scale": GUIDANCE, "num_inference_steps": STEPS, "output_type": "np"}
four = pipe([PROMPT] * 4, generator=noise(0, 1, 2, 3), **settings).images
show([list(four)], alt=f"Four pictures generated for the words: {PROMPT}.")

# %% [markdown]
# Four parts did that. The *text encoder* turned the words into vectors. The *U-Net* looked at a noisy picture, forty times, and said what it thinks the noise in it is. The *scheduler* (which has no weights) decided how much of that to remove. And all of it happened not on pixels but on *latents*, a smaller code, which the *autoencoder* (VAE) turned into a picture at the end [(Rombach et al., 2022)](../book/references.md#rombach2022). Where do the weights sit?

# %% tags=["nbval-check-output"]
parts = {"text encoder": pipe.text_encoder, "U-Net": pipe.unet, "autoencoder": pipe.vae}
sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
for name, size in sizes.items():
    print(f"{name:13}{size:>13,} parameters, {size / sum(sizes.values()):4.0%}")
assert max(sizes, key=sizes.get) == "U-Net"

# %% [markdown]
# ## 2. Words become vectors
#
# The tokenizer is of the kind you know from [chapter 2](02_tokenization.ipynb). Two things are special: every prompt is filled up to the same length with a padding token (what is longer is cut off), and the encoder returns *one vector for every place*, padding included. The U-Net will look at all of them by attention. Look at the shapes, and then at what the encoder makes of the same words in another order.

# %%
def encode(prompts: list[str]) -> torch.Tensor:
    """The text encoder's vectors, one for each place: (prompts, places, width)."""
    words = pipe.tokenizer(
        prompts, padding="max_length", truncation=True, max_length=pipe.tokenizer.model_max_length,
        return_tensors="pt",
    )  # fmt: skip
    return pipe.text_encoder(words.input_ids.to(DEVICE))[0]


ids = pipe.tokenizer(PROMPT).input_ids
print(f"{len(ids)} of {pipe.tokenizer.model_max_length} places:", pipe.tokenizer.convert_ids_to_tokens(ids))
vectors = encode([PROMPT, "a teal slice of background, 3d style, on a pizza", ""])
print("vectors:", tuple(vectors.shape))
by_library, empty = pipe.encode_prompt(PROMPT, DEVICE, 1, do_classifier_free_guidance=True)
assert torch.allclose(by_library[0], vectors[0], atol=1e-5) and torch.allclose(empty[0], vectors[2], atol=1e-5)
bag = [sorted(pipe.tokenizer(text).input_ids) for text in (PROMPT, "a teal slice of background, 3d style, on a pizza")]
assert bag[0] == bag[1]  # the same tokens
likeness = torch.cosine_similarity(vectors[0], vectors[1], dim=-1)
print(f"same words, other order: cosine {likeness.min():.2f} to {likeness.max():.2f}, place by place")
assert likeness[1:].min() < 0.95  # order matters

# %% [markdown]
# DRAFT: what the padding and the order did.
#
# ## 3. Pictures become latents, and back
#
# The autoencoder's encoder halves the picture's side a few times and keeps four numbers for each place that is left. How much smaller is that? And what is lost? The picture below was drawn with a few lines of code, so the model has certainly never seen it.

# %%
from PIL import Image, ImageDraw

side = pipe.unet.config.sample_size * pipe.vae_scale_factor
canvas = Image.new("RGB", (side, side), (0, 170, 175))
pen = ImageDraw.Draw(canvas)
unit = side / 64
pen.ellipse([10 * unit, 10 * unit, 54 * unit, 54 * unit], fill=(253, 220, 60))
pen.rectangle([26 * unit, 30 * unit, 38 * unit, 60 * unit], fill=(130, 40, 150))
drawn = torch.from_numpy(np.asarray(canvas) / 127.5 - 1).permute(2, 0, 1)[None].to(DEVICE, DTYPE)


def decode(latents: torch.Tensor) -> np.ndarray:
    """Latents (n, 4, h, w) as pictures (n, height, width, 3) from 0 to 1."""
    pictures = pipe.vae.decode(latents.to(DTYPE) / pipe.vae.config.scaling_factor).sample
    return (pictures.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()


latent = pipe.vae.encode(drawn).latent_dist.mode() * pipe.vae.config.scaling_factor
again = decode(latent)
fewer = drawn.numel() / latent.numel()
print(f"{drawn.numel():,} numbers of the picture, {latent.numel():,} of the latents: {fewer:.0f} times fewer")
print(f"the latents' standard deviation is {latent.std():.2f}; the scaling factor is {pipe.vae.config.scaling_factor:g}")
original = (drawn[0] / 2 + 0.5).permute(1, 2, 0).float().cpu().numpy()
planes = latent[0].float().cpu().numpy()
planes = (planes - planes.min()) / (planes.max() - planes.min())
show(
    [[original, again[0], *(np.repeat(plane[..., None], 3, 2) for plane in planes)]],
    alt="A drawing of a disc and a bar; beside it the same after encoding and decoding; "
    "then the four planes of its latents, in which the shapes are still seen.",
)

# %% [markdown]
# DRAFT: what was seen. The scaling factor makes the latents' spread about one, because the schedule's noise has a spread of one: [chapter 9](09_diffusion_from_scratch.ipynb) mixed the two by their squares.
#
# ## 4. The U-Net guesses
#
# The U-Net gets a noisy latent, the time, and the text's vectors. What it returns depends on how it was trained. The full-size Stable Diffusion 1.5 predicts the noise, $\varepsilon$. The pocket model predicts the *velocity* $v = \sqrt{\bar\alpha_t}\,\varepsilon - \sqrt{1-\bar\alpha_t}\,x_0$ [(Salimans and Ho, 2022)](../book/references.md#salimans2022). From either one gets the other, and the picture that the network expects, $\hat x_0$, by solving $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$.

# %% bookkit={"twin_of": ["DDIMScheduler"]} tags=["twin", "needed-by-exercises"]
def split(scheduler, output: torch.Tensor, x: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture x0 and the noise that the U-Net's output means for x at time t."""
    signal = scheduler.alphas_cumprod[t].sqrt()
    spread = (1 - scheduler.alphas_cumprod[t]).sqrt()
    if scheduler.config.prediction_type == "v_prediction":
        return signal * x - spread * output, signal * output + spread * x
    return (x - spread * output) / signal, output


def ddim_step(scheduler, output: torch.Tensor, t: int, x: torch.Tensor) -> torch.Tensor:
    """From time t to the next time of the scheduler's list, without new noise."""
    before = t - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    signal = scheduler.alphas_cumprod[before] if before >= 0 else scheduler.final_alpha_cumprod
    x0, noise_in_it = split(scheduler, output, x, t)
    return signal.sqrt() * x0 + (1 - signal).sqrt() * noise_in_it


# %% tags=["twin-check"]
scheduler = pipe.scheduler
scheduler.set_timesteps(STEPS)
torch.manual_seed(0)
x = torch.randn(1, *latent.shape[1:]).to(DEVICE, DTYPE)
for t in scheduler.timesteps.tolist()[:: STEPS // 8]:
    output = pipe.unet(x, t, encode([PROMPT])).sample
    step = scheduler.step(output, t, x)
    x0, _ = split(scheduler, output, x, t)
    assert torch.allclose(step.pred_original_sample, x0, atol=1e-4)
    assert torch.allclose(step.prev_sample, ddim_step(scheduler, output, t, x), atol=1e-4)
    assert not torch.allclose(step.prev_sample, ddim_step(scheduler, output, max(t - 200, 0), x), atol=1e-3)
    x = step.prev_sample
print("DDIM by hand equals the library's at", len(scheduler.timesteps[:: STEPS // 8]), "times")

# %% [markdown]
# ## 5. The loop
#
# Now put it together. *Guidance* needs two guesses at every step, one for the prompt and one for the empty prompt, and goes further in the direction in which they differ: $v_u + g\,(v_c - v_u)$. (Section 8 derives it.) The function below is the whole of Stable Diffusion's sampling. It returns what it held before every step and at the end, what the network expected at each, and how far the two guesses lay apart.

# %% bookkit={"twin_of": ["StableDiffusionPipeline"]} tags=["twin", "needed-by-exercises"]
def denoise(prompts: list[str], seeds: list[int], guidance: float = GUIDANCE, steps: int = STEPS):
    """Latents held (steps + 1, n, 4, h, w), expected (the same shape), and |v_c - v_u| (steps, n)."""
    scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(steps)
    text = torch.cat([encode([""] * len(prompts)), encode(prompts)])
    shape = (1, pipe.unet.config.in_channels, *[pipe.unet.config.sample_size] * 2)
    x = torch.cat([torch.randn(shape, generator=start) for start in noise(*seeds)])
    x = x.to(DEVICE, DTYPE) * scheduler.init_noise_sigma
    held, expected, apart = [x], [], []
    for t in scheduler.timesteps.tolist():
        without, with_text = pipe.unet(torch.cat([x, x]), t, text).sample.chunk(2)
        output = without + guidance * (with_text - without)
        expected.append(split(scheduler, output, x, t)[0])
        apart.append((with_text - without).flatten(1).norm(dim=1))
        x = ddim_step(scheduler, output, t, x)
        held.append(x)
    return torch.stack(held), torch.stack([*expected, x]), torch.stack(apart)


# %% tags=["twin-check"]
held, expected, apart = denoise([PROMPT] * 4, [0, 1, 2, 3])
difference = np.abs(decode(held[-1]) - four).max()
print(f"by hand and by the library: largest difference {difference:.1e}")
assert difference < (1e-4 if DTYPE == torch.float32 else 0.1)
assert np.abs(decode(held[-2]) - four).max() > 1e-3  # one step less is noticed

# %% [markdown]
# ## 6. The trajectory
#
# Decode every step, twice: what the sampler holds, $x_t$, and what the network expects it to become, $\hat x_0$. The decoder was never trained on noisy latents, so its picture of $x_t$ is only an impression; $\hat x_0$ lies much nearer to what it knows.

# %% tags=["opening-picture"]
marks = [0, 3, 6, 10, 15, 20, 27, 33, STEPS]
rows = [decode(latents[marks, picture]) for picture in (0, 1) for latents in (held, expected)]
show(
    [list(row) for row in rows],
    ["held", "expected"] * 2,
    alt="Four rows of small pictures from left to right, from noise to a picture: what the "
    "sampler holds, and below it what the network expects.",
)

# %% [markdown]
# DRAFT: what is seen when.
#
# The same can be had from the library, which calls a function of yours after every step (`callback_on_step_end`). The numbers tell the same story: the norm of the latents, the distance to the end, and how far apart the guesses with and without the prompt lie.

# %%
kept = []


def keep(pipeline, step: int, t, tensors: dict) -> dict:
    """Keep the latents; what is returned goes back into the loop."""
    kept.append(tensors["latents"].clone())
    return tensors


pipe([PROMPT] * 4, generator=noise(0, 1, 2, 3), callback_on_step_end=keep, **settings)
assert torch.allclose(torch.stack(kept), held[1:], atol=1e-3)

fig, axes = plt.subplots(1, 3, figsize=(8.2, 2.6))
curves = {
    "norm of the latents": held.flatten(2).norm(dim=2),
    "distance to the end": (held - held[-1]).flatten(2).norm(dim=2),
    "guesses apart": apart,
}
for ax, (name, values) in zip(axes, curves.items()):
    ax.plot(values.float().cpu().numpy(), color=figures.BLUE, alpha=0.6)
    ax.set(title=name, xlabel="step", ylim=(0, None))
figures.show(fig, alt="DRAFT")

# %% [markdown]
# ## 7. When is it decided?
#
# One trajectory is an anecdote. A committed script followed many (`training/sweeps/trajectories.py`): prompts drawn at random from what the model knows, three seeds each. At every step it asked the judges what they see in the *expected* picture: which of all subjects, which style, which background. A trait counts as decided from the step on at which the judges say of it what they will say in the end, and do not change their minds again. The bands are 95 % intervals from drawing the prompts anew.
#
# The cell first repeats a little of the sweep, live. Then look at the order of the three curves.

# %%
sweep = results.read("trajectories")


def unpacked(entry: dict) -> np.ndarray:
    """An array as the sweep stored it."""
    return np.array(entry["values"].split(), dtype=float).reshape(entry["shape"])


seen = unpacked(sweep["decided"]["seen"])  # (seeds, steps + 1, prompts, traits)
TRAITS = ["subject", "style", "background"]
kept_since = np.flip(np.cumprod(np.flip(seen == seen[:, -1:], 1), 1), 1)  # as in the end, and from here on
PROMPTS = seen.shape[2]


def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % bootstrap interval of the mean over prompts; values (…, prompts), seeds averaged."""
    picks = np.random.default_rng(0).integers(0, PROMPTS, size=(2000, PROMPTS))
    return tuple(np.percentile(values[..., picks].mean(-1), [2.5, 97.5], axis=-1))


fig, ax = plt.subplots(figsize=(7.2, 3.8))
half = {}
for number, (trait, colour) in enumerate(zip(TRAITS, [figures.GREEN, figures.ORANGE, figures.BLUE])):
    share = kept_since[..., number].mean(0)  # (steps + 1, prompts)
    low, high = interval(share)
    ax.plot(share.mean(-1), color=colour, label=trait)
    ax.fill_between(range(len(low)), low, high, color=colour, alpha=0.18, lw=0)
    half[trait] = int((share.mean(-1) >= 0.5).argmax())
    print(f"{trait}: decided in half of the runs after {half[trait]} of {STEPS} steps")
ax.set(xlabel="steps taken", ylabel="share of runs in which it is decided", ylim=(0, 1.02))
ax.legend(loc="lower right")
figures.show(fig, alt="DRAFT")

# %% [markdown]
# DRAFT: the order, and why: a background is the lowest frequency of a picture, and what is large survives more noise than what is small (chapter 9 showed how much signal is left at which time).
#
# ## 8. Guidance
#
# Why does it help to exaggerate the difference between the two guesses? By Bayes' rule, $p(x \mid c) \propto p(x)\, p(c \mid x)$. Raise the second factor to the power $g$, so that the words count more than they should, and take the gradient of the logarithm:
#
# $$\nabla \log p(x) + g\,\nabla \log p(c \mid x) = \nabla \log p(x) + g\,\bigl(\nabla \log p(x \mid c) - \nabla \log p(x)\bigr).$$
#
# The network's guess of the noise is, up to a factor, such a gradient (with the sign turned), so the same combination applies to its two guesses: that is *classifier-free guidance* [(Ho and Salimans, 2022)](../book/references.md#ho2022). With $g = 1$ the empty prompt drops out. What does more of it do? Look at one seed across the strengths first, then at the measures over all prompts.

# %%
STRENGTHS = [float(g) for g in sweep["guidances"]]
across = [decode(denoise([PROMPT], [0], guidance=g)[0][-1])[0] for g in STRENGTHS]
show([across], alt="One seed at growing strength of guidance. DRAFT")

asked = np.array(sweep["asked"])
right, spread = {}, {}
for name, run in sweep["guidances"].items():
    hits = (unpacked(run["seen"]) == asked).mean(0)  # (prompts, traits), seeds averaged
    whole = (unpacked(run["seen"]) == asked).all(-1).mean(0)
    right[float(name)] = *hits.mean(0), whole
    spread[float(name)] = np.array(run["spread"])
print("guidance   subject  style  background    all three (95%)     seeds differ by")
for g in STRENGTHS:
    *traits, whole = right[g]
    low, high = interval(whole)
    print(f"{g:8g}   {traits[0]:7.0%}  {traits[1]:5.0%}  {traits[2]:10.0%}", end="   ")
    print(f"{whole.mean():5.0%} ({low:.0%} to {high:.0%})   {spread[g].mean():8.3f}")

# %% [markdown]
# DRAFT
#
# ## 9. Steps and samplers
#
# The network was trained to guess at any time; how to walk from noise to picture with its guesses is the scheduler's business, and many have been invented. All six below start from the same noise. The sweep scored them; their time is measured live, on this machine.

# %%
SAMPLERS = {
    "DDIM": DDIMScheduler,
    "PNDM": PNDMScheduler,
    "Euler": EulerDiscreteScheduler,
    "Euler ancestral": EulerAncestralDiscreteScheduler,
    "DPM-Solver++": DPMSolverMultistepScheduler,
    "UniPC": UniPCMultistepScheduler,
}
config, rows = pipe.scheduler.config, []
print(f"{'all three right':16}" + "".join(f"{n:>6} steps" for n in sweep["samplers"]["DDIM"]), "  seconds for 10")
for name, sampler in SAMPLERS.items():
    pipe.scheduler = sampler.from_config(config)
    started = time.perf_counter()
    rows.append(pipe([PROMPT] * 4, generator=noise(0, 1, 2, 3), **settings | {"num_inference_steps": 10}).images)
    seconds = (time.perf_counter() - started) / 4
    scores = [(unpacked(run) == asked).all(-1).mean() for run in sweep["samplers"][name].values()]
    print(f"{name:16}" + "".join(f"{score:12.0%}" for score in scores), f"{seconds:12.2f}")
pipe.scheduler = DDIMScheduler.from_config(config)
show([list(row) for row in rows], list(SAMPLERS), alt="DRAFT")

# %% [markdown]
# DRAFT
#
# ### A scheduler remembers
#
# DDIM's step depends on its arguments alone. Most samplers are different: they count their own steps and keep earlier guesses. Call `step` twice for one time (once to look at the expected picture, once to go on, as a popular course did) and they are one step ahead of you.

# %%
stateful = EulerDiscreteScheduler.from_config(config)
stateful.set_timesteps(10)
x = torch.randn(1, *latent.shape[1:]).to(DEVICE, DTYPE) * stateful.init_noise_sigma
try:
    for t in stateful.timesteps:
        output = pipe.unet(stateful.scale_model_input(x, t), t, encode([PROMPT])).sample
        look = stateful.step(output, t, x).pred_original_sample  # only to look
        x = stateful.step(output, t, x).prev_sample
    raise AssertionError("the second step should have been noticed")
except IndexError as error:
    print("IndexError:", error)

# %% [markdown]
# ### Ending at pure noise, or not
#
# Stable Diffusion's original schedule stops a little short of pure noise: at its last time a little of the picture is left. In training the network can read the picture's mean brightness off that remainder; in sampling there is no picture, and the noise's mean is taken for one [(Lin et al., 2024)](../book/references.md#lin2024). The pocket model was trained with a schedule that ends at zero signal. Watch what happens to plain backgrounds if one samples it with the original schedule.

# %%
ends = {}
for zero in (True, False):
    changed = dict(pipe.scheduler.config) | {"rescale_betas_zero_snr": zero}
    other = DDIMScheduler.from_config(changed)
    ends[zero] = other.alphas_cumprod[-1].sqrt().item()
    pipe.scheduler = other
    pictures = pipe([PROMPT] * 4, generator=noise(0, 1, 2, 3), **settings).images
    print(f"signal left at the last time: {ends[zero]:.3f}; corner {pictures[:, 1, 1].mean(0).round(2)}")
pipe.scheduler = DDIMScheduler.from_config(config)

# %% [markdown]
# DRAFT
#
# ## 10. Arithmetic on latents
#
# Half-way between two pictures: in pixels one gets a double exposure. In latents? And half-way between two *noises*, from which a picture is then made? A noise of $n$ numbers lies close to a sphere of radius $\sqrt n$; the straight line between two of them cuts through the inside, where the network has never seen a start. Going along the sphere (*slerp*) keeps the length [(Shoemake, 1985)](../book/references.md#shoemake1985).

# %% tags=["needed-by-exercises"]
def slerp(a: torch.Tensor, b: torch.Tensor, share: float) -> torch.Tensor:
    """Between two noises along the sphere that they lie on."""
    angle = torch.acos(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(-1, 1))
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


SHARES = [0, 0.17, 0.33, 0.5, 0.67, 0.83, 1]
a, b = held[0, 0], held[0, 1]
ways = {
    "straight": [(1 - share) * a + share * b for share in SHARES],
    "sphere": [slerp(a, b, share) for share in SHARES],
}
lengths = {name: [point.norm().item() for point in points] for name, points in ways.items()}
print(f"a noise has length {a.norm():.1f}, the root of {a.numel()} is {math.sqrt(a.numel()):.1f};", end=" ")
print(f"half-way: straight {lengths['straight'][3]:.1f}, along the sphere {lengths['sphere'][3]:.1f}")
assert lengths["straight"][3] < 0.8 * a.norm() < lengths["sphere"][3]
rows = [
    list(pipe([PROMPT] * len(SHARES), latents=torch.stack(points), **settings).images) for points in ways.values()
]
first, second = held[-1, 0], held[-1, 1]
rows.append([decode(((1 - share) * first + share * second)[None])[0] for share in SHARES])
pixels = decode(held[-1, :2])
rows.append([(1 - share) * pixels[0] + share * pixels[1] for share in SHARES])
show(rows, ["noise, straight", "noise, sphere", "latents", "pixels"], alt="DRAFT")

# %% [markdown]
# DRAFT
#
# ## Try it
#
# Move through the trajectory, or press *Play*. On the left is what the sampler holds, on the right what the network expects at that moment; below, how sure the judges are of what was asked for. Change guidance and seed.
#
# The second cell is a prompt box on the real model.

# %%
words = json.loads((Path(bookkit.model("judge")) / "vocabulary.json").read_text(encoding="utf-8"))
style_judge = ResNetForImageClassification.from_pretrained(bookkit.model("judge"), subfolder="style")
ASKED = {"subject": "a pizza", "style": "3d", "background": "teal"}


def confidence(pictures: torch.Tensor) -> dict[str, np.ndarray]:
    """How sure the judges are that pictures (n, 3, h, w) from -1 to 1 show what was asked for."""
    inputs = processor(text=words["subjects"], return_tensors="pt", padding="max_length", truncation=True)
    logits = judge(pixel_values=pictures, **inputs).logits_per_image
    style = style_judge(pixel_values=pictures).logits
    named = torch.tensor(list(words["backgrounds"].values())) / 127.5 - 1
    frame = torch.cat([pictures[..., :2, :].flatten(2), pictures[..., -2:, :].flatten(2),
                       pictures[..., :2].flatten(2), pictures[..., -2:].flatten(2)], dim=2)  # fmt: skip
    nearness = torch.cdist(frame.median(2).values, named)
    return {
        "subject": logits.softmax(1)[:, words["subjects"].index(ASKED["subject"])].numpy(),
        "style": style.softmax(1)[:, style_judge.config.label2id[ASKED["style"]]].numpy(),
        "background": (-8 * nearness).softmax(1)[:, list(words["backgrounds"]).index(ASKED["background"])].numpy(),
    }


def run_for(guidance: float, seed: int) -> trajectory.Run:
    held, expected, _ = denoise([PROMPT], [seed], guidance)
    shown = [decode(latents[:, 0]) for latents in (held, expected)]
    pictures = torch.from_numpy(shown[1]).permute(0, 3, 1, 2) * 2 - 1
    small = torch.nn.functional.interpolate(pictures, (64, 64), mode="bilinear", antialias=True)
    bytes_ = [(255 * np.stack([p for p in frames])).round().astype(np.uint8) for frames in shown]
    return trajectory.Run(*bytes_, confidence(small))


display(
    trajectory.viewer(
        {(f"{g:g}", str(seed)): run_for(g, seed) for g in (1.0, 5.0) for seed in (0, 1)},
        prompt=PROMPT,
        alt="DRAFT: the story of the first run",
    )
)

# %% tags=["remove-output"]
prompt_box = widgets.Text(PROMPT, description="prompt", layout={"width": "98%"})
strength = widgets.FloatSlider(GUIDANCE, min=0, max=15, step=0.5, description="guidance")
steps_slider = widgets.IntSlider(20, min=1, max=60, description="steps")
seed_box = widgets.IntText(0, description="seed")
go, shown = widgets.Button(description="draw", button_style="primary"), widgets.Image(format="png", width=192)


def on_draw(button) -> None:
    """Draw the prompt and show the picture."""
    import io

    picture = pipe(
        prompt_box.value, generator=noise(seed_box.value), guidance_scale=strength.value,
        num_inference_steps=steps_slider.value,
    ).images[0]  # fmt: skip
    file = io.BytesIO()
    picture.save(file, "png")
    shown.value = file.getvalue()


go.on_click(on_draw)
widgets.VBox([prompt_box, strength, steps_slider, seed_box, go, shown])

# %% [markdown]
# ## Folklore check: guidance 7.5 is best
#
# 7.5 is the library's default for Stable Diffusion, and has been copied from notebook to notebook. Is it best *here*, and best *for what*? Take the sweep of section 8: the strength with the most prompts fully right, and the difference to 7.5, prompt by prompt.

# %% tags=["nbval-check-output"]
best = max(STRENGTHS, key=lambda g: right[g][-1].mean())
difference = right[best][-1] - right[7.5][-1]
low, high = interval(difference)
print(f"most often all right: guidance {best:g}, {right[best][-1].mean():.0%}; 7.5: {right[7.5][-1].mean():.0%}")
print(f"difference {difference.mean():+.0%} ({low:+.0%} to {high:+.0%})")
ratio = spread[7.5].mean() / spread[1.0].mean()
print(f"at 7.5 the seeds differ {ratio:.2f} times as much as without guidance")

# %% [markdown]
# DRAFT: verdict.
#
# ## Classic mistakes
#
# **Stepping the scheduler twice**: section 9. **Forgetting the scaling factor** when decoding or encoding: here it is one, in Stable Diffusion 1.5 it is 0.18215, and without it the decoder sees latents several times too weak. **Reading the U-Net's output as noise** when it is a velocity: the cell below does it. **One generator for a batch**: pictures of a batch then depend on their neighbours; one generator for each keeps a picture the same in any batch.

# %%
x, t = held[0, :1], pipe.scheduler.config.num_train_timesteps - 1
DRAFT = "the mistake of the prediction type, reproduced and caught"

# %% [markdown]
# ## On the full-size model
#
# With `BOOK_MODELS=hub` the same cells run on Stable Diffusion 1.5 at a pinned version: half precision on a GPU, single on a CPU (slowly). Its weights take two bytes a parameter in half precision; the latents of a 512 × 512 picture have 4 × 64 × 64 numbers. What the sweep found belongs to the pocket model. The licence, CreativeML OpenRAIL-M, allows use and resale and forbids a list of harmful uses; DRAFT: training data (LAION-5B, Schuhmann et al., 2022), memorised pictures (Carlini et al., 2023).
#
# ## Exercises
#
# DRAFT: (1) `expected_from_noise(x, noise, signal)`; (2) `guided(without, with_text, against, g, h)`: a negative prompt beside the positive one; (3) `half_way_length(n)`: the expected length of the mean of two noises; (4) open: find a prompt that the model gets wrong with three seeds of three, and say which part of it is to blame.
#
# ## Summary
