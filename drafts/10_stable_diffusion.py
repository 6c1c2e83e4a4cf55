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
# The first cell matters on Colab only. The second loads the model: in this book's pocket size it is `pocket-diffusion`, a Stable Diffusion that this project trained on emoji of animals, plants, food and drink; its [passport](../book/passports/text-to-image.md) says how.

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
import math
import time

import diffusers
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from PIL import Image, ImageDraw
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPModel, CLIPProcessor, CLIPTextConfig, CLIPTextModel
from transformers import ResNetForImageClassification

import bookkit
from bookkit import figures, repro, results
from bookkit.viewers import trajectory

figures.use_style()
repro.setup(seed=0, packages=("torch", "diffusers", "transformers"))
diffusers.utils.logging.disable_progress_bar()

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.float16 if DEVICE == "cuda" else torch.float32
pipe = StableDiffusionPipeline.from_pretrained(
    bookkit.model("text-to-image"), revision=bookkit.revision("text-to-image"), dtype=DTYPE
).to(DEVICE)
pipe.set_progress_bar_config(disable=True)
# DDIM throws no dice after the first noise, so it is what this chapter steps through
pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
torch.set_grad_enabled(False)  # nothing is trained in this chapter

sweep = results.read("trajectories")
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
    left = 0.085 * max(map(len, titles), default=0)  # inches for the titles
    side = (width - left) / most
    fig, axes = plt.subplots(
        len(rows), most, figsize=(width, side * len(rows)), squeeze=False, layout="none",
        gridspec_kw={"left": left / width, "right": 1, "bottom": 0, "top": 1, "wspace": 0.05, "hspace": 0.05},
    )  # fmt: skip
    for ax in axes.flat:
        ax.set_axis_off()
    for line, pictures in zip(axes, rows):
        for ax, picture in zip(line, pictures):
            ax.imshow(picture, interpolation="none")  # the page scales it
    for line, title in zip(axes, titles):
        line[0].text(-0.08, 0.5, title, ha="right", va="center", transform=line[0].transAxes)
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
# The tokenizer is of the kind you know from [chapter 2](02_tokenization.ipynb). Two things are special: every prompt is filled up to the same length with a padding token (what is longer is cut off), and the encoder returns *one vector for every place*, padding included. The U-Net will look at all of them by attention. So there are two questions. Does the order of the words matter, or is a prompt a bag of words? And what is in the places that hold only padding? To find out, mix: take the vectors of the words from one encoding and those of the padding from another, and draw.

# %%
def encode(prompts: list[str]) -> torch.Tensor:
    """The text encoder's vectors, one for each place: (prompts, places, width)."""
    words = pipe.tokenizer(
        prompts, padding="max_length", truncation=True, max_length=pipe.tokenizer.model_max_length,
        return_tensors="pt",
    )  # fmt: skip
    return pipe.text_encoder(words.input_ids.to(DEVICE))[0]


shuffled = "a teal slice of background, 3d style, on a pizza"
ids, same = (pipe.tokenizer(text).input_ids for text in (PROMPT, shuffled))
assert sorted(ids) == sorted(same)
print(f"{len(ids)} of {pipe.tokenizer.model_max_length} places:")
print(*pipe.tokenizer.convert_ids_to_tokens(ids))
vectors, other, nothing = encode([PROMPT, shuffled, ""])
by_library, empty = pipe.encode_prompt(PROMPT, DEVICE, 1, do_classifier_free_guidance=True)
assert torch.allclose(by_library[0], vectors, atol=1e-4)
assert torch.allclose(empty[0], nothing, atol=1e-4)
likeness = torch.cosine_similarity(vectors, other, dim=-1)
print(f"the same words in another order: cosine from {likeness.min():.2f} to {likeness.max():.2f}")
assert likeness[1:].min() < 0.95  # order matters

words_only, padding_only = nothing.clone(), vectors.clone()
words_only[: len(ids)] = vectors[: len(ids)]
padding_only[: len(ids)] = nothing[: len(ids)]
rows = {
    "all of it": vectors, "words, empty padding": words_only, "padding, empty words": padding_only,
    "another order": other,
}  # fmt: skip
pictures = [
    pipe(prompt_embeds=each.repeat(3, 1, 1), negative_prompt_embeds=nothing.repeat(3, 1, 1),
         generator=noise(0, 1, 2), **settings | {"num_inference_steps": 20}).images
    for each in rows.values()
]  # fmt: skip
show(
    [list(three) for three in pictures],
    list(rows),
    alt="@@ALT2@@",
)

# %% [markdown]
# @@SEEN2@@
#
# ## 3. Pictures become latents, and back
#
# The autoencoder's encoder halves the picture's side a few times and keeps four numbers for each place that is left. How much smaller is that? And what is lost? The picture below was drawn with a few lines of code, so the model has certainly never seen it.

# %%
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
# @@SEEN3@@ The scaling factor makes the latents' spread about one, because the schedule's noise has a spread of one: [chapter 9](09_diffusion_from_scratch.ipynb) mixed the two by their squares.
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
# @@SEEN6@@
#
# The same can be had from the library, which calls a function of yours after every step (`callback_on_step_end`). The numbers tell the same story: the length of the latents, the distance that is left to the end, and how far apart the guesses with and without the prompt lie. The thin lines are the four runs above; the band is where 95 % of the runs of section 7 lie.

# %%
kept = []


def keep(pipeline, step: int, t, tensors: dict) -> dict:
    """Keep the latents; what is returned goes back into the loop."""
    kept.append(tensors["latents"].clone())
    return tensors


pipe([PROMPT] * 4, generator=noise(0, 1, 2, 3), callback_on_step_end=keep, **settings)
assert torch.allclose(torch.stack(kept), held[1:], atol=1e-3)

def unpacked(entry: dict) -> np.ndarray:
    """An array as the sweep stored it."""
    return np.array(entry["values"].split(), dtype=float).reshape(entry["shape"])


fig, axes = plt.subplots(1, 3, figsize=(8.2, 2.8))
curves = {
    "length of the latents": ("norm", held.flatten(2).norm(dim=2)),
    "distance to the end": ("to_end", (held - held[-1]).flatten(2).norm(dim=2)),
    "guesses apart": ("apart", apart),
}
for ax, (name, (key, values)) in zip(axes, curves.items()):
    runs = np.moveaxis(unpacked(sweep["decided"][key]), 1, 0).reshape(values.shape[0], -1)
    low, high = np.percentile(runs, [2.5, 97.5], axis=1)
    ax.fill_between(range(len(low)), low, high, color=figures.BLUE, alpha=0.18, lw=0)
    ax.plot(values.float().cpu().numpy(), color=figures.BLUE, lw=0.9)
    ax.set(title=name, xlabel="step", ylim=(0, None))
    print(f"{name}: {runs[0].mean():.1f} at first, {runs.mean(1).max():.1f} at most, {runs[-1].mean():.1f} at last")
figures.show(fig, alt="@@ALT6@@")

# %% [markdown]
# @@SEEN6b@@
#
# ## 7. When is it decided?
#
# One trajectory is an anecdote. To follow many, somebody must look at thousands of pictures, and that is a *judge*: a small CLIP that compares pictures with words [(Radford et al., 2021)](../book/references.md#radford2021), and a classifier for the style. Both were trained on real pictures and have never seen a generated one; their [accuracy](../book/passports/text-to-image.md#the-judges) is known. The background needs no model: it is the named colour that is nearest to the border.
#
# A committed script (`training/sweeps/trajectories.py`) drew prompts at random from what the model knows, ran each with three seeds, and had the judges say of every expected picture which subject (of all names), style and background they see. The cell repeats a little of it and compares.

# %%
VOCABULARY = sweep["vocabulary"]
COLOURS = torch.tensor(list(VOCABULARY["backgrounds"].values())).float()
clip = CLIPModel.from_pretrained(bookkit.model("judge"), revision=bookkit.revision("judge"))
processor = CLIPProcessor.from_pretrained(bookkit.model("judge"), revision=bookkit.revision("judge"))
TRAITS = ["subject", "style", "background"]
if bookkit.mode() == "pocket":
    style_judge = ResNetForImageClassification.from_pretrained(bookkit.model("judge"), subfolder="style")
else:
    TRAITS.remove("style")  # the full-size CLIP has no such classifier beside it


def judged(pictures: np.ndarray) -> dict[str, torch.Tensor]:
    """How sure the judges are of every name: trait → shares (pictures, names)."""
    inputs = processor(
        text=VOCABULARY["subjects"], images=(255 * pictures).round().astype(np.uint8),
        padding="max_length", truncation=True, return_tensors="pt",
    )  # fmt: skip
    sure = {"subject": clip(**inputs).logits_per_image.softmax(1)}
    if "style" in TRAITS:
        sure["style"] = style_judge(pixel_values=inputs.pixel_values).logits.softmax(1)
    tall = torch.from_numpy(255 * pictures)
    border = [tall[:, :2].flatten(1, 2), tall[:, -2:].flatten(1, 2),
              tall[:, :, :2].flatten(1, 2), tall[:, :, -2:].flatten(1, 2)]  # fmt: skip
    distance = torch.cdist(torch.cat(border, 1).median(1).values, COLOURS)
    sure["background"] = (-distance / 16).softmax(1)
    return sure


def seen_in(pictures: np.ndarray) -> np.ndarray:
    """Which name of each trait the judges see: (pictures, traits)."""
    return torch.stack([share.argmax(1) for share in judged(pictures).values()], 1).numpy()


some = sweep["prompts"][:3]
_, again, _ = denoise(some, [0, 1, 2])
live = seen_in(np.concatenate([decode(latents) for latents in again]))
live = live.reshape(STEPS + 1, len(some), len(TRAITS))
seen = unpacked(sweep["decided"]["seen"])  # (seeds, steps + 1, prompts, traits)
if bookkit.mode() == "pocket":
    agree = (live == seen[0, :, :3]).mean()
    print(f"{live.size} judgements made again, {agree:.0%} as in the sweep")
    assert agree > 0.9
for number, text in enumerate(some):
    names = [VOCABULARY[f"{trait}s"] for trait in TRAITS]
    last = [list(name)[which] for name, which in zip(names, live[-1, number])]
    print(f"asked: {text}\n seen: {', '.join(last)}")

# %% [markdown]
# There are two ways to ask when a trait is decided. The first is to *watch*: from which step on do the judges say of the expected picture what they will say in the end, without changing their minds again? The second is to *intervene*: exchange the prompt for another one (another subject, another style, another background) after some steps, and see whose words come out. If the new words still win, nothing was decided. Look for the order of the three curves on either side, and for how far apart the two sides are.

# %%
def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % bootstrap interval of the mean over prompts; values (…, prompts), seeds averaged."""
    count = values.shape[-1]
    picks = np.random.default_rng(0).integers(0, count, size=(2000, count))
    return tuple(np.percentile(values[..., picks].mean(-1), [2.5, 97.5], axis=-1))


KINDS = ["subject", "style", "background"]
asked = np.array(sweep["asked"])
kept_since = np.flip(np.cumprod(np.flip(seen == seen[:, -1:], 1), 1), 1)  # as in the end, from here on
watched = kept_since.mean(0)  # (steps + 1, prompts, traits)
switches, ends = sweep["switched"]["after"], unpacked(sweep["switched"]["seen"])
first, second = ((ends == wanted).mean(0) for wanted in (asked, np.array(sweep["switched"]["asked"])))
print(f"{seen.shape[2]} prompts, {seen.shape[0]} seeds; steps after which a trait is decided in half of the runs")
fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.6), sharey=True)
for number, (trait, colour) in enumerate(zip(KINDS, [figures.GREEN, figures.ORANGE, figures.BLUE])):
    for ax, x, shares in ((axes[0], range(STEPS + 1), watched), (axes[1], switches, first)):
        low, high = interval(shares[..., number])
        ax.plot(x, shares[..., number].mean(-1), color=colour, label=trait)
        ax.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)
    axes[1].plot(switches, second[..., number].mean(-1), color=colour, ls=":")
    half = int((watched[..., number].mean(-1) >= 0.5).argmax())
    lead = (first - second)[..., number].mean(-1) > 0
    leads = [steps for steps, ahead in zip(switches, lead) if ahead]
    print(f"  {trait:10}  watched: {half:2}   first words lead, if exchanged after: {min(leads, default='never')}")
axes[0].set(title="watched: as it will be in the end", xlabel="steps taken", ylabel="share of runs", ylim=(0, 1.02))
axes[1].set(title="prompt exchanged after so many steps", xlabel="steps with the first prompt")
axes[0].legend(loc="lower right")
axes[1].annotate("solid: the first words are seen", (switches[-1], 0.62), ha="right")
axes[1].annotate("dotted: the second", (switches[-1], 0.55), ha="right")
figures.show(fig, alt="@@ALT7@@")

# %% [markdown]
# @@SEEN7@@
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
show([across], alt="@@ALT8@@")

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
# @@SEEN8@@
#
# ## 9. Seeds, steps and samplers
#
# How many steps does a picture need? The next cell draws the same two seeds with ever more of them. Watch two things: from which number on a picture is good, and from which number on it *no longer changes*. They are not the same.

# %%
NUMBERS = [1, 2, 3, 5, 10, 20, 40, 100]
by_steps = [pipe([PROMPT] * 2, generator=noise(0, 1), **settings | {"num_inference_steps": n}).images for n in NUMBERS]
show([[pictures[seed] for pictures in by_steps] for seed in (0, 1)], ["seed 0", "seed 1"], alt="@@ALT9a@@")
print("steps   difference to 100 steps (root mean square, of 1)")
for number, pictures in zip(NUMBERS[:-1], by_steps):
    print(f"{number:5}   {np.sqrt(np.mean((pictures - by_steps[-1]) ** 2)):.3f}")

# %% [markdown]
# @@SEEN9a@@
#
# The network was trained to guess at any time; how to walk from noise to picture with its guesses is the scheduler's business, and many have been invented: PNDM [(Liu et al., 2022)](../book/references.md#liu2022pndm), Euler's method with and without fresh dice [(Karras et al., 2022)](../book/references.md#karras2022), DPM-Solver++ [(Lu et al., 2022)](../book/references.md#lu2022), UniPC [(Zhao et al., 2023)](../book/references.md#zhao2023). All six below start from the same noise. The sweep scored them (all three traits right, with intervals over prompts); their time is measured live, on this machine.

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
counts = list(sweep["samplers"]["DDIM"])
print(f"{'all three right':16}" + "".join(f"{n + ' steps':>19}" for n in counts) + "   seconds for 10")
for name, sampler in SAMPLERS.items():
    pipe.scheduler = sampler.from_config(config)
    started = time.perf_counter()
    rows.append(pipe([PROMPT] * 3, generator=noise(0, 1, 2), **settings | {"num_inference_steps": 10}).images)
    seconds = (time.perf_counter() - started) / 3
    line = f"{name:16}"
    for number in counts:
        whole = (unpacked(sweep["samplers"][name][number]) == asked).all(-1).mean(0)
        low, high = interval(whole)
        line += f"{f'{whole.mean():.0%} ({low:.0%} to {high:.0%})':>19}"
    print(line, f"{seconds:12.2f}")
pipe.scheduler = DDIMScheduler.from_config(config)
show([list(row) for row in rows], list(SAMPLERS), alt="@@ALT9b@@")

# %% [markdown]
# @@SEEN9b@@
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
# From a guess of the noise no picture can be computed where no signal is left
possible = (True, False) if config.prediction_type == "v_prediction" else (False,)
for zero in possible:
    other = DDIMScheduler.from_config(dict(config) | {"rescale_betas_zero_snr": zero})
    pipe.scheduler = other
    pictures = pipe([PROMPT] * 4, generator=noise(0, 1, 2, 3), **settings).images
    left = other.alphas_cumprod[-1].sqrt().item()
    corners = pictures[:, 1, 1]
    print(f"signal left at the last time {left:.3f}; red, green, blue of a corner {corners.mean(0).round(2)}", end=", ")
    print(f"spread over seeds {corners.std(0).mean():.3f}")
pipe.scheduler = DDIMScheduler.from_config(config)

# %% [markdown]
# @@SEEN9c@@
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
show(rows, ["noise, straight", "noise, sphere", "latents", "pixels"], alt="@@ALT10@@")
contrast = {name: row[3].std() for name, row in zip(("straight", "sphere"), rows)}
print("contrast half-way:", *(f"{name} {value:.3f}" for name, value in contrast.items()))

# %% [markdown]
# @@SEEN10@@
#
# ## Try it
#
# Move through the trajectory, or press *Play*. On the left is what the sampler holds, on the right what the network expects at that moment; below, how sure the judges are of what was asked for. Change guidance and seed.
#
# The second cell is a prompt box on the real model.

# %%
ASKED = {"subject": "a pizza", "style": "3d", "background": "teal"}
PLACES = {trait: list(VOCABULARY[f"{trait}s"]).index(ASKED[trait]) for trait in TRAITS}


def smaller(pictures: np.ndarray) -> np.ndarray:
    """Pictures of at most 64 pixels a side, as bytes."""
    factor = pictures.shape[1] // 64
    if factor > 1:
        count = len(pictures)
        pictures = pictures.reshape(count, 64, factor, 64, factor, 3).mean((2, 4))
    return (255 * pictures).round().astype(np.uint8)


def run_for(guidance: float, seed: int) -> trajectory.Run:
    """One trajectory, decoded and judged at every step."""
    held, expected, _ = denoise([PROMPT], [seed], guidance)
    held, expected = decode(held[:, 0]), decode(expected[:, 0])
    sure = judged(expected)
    scores = {trait: sure[trait][:, place].numpy() for trait, place in PLACES.items()}
    return trajectory.Run(smaller(held), smaller(expected), scores)


started = time.perf_counter()
grid = {(f"{g:g}", str(seed)): run_for(g, seed) for g in (GUIDANCE, 1.0, 10.0) for seed in (0, 1)}
print(f"{(time.perf_counter() - started) / len(grid):.1f} s for a trajectory of {STEPS} steps, decoded and judged")
sure_from = {trait: int((np.array(values) > 0.5).argmax()) for trait, values in grid["5", "0"].scores.items()}
told = ", ".join(f"{trait} from step {step}" for trait, step in sure_from.items())
display(
    trajectory.viewer(
        grid,
        prompt=PROMPT,
        alt="A picture comes out of noise in forty steps, with what the network expects beside it. "
        f"In the first run the judges are more than half sure of what was asked for: {told}.",
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
# @@VERDICT@@
#
# ## Classic mistakes
#
# **Stepping the scheduler twice** you have seen in section 9. **Reading the output as noise** when the network was trained to give the velocity: every tutorial for Stable Diffusion 1.5 has the formula for noise in it, and nothing fails when it is used with another model. **One generator for a whole batch**: it is then drawn from in turn, so that a picture depends on where in the batch it stands; a list of generators, one for each, keeps a picture the same in any company. **Forgetting the scaling factor** around the autoencoder: in the pocket model it is one and nobody notices, in Stable Diffusion 1.5 it is 0.18215 [(Rombach et al., 2022)](../book/references.md#rombach2022), and the decoder sees latents five times too weak. The cell makes the second and the third, each beside the test that catches it.

# %%
right_kind = "v_prediction" if config.prediction_type == "epsilon" else "epsilon"
pipe.scheduler = DDIMScheduler.from_config(
    dict(config) | {"prediction_type": right_kind, "rescale_betas_zero_snr": False}
)
misread = pipe([PROMPT] * 4, generator=noise(0, 1, 2, 3), **settings).images
pipe.scheduler = DDIMScheduler.from_config(config)
for name, pictures in {"as it was trained": four, "misread": misread}.items():
    sure = judged(pictures)["subject"][:, VOCABULARY["subjects"].index("a pizza")]
    print(f"{name}: the judge is {sure.mean():.0%} sure of a pizza")
show([list(four), list(misread)], ["as trained", "misread"], alt="@@ALTM@@")
assert np.abs(misread - four).mean() > 0.1  # the test: compare with the pipeline

ten = settings | {"num_inference_steps": 10}
pair = [PROMPT, some[0]]
for name, make in {"one for each": lambda: noise(0, 1), "one for all": lambda: noise(0)[0]}.items():
    there = pipe(pair, generator=make(), **ten).images[0]
    back = pipe(pair[::-1], generator=make() if name == "one for all" else make()[::-1], **ten).images[1]
    change = np.abs(there - back).max()
    print(f"{name}: moved to the other place of the batch, the picture changes by {change:.4f}")
    assert (change < 1e-2) == (name == "one for each")  # the test

# %% [markdown]
# @@SEENM@@
#
# ## On the full-size model
#
# With `BOOK_MODELS=hub` the same cells run on Stable Diffusion 1.5 at a pinned version, in half precision on a GPU and in single precision on a CPU. What the sweep found (sections 7 to 9 and the folklore check) stays what it is: measured on the pocket model. How much more will it ask of your machine? You need no gigabytes to find out: PyTorch can build a model on the device `meta`, where tensors have shapes but no numbers, and count the operations of one guess.

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    full = {
        "text encoder": CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12)),
        "U-Net": UNet2DConditionModel(cross_attention_dim=768),
        "autoencoder": AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2,
        ),
    }  # fmt: skip
    pocket = UNet2DConditionModel.from_config(pipe.unet.config)


def operations(unet, side: int, places: int) -> int:
    """Multiplications and additions of one guess."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        unet(torch.zeros(1, 4, side, side), 500, torch.zeros(1, places, unet.config.cross_attention_dim))
    return counter.get_total_flops()


count = sum(p.numel() for part in full.values() for p in part.parameters())
print(f"Stable Diffusion 1.5: {count:,} parameters, {2 * count / 1e9:.1f} GB in half precision")
here = operations(pocket, pipe.unet.config.sample_size, pipe.tokenizer.model_max_length)
there = operations(full["U-Net"], 64, 77)
print(f"one guess: {there / 1e9:,.0f} billion operations; the pocket model's: {here / 1e9:.1f} billion")
print(f"{there / here:.0f} times as many; 40 steps with guidance: {80 * there / 1e12:.0f} trillion")

# %% [markdown]
# @@SEENF@@ The picture itself costs little memory: its latents are 4 × 64 × 64 numbers, and what is kept between the layers shrinks and grows with the batch.
#
# Its training pictures came from LAION-5B, 5.85 billion links to pictures with their alternative texts, filtered by a CLIP and not by people [(Schuhmann et al., 2022)](../book/references.md#schuhmann2022). Whoever asks what is in it asks the whole web, and from models trained on it more than a hundred near copies of training pictures were drawn out again [(Carlini et al., 2023)](../book/references.md#carlini2023). Its licence, CreativeML OpenRAIL-M, allows use, change and resale, and hands on a list of forbidden uses to everyone who passes the model on. The pocket model answers the same questions in two files: a list of its drawings, and their [licences](../book/passports/text-to-image.md).
#
# ## Exercises
#
# The first is a warm-up, the last is open. Write your answer in place of `raise NotImplementedError`, then run the check.

# %% [markdown] bookkit={"exercise": "ex10-1", "role": "task"}
# ### Exercise 1. The same walk in other coordinates
#
# Divide what the sampler holds by its signal: $y = x_t/\sqrt{\bar\alpha_t} = x_0 + \sigma\,\varepsilon$ with $\sigma = \sqrt{(1-\bar\alpha_t)/\bar\alpha_t}$. In these coordinates nothing shrinks, noise is only added, and a step of DDIM is a step of Euler's method: go on along the straight line through the expected picture. Write it.
#
# ```python
# def euler_step(y, expected, sigma: float, then: float):
#     """Return what is held at noise level `then`, from `y` at level `sigma`.
#
#     >>> euler_step(5.0, 3.0, 1.0, 0.0)
#     3.0
#     >>> euler_step(5.0, 3.0, 1.0, 0.5)
#     4.0
#     """
#     raise NotImplementedError
# ```

# %% cellView="form" jupyter={"source_hidden": true} nbgrader={"grade": false, "grade_id": "ex10-1-solution", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["hide-input", "exercise-solution"]
# @title Solution of exercise 1 {display-mode: "form"}
def euler_step(y, expected, sigma: float, then: float):
    """Return what is held at noise level `then`, from `y` at level `sigma`."""
    ### BEGIN SOLUTION
    direction = (y - expected) / sigma  # this is the noise
    return y + (then - sigma) * direction
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex10-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["exercise-check"]
assert euler_step(5.0, 3.0, 1.0, 0.0) == 3.0, "at level 0 the expected picture is left"
assert euler_step(5.0, 3.0, 1.0, 0.5) == 4.0, "half the noise, half the way"
far = euler_step(7.0, 3.0, 2.0, 1.0)
assert math.isclose(far, 5.0), f"from level 2 to 1 half the noise must go: 5, not {far:g}"
scheduler = DDIMScheduler.from_config(config)
scheduler.set_timesteps(10)
share = scheduler.alphas_cumprod
torch.manual_seed(1)
x, output = torch.randn(2, 1, 4, 8, 8)
for t in scheduler.timesteps.tolist()[1:-1]:
    before = t - scheduler.config.num_train_timesteps // 10
    sigma, then = (math.sqrt((1 - share[time]) / share[time]) for time in (t, before))
    mine = euler_step(x / share[t].sqrt(), split(scheduler, output, x, t)[0], sigma, then)
    theirs = scheduler.step(output, t, x).prev_sample / share[before].sqrt()
    assert torch.allclose(mine, theirs, atol=1e-3, rtol=1e-3), f"at time {t} DDIM goes elsewhere"
print("Exercise 1: all checks passed.")

# %% [markdown] bookkit={"exercise": "ex10-2", "role": "task"}
# ### Exercise 2. Several wishes at once
#
# Guidance adds the difference that one prompt makes. Nothing forbids adding several, each with a strength of its own; a negative strength steers *away* from a prompt [(Liu et al., 2022)](../book/references.md#liu2022compose). Combine the guesses.
#
# ```python
# def compose(without, guesses: list, strengths: list[float]):
#     """Combine the guess of the empty prompt with those of several prompts.
#
#     >>> compose(1.0, [3.0], [2.0])
#     5.0
#     >>> compose(1.0, [3.0, 0.0], [1.0, -1.0])
#     4.0
#     """
#     raise NotImplementedError
# ```

# %% cellView="form" jupyter={"source_hidden": true} nbgrader={"grade": false, "grade_id": "ex10-2-solution", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["hide-input", "exercise-solution"]
# @title Solution of exercise 2 {display-mode: "form"}
def compose(without, guesses: list, strengths: list[float]):
    """Combine the guess of the empty prompt with those of several prompts."""
    ### BEGIN SOLUTION
    # Every difference is taken from the empty prompt, not from the sum so far.
    return without + sum(
        strength * (guess - without) for guess, strength in zip(guesses, strengths)
    )
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex10-2-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["exercise-check"]
assert compose(1.0, [3.0], [2.0]) == 5.0, "one prompt: the guidance of section 5"
assert compose(1.0, [3.0, 0.0], [1.0, -1.0]) == 4.0, "one wanted, one unwanted"
assert compose(2.0, [], []) == 2.0, "no wish: the guess of the empty prompt"
assert compose(1.0, [3.0, 5.0], [0.5, 0.5]) == 4.0, "half of each difference, added up"
assert compose(1.0, [3.0, 3.0], [2.0, 2.0]) == 9.0, "the same wish twice counts twice"
torch.manual_seed(2)
a, b, c = torch.randn(3, 2, 4, 8, 8)
kept = a.clone()
found = compose(a, [b, c], [3.0, -1.5])
assert torch.equal(a, kept), "the guesses must stay as they are"
assert torch.allclose(found, compose(a, [c, b], [-1.5, 3.0]), atol=1e-5), "the order must not matter"
assert torch.allclose(found, -0.5 * a + 3 * b - 1.5 * c, atol=1e-5), "strengths or signs are off"
print("Exercise 2: all checks passed.")

# %% [markdown] bookkit={"exercise": "ex10-3", "role": "task"}
# ### Exercise 3. Half the price (open)
#
# Guidance doubles the work, since every step asks twice. Does every step need it? Section 7 should give you an idea. Decide, for each step, whether it is guided (two guesses) or takes the prompt's guess alone. At most half of the steps may be guided, and the picture must stay near to the one in which all of them are.
#
# ```python
# def guided_at(step: int, steps: int) -> bool:
#     """Say whether step `step` (0, 1, …) of `steps` is guided.
#
#     >>> sum(guided_at(step, 40) for step in range(40)) <= 20
#     True
#     """
#     raise NotImplementedError
# ```

# %% cellView="form" jupyter={"source_hidden": true} nbgrader={"grade": false, "grade_id": "ex10-3-solution", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["hide-input", "exercise-solution"]
# @title Solution of exercise 3 {display-mode: "form"}
def guided_at(step: int, steps: int) -> bool:
    """Say whether step `step` (0, 1, …) of `steps` is guided."""
    ### BEGIN SOLUTION
    return step < steps // 2  # what matters is decided early
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex10-3-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} tags=["exercise-check"]
def sparing(choose, seeds: list[int], steps: int = 20) -> np.ndarray:
    """Pictures whose steps are guided where `choose` says so."""
    scheduler = DDIMScheduler.from_config(config)
    scheduler.set_timesteps(steps)
    without, with_text = (encode([text] * len(seeds)) for text in ("", PROMPT))
    shape = (1, pipe.unet.config.in_channels, *[pipe.unet.config.sample_size] * 2)
    x = torch.cat([torch.randn(shape, generator=start) for start in noise(*seeds)])
    x = x.to(DEVICE, DTYPE) * scheduler.init_noise_sigma
    for step, t in enumerate(scheduler.timesteps.tolist()):
        output = pipe.unet(x, t, with_text).sample
        if choose(step, steps):
            base = pipe.unet(x, t, without).sample
            output = base + GUIDANCE * (output - base)
        x = ddim_step(scheduler, output, t, x)
    return decode(x)


for steps in (10, 20, 41):
    used = sum(bool(guided_at(step, steps)) for step in range(steps))
    assert used <= steps // 2, f"{used} of {steps} steps are guided; at most half may be"
seeds = [10, 11, 12, 13, 14, 15]
all_of_them, mine, none = (
    sparing(choose, seeds) for choose in (lambda *_: True, guided_at, lambda *_: False)
)
far, farther = (np.sqrt(np.mean((pictures - all_of_them) ** 2)) for pictures in (mine, none))
assert far < 0.5 * farther, f"{far / farther:.2f} of the distance without guidance; below 0.5 passes"
print(f"Exercise 3: all checks passed; {far / farther:.2f} of the distance is left.")

# %% [markdown]
# ## Summary
#
# Stable Diffusion is four parts and a loop. Words become vectors, one for every place; noise of the size of a small code is the only randness there is; a network guesses, twice a step, and a scheduler moves; a decoder turns the code into a picture. You wrote the loop, found it equal to the library's, and looked inside at every step. @@SUMMARY@@
#
# ### Words to know
#
# [Latent](../book/glossary.md#latent), [U-Net](../book/glossary.md#u-net), [classifier-free guidance](../book/glossary.md#classifier-free-guidance), [scheduler](../book/glossary.md#scheduler), [negative prompt](../book/glossary.md#negative-prompt), [variational autoencoder](../book/glossary.md#variational-autoencoder), [v-prediction](../book/glossary.md#v-prediction), [DDIM](../book/glossary.md#ddim), [judge](../book/glossary.md#judge).
#
# ### Where to read on
#
# [Rombach et al. (2022)](../book/references.md#rombach2022) is the paper of Stable Diffusion, [Ho and Salimans (2022)](../book/references.md#ho2022) that of guidance. [Karras et al. (2022)](../book/references.md#karras2022) sort the samplers out and explain why they differ so little. [Lin et al. (2024)](../book/references.md#lin2024) is about the last of a thousand steps. On LAION-5B read its authors [(Schuhmann et al., 2022)](../book/references.md#schuhmann2022), and on what models remember [Carlini et al. (2023)](../book/references.md#carlini2023).
