"""Carry pocket-gpt2 into the repository, name it in the registry, and write its passport from what was measured."""

import html
import shutil
from pathlib import Path

from bookkit import files
from training import recipe, registry
from training.pocket_gpt2 import corpus, settings, tokenizer
from training.recipe import ROOT, row

TEMPLATE = settings.HERE / "passport.md"
ROLE = "gpt2"
PAGE = "book/passports/gpt2.md"
RESULTS = "data/passports/pocket_gpt2.json"
LOG = "data/results/pocket_gpt2_log.jsonl"
TARGET = "data/models/pocket-gpt2"


def loss_curve(log: list[dict]) -> str:
    """The loss over the tokens seen, as an ``<svg>`` that follows the page's theme."""
    import matplotlib.pyplot as plt

    from bookkit import figures

    figures.use_style()
    fig, ax = plt.subplots(figsize=(7.2, 3.4))
    tested = [entry for entry in log if "validation_loss" in entry]
    ax.plot([e["tokens"] / 1e6 for e in log], [e["loss"] for e in log], color=figures.BLUE, linewidth=1.2)
    ax.plot([e["tokens"] / 1e6 for e in tested], [e["validation_loss"] for e in tested], "o", color=figures.GREEN)
    ax.annotate("training", (log[len(log) // 6]["tokens"] / 1e6, log[len(log) // 6]["loss"]),
                xytext=(0, -22), textcoords="offset points", color=figures.BLUE)  # fmt: skip
    ax.annotate("validation", (tested[1]["tokens"] / 1e6, tested[1]["validation_loss"]),
                xytext=(6, 8), textcoords="offset points", color=figures.GREEN)  # fmt: skip
    ax.set(xlabel="million tokens seen", ylabel="loss, nats per token", ylim=(0, None))
    return recipe.drawing(
        fig,
        f"The training loss falls from {log[0]['loss']:.1f} to {log[-1]['loss']:.1f} nats per token, steeply at first; "
        f"the validation loss ends at {tested[-1]['validation_loss']:.2f}.",
    )


def percent(share: float) -> str:
    """A share as a percentage, such as 12.3 %."""
    return f"{100 * share:.1f} %"


def _fit(fit: dict) -> list[str]:
    sources = {"engine": "story engine", "novels": "novels"}
    splits = {"known": "new stories, known scene types"}
    return [
        row(
            splits.get(split) or f"{split}, {sources[source]}",
            f"{found['perplexity']:.2f}",
            f"{found['bits_per_byte']:.3f}",
            f"{found['five_gram_bits_per_byte']:.3f}",
            percent(found["below_five_gram"]),
            f"{found['judge_bits_per_byte']:.3f}",
            f"{found['gzip_bits_per_byte']:.3f}",
        )
        for (split, source), found in ((name.split("/"), found) for name, found in fit.items())
    ]


def _sizes(sweep: list[dict], sizes: dict[str, dict]) -> list[str]:
    return [
        row(
            f"{run['size']}: {sizes[run['size']]['n_layer']} layers of width {sizes[run['size']]['n_embd']}",
            f"{run['parameters']:,}",
            f"{run['validation_loss']:.3f}",
            f"{run['seconds'] / 60:.1f}",
        )
        for run in sweep
    ]


def _fluency(fluency: dict) -> list[str]:
    names = {"corpus": "the corpus's own words", "greedy": "greedy", "sampled": "sampled, T = 0.8, top-p 0.95"}
    return [
        row(
            title,
            percent(fluency[name]["judge_passes"]),
            percent(fluency[name]["repetition_passes"]),
            percent(fluency[name]["passes"]),
            percent(fluency[name]["distinct"]["2"]),
            percent(fluency[name]["distinct"]["4"]),
        )
        for name, title in names.items()
    ]


def _consistency(consistency: dict, kinds: list[str]) -> list[str]:
    names = {
        "model": "pocket-gpt2",
        "five_gram": "the 5-gram",
        "majority": "the commonest answer",
        "last mentioned": "the choice named last",
    }
    return [
        row(
            title,
            percent(consistency[name]["accuracy"]),
            *(percent(consistency[name][kind]) for kind in kinds),
        )
        for name, title in names.items()
    ]


def _again(results: dict, log: list[dict], again: dict) -> list[str]:
    """The shipped run and the one with another seed, figure by figure."""
    pair = (results, again)
    texts = {"test/engine": "new scene types, bits per byte", "test/novels": "a new novel, bits per byte"}
    texts["known/engine"] = "known scene types, bits per byte"
    ends = (log[-1]["validation_loss"], again["validation_loss"])
    return [
        row("validation loss at the end, nats per token", *(f"{loss:.3f}" for loss in ends)),
        *(row(title, *(f"{run['fit'][key]['bits_per_byte']:.3f}" for run in pair)) for key, title in texts.items()),
        row("the right name", *(percent(run["people"]["right_name"]) for run in pair)),
        row("the right pronoun", *(percent(run["people"]["right_pronoun"]) for run in pair)),
        row("names named again, in its own texts", *(percent(run["people"]["share_again"]["written"]) for run in pair)),
    ]


def _sample(sample: dict) -> str:
    paragraphs = sample["text"].strip().split("\n\n")
    text = "\n>\n> ".join(
        "<br>".join(html.escape(line).replace("*", "&#42;").replace("_", "&#95;") for line in paragraph.split("\n"))
        for paragraph in paragraphs
    )
    return f"**{sample['seed']}**\n\n> {text}"


def page(report: dict, log: list[dict]) -> str:
    """The text of book/passports/gpt2.md.

    Args:
        report: what :data:`RESULTS` holds: the settings, the figures of `evaluate` and of the corpus.
        log: the lines of :data:`LOG`.
    """
    settings, results = report["settings"], report["results"]
    options, model = settings["training"], settings["model"]
    size = model["sizes"][model["size"]]
    kinds = sorted(results["consistency"]["kinds"])
    seen = log[-1]["tokens"]
    return recipe.page(
        TEMPLATE,
        parameters=f"{results['parameters']:,}",
        layers=size["n_layer"],
        width=size["n_embd"],
        heads=size["n_head"],
        context=model["context"],
        entries=f"{settings['tokenizer']['entries']:,}",
        train_tokens=f"{results['train_tokens']:,}",
        novel_share=percent(report["novel_tokens"] / results["train_tokens"]),
        corpus_hash=report["corpus"]["train"]["sha256"],
        bytes=f"{report['files']['model.safetensors']['bytes']:,}",
        steps=f"{log[-1]['step']:,}",
        batch=options["batch"],
        seen=f"{seen:,}",
        epochs=f"{seen / results['train_tokens']:.2f} times the length",
        rate=options["learning_rate"],
        muon=options["muon"],
        name_weight=options["names"]["weight"],
        name_steps=options["names"]["steps"],
        warmup=options["warmup"],
        seed=settings["seed"],
        figure=loss_curve(log),
        sweep_steps=settings["sweep"]["max_steps"],
        sweep_rows="\n".join(_sizes(report["sweep"], model["sizes"])),
        near_duplicates=report["corpus"]["train"]["near_duplicates"],
        fit_rows="\n".join(_fit(results["fit"])),
        known_below=percent(results["fit"]["known/engine"]["below_five_gram"]),
        test_below=percent(results["fit"]["test/engine"]["below_five_gram"]),
        engine_target=f"{0.75 * results['fit']['test/engine']['five_gram_bits_per_byte']:.2f}",
        prompts=results["fluency"]["prompts"],
        new_tokens=settings["evaluation"]["new_tokens"],
        fluency_rows="\n".join(_fluency(results["fluency"])),
        questions=results["consistency"]["questions"],
        chance=percent(results["consistency"]["chance"]),
        kind_heads=" | ".join(kinds),
        kind_rules="|".join("---" for _ in kinds),
        consistency_rows="\n".join(_consistency(results["consistency"], kinds)),
        people_stories=results["people"]["stories"],
        people_again=f"{results['people']['again']:,}",
        right_name=percent(results["people"]["right_name"]),
        pronouns=results["people"]["pronouns"],
        right_pronoun=percent(results["people"]["right_pronoun"]),
        people_written=results["people"]["written"],
        again_written=percent(results["people"]["share_again"]["written"]),
        again_stories=percent(results["people"]["share_again"]["stories"]),
        longest=results["memorisation"]["longest_overlap_tokens"],
        share_50=percent(results["memorisation"]["share_of_50_token_runs"]),
        sample_tokens=model["context"] - 1,
        samples="\n\n".join(map(_sample, results["samples"])),
        again_seed=report["again"]["seed"],
        again_rows="\n".join(_again(results, log, report["again"])),
    )


def publish(work: Path, config: dict, shipped: Path, root: Path = ROOT) -> None:
    """Write model, registry, results, log and page below `root`, the repository.

    Args:
        work: folder of the recipe.
        config: the whole settings.
        shipped: folder of the exported model.
        root: the repository.

    Raises:
        BookError: a step of the recipe has not been run.
    """
    names = {
        "results": "results.json",
        "corpus": "corpus/statistics.json",
        "sweep": "sweep.json",
        "again": "again.json",
    }
    report, log = recipe.measured(work, names), recipe.measured(work, {"log": "run/log.jsonl"})["log"]
    shutil.rmtree(root / TARGET, ignore_errors=True)
    shutil.copytree(shipped, root / TARGET)
    found = registry.register(
        ROLE, TARGET, origin="trained by this project (training/pocket_gpt2)", licence="MIT",
        parameters=report["results"]["parameters"], passport=PAGE, root=root,
    )  # fmt: skip
    report |= {"settings": config, "files": found, "novel_tokens": _novel_tokens(work, shipped)}
    recipe.write_json(root / RESULTS, report)
    recipe.write_lines(root / LOG, log)
    write(root)


def _novel_tokens(work: Path, shipped: Path) -> int:
    rows = corpus.load(work / "corpus")["train"]
    texts = [row["text"] for row in rows if row["source"] == "novels"]
    return len(tokenizer.encode(tokenizer.load(shipped), texts)) - 1


def write(root: Path = ROOT) -> None:
    """Write the page from the committed results."""
    report = recipe.measured(root, {"report": RESULTS, "log": LOG})
    files.write_text(root / PAGE, page(**report))
