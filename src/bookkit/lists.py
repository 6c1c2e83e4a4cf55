"""Every list of chapters, written from what the notebooks say about themselves and what was measured.

``python -m bookkit lists`` writes them: the contents (``_toc.yml``), the tables of README and of the teaching
page, the road on the cover, the times in README, and in each notebook its price label and its set-up cell.
A page keeps the text between two marks, ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` (in YAML
``# NAME:begin``), for this module; everything around them is written by hand.
"""

import json
import re
from itertools import pairwise
from pathlib import Path

import yaml

from bookkit import address, chapters, colab, files, notebooks, status
from bookkit.chapters import Chapter
from bookkit.errors import BookError

PLAN = "data/chapters.yml"


def write(root: Path) -> list[Path]:
    """Write every list anew; either all of them are made, or nothing is written.

    Args:
        root: the repository.

    Returns:
        The files that changed, below the root.

    Raises:
        BookError: a notebook does not describe itself, a page has lost its marks, or a file cannot be written.
    """
    texts = made(root)
    changed = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    files.write_all({path: texts[path].encode("utf-8") for path in changed})
    return [path.relative_to(root) for path in changed]


def made(root: Path) -> dict[Path, str]:
    """The text that every file with a list should have, by its path; nothing is written.

    Raises:
        BookError: as `write`.
    """
    book, plan, measured = chapters.read(root), _plan(root), status.read(root)
    pages = {
        "_toc.yml": {"chapters": contents(book, plan)},
        "README.md": {"chapters": readme(book, plan), "commands": commands(measured)},
        "book/index.md": {"start": start(book), "chapters": road(book, plan)},
        "book/teaching.md": {"chapters": teaching(book), "outcomes": outcomes(book)},
    }
    texts = {}
    for name, parts in pages.items():
        texts[root / name] = _read(root / name)
        for mark, part in parts.items():
            texts[root / name] = between_marks(texts[root / name], mark, part, name)
    cell = colab.cell_text(*address.read(root))
    for chapter in book:
        notebook = notebooks.read(chapter.path)
        colab.put_cell(notebook, chapter.path.name, cell)
        if entry := measured["chapters"].get(chapter.path.stem):
            status.put_label(notebook, chapter.path.name, entry)
        texts[chapter.path] = notebooks.dumps(notebook)
    return texts


def between_marks(text: str, mark: str, part: str, name: str) -> str:
    """A page with the text between two of its marks exchanged.

    Raises:
        BookError: the page does not have both marks once.
    """
    pattern = rf"(?s)((?:<!--|#) {mark}:begin(?: -->)?\n).*?( *(?:<!--|#) {mark}:end\b)"
    new, found = re.subn(pattern, lambda match: f"{match[1]}{part}\n{match[2]}", text)
    if found != 1:
        raise BookError(f"{name} has no place for its list: put the marks {mark}:begin and {mark}:end there, once.")
    return new


# --- the lists --------------------------------------------------------------------------------------------


def contents(book: list[Chapter], plan: dict) -> str:
    """The chapters' part of ``_toc.yml``."""
    lines = []
    for title, first, end in _parts(plan):
        inside = [chapter for chapter in book if first <= chapter.number < end]
        if inside:
            lines += [f"  - caption: {title}", "    chapters:"]
        for chapter in inside:
            lines.append(f"      - file: notebooks/{chapter.path.stem}")
            lines.append(f"        title: {json.dumps(f'{chapter.number}. {chapter.title}', ensure_ascii=False)}")
    return "\n".join(lines)


def readme(book: list[Chapter], plan: dict) -> str:
    """README's table."""
    lines = ["| chapter | hours | what it is about |", "|---|---|---|"]
    for chapter in book:
        link = f"{chapter.number:02d} [{chapter.title}](notebooks/{chapter.path.name})"
        lines.append(f"| {link} | {chapter.hours:g} | {chapter.description} |")
    coming = _ranges(sorted(plan["planned"]))
    lines.append(
        f"| {coming} and the projects | | in preparation; the [cover](book/index.md#the-road) has the road map |"
    )
    return "\n".join(lines)


def commands(measured: dict) -> str:
    """README's two commands, with the times that were measured."""
    seconds = measured.get("commands", {})

    def times(name: str) -> str:
        first, again = seconds.get(name), seconds.get(f"{name} again")
        return _times((first, "the first time"), (again, "when nothing changed"))

    lines = [
        "```console",
        f"$ make book     # sets everything up, executes the notebooks, builds the site{times('book')}",
        f"$ make test     # runs every check the book makes of itself{times('test')}",
        "```",
    ]
    return "\n".join(lines)


def _times(*times: tuple[float | None, str]) -> str:
    known = [f"{duration(seconds)} {when}".rstrip() for seconds, when in times if seconds is not None]
    return f": {', '.join(known)}" if known else ""


def duration(seconds: float) -> str:
    """A measured time in words: 5 seconds, 12 minutes."""
    if seconds < 90:
        return f"{max(1, round(seconds))} second{'s' if round(seconds) > 1 else ''}"
    return f"{round(seconds / 60)} minutes"


def start(book: list[Chapter]) -> str:
    """The cover's two buttons."""
    first = book[0]
    return (
        f"[Start with chapter {first.number}, {first.title}](../notebooks/{first.path.name}){{.button-link}} "
        "[How to read and run this book](how_to_read.md){.button-link .quiet}"
    )


def road(book: list[Chapter], plan: dict) -> str:
    """The road on the cover: what is there with a link, what is planned without."""
    lines = []
    ready = {chapter.number: chapter for chapter in book}
    for title, first, end in _parts(plan):
        numbers = [number for number in sorted(ready.keys() | plan["planned"].keys()) if first <= number < end]
        lines += [f"### {title}", "", "{.roadmap" + (f" start={first}" if first > 1 else "") + "}"]
        for number in numbers:
            if chapter := ready.get(number):
                name = f"[{chapter.title}](../notebooks/{chapter.path.name})"
                lines.append(f'{number}. **{name}.** {chapter.description} <span class="ready">Ready</span>')
            else:
                planned = plan["planned"][number]
                lines.append(f"{number}. **{planned['title']}.** {planned['description']}")
        lines.append("")
    return "\n".join(lines[:-1])


def teaching(book: list[Chapter]) -> str:
    """The teaching page's table: what a chapter takes, and what it builds on."""
    lines = ["| Chapter | Hours | Needs | What it is about |", "|---|---|---|---|"]
    for chapter in book:
        link = f"[{chapter.number}. {chapter.title}](../notebooks/{chapter.path.name})"
        needs = ", ".join(map(str, chapter.needs)) or "none"
        lines.append(f"| {link} | {chapter.hours:g} | {needs} | {chapter.description} |")
    return "\n".join(lines)


def outcomes(book: list[Chapter]) -> str:
    """The teaching page's list of what students can do after each chapter."""
    lines = []
    for chapter in book:
        lines += [f"- **{chapter.number}. {chapter.title}**", *(f"  - {outcome}" for outcome in chapter.outcomes)]
    return "\n".join(lines)


# --- the plan ---------------------------------------------------------------------------------------------


def _plan(root: Path) -> dict:
    """``data/chapters.yml``: the parts of the book, and the chapters that do not exist yet.

    Raises:
        BookError: it cannot be read, or plans a chapter that exists.
    """
    try:
        plan = yaml.safe_load(_read(root / PLAN))
        plan = {"parts": dict(plan["parts"]), "planned": dict(plan["planned"] or {})}
        for entry in plan["planned"].values():
            entry["title"], entry["description"]
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise BookError(
            f"{PLAN} is no list of parts and planned chapters: compare it with the version in git."
        ) from None
    for path in sorted(root.glob("notebooks/*.ipynb")):
        if path.name[:2].isdigit() and int(path.name[:2]) in plan["planned"]:
            raise BookError(f"{PLAN} still plans chapter {int(path.name[:2])}, which exists: remove it there.")
    return plan


def _parts(plan: dict) -> list[tuple[str, int, int]]:
    """Each part's title, its first number, and the first number of the next part."""
    starts = [*plan["parts"].items(), ("", 1000)]
    return [(title, first, end) for (title, first), (_, end) in pairwise(starts)]


def _ranges(numbers: list[int]) -> str:
    """Numbers in two digits, three and more in a row drawn together: 01, 06, 15–19."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    shown = [f"{run[0]:02d}–{run[-1]:02d}" if len(run) > 2 else ", ".join(f"{n:02d}" for n in run) for run in runs]
    return ", ".join(shown)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise BookError(f"{path} cannot be read: run this inside a copy of the book.") from None
