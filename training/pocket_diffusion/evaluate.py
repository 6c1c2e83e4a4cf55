"""Score pocket-diffusion, and write the figures of its passport.

    python -m training.pocket_diffusion.evaluate --config training/pocket_diffusion/configs/cpu.json [--quick]

What is measured, always with the judges of :mod:`judges` and beside the scores that *real* pictures of the same
prompts get (the ceiling) and that the nearest training caption's picture gets (the baseline):

- prompts of seen combinations and of held-out ones (*triples*: a known sprite on a new background; *pairs*: a
  subject never shown in this style), at the guidance and number of steps of the configuration, over its seeds;
- sweeps of guidance and of the number of steps;
- the reconstruction error of the AutoencoderKL, on seen and on held-out sprites;
- how near generated pictures come to training pictures, against how near held-out real pictures come.

In the free layout also, by the pixels and not by a network (:mod:`masks`): whether size, place and number are as
asked, for seen and for held-out layouts and neighbours; whether drawings are mirrored; how far pictures of one prompt
differ from seed to seed when all traits are named and when only the subject is. Sheets show the same: a row is one
sentence with eight seeds, a column one seed with eight sentences.

Intervals are 95 % bootstrap intervals over prompts (see :mod:`bookkit.bootstrap`), seeds averaged
first: pictures of one prompt are not independent.
"""

import base64
import io
import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from bookkit import bootstrap
from training import recipe
from training.pocket_diffusion import data, export, finished, judges, loop, masks, sheets
from training.pocket_diffusion.captions import canonical
from training.pocket_diffusion.configuration import Config, command, from_arguments, step_parser
from training.pocket_diffusion.sheets import sample
from training.recipe import row

MEASURES = ("subject_top1", "subject_top5", "style", "background", "all", "all_strict", "clip")
LAYOUT = {"size": "size", "place": "place", "two": "two drawings", "both": "both subjects among five"}


# --- scores -----------------------------------------------------------------------------------------------


def with_interval(values: np.ndarray) -> list[float]:
    """[mean, lower, upper] with the bootstrap's 95 % interval; `values` are independent (one a prompt)."""
    return [round(float(number), 4) for number in (values.mean(), *bootstrap.interval(values))]


def summary(scores: list[dict], prompts: int) -> dict:
    """{measure: [mean, lower, upper]} of scores that hold `prompts` prompts for each seed in turn."""
    return {
        key: with_interval(np.reshape([score[key] for score in scores], (-1, prompts)).mean(axis=0)) for key in MEASURES
    }


def generated(pipe, judge, pictures, seeds, guidance, steps, batch) -> tuple[dict, torch.Tensor]:
    """Scores and pictures for every prompt and seed."""
    asked = [(canonical(picture), seed) for seed in seeds for picture in pictures]
    images = sample(pipe, asked, guidance, steps, batch)
    return summary(judge(images, list(pictures) * len(seeds)), len(pictures)), images


def layout_scores(judge, images: torch.Tensor, pictures: list[data.Picture]) -> list[dict]:
    """What :func:`masks.agrees` says of each picture; for pairs also "both": each subject is among the judge's first
    five for one half."""
    found = masks.find(images)
    scores = [masks.agrees(seen, asked) for seen, asked in zip(found, pictures, strict=True)]
    pairs = [i for i, picture in enumerate(pictures) if picture.neighbour]
    if pairs:
        halves = masks.halves(images[pairs].cpu(), [found[i] for i in pairs])
        first = [replace(pictures[i], neighbour=None) for i in pairs]
        second = [replace(picture, subject=pictures[i].neighbour) for i, picture in zip(pairs, first, strict=True)]
        hits = [[[score["subject_top5"] for score in judge(halves[:, side], asked)] for asked in (first, second)]
                for side in (0, 1)]  # fmt: skip
        for k, i in enumerate(pairs):
            scores[i]["both"] = bool(hits[0][0][k] and hits[1][1][k] or hits[0][1][k] and hits[1][0][k])
    return scores


def layout_summary(scores: list[dict], prompts: int) -> dict:
    """{measure: [mean, lower, upper]} over the prompts that name it; `scores` as for :func:`summary`."""
    named = {key: [i for i in range(prompts) if key in scores[i]] for key in LAYOUT}
    return {
        key: with_interval(np.array([[score[key] for score in scores[i::prompts]] for i in which]).mean(axis=1))
        for key, which in named.items()
        if which
    }


def facing(images: torch.Tensor, pictures: list[data.Picture], sprites: data.Sprites) -> dict:
    """How many drawings are "as drawn", "mirrored" or "undecided", and how often that is right of real pictures."""
    unmirrored = sprites.composite(pictures)
    seen = masks.directions(images, unmirrored.repeat(len(images) // len(pictures), 1, 1, 1))
    places = sprites.places(pictures, random.Random("facing"))
    real = masks.directions(sprites.paint(pictures, places), unmirrored)
    right = [(way == "mirrored") == boxes[0].mirrored for way, boxes in zip(real, places, strict=True) if way]
    return {way or "undecided": seen.count(way) for way in ("as drawn", "mirrored", None)} | {
        "real": {"decided": len(right), "right": round(float(np.mean(right)), 4) if right else None}
    }


def nearest_caption(asked: data.Picture, training: list[data.Picture]) -> data.Picture:
    """The training picture whose canonical caption shares the largest part of its words (Jaccard index) with it."""
    words = set(canonical(asked).replace(",", "").split())

    def likeness(picture: data.Picture) -> float:
        other = set(canonical(picture).replace(",", "").split())
        return len(words & other) / len(words | other)

    # Two of the three choices agree in any nearest caption: all others need not be compared.
    near = [p for p in training if (p.subject == asked.subject) + (p.style == asked.style)
            + (p.background == asked.background) >= 2]  # fmt: skip
    return max(near, key=likeness)


@torch.no_grad()
def reconstruction(vae, sprites: data.Sprites, pictures: list[data.Picture]) -> dict:
    """Mean error of decoding what was encoded: "l1" and "mse" on [-1, 1], "psnr" in dB of the mean error."""
    l1, mse, rng = [], [], sprites.chance("reconstruction")
    for start in range(0, len(pictures), 32):
        real = sprites.composite(pictures[start : start + 32], rng)
        error = vae.decode(vae.encode(real).latent_dist.mode()).sample.clamp(-1, 1) - real
        l1 += error.abs().mean((1, 2, 3)).tolist()
        mse += (error**2).mean((1, 2, 3)).tolist()
    error = float(np.mean(mse))
    return {"pictures": len(pictures), "l1": round(float(np.mean(l1)), 4), "mse": round(error, 5),
            "psnr": round(10 * np.log10(4 / error), 2)}  # fmt: skip


def thumbnails(pictures: torch.Tensor, cut: bool = False) -> torch.Tensor:
    """Pictures at 32 × 32 as vectors (n, 3072); with `cut`, of what is drawn alone."""
    if cut:
        return masks.cut(pictures).flatten(1).to(pictures.device)
    return F.interpolate(pictures.float(), (32, 32), mode="bilinear", antialias=True).flatten(1)


def nearest_distances(
    groups: list[torch.Tensor], sprites: data.Sprites, training: list[data.Picture]
) -> list[torch.Tensor]:
    """Root mean square difference, at 32 × 32 and on [-1, 1], of each picture to the nearest training picture.

    Training pictures stand in their usual size and place, where the canonical caption puts them. In the free layout
    drawings are compared without their grounds, mirrored or not, whichever is nearer.

    Args:
        groups: pictures (n, 3, R, R) in any number of groups.

    Returns:
        (n,) for each group.
    """
    free = bool(sprites.layout.groups)
    wanted = torch.cat([thumbnails(group.to(sprites.device), free) for group in groups])
    best = torch.full((len(wanted),), float("inf"), device=wanted.device)
    for start in range(0, len(training), 512):
        near = thumbnails(sprites.composite(training[start : start + 512]), free)
        for view in (near, near.view(-1, 3, 32, 32).flip(-1).flatten(1)) if free else (near,):
            best = torch.minimum(best, torch.cdist(wanted, view).min(dim=1).values)
    return list((best / wanted.shape[1] ** 0.5).cpu().split([len(group) for group in groups]))


def quartiles(values: torch.Tensor) -> list[float]:
    """The quartiles of (n,) numbers."""
    return [round(float(value), 4) for value in torch.quantile(values, torch.tensor([0.25, 0.5, 0.75]))]


# --- the evaluation ---------------------------------------------------------------------------------------


def evaluate(config: Config, quick: bool = False, folder: Path | None = None, say=print) -> dict:
    """All figures of the passport, of the exported models; with `quick`, over few prompts and one seed.

    The models are those in `folder`, else those that the work folder exports, else those that the book ships.
    """
    options = config.evaluation | (config.evaluation["quick"] if quick else {})
    seeds, guidance, steps, batch = (options[key] for key in ("seeds", "guidance", "steps", "batch"))
    started = time.monotonic()
    sprites = data.load(config, loop.device())
    pipe, judge = export.load(config, finished.folders(config, folder), sprites)
    pipe.set_progress_bar_config(disable=True)
    training = sprites.everything("train")
    rng = random.Random("evaluation")
    chosen = {name: sprites.everything(name) for name in ("train", "triple", "pair")}
    chosen = {name: rng.sample(pictures, min(options["prompts"], len(pictures))) for name, pictures in chosen.items()}
    chosen |= {name: sprites.laid_out(name, options["prompts"], rng) for name in sprites.layout.groups}
    result = {"config": config.name, "quick": quick, "guidance": guidance, "steps": steps, "seeds": seeds,
              "samples": min(options["samples"], *map(len, chosen.values()))}  # fmt: skip
    result["judges"] = judges.accuracy(judge, sprites, 200 if quick else 1500)

    result["groups"], images = {}, {}
    for name, pictures in chosen.items():
        clock = time.monotonic()
        scores, images[name] = generated(pipe, judge, pictures, seeds, guidance, steps, batch)
        seconds = (time.monotonic() - clock) / len(images[name])
        shown = sprites.composite(pictures, sprites.chance("real"))
        real = judge(shown, pictures)
        result["groups"][name] = {"prompts": len(pictures), "generated": scores, "real": summary(real, len(pictures)),
                                  "seconds_per_picture": round(seconds, 3)}  # fmt: skip
        if name in sprites.layout.groups:
            made = layout_scores(judge, images[name], pictures * len(seeds))
            result["groups"][name]["layout"] = {
                "generated": layout_summary(made, len(pictures)),
                "real": layout_summary(layout_scores(judge, shown, pictures), len(pictures)),
            }
        elif name != "train":
            near = [nearest_caption(picture, training) for picture in pictures]
            baseline = judge(sprites.composite(near), pictures)
            result["groups"][name]["nearest_caption"] = summary(baseline, len(pictures))
        say(f"{name}: {time.monotonic() - started:.0f} s")

    few = chosen["train"][: options["sweep_prompts"]]
    result["guidance_sweep"] = {
        str(value): generated(pipe, judge, few, seeds, value, steps, batch)[0] for value in options["guidances"]
    }
    result["steps_sweep"] = {
        str(value): generated(pipe, judge, few, seeds, guidance, value, batch)[0] for value in options["steps_sweep"]
    }
    result["vae"] = {name: reconstruction(pipe.vae, sprites, pictures) for name, pictures in chosen.items()}
    if sprites.layout.groups:
        result["direction"] = facing(images["train"], chosen["train"], sprites)
        grids = sheets.grids(pipe, sprites, options)
        sheets.write_grids(config.work / "evaluation", grids)
        result["seeds_differ"] = {name: with_interval(masks.spread(grid)) for name, (_, grid) in grids.items()}
    held = [images[name][: len(chosen[name])] for name in ("triple", "pair")]
    held += [sprites.composite(chosen[name], sprites.chance("near")) for name in ("triple", "pair")]
    distances = nearest_distances(held, sprites, training)
    titles = ("generated_triple", "generated_pair", "real_triple", "real_pair")
    result["nearest_training_picture"] = dict(zip(titles, map(quartiles, distances), strict=True))
    result["seconds"] = round(time.monotonic() - started)
    shown = [
        (canonical(picture), seeds[0], images[name][i])
        for name, pictures in chosen.items()
        for i, picture in enumerate(pictures[: result["samples"]])
    ]
    asked = [(options["asked"]["prompt"], seed) for seed in options["asked"]["seeds"]]
    shown += [(*pair, image) for pair, image in zip(asked, sample(pipe, asked, guidance, steps, batch), strict=True)]
    write(config, result, images, chosen)
    write_samples(config, shown)
    return result


# --- what is written --------------------------------------------------------------------------------------


def write(config: Config, result: dict, images: dict, chosen: dict) -> None:
    """The figures (JSON), the table (Markdown) and contact sheets of unselected samples, in ``evaluation/``."""
    folder = config.work / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    suffix = "-quick" if result["quick"] else ""
    recipe.write_json(folder / f"results{suffix}.json", result)
    (folder / f"results{suffix}.md").write_text(table(result), encoding="utf-8")
    for name, pictures in chosen.items():
        count = min(48, len(pictures))
        labels = [f"{p.subject}, {p.style}" for p in pictures[:count]]
        sheet = data.contact_sheet(data.to_pil(images[name][:count]), 12, labels)
        sheet.save(folder / f"samples-{name}{suffix}.png")
    curves(config, folder)


def write_samples(config: Config, shown: list[tuple[str, int, torch.Tensor]]) -> None:
    """(prompt, seed, picture) of unselected samples as ``evaluation/samples.json``, pictures as base64 of WebP."""
    records = []
    for prompt, seed, picture in shown:
        file = io.BytesIO()
        data.to_pil(picture[None])[0].save(file, "webp", quality=90)
        records.append({"prompt": prompt, "seed": seed, "webp": base64.b64encode(file.getvalue()).decode()})
    recipe.write_json(config.work / "evaluation/samples.json", records)


def table(result: dict) -> str:
    """The scores as a Markdown table."""
    titles = {"train": "seen combinations", "triple": "held-out background", "pair": "held-out style",
              "placed": "size and place named", "layout": "held-out size and place",
              "beside": "two subjects", "neighbour": "held-out neighbours"}  # fmt: skip
    kinds = {"generated": "generated", "real": "real pictures", "nearest_caption": "nearest caption"}
    measures = [key.replace("_", " ") for key in MEASURES]
    lines = [f"Guidance {result['guidance']:g}, {result['steps']} DDIM steps, seeds {result['seeds']}; "
             "95 % bootstrap intervals over prompts. \"all\": style, background and subject (in the first five) "
             "are right; \"all strict\": the subject comes first.", "",
             row("prompts", "pictures", *measures),
             "|---" * (len(MEASURES) + 2) + "|"]  # fmt: skip
    for name, title in titles.items():
        for kind, what in kinds.items():
            if scores := result["groups"].get(name, {}).get(kind):
                lines.append(row(title, what, *cells(scores)))
    placed = {name: group["layout"] for name, group in result["groups"].items() if "layout" in group}
    if placed:
        lines += ["", row("layout, by the pixels", "pictures", *LAYOUT.values()), "|---" * (len(LAYOUT) + 2) + "|"]
    for name, kind in ((name, kind) for name in placed for kind in ("generated", "real")):
        scores = placed[name][kind]
        lines.append(row(titles[name], kinds[kind], *(percent(scores[key]) if key in scores else "" for key in LAYOUT)))
    if differ := result.get("seeds_differ"):
        ways = result["direction"]
        right = 100 * (ways["real"]["right"] or 0)
        lines += ["", row("pictures of one prompt, all pairs of seeds", "RMS difference"), "|---|---|"]
        lines += [row(what, "{:.3f} ({:.3f}–{:.3f})".format(*differ[name]))
                  for name, what in (("named", "all traits named"), ("open", "only the subject named"))]  # fmt: skip
        lines += ["", f"Drawings of seen combinations: {ways['as drawn']} as drawn, {ways['mirrored']} mirrored, "
                  f"{ways['undecided']} undecided (symmetric, or like neither); of real pictures the "
                  f"{ways['real']['decided']} decided ones are right in {right:.0f} %."]  # fmt: skip
    for sweep, title in (("guidance_sweep", "guidance"), ("steps_sweep", "steps")):
        lines += ["", row(title, *measures), "|---" * (len(MEASURES) + 1) + "|"]
        lines += [row(value, *cells(scores)) for value, scores in result[sweep].items()]
    lines += ["", "| reconstruction by the VAE | L1 | MSE | PSNR (dB) |", "|---|---|---|---|"]
    lines += [row(titles[name], r["l1"], r["mse"], r["psnr"]) for name, r in result["vae"].items()]
    lines += ["", "| nearest training picture, RMS difference at 32 px | lower quartile | median | upper quartile |",
              "|---|---|---|---|"]  # fmt: skip
    lines += [row(name.replace("_", " "), *values) for name, values in result["nearest_training_picture"].items()]
    return "\n".join(lines) + "\n"


def cells(scores: dict) -> list[str]:
    """The measures as they stand in the table."""
    return [percent(scores[key]) if key != "clip" else f"{scores[key][0]:.3f}" for key in MEASURES]


def percent(interval: list[float]) -> str:
    mean, low, high = (100 * number for number in interval)
    return f"{mean:.0f} % ({low:.0f}–{high:.0f})"


def curves(config: Config, folder: Path) -> None:
    """The training curves of all models, ``curves.svg``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    logs = [path for name in config.training if (path := config.work / f"{name}.jsonl").exists()]
    if not logs:
        return
    figure, axes = plt.subplots(1, len(logs), figsize=(3.2 * len(logs), 2.4), layout="constrained")
    for axis, path in zip(np.atleast_1d(axes), logs, strict=True):
        records = recipe.read_lines(path)
        axis.plot([r["step"] for r in records], [r["loss"] for r in records], color="#0072B2")
        axis.set(title=path.stem.replace("_", " "), xlabel="step", yscale="log")
    figure.savefig(folder / "curves.svg")
    plt.close(figure)


def main(argv=None) -> None:
    parser = step_parser("Score the model and write its passport's figures.")
    parser.add_argument("--quick", action="store_true", help="few prompts, one seed: under ten minutes on two cores")
    parser.add_argument("--models", type=Path, help="the exported models (default: export/ in the work folder)")
    config = from_arguments(args := parser.parse_args(argv))
    if not config.pack.exists():  # the judges need the real pictures beside the generated ones
        data.build(config)
    result = evaluate(config, args.quick, args.models)
    print(table(result))


if __name__ == "__main__":
    command(main)
