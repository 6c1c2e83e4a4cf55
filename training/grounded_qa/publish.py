"""Carry the adapter into the repository, name it in the registry, and write its passport.

No figure of the passport is typed by hand: it is made from data/passports/grounded_qa.json, which holds what training
and evaluation measured, by the template passport.md beside this file.
"""

import json
from pathlib import Path
from string import Template

from bookkit.errors import BookError
from training import registry
from training.grounded_qa import base
from training.registry import ROOT

ROLE = "grounded-qa"
PAGE = "book/passports/grounded-qa.md"
RESULTS = "data/passports/grounded_qa.json"
TARGET = "data/models/grounded-qa"
TEMPLATE = Path(__file__).with_name("passport.md")
MARKS = {
    "exact_match": "exact match",
    "f1": "F1",
    "contained": "contained",
    "abstention_precision": "abstention precision",
    "abstention_recall": "abstention recall",
    "abstention_f1": "abstention F1",
    "citation": "cited",
}
SYSTEMS = {"zero_shot": "base model, instruction alone", "few_shot": "base model, with examples", "adapter": "adapter"}
GROUPS = {"all": "all", "families_seen": "families seen", "families_unseen": "families unseen"}
SHOWN = 12


def measured(work: Path, config: dict, items: dict[str, list[dict]]) -> dict:
    """Everything that the passport says.

    Args:
        work: the recipe's folder, in which training and evaluation are done.
        config: the whole settings.
        items: of "train" and "test".

    Raises:
        BookError: a step of the recipe has not been run.
    """
    try:
        results = json.loads((work / "results.json").read_text(encoding="utf-8"))
        log = [json.loads(line) for line in (work / "run/log.jsonl").read_text(encoding="utf-8").splitlines()]
        replies = (work / "replies/adapter-test.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    except FileNotFoundError as error:
        raise BookError(f"{error.filename} is missing: run the steps train and evaluate first.") from None
    texts = {line["id"]: line["text"] for line in map(json.loads, replies)}
    samples = [
        {key: item[key] for key in ("passages", "question", "answer", "citation")} | {"reply": texts[item["id"]]}
        for item in items["test"]
        if item["id"] in texts
    ]
    return {
        "results": results,
        "log": log,
        "samples": samples[:SHOWN],
        "items": len(items["train"]),
        "settings": {name: config[name] for name in ("seed", "model", "lora", "training", "evaluation")},
    }


def page(report: dict) -> str:
    """The text of the passport, from what `measured` returns, and the files' figures."""
    settings, results = report["settings"], report["results"]
    options = settings["training"]
    losses = [entry for entry in report["log"] if "loss" in entry]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        rank=settings["lora"]["r"],
        alpha=settings["lora"]["alpha"],
        parameters=f"{report['parameters']:,}",
        bytes=f"{report['bytes']:,}",
        base=report["base"],
        items=f"{report['items']:,}",
        steps=f"{losses[-1]['step']:,}",
        batch=options["batch"],
        learning_rate=f"{options['learning_rate']:g}",
        precision=settings["model"]["precision"],
        measured_in=settings["evaluation"]["precision"]
        + (", its weights rounded to four bits for the adapter" if settings["model"]["precision"] == "nf4" else ""),
        hours=f"{seconds(report['log']) / 3600:.1f}",
        seed=settings["seed"],
        context=settings["model"]["context"],
        shots=settings["evaluation"]["shots"],
        declined=figure(results["systems"]["adapter"]["all"]["abstention_recall"]),
        test=results["items"]["all"],
        curve=curve(report["log"]),
        table=table(results),
        gains=gains(results["gains"]["adapter_over_few_shot"]),
        samples="\n\n".join(map(sample, report["samples"])),
        shown=len(report["samples"]),
    )


def seconds(log: list[dict]) -> float:
    """What the steps took, without validation and set-up."""
    timed = [entry for entry in log if "seconds_per_step" in entry]
    before = [0] + [entry["step"] for entry in timed]
    return sum(entry["seconds_per_step"] * (entry["step"] - start) for entry, start in zip(timed, before, strict=False))


def figure(found: dict, signed: bool = False) -> str:
    """A value with its interval, in hundredths."""
    if found["value"] is None:
        return "–"
    sign = "+" if signed else ""
    return f"{found['value']:{sign}.2f} ({found['low']:{sign}.2f} to {found['high']:{sign}.2f})"


def table(results: dict) -> str:
    """The marks of every system as a Markdown table."""
    lines = ["| | questions | " + " | ".join(MARKS.values()) + " |", "|---" * (len(MARKS) + 2) + "|"]
    for system, title in SYSTEMS.items():
        for group, name in GROUPS.items():
            if found := results["systems"][system].get(group):
                cells = " | ".join(figure(found[mark]) for mark in MARKS)
                lines.append(f"| {title} | {name} | {cells} |")
    return "\n".join(lines)


def gains(found: dict) -> str:
    """What the adapter gains, as a Markdown table."""
    lines = ["| questions | " + " | ".join(MARKS.values()) + " |", "|---" * (len(MARKS) + 1) + "|"]
    for group, name in GROUPS.items():
        if group in found:
            lines.append(f"| {name} | " + " | ".join(figure(found[group][mark], signed=True) for mark in MARKS) + " |")
    return "\n".join(lines)


def sample(one: dict) -> str:
    """A question with its passages, the right reply and the adapter's, as a block of text."""
    right = "The context does not say." if one["answer"] is None else f"{one['answer']} [{one['citation']}]"
    lines = [f"[{number}] {passage}" for number, passage in enumerate(one["passages"], 1)]
    lines += [
        "",
        f"Question: {one['question']}",
        f"Right:    {right}",
        f"Reply:    {' / '.join(one['reply'].split(chr(10)))}",
    ]
    return "```text\n" + "\n".join(lines).replace("```", "'''") + "\n```"


def curve(log: list[dict]) -> str:
    """The losses as an ``<svg>`` that follows the page's theme."""
    import matplotlib.pyplot as plt

    from bookkit import figures

    figures.use_style()
    fig, ax = plt.subplots(figsize=(7.2, 3))
    ends = []
    for key, name, colour in (("loss", "training", figures.BLUE), ("validation_loss", "validation", figures.ORANGE)):
        entries = [entry for entry in log if key in entry]
        if entries:
            mark = "o" if key == "validation_loss" else None
            ax.plot([e["step"] for e in entries], [e[key] for e in entries], color=colour, label=name, marker=mark)
            ends.append(f"{name} {entries[0][key]:.2f} to {entries[-1][key]:.2f}")
    ax.set(xlabel="step", ylabel="nats a token of the reply", ylim=(0, None))
    ax.legend()
    picture = figures.svg(fig, f"The loss over the steps of the training: {'; '.join(ends)}.")
    plt.close(fig)
    # a blank line would end the HTML block in the page
    return "\n".join(line for line in picture.splitlines() if line.strip())


def publish(work: Path, config: dict, items: dict[str, list[dict]], title: str, root: Path = ROOT) -> None:
    """Write adapter, registry, results and page below `root`, the repository."""
    from safetensors import safe_open

    report = measured(work, config, items)
    base.export(work / "run/adapter", root / TARGET, title)
    with safe_open(root / TARGET / "adapter_model.safetensors", "pt") as weights:
        report["parameters"] = sum(weights.get_tensor(name).numel() for name in weights.keys())
    files = registry.manifest(root / TARGET)
    report |= {"files": files, "bytes": files["adapter_model.safetensors"]["bytes"], "base": title}
    registry.register(
        ROLE, root / TARGET, origin="trained by this project (training/grounded_qa)", licence="Apache-2.0",
        parameters=report["parameters"], passport=PAGE, registry=root / "data/models.yml", path=TARGET,
    )  # fmt: skip
    for name in (RESULTS, PAGE):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / RESULTS).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (root / PAGE).write_text(page(report), encoding="utf-8")
