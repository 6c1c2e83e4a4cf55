"""The steps of the recipe: ``python -m training.grounded_qa STEP [--smoke] [--work FOLDER] [--set NAME=VALUE]``.

data        make the data set anew, with its figures
train       train the adapter, or go on where it stopped; also under `accelerate launch -m training.grounded_qa train`
export      write the adapter as the book ships it
evaluate    let the model reply as it is, with examples and with that adapter, and write results.json
publish     carry it into the repository, register it, write its passport
all         train, export, evaluate; in a smoke run data before them
"""

import json
import sys
from pathlib import Path

from bookkit.errors import BookError
from training import recipe
from training.grounded_qa import settings

PUBLIC_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"


def _data_folder(work: Path, smoke: bool) -> Path:
    return work / "data" if smoke else settings.DATA


def data_step(work: Path, config: dict, options) -> None:
    """Write the splits; outside smoke runs into the repository, with the datasheet's figures."""
    from training.grounded_qa import data

    figures = data.make(config["data"], config["seed"], _data_folder(work, options.smoke))
    if not options.smoke:
        data.write_figures(settings.DATA / "DATASHEET.md", figures)
    print(json.dumps({split: counts["items"] for split, counts in figures["splits"].items()}))


def smoke_data_step(work: Path, config: dict, options) -> None:
    """Make a smoke run's own data; the other runs read the repository's."""
    if options.smoke:
        data_step(work, config, options)


def _items(work: Path, smoke: bool, splits: tuple[str, ...]) -> dict[str, list[dict]]:
    from training.grounded_qa import data

    folder = _data_folder(work, smoke)
    return {split: data.rows(folder / f"{split}.jsonl") for split in splits}


def train_step(work: Path, config: dict, options) -> None:
    """Train, or go on training."""
    from training.grounded_qa.train import train

    train(_items(work, options.smoke, ("train", "validation")), work / "run", config, options.stop_after)


def evaluate_step(work: Path, config: dict, options) -> None:
    """Write results.json and print what matters most of it."""
    from training.grounded_qa.evaluate import evaluate

    report = evaluate(_items(work, options.smoke, ("train", config["evaluation"]["split"])), work, config)
    for system, groups in report["systems"].items():
        for group, figures in groups.items():
            print(
                system,
                group,
                {name: figures[name]["value"] for name in ("exact_match", "f1", "abstention_f1", "citation")},
            )


def export_step(work: Path, config: dict, options) -> None:
    """Write the adapter as the book ships it."""
    from training.grounded_qa import base

    title = "tiny" if config["model"]["tiny"] else PUBLIC_NAME
    print(f"{base.export(work / 'run' / 'adapter', work / base.SHIPPED, title):,} bytes")


def publish_step(work: Path, config: dict, options) -> None:
    """Write adapter, registry, results and passport into the repository."""
    from training.grounded_qa.publish import publish

    if options.smoke:
        raise BookError("A smoke run's adapter is not for the book: publish without --smoke.")
    publish(work, config, _items(work, options.smoke, ("train", "test")), PUBLIC_NAME)


STEPS = {
    "data": [data_step],
    "train": [train_step],
    "evaluate": [evaluate_step],
    "export": [export_step],
    "publish": [publish_step],
    "all": [smoke_data_step, train_step, export_step, evaluate_step],
}


def main(arguments: list[str] | None = None) -> int:
    """Run one step; a foreseeable failure is one sentence."""
    return recipe.run_steps("grounded-qa", __doc__, STEPS, settings.settings, settings.work_folder, arguments)


if __name__ == "__main__":
    sys.exit(main())
