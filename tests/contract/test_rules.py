"""Each rule of the contract can fail: a small sound chapter passes them all, every broken one is told."""

import shutil

import nbformat
import prose
import pytest
import rules
import syntax
from conftest import MINI

from bookkit import notebooks, status

ALT = {"image": {"alt": "Bars for three letters: e is counted 3 times, t 2 times, a once."}}


def cell(notebook, key):
    return next(cell for cell in notebook.cells if cell.id == key)


def having(notebook, text):
    return next(cell for cell in notebook.cells if text in cell.source)


def put(key, old, new):
    """A change of a cell's source."""

    def change(notebook):
        target = cell(notebook, key) if len(key) < 5 else having(notebook, key)
        assert old in target.source, f"{old!r} is not in cell {target.id}"
        target.source = target.source.replace(old, new)

    return change


def add(source, **metadata):
    """A code cell more, after the chapter's own sections have begun."""

    def change(notebook):
        new = nbformat.v4.new_code_cell(source, id="new", metadata=metadata)
        notebook.cells.insert(notebook.cells.index(having(notebook, "## Try it")), new)

    return change


def output(kind="execute_result", **given):
    def change(notebook):
        cell(notebook, "c12").outputs = [nbformat.v4.new_output(kind, **given)]

    return change


def meta(key, **metadata):
    return lambda notebook: cell(notebook, key).metadata.update(metadata)


def untag(key):
    return lambda notebook: cell(notebook, key).metadata.pop("tags")


BROKEN = [
    ("title", put("m00", "# 1.", "## 1."), 'one "# Title"'),
    ("title", put("## Counting by hand", "## Counting", "# Counting"), 'one "# Title"'),
    ("title", put("m00", "?", "."), "asks no question"),
    ("title", lambda nb: nb.cells.pop(1), "no picture"),
    (
        "sections",
        put("## Classic mistakes", "## Classic mistakes", "## Errors"),
        '"## Classic mistakes" stands 0 times',
    ),
    ("sections", put("## Try it", "## Try it", "## Exercises"), "stands 2 times"),
    ("sections", lambda nb: nb.cells.insert(2, nb.cells.pop(3)), "out of order"),
    ("sections", put("## Counting by hand", "## Counting", "### Counting"), "nothing stands between"),
    ("sections", put("## Summary", "## Summary", "## And then\n\nMore.\n\n## Summary"), "out of place"),
    ("objectives", put("m02", "- explain", "And explain"), "lists 2 objectives"),
    ("objectives", put("m02", "- explain", "- understand"), "cannot be checked"),
    ("objectives", put("m03", "\n\nNothing", "\n\n## Set-up\n\n"), '"You need" is empty'),
    ("objectives", put("### Words to know", "### Words to know", "### Words"), "Words to know"),
    ("setup_cells", lambda nb: nb.cells.pop(5), "1 code cells"),
    ("setup_cells", put("c05", "google.colab", "colab"), "for Colab only"),
    ("setup_cells", put("c06", "repro.setup(seed=0)", "pass"), "versions line"),
    ("size", lambda nb: nb.cells.__delitem__(slice(20, None)), "20 cells"),
    (
        "rhythm",
        lambda nb: nb.cells.insert(6, nb.cells[5]) or nb.cells.insert(6, nb.cells[5]),
        "third code cell",
    ),
    ("plain_markdown", put("m00", "answer.", "answer.\n\n```{note}\nHello\n```"), "directive {note}"),
    ("plain_markdown", put("m00", "answer.", "answer.\n\n:::{note}\n:::"), "a MyST directive"),
    ("plain_markdown", put("m00", "answer.", "{term}`letter`"), "a MyST role"),
    ("plain_markdown", put("m00", "# 1.", "(top)=\n# 1."), "a MyST target"),
    ("plain_markdown", put("m00", "answer.", "answer.[^1]\n\n[^1]: A note."), "a footnote"),
    ("plain_markdown", put("m00", "answer.", "answer {{ here }}."), "a MyST substitution"),
    ("plain_markdown", put("m00", "answer.", "[](#top)"), "a link without text"),
    ("plain_markdown", put("m00", "answer.", "<script>1</script>"), "HTML that JupyterLab removes"),
    ("plain_markdown", lambda nb: nb.cells[0].update(attachments={}), "pasted in"),
    ("outputs", lambda nb: cell(nb, "c08").update(execution_count=7), "does not keep"),
    ("outputs", lambda nb: cell(nb, "c08").update(outputs=[], execution_count=None), "stores no output"),
    ("outputs", untag("c08"), "does not keep"),
    ("outputs", meta("c08", collapsed=True), "does not keep"),
    ("outputs", lambda nb: nb.metadata.update(widgets={"state": {}}), "metadata"),
    ("outputs", output(data={"text/plain": "1", "text/html": "<b>1</b>"}), "holds text/html"),
    ("outputs", output("stream", name="stderr", text="a warning"), "holds stderr"),
    ("kernel", lambda nb: nb.metadata.kernelspec.update(name="conda"), "not python3"),
    ("kernel", lambda nb: nb.cells[3].update(id="m00"), "m00 is used twice"),
    ("alt_text", lambda nb: cell(nb, "c01").metadata.pop("mystnb"), "is missing"),
    ("alt_text", meta("c01", mystnb={"image": {"alt": "Bars."}}), "too short"),
    ("alt_text", meta("c01", mystnb={"image": {"alt": "bars-of-letters-in-english-text.png"}}), "file name"),
    (
        "alt_text",
        meta("c01", mystnb={"image": {"alt": "Figure that shows bars for three letters"}}),
        "there is a picture",
    ),
    ("alt_text", add("plt.plot([1])", mystnb=ALT), "alt text of cell c01"),
    ("alt_text", add("from bookkit import viewers\nviewers.tokens.view('a')"), "is missing"),
    ("alt_text", add("def draw():\n    plt.plot([1])\n\ndraw()"), "is missing"),
    ("alt_text", add("from bookkit import figures\nfigures.show(plt.figure(), alt='Bars')"), "too short"),
    ("alt_text", put("m00", "answer.", "![](bars.svg)"), "whose alt text is missing"),
    ("valid_python", add("def f(:"), "is not Python"),
    ("data_access", add("text = open('x.txt').read()"), 'calls open("x.txt")'),
    ("data_access", add("path = '../data/x.json'"), "names the path"),
    ("data_access", add("AutoModel.from_pretrained('gpt2')"), "bookkit.model"),
    ("safe_code", add("AutoModel.from_pretrained(name, trust_remote_code=True)"), "trust_remote_code"),
    ("safe_code", add("import pickle as p"), "pickle"),
    ("safe_code", add("from joblib import load"), "joblib"),
    ("safe_code", add("import torch as t\nt.load(path)"), "torch.load"),
    ("quiet_libraries", add("if True:\n    from peft.utils import x"), "first logging.getLogger"),
    ("quiet_libraries", add("from diffusers import DDIMScheduler, StableDiffusionPipeline"), "first logging.getLogger"),
    (
        "quiet_libraries",
        add('import trl\nimport logging\nlogging.getLogger("bitsandbytes").setLevel(logging.ERROR)'),
        "first logging.getLogger",
    ),
    ("exercise_cells", put("sol1", "### END SOLUTION", ""), "never closes"),
    ("exercise_cells", put("sol1", "exercise 1", "exercise 2"), "needs the first line"),
    ("exercise_cells", lambda nb: cell(nb, "sol1").metadata.pop("jupyter"), "open in JupyterLab"),
    ("exercise_cells", lambda nb: cell(nb, "sol1").metadata.pop("cellView"), "open in Colab"),
    ("exercise_cells", untag("sol1"), "tag it hide-input"),
    ("exercise_cells", untag("chk1"), "tag it exercise-check"),
    ("exercise_count", lambda nb: nb.cells.__delitem__(slice(-4, -1)), "has 2 exercises"),
    ("checks", put("chk2", ', "aab has two a"', ""), "without a message"),
    ("checks", put("chk2", 'print("Exercise 2 passed.")', ""), "only print"),
    ("twins", put("c08", "found.get(letter, 0) + 1", "Counter(text)[letter]"), "uses Counter"),
    (
        "twins",
        put("c08", "    for letter in text", "    import collections\n    for letter in text"),
        "uses collections",
    ),
    (
        "twins",
        lambda nb: (add("C = Counter")(nb), put("c08", "return found", "return C(text)")(nb)),
        "uses Counter",
    ),
    (
        "twins",
        lambda nb: (
            add("def helper(text):\n    return Counter(text)")(nb),
            put("c08", "return found", "return helper(text)")(nb),
        ),
        "uses Counter",
    ),
    ("twins", put("c08", "return found", "return __import__('collections')"), "uses collections"),
    ("twins", lambda nb: cell(nb, "c08").metadata.pop("bookkit"), "bookkit.twin_of"),
    ("twins", untag("c10"), "no cell tagged twin-check"),
    ("twins", put("c10", "count_letters", "len"), "no cell tagged twin-check"),
]


def ids(case):
    rule, _, told = case
    return f"{rule}: {told}"


def find(name, notebook):
    return list(getattr(rules, name)(notebook))


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_sound_chapter_passes(rule, mini):
    assert not list(rule(mini))


@pytest.mark.parametrize("case", BROKEN, ids=ids)
def test_a_broken_chapter_is_told_what_to_do(case, mini):
    name, breaking, told = case
    breaking(mini)
    problems = find(name, mini)
    assert any(told in problem for problem in problems), problems


def test_every_rule_has_been_seen_to_fail():
    assert {name for name, _, _ in BROKEN} == {rule.__name__ for rule in rules.RULES + rules.FIRST}


def test_bitsandbytes_is_quiet_where_it_is_told_first_or_not_imported(mini):
    add("from diffusers import DDIMScheduler")(mini)
    assert not find("quiet_libraries", mini)
    add("import logging\nlogging.getLogger('bitsandbytes').setLevel(logging.ERROR)\nimport sentence_transformers")(mini)
    assert not find("quiet_libraries", mini)


def test_drawing_is_recognised_through_functions_and_not_in_definitions(mini):
    add("def draw():\n    plt.plot([1])")(mini)
    add("plt.style.use('dark_background')")(mini)
    assert [cell.id for cell in syntax.drawing_cells(mini)] == ["c01"]


def test_alt_text_may_be_an_argument(mini):
    add("from bookkit import figures\nfigures.show(plt.figure(), f'Bars that fall from left to right, {1}')")(mini)
    assert not find("alt_text", mini)


# Links -----------------------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path):
    return shutil.copytree(MINI, tmp_path / "book")


def linked(book, target):
    """What the links rule says when the chapter has one link more."""
    path = book / "notebooks" / "01_mini.ipynb"
    notebook = notebooks.read(path)
    notebook.cells[0].source += f"\n\n[somewhere]({target})"
    path.write_text(notebooks.dumps(notebook), encoding="utf-8")
    return list(rules.links(path, book, notebooks.pages(book)))


@pytest.mark.parametrize(
    "target",
    [
        "../book/glossary.md",
        "../book/glossary.md#letter",
        "../book/glossary.md#tie",
        "../book/references.md#morse1840",
        "https://example.org/x#y",
        "#counting-by-hand",
        "01_mini.ipynb#summary",
        "../data/status.json",
    ],
)
def test_sound_links(book, target):
    assert not linked(book, target)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("../book/glosary.md", "no file"),
        ("../../secret.md", "no file"),
        ("../book/glossary.md#no-such-word", "no heading or id"),
        ("../book/references.md#nobody2000", "not in book/references.bib"),
        ("02_later.ipynb", "no file"),
        ("#no-such-section", "no heading or id"),
    ],
)
def test_broken_links(book, target, told):
    (problem,) = linked(book, target)
    assert told in problem


def test_a_link_to_a_chapter_outside_the_contents(book):
    shutil.copy(book / "notebooks/01_mini.ipynb", book / "notebooks/02_draft.ipynb")
    (problem,) = linked(book, "02_draft.ipynb")
    assert "no page of _toc.yml" in problem


def test_links_in_html_count():
    assert prose.Page('<p><a href="x.md">x</a> <img src="y.png" alt="z"></p>').targets == ["x.md", "y.png"]


# Price -----------------------------------------------------------------------------------------------


def label():
    return status.price_label(status.read(MINI)["chapters"]["01_mini"])


def test_price(mini):
    assert not list(rules.price(mini, label()))
    assert "differs" in next(rules.price(mini, label().replace("0.1", "0.2")))
    assert "does not know" in next(rules.price(mini, None))


def test_price_missing_or_misplaced(mini):
    below = having(mini, "## Try it")
    below.source += label()
    assert "2 price labels" in next(rules.price(mini, label()))
    having(mini, "## You need").source = "## You need\n\nNothing."
    assert "move it above" in next(rules.price(mini, label()))


# Numbers ---------------------------------------------------------------------------------------------


def numerals(mini, sentence):
    having(mini, "## Try it").source += f"\n\n{sentence}"
    return list(rules.numerals(mini, mini))


@pytest.mark.parametrize(
    "sentence",
    [
        "There are 1,700 letters, 12.5 % of them an e, or 0.125 of 1700.",
        "That is 1.7 thousand, or 1.7k.",
        "Between 212–1700 letters.",
        "See chapters 3, 4 and 12, section 7.5, exercise 9 and § 4.2.",
        "GPT-2, SmolLM2-135M, UTF-8 and `cl100k_base` have $50257$ in `vocab 99` and $$88$$.",
        "In 2016, in 1994 (2019) and on 3 May 2024, or 2024-05-31; the 1990s; the 20th century.",
        "Python 3.11, Unicode 15, version 2.13.0 and v5.",
        "Morse counted 98,765 letters [(Morse, 1840)](../book/references.md#morse1840).",
        "- a list with 98765 [(Morse)](../book/references.md#morse1840)\n- none here",
        "<p>Code in HTML: <code>77</code> and <pre>78</pre>.</p>",
        "| letters | of what |\n|---|---|\n| 1,700 | text |",
        "A 2-D table, U+1F600.",
    ],
)
def test_sound_numbers(mini, sentence):
    assert not numerals(mini, sentence)


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("There are 1,701 letters.", "1,701"),
        ("It is 13 times.", "13 "),
        ("They are 12.6 % of all.", "12.6 %"),
        ("A model of 1.8 billion parameters.", "1.8 billion"),
        ("About 12.53 letters.", "12.53"),
        ("A context of 2048 tokens and 2000 merges.", "2048, 2000"),
        ("Cited [(Morse)](../book/references.md#morse1840) for 98. Not cited for 97.", "97"),
        ("- 98 [(Morse)](../book/references.md#morse1840)\n- 96", "96"),
        ("| a | b |\n|---|---|\n| x | 95 |", "95"),
        ("<p>In HTML <b>94</b></p>", "94"),
        ("### A heading with 93", "93"),
        ("![The bars fall from 92 to 0](x.svg)", "92"),
        ("A saving of 40x.", "40"),
    ],
)
def test_unsupported_numbers(mini, sentence, told):
    (problem,) = numerals(mini, sentence)
    assert f"states {told}" in problem.replace(" (", "  (")


def test_numbers_in_alt_texts_are_claims_too(mini):
    cell(mini, "c01").metadata.mystnb = nbformat.from_dict({"image": {"alt": "Bars that fall to 91 of a hundred"}})
    add("from bookkit import figures\nfigures.show(plt.figure(), 'Bars that fall to 89 of a hundred')")(mini)
    assert [word for problem in rules.numerals(mini, mini) for word in ("91", "89") if word in problem] == [
        "91",
        "89",
    ]


def test_pictures_of_the_executed_notebook(mini):
    assert not list(rules.described_pictures(mini))
    target = cell(mini, "c08")
    target.outputs = [nbformat.v4.new_output("display_data", data={"image/png": "", "text/html": "<svg><path/></svg>"})]
    assert [problem.split(";")[0] for problem in rules.described_pictures(mini)] == [
        "cell c08: shows an image",
        "cell c08: shows an svg without aria-label",
    ]
