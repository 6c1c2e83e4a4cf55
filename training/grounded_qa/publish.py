"""Carry the adapter into the repository, name it in the registry, and write its passport.

No figure of the passport is typed by hand: it is made from data/passports/grounded_qa.json, which holds what training
and evaluation measured, by the template passport.md beside this file.
"""

from pathlib import Path

from bookkit import files
from training import recipe, registry
from training.grounded_qa import base, settings
from training.recipe import ROOT, row

ROLE = "grounded-qa"
PAGE = "book/passports/grounded-qa.md"
RESULTS = "data/passports/grounded_qa.json"
TARGET = "data/models/grounded-qa"
TEMPLATE = settings.HERE / "passport.md"
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
    names = {"results": "results.json", "log": "run/log.jsonl", "replies": "replies/adapter-test.jsonl"}
    report = recipe.measured(work, names)
    texts = {line["id"]: line["text"] for line in report.pop("replies")[1:]}
    samples = [
        {key: item[key] for key in ("passages", "question", "answer", "citation")} | {"reply": texts[item["id"]]}
        for item in items["test"]
        if item["id"] in texts
    ]
    return report | {
        "samples": samples[:SHOWN],
        "items": len(items["train"]),
        "settings": {name: config[name] for name in ("seed", "model", "lora", "training", "evaluation")},
    }


def page(report: dict) -> str:
    """The text of the passport, from what `measured` returns, and the files' figures."""
    config, results = report["settings"], report["results"]
    options = config["training"]
    losses = [entry for entry in report["log"] if "loss" in entry]
    return recipe.page(
        TEMPLATE,
        rank=config["lora"]["r"],
        alpha=config["lora"]["alpha"],
        parameters=f"{report['parameters']:,}",
        bytes=f"{report['bytes']:,}",
        base=report["base"],
        items=f"{report['items']:,}",
        steps=f"{losses[-1]['step']:,}",
        batch=options["batch"],
        learning_rate=f"{options['learning_rate']:g}",
        precision=config["model"]["precision"],
        measured_in=config["evaluation"]["precision"]
        + (", its weights rounded to four bits for the adapter" if config["model"]["precision"] == "nf4" else ""),
        hours=f"{recipe.seconds(report['log']) / 3600:.1f}",
        seed=config["seed"],
        context=config["model"]["context"],
        shots=config["evaluation"]["shots"],
        declined=figure(results["systems"]["adapter"]["all"]["abstention_recall"]),
        test=results["items"]["all"],
        curve=curve(report["log"]),
        table=table(results),
        gains=gains(results["gains"]["adapter_over_few_shot"]),
        samples="\n\n".join(map(sample, report["samples"])),
        shown=len(report["samples"]),
    )


def figure(found: dict, signed: bool = False) -> str:
    """A value with its interval, in hundredths; a line may break before its "to", not behind."""
    if found["value"] is None:
        return "–"
    sign = "+" if signed else ""
    return f"{found['value']:{sign}.2f} ({found['low']:{sign}.2f} to\u00a0{found['high']:{sign}.2f})"


def table(results: dict) -> str:
    """The marks of every system as a Markdown table."""
    lines = ["| " + row("questions", *MARKS.values()), "|---" * (len(MARKS) + 2) + "|"]
    for system, title in SYSTEMS.items():
        for group, name in GROUPS.items():
            if found := results["systems"][system].get(group):
                lines.append(row(title, name, *(figure(found[mark]) for mark in MARKS)))
    return "\n".join(lines)


def gains(found: dict) -> str:
    """What the adapter gains, as a Markdown table."""
    lines = [row("questions", *MARKS.values()), "|---" * (len(MARKS) + 1) + "|"]
    for group, name in GROUPS.items():
        if group in found:
            lines.append(row(name, *(figure(found[group][mark], signed=True) for mark in MARKS)))
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
    return recipe.drawing(fig, f"The loss over the steps of the training: {'; '.join(ends)}.")


def publish(work: Path, config: dict, items: dict[str, list[dict]], title: str, root: Path = ROOT) -> None:
    """Write adapter, registry, results and page below `root`, the repository."""
    from safetensors import safe_open

    report = measured(work, config, items)
    base.export(work / "run/adapter", root / TARGET, title)
    with safe_open(root / TARGET / "adapter_model.safetensors", "pt") as weights:
        report["parameters"] = sum(weights.get_tensor(name).numel() for name in weights.keys())
    found = registry.register(
        ROLE, TARGET, origin="trained by this project (training/grounded_qa)", licence="Apache-2.0",
        parameters=report["parameters"], passport=PAGE, root=root,
    )  # fmt: skip
    report |= {"files": found, "bytes": found["adapter_model.safetensors"]["bytes"], "base": title}
    recipe.write_json(root / RESULTS, report)
    write(root)


def write(root: Path = ROOT) -> None:
    """Write the page from the committed results."""
    files.write_text(root / PAGE, page(**recipe.measured(root, {"report": RESULTS})))
