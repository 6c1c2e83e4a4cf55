"""The passport page of pocket-gpt2, from what the recipe measured: no figure in it is typed by hand."""

import hashlib
import html
import json
import shutil
from pathlib import Path
from string import Template

from bookkit.errors import BookError
from training.pocket_gpt2 import corpus, tokenizer
from training.pocket_gpt2.settings import ROOT

TEMPLATE = Path(__file__).with_name("passport.md")
PAGE = ROOT / "book/passports/gpt2.md"
MODEL = ROOT / "data/models/pocket-gpt2"
RESULTS = ROOT / "data/passports/pocket_gpt2.json"
LOG = ROOT / "data/results/pocket_gpt2_log.jsonl"


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
    picture = figures.svg(
        fig,
        f"The training loss falls from {log[0]['loss']:.1f} to {log[-1]['loss']:.1f} nats per token, steeply at first; "
        f"the validation loss ends at {tested[-1]['validation_loss']:.2f}.",
    )
    plt.close(fig)
    # a blank line would end the HTML block in the page
    return "\n".join(line for line in picture.splitlines() if line.strip())


def percent(share: float) -> str:
    """A share as a percentage, such as 12.3 %."""
    return f"{100 * share:.1f} %"


def _row(*cells) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _fit(fit: dict) -> list[str]:
    sources = {"engine": "story engine", "novels": "novels"}
    splits = {"known": "new stories, known scene types"}
    return [
        _row(
            splits.get(split) or f"{split}, {sources[source]}",
            f"{row['perplexity']:.2f}",
            f"{row['bits_per_byte']:.3f}",
            f"{row['five_gram_bits_per_byte']:.3f}",
            percent(row["below_five_gram"]),
            f"{row['judge_bits_per_byte']:.3f}",
            f"{row['gzip_bits_per_byte']:.3f}",
        )
        for (split, source), row in ((name.split("/"), row) for name, row in fit.items())
    ]


def _sizes(sweep: list[dict], sizes: dict[str, dict]) -> list[str]:
    return [
        _row(
            f"{row['size']}: {sizes[row['size']]['n_layer']} layers of width {sizes[row['size']]['n_embd']}",
            f"{row['parameters']:,}",
            f"{row['validation_loss']:.3f}",
            f"{row['seconds'] / 60:.1f}",
        )
        for row in sweep
    ]


def _fluency(fluency: dict) -> list[str]:
    names = {"corpus": "the corpus's own words", "greedy": "greedy", "sampled": "sampled, T = 0.8, top-p 0.95"}
    return [
        _row(
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
        _row(
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
        _row("validation loss at the end, nats per token", *(f"{loss:.3f}" for loss in ends)),
        *(_row(title, *(f"{run['fit'][key]['bits_per_byte']:.3f}" for run in pair)) for key, title in texts.items()),
        _row("the right name", *(percent(run["people"]["right_name"]) for run in pair)),
        _row("the right pronoun", *(percent(run["people"]["right_pronoun"]) for run in pair)),
        _row(
            "names named again, in its own texts", *(percent(run["people"]["share_again"]["written"]) for run in pair)
        ),
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
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
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


def publish(work: Path, config: dict, shipped: Path) -> dict:
    """Carry model, results and log from the work folder into the repository, and write the page.

    Args:
        work: folder of the recipe.
        config: the whole settings.
        shipped: folder of the exported model.

    Returns:
        {file: {"bytes": …, "sha256": …}} of the model, for data/models.yml.

    Raises:
        BookError: a step of the recipe has not been run.
    """
    names = {
        "results": "results.json",
        "corpus": "corpus/statistics.json",
        "sweep": "sweep.json",
        "again": "again.json",
    }
    for path in [shipped, work / "run/log.jsonl", *(work / name for name in names.values())]:
        if not path.exists():
            raise BookError(f"{path} is not there: run the steps of the recipe before `publish`.")
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in sorted(shipped.iterdir())
    }
    report = {key: json.loads((work / name).read_text(encoding="utf-8")) for key, name in names.items()}
    report |= {"settings": config, "files": files, "novel_tokens": _novel_tokens(work, shipped)}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.copy(work / "run/log.jsonl", LOG)
    shutil.copytree(shipped, MODEL, dirs_exist_ok=True)
    write()
    return files


def _novel_tokens(work: Path, shipped: Path) -> int:
    rows = corpus.load(work / "corpus")["train"]
    texts = [row["text"] for row in rows if row["source"] == "novels"]
    return len(tokenizer.encode(tokenizer.load(shipped), texts)) - 1


def write() -> None:
    """Write the page from the committed results."""
    log = [json.loads(line) for line in LOG.read_text(encoding="utf-8").splitlines()]
    PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8")), log), encoding="utf-8")
