"""Carry the trained models into the repository, name them in the registry, and write their passport.

    python -m training.pocket_diffusion.publish --config training/pocket_diffusion/configs/cpu.json

No figure in the passport is typed by hand: it is made from data/passports/pocket_diffusion.json, which holds what
the steps `judges`, `export` and `evaluate` measured, by the template passport.md beside this file.
"""

import html
import shutil
from pathlib import Path

from bookkit import files
from bookkit.errors import BookError
from training import recipe, registry
from training.pocket_diffusion import evaluate, finished
from training.pocket_diffusion.captions import BACKGROUNDS
from training.pocket_diffusion.configuration import HERE, Config, command, from_arguments, step_parser
from training.pocket_diffusion.data import STYLES
from training.recipe import ROOT, row

TEMPLATE = HERE / "passport.md"
PAGE = "book/passports/text-to-image.md"
RESULTS = "data/passports/pocket_diffusion.json"
PIPELINE, JUDGE = "data/models/pocket-diffusion", "data/models/pocket-judge"
LICENCE = "MIT (weights); the training pictures' licences and credits are in ATTRIBUTION.md"
TRAININGS = {"vae": "autoencoder", "text": "text encoder", "unet": "U-Net", "judge": "judge",
             "style_judge": "style judge"}  # fmt: skip


# --- what was measured ------------------------------------------------------------------------------------


def measured(config: Config) -> dict:
    """Everything the passport says, from the work folder.

    Raises:
        BookError: a step of the recipe has not been run.
    """
    names = {"results": "evaluation/results.json", "samples": "evaluation/samples.json",
             "sizes": "export/sizes.json", "counts": "counts.json"}  # fmt: skip
    report = recipe.measured(config.work, names)
    logs = recipe.measured(config.work, {name: f"{name}.jsonl" for name in TRAININGS})
    report["logs"] = {
        name: [{key: record[key] for key in ("step", "loss", "seconds_per_step")} for record in log]
        for name, log in logs.items()
    }
    report["resolution"] = config.resolution
    report["batches"] = {name: config.training[name].batch for name in TRAININGS}
    return report


# --- the page ---------------------------------------------------------------------------------------------


def gallery(samples: list[dict], side: int) -> str:
    """Pictures with their prompts and seeds, as HTML that wraps on any width and follows the page's theme."""
    figures = "".join(
        f'<figure><img alt="{html.escape(sample["prompt"])}, as generated" width="{side}" height="{side}" '
        f'src="data:image/webp;base64,{sample["webp"]}"><figcaption>{html.escape(sample["prompt"])}, '
        f"seed {sample['seed']}</figcaption></figure>"
        for sample in samples
    )
    return f'<div class="samples">{figures}</div>'


def curves(logs: dict[str, list[dict]]) -> str:
    """The losses of all trainings as an ``<svg>`` that follows the page's theme."""
    import matplotlib.pyplot as plt

    from bookkit import figures

    figures.use_style()
    fig, axes = plt.subplots(2, 3, figsize=(7.8, 4.8))
    axes[1, 2].set_axis_off()
    for ax, (name, title) in zip(axes.flat, TRAININGS.items(), strict=False):
        ax.plot([r["step"] for r in logs[name]], [r["loss"] for r in logs[name]], color=figures.BLUE, linewidth=1.2)
        ax.set(title=title, xlabel="step", yscale="log")
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set_ylabel("loss")
    ends = "; ".join(f"{title} {logs[name][-1]['loss']:.3f}" for name, title in TRAININGS.items())
    return recipe.drawing(fig, f"The losses of five trainings over their steps, all falling. They end at: {ends}.")


def page(report: dict) -> str:
    """The text of the passport, from what :func:`measured` returns."""
    results, sizes, logs, samples = (report[key] for key in ("results", "sizes", "logs", "samples"))
    shown, side = results["samples"], report["resolution"]
    groups = {name: samples[i * shown : (i + 1) * shown] for i, name in enumerate(results["groups"])}
    hours = {name: recipe.seconds(log) / 3600 for name, log in logs.items()}
    return recipe.page(
        TEMPLATE,
        subjects=report["counts"]["subjects"],
        sprites=f"{report['counts']['sprites']:,}",
        styles=", ".join(STYLES),
        backgrounds=", ".join(BACKGROUNDS),
        resolution=side,
        combinations=f"{report['counts']['train']:,}",
        triples=f"{report['counts']['triple']:,}",
        pairs=f"{report['counts']['pair']:,}",
        **{f"{name.replace('-', '_')}_parameters": f"{sizes[name]['parameters'] / 1e6:.1f} million"
           for name in ("vae", "text_encoder", "unet", "judge", "style-judge")},
        bytes=f"{sizes['all']['bytes'] / 1e6:.1f}",
        **{f"{name}_steps": f"{log[-1]['step']:,}" for name, log in logs.items()},
        **{f"{name}_batch": batch for name, batch in report["batches"].items()},
        hours=f"{sum(hours.values()):.1f}",
        curves=curves(logs),
        table=evaluate.table(results).strip(),
        seconds=f"{results['groups']['train']['seconds_per_picture']:.1f}",
        asked_prompt=html.escape(samples[-1]["prompt"]),
        asked=gallery(samples[len(groups) * shown :], side),
        **{f"{name}_samples": gallery(group, side) for name, group in groups.items()},
        judge_rows="\n".join(judge_rows(results["judges"])),
        unseen_style=f"{100 * results['judges']['unseen_style']['style']:.0f} %",
    )  # fmt: skip


def judge_rows(accuracy: dict) -> list[str]:
    """The judges' accuracy on real pictures, as rows of a Markdown table."""
    titles = {"train": "seen in training", "triple": "held-out background", "pair": "held-out style"}
    keys = ("subject_top1", "subject_top5", "style", "background")
    return [
        row(title, f"{accuracy[name]['pictures']:,}", *(f"{100 * accuracy[name][key]:.0f} %" for key in keys))
        for name, title in titles.items()
    ]


# --- the step ---------------------------------------------------------------------------------------------


def publish(config: Config, root: Path = ROOT) -> None:
    """Write models, registry, results and page below `root`, the repository."""
    report = measured(config)
    for source, target in (("pipeline", PIPELINE), ("judge", JUDGE), ("style-judge", f"{JUDGE}/style")):
        shutil.rmtree(root / target, ignore_errors=True)
        shutil.copytree(config.work / "export" / source, root / target)
    shutil.copy(root / PIPELINE / "ATTRIBUTION.md", root / JUDGE)
    parameters = {name: entry["parameters"] for name, entry in report["sizes"].items()}
    judges = parameters["judge"] + parameters["style-judge"]
    for role, folder, count in (("text-to-image", PIPELINE, parameters["all"] - judges), ("judge", JUDGE, judges)):
        found = registry.register(
            role, folder, origin="trained by this project (training/pocket_diffusion)", licence=LICENCE,
            parameters=count, passport=PAGE, root=root,
        )  # fmt: skip
        report.setdefault("files", {})[role] = found
    recipe.write_json(root / RESULTS, report)
    write(root)


def write(root: Path = ROOT) -> None:
    """Write the page from the committed results."""
    files.write_text(root / PAGE, page(**recipe.measured(root, {"report": RESULTS})))


def main(argv=None) -> None:
    parser = step_parser("Ship the models and write their passport.")
    config = from_arguments(parser.parse_args(argv))
    if config.name != finished.SHIPPED:
        raise BookError(
            f'The book ships the models of "{finished.SHIPPED}"; for "{config.name}" change finished.SHIPPED first.'
        )
    publish(config)


if __name__ == "__main__":
    command(main)
