"""The steps of the recipe: ``python -m training.grounded_qa STEP [--smoke] [--work FOLDER] [--set NAME=VALUE]``.

data        make the data set anew, with its figures
train       train the adapter, or go on where it stopped; also under `accelerate launch -m training.grounded_qa train`
export      write the adapter as the book ships it
evaluate    let the model reply as it is, with examples and with that adapter, and write results.json
publish     carry it into the repository, register it, write its passport
all         train, export, evaluate
"""

import argparse
import json
import sys
from pathlib import Path

from bookkit.errors import BookError
from training.grounded_qa import settings

PUBLIC_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"


def _data_folder(work: Path, smoke: bool) -> Path:
    return work / "data" if smoke else settings.DATA


def data_step(work: Path, config: dict, smoke: bool, **_) -> None:
    """Write the splits; outside smoke runs into the repository, with the datasheet's figures."""
    from training.grounded_qa import data

    figures = data.make(config["data"], config["seed"], _data_folder(work, smoke))
    if not smoke:
        data.write_figures(settings.DATA / "DATASHEET.md", figures)
    print(json.dumps({split: counts["items"] for split, counts in figures["splits"].items()}))


def _items(work: Path, smoke: bool, splits: tuple[str, ...]) -> dict[str, list[dict]]:
    from training.grounded_qa import data

    folder = _data_folder(work, smoke)
    return {split: data.rows(folder / f"{split}.jsonl") for split in splits}


def train_step(work: Path, config: dict, smoke: bool, stop_after: int | None = None, **_) -> None:
    """Train, or go on training."""
    from training.grounded_qa.train import train

    train(_items(work, smoke, ("train", "validation")), work / "run", config, stop_after)


def evaluate_step(work: Path, config: dict, smoke: bool, **_) -> None:
    """Write results.json and print what matters most of it."""
    from training.grounded_qa.evaluate import evaluate

    report = evaluate(_items(work, smoke, ("train", config["evaluation"]["split"])), work, config)
    for system, groups in report["systems"].items():
        for group, figures in groups.items():
            print(
                system,
                group,
                {name: figures[name]["value"] for name in ("exact_match", "f1", "abstention_f1", "citation")},
            )


def export_step(work: Path, config: dict, **_) -> None:
    """Write the adapter as the book ships it."""
    from training.grounded_qa import base

    title = "tiny" if config["model"]["tiny"] else PUBLIC_NAME
    print(f"{base.export(work / 'run' / 'adapter', work / base.SHIPPED, title):,} bytes")


def publish_step(work: Path, config: dict, smoke: bool, **_) -> None:
    """Write adapter, registry, results and passport into the repository."""
    from training.grounded_qa.publish import publish

    if smoke:
        raise BookError("A smoke run's adapter is not for the book: publish without --smoke.")
    publish(work, config, _items(work, smoke, ("train", "test")), PUBLIC_NAME)


STEPS = {
    "data": [data_step],
    "train": [train_step],
    "evaluate": [evaluate_step],
    "export": [export_step],
    "publish": [publish_step],
    "all": [train_step, export_step, evaluate_step],
}


def main(arguments: list[str] | None = None) -> int:
    """Run one step; a foreseeable failure is one sentence."""
    parser = argparse.ArgumentParser(prog="python -m training.grounded_qa", description=__doc__.split("\n\n")[0])
    parser.add_argument("step", choices=list(STEPS))
    parser.add_argument("--smoke", action="store_true", help="the whole chain in small, with a tiny random model")
    parser.add_argument("--work", help="folder for everything that is made (default: GROUNDED_QA_DIR or the cache)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another value for a setting")
    parser.add_argument("--stop-after", type=int, help="train: stop at this step; a later call goes on")
    options = parser.parse_args(arguments)
    try:
        config = settings.settings(options.smoke, tuple(options.set))
        work = settings.work_folder(options.work, options.smoke)
        steps = STEPS[options.step]
        if options.smoke and options.step == "all":
            steps = [data_step, *steps]
        for step in steps:
            step(work, config, smoke=options.smoke, stop_after=options.stop_after)
    except BookError as error:
        print(f"grounded-qa: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
