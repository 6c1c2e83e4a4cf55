"""The steps of the recipe: ``python -m training.pocket_gpt2 STEP [--smoke] [--work FOLDER] [--set NAME=VALUE]``.

corpus      gather, clean and split the texts
sample      write the part of the corpus that the chapters read into the repository
tokenizer   train the byte-level BPE and turn the texts into ids
sweep       train every size for a while and compare
train       train the chosen size, or go on where it stopped
export      write the model as the book ships it
evaluate    measure what is shipped and write results.json
again       run the recipe with another seed and measure in brief: how much of the figures is luck
publish     carry model, results and log into the repository, register it, write its passport
all         corpus, tokenizer, sweep, train, export, evaluate
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from bookkit.errors import BookError
from training import recipe
from training.pocket_gpt2 import corpus, people, settings, tokenizer

SHIPPED = "pocket-gpt2"  # folder of the model as the book ships it


def corpus_step(work: Path, config: dict, options) -> None:
    """Write the splits and print their figures."""
    print(json.dumps(corpus.build(work / "corpus", config["corpus"]), indent=1))


def sample_step(work: Path, config: dict, options) -> None:
    """Write the part of the corpus that the chapters read into the repository."""
    corpus.write_sample(work / "corpus", config["corpus"]["sample"], config["seed"])


def tokenizer_step(work: Path, config: dict, options) -> None:
    """Train the tokenizer on the training split; write the ids of the training and the validation split."""
    texts = corpus.load(work / "corpus")
    made = tokenizer.train(
        texts["train"]["text"], config["tokenizer"]["entries"], work / "tokenizer", config["model"]["context"]
    )
    for split in ("train", "validation"):
        ids = tokenizer.encode(made, list(texts[split]["text"]))
        np.save(work / f"{split}.npy", ids)
        print(f"{split}: {len(ids):,} tokens")


def _tokens(work: Path) -> dict[str, np.ndarray]:
    try:
        return {split: np.load(work / f"{split}.npy") for split in ("train", "validation")}
    except OSError as error:
        raise BookError(f"{error.filename} cannot be read: run `python -m training.pocket_gpt2 tokenizer`.") from error


def _run(work: Path, config: dict, folder: Path, **options):
    from training.pocket_gpt2.train import train

    words = tokenizer.load(work / "tokenizer")
    names = sorted(set.union(*people.beginnings(words).values()))
    end = words.convert_tokens_to_ids(tokenizer.END)
    return train(_tokens(work), folder, config, len(words), end, names, **options)


def train_step(work: Path, config: dict, options) -> None:
    """Train the chosen size; resume where there are checkpoints."""
    model, _ = _run(work, config, work / "run", stop_after=options.stop_after)
    print(f"{model.num_parameters():,} parameters")


def sweep_step(work: Path, config: dict, options) -> None:
    """Train every size for the same number of steps and write sweep.json, best first."""
    results = []
    for size in config["sweep"]["sizes"]:
        chosen = config | {"model": config["model"] | {"size": size}}
        started = time.perf_counter()
        model, log = _run(work, chosen, work / "sweep" / size, max_steps=config["sweep"]["max_steps"])
        results.append(
            {
                "size": size,
                "parameters": model.num_parameters(),
                "validation_loss": log[-1]["validation_loss"],
                "seconds": round(time.perf_counter() - started, 1),
            }
        )
    results.sort(key=lambda result: result["validation_loss"])
    recipe.write_json(work / "sweep.json", results)
    print(json.dumps(results, indent=1))


def export_step(work: Path, config: dict, options) -> None:
    """Write the trained model as the book ships it."""
    from training.pocket_gpt2.export import export

    print(f"{export(work / 'run' / 'model', work / 'tokenizer', work / SHIPPED):,} bytes")


def evaluate_step(work: Path, config: dict, options) -> None:
    """Measure the shipped model and write results.json."""
    from transformers import AutoModelForCausalLM

    from training.pocket_gpt2.evaluate import evaluate

    folder = work / SHIPPED
    if not folder.exists():
        raise BookError(f"There is no model in {folder}: run `python -m training.pocket_gpt2 export`.")
    report = evaluate(
        AutoModelForCausalLM.from_pretrained(folder),
        tokenizer.load(folder),
        corpus.load(work / "corpus"),
        _tokens(work)["train"],
        config,
    )
    recipe.write_json(work / "results.json", report)
    print(json.dumps(report, indent=1, ensure_ascii=False))


def again_step(work: Path, config: dict, options) -> None:
    """Train once more, with the next seed, and write again.json."""
    from training.pocket_gpt2.evaluate import briefly

    other = config | {"seed": config["seed"] + 1}
    model, log = _run(work, other, work / "again")
    report = briefly(
        model, tokenizer.load(work / "tokenizer"), corpus.load(work / "corpus"), _tokens(work)["train"], other
    )
    report["validation_loss"] = log[-1]["validation_loss"]
    recipe.write_json(work / "again.json", report)
    print(json.dumps(report, indent=1))


def publish_step(work: Path, config: dict, options) -> None:
    """Write model, registry, results, log and passport into the repository."""
    from training.pocket_gpt2 import passport

    passport.publish(work, config, work / SHIPPED)


STEPS = {
    "corpus": [corpus_step],
    "sample": [sample_step],
    "tokenizer": [tokenizer_step],
    "sweep": [sweep_step],
    "train": [train_step],
    "export": [export_step],
    "evaluate": [evaluate_step],
    "again": [again_step],
    "publish": [publish_step],
    "all": [corpus_step, tokenizer_step, sweep_step, train_step, export_step, evaluate_step],
}


def main(arguments: list[str] | None = None) -> int:
    """Run one step; a foreseeable failure is one sentence."""
    return recipe.run_steps(SHIPPED, __doc__, STEPS, settings.settings, settings.work_folder, arguments)


if __name__ == "__main__":
    sys.exit(main())
