"""What chapter 12 cannot wait for: the replies of every system to the whole test set, and the speed of training.

    python -m training.sweeps.grounded_qa

It goes on where the recipe `training/grounded_qa` ended (`make grounded-qa`), in the same folder, and can be
interrupted like it. Kept are:

- "replies": the texts, by item, of the chat model with the instruction alone ("zero_shot") and with worked examples
  ("few_shot"), of the shipped adapter on weights like those of its training ("adapter") and on a model that was never
  rounded to four bits ("adapter_unrounded"), and of two adapters after the first COMPARED steps of the same training,
  one with the loss on the answer alone ("answer_only") and one with the loss on all tokens ("whole_prompt");
- "seconds_per_step": of training, with the frozen weights in float32, bf16 and NF4;
- "new_tokens" and "batch": the limit of a reply, and how many items were written together;
  "compared_after": COMPARED.
"""

import argparse
import copy
import hashlib
import json
import statistics
from pathlib import Path

import torch
from peft import PeftModel

from bookkit import paths, results
from bookkit.errors import BookError
from training.grounded_qa import base, data, evaluate, settings
from training.grounded_qa.__main__ import PUBLIC_NAME
from training.grounded_qa.train import train

NAME = "grounded_qa"
TIMED_STEPS = 3  # the first of them is not counted
COMPARED = 50  # steps after which the two kinds of loss are compared


def early(items: dict, work: Path, config: dict, answer_only: bool) -> dict[str, str]:
    """The replies after the first steps of a training whose loss is on the answer alone, or on all tokens."""
    config = copy.deepcopy(config)
    config["training"]["answer_only"] = answer_only
    config["evaluation"]["systems"] = ["adapter"]
    run = work / "run"
    last = min(COMPARED, config["training"]["max_steps"])
    checkpoint = run / f"checkpoints/checkpoint-{last}"
    if not checkpoint.exists():
        train({split: items[split] for split in ("train", "validation")}, run, config, stop_after=last)
    origin = json.loads((run / "run.json").read_text(encoding="utf-8"))["base"]
    base.sign(checkpoint, origin, config["model"]["precision"])
    base.export(checkpoint, work / base.SHIPPED, PUBLIC_NAME)
    evaluate.evaluate(items, work, config)
    return read_replies(work / f"replies/adapter-{config['evaluation']['split']}.jsonl")


def read_replies(path: Path) -> dict[str, str]:
    """Item → text, from a file of :func:`training.grounded_qa.evaluate.replies`."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return {line["id"]: line["text"] for line in map(json.loads, lines)}


def unrounded(items: list[dict], work: Path, config: dict) -> dict[str, str]:
    """The replies of the shipped adapter on a model that was never rounded to four bits."""
    options = config["evaluation"]
    adapter = work / base.SHIPPED
    model = base.load_model(config["model"], "float32", config["seed"])
    model = PeftModel.from_pretrained(model, adapter).eval()
    digest = hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest()
    path = work / f"replies/adapter_unrounded-{options['split']}.jsonl"
    about = {"of": "adapter_unrounded", "new_tokens": options["new_tokens"], "batch": options["batch"]}
    about["adapter"] = digest
    evaluate.replies(path, about, model, base.load_tokenizer(config["model"]), items, [], options)
    return read_replies(path)


def seconds_per_step(items: dict, work: Path, config: dict, precision: str) -> float:
    """The middle of a few steps' seconds, without set-up."""
    config = copy.deepcopy(config)
    config["model"]["precision"] = precision
    config["training"] |= {"max_steps": TIMED_STEPS, "log_every": 1, "validate_every": None}
    log = train({split: items[split] for split in ("train", "validation")}, work, config)
    return statistics.median(entry["seconds_per_step"] for entry in log if entry["step"] > 1)


def measure(work: Path, config: dict, folder: Path, precisions: tuple[str, ...] = settings.PRECISIONS) -> dict:
    """Everything that is kept.

    Args:
        work: the recipe's folder, in which an adapter was trained and exported.
        config: the whole settings.
        folder: with the splits of the data set.
        precisions: of the frozen weights, to be timed.

    Raises:
        BookError: there is no adapter in `work`.
    """
    if not (work / base.SHIPPED).exists():
        raise BookError(f"There is no adapter in {work}: run `make grounded-qa` first.")
    options = config["evaluation"]
    items = {split: data.rows(folder / f"{split}.jsonl") for split in data.SPLITS}
    asked = items[options["split"]][: options["items"]]
    evaluate.evaluate(items, work, config)
    replies = {system: read_replies(work / f"replies/{system}-{options['split']}.jsonl") for system in evaluate.SYSTEMS}
    replies["adapter_unrounded"] = unrounded(asked, work, config)
    for name, answer_only in (("answer_only", True), ("whole_prompt", False)):
        replies[name] = early(items, work / name, config, answer_only)
    return {
        "new_tokens": options["new_tokens"],
        "batch": options["batch"],
        "compared_after": COMPARED,
        "seconds_per_step": {
            precision: round(seconds_per_step(items, work / "speed" / precision, config, precision), 2)
            for precision in precisions
        },
        "replies": {system: {item["id"]: texts[item["id"]] for item in asked} for system, texts in replies.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--work", help="the recipe's folder (default: GROUNDED_QA_DIR or the cache)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as the recipe was given it")
    args = parser.parse_args()
    torch.manual_seed(0)
    config = settings.settings(changes=tuple(args.set))
    report = measure(settings.work_folder(args.work), config, settings.DATA)
    root = paths.root()
    inputs = ["training/sweeps/grounded_qa.py", "training/grounded_qa/house.py"]
    inputs += [(settings.DATA / f"{split}.jsonl").relative_to(root).as_posix() for split in data.SPLITS]
    inputs += [f"data/models/{base.SHIPPED}/adapter_model.safetensors"]
    path = results.write(
        NAME, report, command=f"python -m training.sweeps.{NAME}", seeds=[config["seed"]], inputs=inputs
    )
    print(f"written: {path}")


if __name__ == "__main__":
    main()
