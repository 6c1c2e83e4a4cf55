"""The chapter contract, one function per rule: a notebook in, its problems out.

A problem is one line that names the cell and says what to do. `RULES` holds the rules that need nothing
but the notebook; `links`, `price`, `described_pictures` and `numerals` take what else they need. The rules
read notebooks as data and execute nothing.
"""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from nbformat import NotebookNode
from prose import (
    CITATION,
    Page,
    anchors,
    headings,
    is_heading,
    markdown,
    markdown_cells,
    sentences,
    shown_numbers,
    stated_numbers,
    text_below,
)
from syntax import alt_arguments, calls, code_cells, drawing_cells, names, parse, tree

from bookkit.errors import BookError
from bookkit.notebooks import KEEP_TAG, read, stripped, tags
from bookkit.status import LABEL
from bookkit.teaching import exercises

Problems = Iterator[str]

# The sections of a chapter in their order, all "##". OWN stands for the chapter's own, one or more.
# A heading may go on after a colon: "## Folklore check: a token is four characters".
OWN = "…"
SECTIONS = (
    "You will be able to",
    "You need",
    "Set-up",
    OWN,
    "Try it",
    "Folklore check",
    "Classic mistakes",
    "On the full-size model",
    "Exercises",
    "Summary",
)
SUMMARY_PARTS = ("Words to know", "Where to read on")  # "###", below the summary
CELLS = range(25, 61)
OBJECTIVES = range(3, 6)
EXERCISES = range(3, 6)
VAGUE_VERBS = ("understand", "know", "learn", "appreciate", "grasp", "be familiar", "be aware")
KEPT_CELLS = 3
COLAB = "google.colab"
TWIN_TAG, TWIN_CHECK_TAG = "twin", "twin-check"


def at(cell: NotebookNode, problem: str) -> str:
    """A problem of one cell."""
    return f"cell {cell.id}: {problem}"


# Sections, size, rhythm ------------------------------------------------------------------------------


def title(notebook: NotebookNode) -> Problems:
    """The first cell holds the only title and asks a question; a picture answers before the objectives."""
    first = notebook.cells[0]
    titles = [cell for cell in markdown_cells(notebook) for level, _ in headings(cell.source) if level == 1]
    if titles != [first]:
        yield 'the notebook needs one "# Title", in its first cell; make other headings "##" or lower'
    elif "?" not in first.source.partition("\n")[2]:
        yield at(first, "asks no question; ask below the title what the chapter answers")
    drawing = drawing_cells(notebook)
    opening = cells_above(notebook, SECTIONS[0])
    if not any(cell in drawing or re.search(r"!\[|<img|<svg", cell.source) for cell in opening):
        yield f'no picture stands above "## {SECTIONS[0]}"; show the one that answers the question'


def cells_above(notebook: NotebookNode, section: str) -> list[NotebookNode]:
    """The cells above the one with a section's heading; all cells where there is none."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            if any(level == 2 and is_heading(text, section) for level, text in headings(cell.source)):
                return notebook.cells[:index]
    return notebook.cells


def in_order(notebook: NotebookNode, wanted: tuple[str, ...]) -> Problems:
    """Every section of `wanted` is there, once and in order, with the chapter's own where `OWN` stands."""
    found = [text for level, text in headings(markdown_of(notebook)) if level == 2]
    fixed = [section for section in wanted if section != OWN]
    where = {name: [i for i, text in enumerate(found) if is_heading(text, name)] for name in fixed}
    wrong = [name for name, places in where.items() if len(places) != 1]
    for name in wrong:
        yield f'the heading "## {name}" stands {len(where[name])} times; write it exactly once'
    if wrong:
        return
    order = [places[0] for places in where.values()]
    if order != sorted(order):
        yield f"the sections are out of order; bring them into this one: {', '.join(fixed)}"
        return
    above, below = wanted[wanted.index(OWN) - 1], wanted[wanted.index(OWN) + 1]
    own = range(where[above][0] + 1, where[below][0])
    if not own:
        yield f'nothing stands between "## {above}" and "## {below}"; write the chapter\'s own sections there'
    for index, text in enumerate(found):
        if index not in own and index not in order:
            yield f'"## {text}" is out of place; put own sections between "## {above}" and "## {below}"'


def sections(notebook: NotebookNode) -> Problems:
    """The sections of a first edition."""
    yield from in_order(notebook, SECTIONS)


def objectives(notebook: NotebookNode) -> Problems:
    """Three to five objectives whose verbs can be checked; what a reader needs; a summary with its parts."""
    text = markdown_of(notebook)
    items = re.findall(r"(?m)^[-*] +(.*)", text_below(text, "You will be able to", 2))
    if len(items) not in OBJECTIVES:
        yield f'"You will be able to" lists {len(items)} objectives; write a list ("- …") of three to five'
    for item in items:
        if item.lower().lstrip("*_").startswith(VAGUE_VERBS):
            yield f'the objective "{item}" cannot be checked; begin with build, measure, explain, predict, …'
    if not text_below(text, "You need", 2).strip():
        yield '"You need" is empty; link the earlier chapters, or say what else a reader brings'
    for part in SUMMARY_PARTS:
        if "](" not in text_below(text_below(text, "Summary", 2), part, 3):
            yield f'the summary has no "### {part}" with links; add it'


def setup_cells(notebook: NotebookNode) -> Problems:
    """Set-up is one cell for Colab only and one of imports that prints the versions line."""
    above = cells_above(notebook, "Set-up")
    inside = []
    for cell in notebook.cells[len(above) :]:
        if inside and cell.cell_type == "markdown" and cell.source.lstrip().startswith("## "):
            break
        inside.append(cell)
    code = [cell.source for cell in inside if cell.cell_type == "code"]
    if len(code) != 2:
        yield f'"Set-up" has {len(code)} code cells; give it two: one for Colab only, one with the imports'
        return
    if COLAB not in code[0]:
        yield f'the first cell of "Set-up" is for Colab only; guard it with a test for {COLAB}'
    if "setup(" not in code[1]:
        yield 'the second cell of "Set-up" prints no versions line; call bookkit.repro.setup(…)'


def size(notebook: NotebookNode) -> Problems:
    """A chapter has 25 to 60 cells."""
    count = len(notebook.cells)
    if count not in CELLS:
        yield f"the chapter has {count} cells; bring it to {CELLS[0]}–{CELLS[-1]}"


def rhythm(notebook: NotebookNode) -> Problems:
    """Never more than two code cells in a row: prose says what to look for and what was seen."""
    run = 0
    for cell in notebook.cells:
        run = run + 1 if cell.cell_type == "code" else 0
        if run == 3:
            yield at(cell, "is the third code cell in a row; say before it what to look for")


# Markdown that every reader shows --------------------------------------------------------------------

NOT_EVERYWHERE = {
    "a MyST role": r"\{[A-Za-z][\w:.+-]*\}``",
    "a MyST target": r"(?m)^\([^)\s]+\)=\s*$",
    "a MyST directive": r"(?m)^:::",
    "a MyST block break": r"(?m)^\+\+\+",
    "a MyST comment": r"(?m)^% ",
    "a MyST substitution": r"\{\{.*?\}\}",
    "a footnote": r"\[\^[^\]\s]+\]",
    "a link without text": r"\[\]\(",
    "HTML that JupyterLab removes": r"(?i)<(script|style|iframe|form)\b",
}


def plain_markdown(notebook: NotebookNode) -> Problems:
    """Markdown cells hold CommonMark, tables, ``$…$`` and plain HTML: Colab shows MyST raw."""
    for cell in markdown_cells(notebook):
        lines = cell.source.split("\n")
        for token in markdown.parse(cell.source):
            if token.type == "fence":
                if token.info.startswith("{"):
                    yield at(cell, f"holds the MyST directive {token.info}; write plain Markdown")
                lines[slice(*token.map)] = [""] * (token.map[1] - token.map[0])
        text = re.sub(r"(?s)(`+)[^`].*?\1(?!`)", "``", "\n".join(lines))
        text = re.sub(r"(?s)\$\$.*?\$\$|\$[^$\n]+\$", "$", text)
        for what, pattern in NOT_EVERYWHERE.items():
            if match := re.search(pattern, text):
                yield at(cell, f"holds {what} ({match[0].strip()}); write plain Markdown or HTML")
        if "attachments" in cell:
            yield at(cell, "has a picture pasted in; draw it with code, or store it below book/_static")


# Outputs ---------------------------------------------------------------------------------------------


def outputs(notebook: NotebookNode) -> Problems:
    """The notebook is as ``make strip`` leaves it, and at least three cells keep an output for nbval."""
    try:
        clean = stripped(notebook)
    except BookError as error:
        yield str(error)
        return
    if clean.metadata != notebook.metadata:
        yield "the notebook's metadata (widget state, say) are not as git keeps them; run make strip"
    for ours, theirs in zip(clean.cells, notebook.cells, strict=True):
        if ours != theirs:
            yield at(theirs, "has outputs, counts or metadata that git does not keep; run make strip")
    kept = [cell for cell in code_cells(notebook) if KEEP_TAG in tags(cell)]
    for cell in kept:
        if not cell.outputs:
            yield at(cell, f"is tagged {KEEP_TAG} but stores no output; run the chapter, then make strip")
    if len(kept) < KEPT_CELLS:
        yield f"{len(kept)} cells keep their output for nbval; tag at least {KEPT_CELLS} with {KEEP_TAG}"


def kernel(notebook: NotebookNode) -> Problems:
    """The kernel is python3, and every cell has an id of its own."""
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3; choose it in JupyterLab and save"
    ids = [cell.get("id") for cell in notebook.cells]
    for key in sorted({str(key) for key in ids if ids.count(key) > 1}):
        yield f"the cell id {key} is used twice; change one"


# Pictures --------------------------------------------------------------------------------------------


def alt_of(cell: NotebookNode) -> str:
    """The alt text in a cell's metadata (``mystnb.image.alt`` or ``mystnb.figure.alt``), or ""."""
    mystnb = cell.metadata.get("mystnb", {})
    return mystnb.get("image", {}).get("alt") or mystnb.get("figure", {}).get("alt") or ""


def useless(alt: str) -> str | None:
    """Why an alt text does not help somebody who cannot see the picture; None where it does."""
    if not alt.strip():
        return "is missing"
    if re.search(r"\.(png|svg|jpe?g|gif|webp)\b", alt, re.IGNORECASE):
        return "is a file name"
    if re.match(r"\s*(an? |the )?(figure|image|picture|untitled)\b", alt, re.IGNORECASE):
        return "says that there is a picture"
    return "is too short" if len(alt.strip()) < 30 else None


def alt_text(notebook: NotebookNode) -> Problems:
    """Every cell that draws, and every picture in Markdown, says in words what it shows."""
    known, seen = names(notebook), {}
    for cell in drawing_cells(notebook):
        for alt in [alt_of(cell)] if alt_of(cell) else alt_arguments(cell, known) or [""]:
            if why := useless(alt):
                yield at(cell, f"draws, but its alt text {why}; say what is seen (mystnb.image.alt, alt=…)")
        other = seen.setdefault(alt_of(cell) or cell.id, cell.id)
        if other != cell.id:
            yield at(cell, f"has the alt text of cell {other}; say what differs")
    for cell in markdown_cells(notebook):
        for alt in Page(cell.source).alts:
            if why := useless(alt):
                yield at(cell, f"shows a picture whose alt text {why}; say what it shows")


def described_pictures(executed: NotebookNode) -> Problems:
    """In the executed notebook, no picture is without words, whatever drew it."""
    for cell in code_cells(executed):
        if not useless(alt_of(cell)):
            continue
        for data in (output.get("data", {}) for output in cell.outputs):
            if any(kind.startswith("image/") for kind in data):
                yield at(cell, "shows an image; say what it shows in its metadata, mystnb.image.alt")
            html = re.sub(r"(?is)<script.*?</script>", "", data.get("text/html", ""))
            for svg in re.findall(r"<svg\b[^>]*>", html):
                if not re.search(r"aria-(label|labelledby|hidden)=", svg):
                    yield at(cell, "shows an svg without aria-label; use figures.show(…, alt=…)")


# Code ------------------------------------------------------------------------------------------------

LOADERS = "open Path from_pretrained from_file load_dataset read_csv read_json read_parquet".split()
PICKLES = ("pickle", "dill", "joblib", "cloudpickle")


def valid_python(notebook: NotebookNode) -> Problems:
    """Every code cell parses."""
    for cell in code_cells(notebook):
        try:
            parse(cell.source)
        except SyntaxError as error:
            yield at(cell, f"is not Python (line {error.lineno}: {error.msg}); correct it")


def data_access(notebook: NotebookNode) -> Problems:
    """Files and models are named through ``bookkit.data`` and ``bookkit.model``, never by a path."""
    for cell in code_cells(notebook):
        if COLAB in cell.source:
            continue
        for node in ast.walk(tree(cell)):
            if isinstance(node, ast.Constant) and re.match(r"(\.\.?/|data/|~/)", str(node.value)):
                yield at(cell, f'names the path "{node.value}"; write bookkit.data("…")')
            elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if called in LOADERS and isinstance(node.args[0].value, str):
                    call = f'{called}("{node.args[0].value}")'
                    yield at(cell, f"calls {call}; go through bookkit.data(…) or bookkit.model(…)")


def safe_code(notebook: NotebookNode) -> Problems:
    """No code from strangers: no ``trust_remote_code``, no pickle in any of its clothes."""
    known = names(notebook)
    for cell in code_cells(notebook):
        nodes = list(ast.walk(tree(cell)))
        keywords = {node.arg for node in nodes if isinstance(node, ast.keyword)}
        risks = sorted(keywords & {"trust_remote_code"})
        called = {known.dotted(call.func) for call in calls([tree(cell)])}
        risks += sorted(called & {"torch.load", "pandas.read_pickle"})
        risks += sorted(known.used([tree(cell)]) & set(PICKLES))
        for risk in risks:
            yield at(cell, f"uses {risk}, which may run foreign code; use safetensors or JSON")


LOADS_BITSANDBYTES = ("bitsandbytes", "peft", "sentence_transformers", "trl")  # and the pipelines of diffusers
QUIET_BITSANDBYTES = 'logging.getLogger("bitsandbytes").setLevel(logging.ERROR)'


def quiet_libraries(notebook: NotebookNode) -> Problems:
    """bitsandbytes warns on processors with bfloat16 that a kernel is missing: it is told not to, in time."""
    for cell in code_cells(notebook):
        for statement in tree(cell).body:
            if isinstance(statement, ast.Expr) and ast.unparse(statement.value) == QUIET_BITSANDBYTES.replace('"', "'"):
                return
            for node in ast.walk(statement):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    modules = (
                        [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                    )
                    pipelines = "diffusers" in modules and any("Pipeline" in alias.name for alias in node.names)
                    if pipelines or any(module.partition(".")[0] in LOADS_BITSANDBYTES for module in modules):
                        yield at(
                            cell, f"imports bitsandbytes, which warns on some processors; first {QUIET_BITSANDBYTES}"
                        )
                        return


# Exercises and twins ---------------------------------------------------------------------------------


def exercise_count(notebook: NotebookNode) -> Problems:
    """Three to five exercises; what breaks their conventions is told by `exercise_cells`."""
    count = sum(cell.metadata.get("bookkit", {}).get("role") == "task" for cell in notebook.cells)
    if count not in EXERCISES:
        yield f"the chapter has {count} exercises; give it three to five"


def exercise_cells(notebook: NotebookNode) -> Problems:
    """The exercises keep their conventions, with solutions folded everywhere."""
    try:
        found = exercises(notebook)
    except BookError as error:
        yield str(error)
        return
    for exercise in found:
        solution, check = exercise.solution, exercise.check
        if not {"hide-input", "exercise-solution"} <= set(tags(solution)):
            yield at(solution, "is a solution; tag it hide-input and exercise-solution")
        if not solution.metadata.get("jupyter", {}).get("source_hidden"):
            yield at(solution, "is open in JupyterLab; set jupyter.source_hidden to true in its metadata")
        if solution.metadata.get("cellView") != "form":
            yield at(solution, 'is open in Colab; set cellView to "form" in its metadata')
        first = f'# @title Solution of exercise {exercise.number} {{display-mode: "form"}}'
        if solution.source.partition("\n")[0] != first:
            yield at(solution, f"needs the first line: {first}")
        if "exercise-check" not in tags(check):
            yield at(check, "is a check; tag it exercise-check")


def checks(notebook: NotebookNode) -> Problems:
    """A check cell asserts, each time with a message that helps, and ends with its only print."""
    for cell in code_cells(notebook):
        if not cell.metadata.get("nbgrader", {}).get("grade"):
            continue
        asserts = [node for node in ast.walk(tree(cell)) if isinstance(node, ast.Assert)]
        prints = [call for call in calls([tree(cell)]) if getattr(call.func, "id", "") == "print"]
        last = [node.value for node in tree(cell).body[-1:] if isinstance(node, ast.Expr)]
        if not asserts:
            yield at(cell, "checks nothing; assert what the answer must fulfil")
        if any(node.msg is None for node in asserts):
            yield at(cell, "asserts without a message; say what was expected and what came")
        if not prints or prints != last:
            yield at(cell, "must end with its only print; print once, when all has passed")


def twins(notebook: NotebookNode) -> Problems:
    """A from-scratch twin never touches the library it explains, and some cell compares the two.

    A cell tagged ``twin`` lists the names it must not use in ``bookkit.twin_of``. Followed are imports,
    aliases and the notebook's own functions. A cell tagged ``twin-check`` asserts with what the twin defines.
    """
    known = names(notebook)
    compared = set()
    for cell in code_cells(notebook):
        if TWIN_CHECK_TAG in tags(cell):
            reach = known.reach([tree(cell)])
            asserted = any(isinstance(node, ast.Assert) for top in reach for node in ast.walk(top))
            if asserted or any("assert_" in known.dotted(call.func) for call in calls(reach)):
                compared |= known.used(reach)
            else:
                yield at(cell, f"is tagged {TWIN_CHECK_TAG} but asserts nothing; assert equality")
    for cell in code_cells(notebook):
        if TWIN_TAG not in tags(cell):
            continue
        forbidden = cell.metadata.get("bookkit", {}).get("twin_of", [])
        forbidden = {forbidden} if isinstance(forbidden, str) else set(forbidden)
        if not forbidden:
            yield at(cell, 'is a twin; list in its metadata what it must not use, bookkit.twin_of: ["…"]')
        for name in sorted(known.used(known.reach([tree(cell)])) & forbidden):
            yield at(cell, f"is a twin that uses {name}, which it explains; write it without")
        if not {getattr(node, "name", None) for node in tree(cell).body} & compared:
            yield at(cell, f"is a twin that no cell tagged {TWIN_CHECK_TAG} compares; assert equality there")


FIRST = (sections, size, rhythm, exercise_count)  # of a first edition; second.py has the others
RULES = (
    title,
    objectives,
    setup_cells,
    plain_markdown,
    outputs,
    kernel,
    valid_python,
    alt_text,
    data_access,
    safe_code,
    quiet_libraries,
    exercise_cells,
    checks,
    twins,
)


# Rules that need more than the notebook --------------------------------------------------------------


def markdown_of(notebook: NotebookNode) -> str:
    """All Markdown of a notebook in one text."""
    return "\n\n".join(cell.source for cell in markdown_cells(notebook))


def text_of(path: Path) -> str:
    """The Markdown of a page, be it a notebook or a Markdown file."""
    return markdown_of(read(path)) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")


def bibliography_keys(root: Path) -> set[str]:
    """The keys of ``book/references.bib``."""
    return set(re.findall(r"(?m)^@\w+\{([^,\s]+),", text_of(root / "book" / "references.bib")))


def links(page: Path, root: Path, pages: list[str]) -> Problems:
    """Relative links of a page lead to files and anchors that exist, and to pages that `pages` lists.

    A citation ``../book/references.md#key`` needs `key` in references.bib.
    """
    for target in dict.fromkeys(Page(LABEL.sub("", text_of(page))).targets):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page.resolve()
        if re.match(r"[a-z][a-z0-9+.-]*:|//", target, re.IGNORECASE):
            continue
        if "_static/" in name and not path.exists():  # HTML in a page names the place in the built site
            path = root.resolve() / "book" / "_static" / name.partition("_static/")[2]
        if not path.is_relative_to(root.resolve()) or not path.exists():
            yield f"the link {target} leads to no file of the book; correct the path"
        elif path.suffix not in (".md", ".ipynb"):
            continue
        elif path.relative_to(root.resolve()).with_suffix("").as_posix() not in pages:
            yield f"the link {target} leads to no page of _toc.yml; drop it until that page exists"
        elif anchor and path.name == "references.md" and anchor not in bibliography_keys(root):
            yield f"the citation {target} is not in book/references.bib; add {anchor} there"
        elif anchor and anchor not in anchors(text_of(path)):
            yield f"the link {target} leads to no heading or id of {path.name}; correct it or add the id"


def price(notebook: NotebookNode, label: str | None) -> Problems:
    """The one price label stands above the set-up and is `label`, what data/status.json makes of it."""
    found = [(cell, match[0]) for cell in notebook.cells for match in LABEL.finditer(cell.source)]
    if len(found) != 1:
        yield f"{len(found)} price labels; put <!-- price:begin --><!-- price:end --> once, above Set-up"
        return
    cell, text = found[0]
    if cell not in cells_above(notebook, "Set-up"):
        yield at(cell, 'holds the price label; move it above "## Set-up"')
    if label is None:
        yield at(cell, "has a price label of a chapter that data/status.json does not know; run make status")
    elif text != label:
        yield at(cell, "has a price label that differs from data/status.json; run make status")


def numerals(notebook: NotebookNode, executed: NotebookNode) -> Problems:
    """Every number in the prose (alt texts included) is shown by a cell, or its sentence cites a source.

    A number counts as shown where a text output of the executed notebook, or a literal in a code cell,
    has the same value: 50,257 as 50257, 12.5 % as 12.5 or 0.125, 1.7 billion as 1.7 or 1700000000. There is
    no rounding: write what the cell prints. Not looked at are code, formulas, the price label, numbers
    within names (GPT-2), and what `prose.EXEMPT` lists. Number words are no numerals.
    """
    shown, known = shown_numbers(executed), names(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            stated = sentences(LABEL.sub("", cell.source))
        else:
            stated = [alt_of(cell), *alt_arguments(cell, known)]
        for sentence in stated:
            if CITATION in sentence:
                continue
            unseen = [written for written, values in stated_numbers(sentence) if not values & shown]
            if unseen:
                yield at(cell, f'states {", ".join(unseen)} ("{sentence[:60]}…"); print it or cite it')


def problems(notebook: NotebookNode) -> list[str]:
    """What all of `RULES` and `FIRST` find, for a first look at a notebook."""
    return list(chain.from_iterable(rule(notebook) for rule in RULES + FIRST))
