"""One list of chapters: whatever page names, counts or prices them says what the notebooks say."""

import re
import shutil

import pytest
import yaml
from conftest import ROOT

from bookkit import address, chapters, colab, files, lists, notebooks, status
from bookkit.errors import BookError

LISTED = ("_toc.yml", "README.md", "book/index.md", "book/teaching.md")


@pytest.fixture(scope="module")
def book():
    return chapters.read(ROOT)


@pytest.fixture(scope="module")
def made():
    return lists.made(ROOT)


def test_every_list_is_what_the_notebooks_say(made):
    stale = [path.relative_to(ROOT) for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"{[str(path) for path in stale]} are not up to date: run .venv/bin/python -m bookkit lists"
    assert {str(path.relative_to(ROOT)) for path in made} >= set(LISTED)


@pytest.mark.parametrize("page", LISTED)
def test_every_page_names_every_chapter(page, book, made):
    for chapter in book:
        assert f"notebooks/{chapter.path.stem}" in made[ROOT / page] and chapter.title in made[ROOT / page]


def test_the_set_up_cell_is_one_text(book_chapter):
    (cell,) = [c for c in notebooks.read(book_chapter).cells if c.cell_type == "code" and colab.GUARD in c.source]
    assert cell.source == colab.cell_text(*address.read(ROOT)), "run .venv/bin/python -m bookkit lists"


def test_title_and_needs_stand_in_the_chapter_too(book_chapter):
    notebook = notebooks.read(book_chapter)
    chapter = chapters.of(book_chapter, notebook)
    assert notebook.cells[0].source.startswith(f"# {chapter.title}"), "the title in the metadata is another"
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "markdown" and "## You need" in cell.source]
    linked = {int(number) for number in re.findall(r"\]\((\d\d)_\w+\.ipynb\)", cell.source.partition("## You need")[2])}
    assert set(chapter.needs) <= linked, '"You need" links no chapter that the metadata name as needed'


def test_hours_follow_the_rule(book_chapter):
    notebook = notebooks.read(book_chapter)
    told, estimated = chapters.of(book_chapter, notebook).hours, chapters.estimated_hours(notebook)
    assert abs(told - estimated) <= 0.5, (
        f"by the rule it takes {estimated} hours: change metadata.bookkit.chapter.hours"
    )


def test_the_teaching_page_states_the_rule():
    page = (ROOT / "book/teaching.md").read_text(encoding="utf-8")
    assert f"{chapters.WORDS_A_MINUTE} words" in page and f"{chapters.FIRST_WORDS} words" in page
    assert chapters.LINES_A_MINUTE == 8 and "eight lines of its visible code" in page


def test_status_knows_every_chapter_and_no_other(book):
    assert set(status.read(ROOT)["chapters"]) == {chapter.path.stem for chapter in book}


def test_readme_states_the_measured_times(made):
    commands = status.read(ROOT).get("commands", {})
    for name, seconds in commands.items():
        assert lists.duration(seconds) in made[ROOT / "README.md"], name


# --- the lists are seen to differ where a notebook says something else ------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A copy of the book with two of its chapters, as far as its lists are concerned."""
    root = tmp_path_factory.mktemp("small")
    two = [str(chapter.path.relative_to(ROOT)) for chapter in chapters.read(ROOT)[:2]]
    for name in (*LISTED, "_config.yml", lists.PLAN, "data/status.json", *two):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((ROOT / name).read_bytes())
    assert {str(path) for path in lists.write(root)} == set(LISTED)
    return root


@pytest.fixture
def copy(small, tmp_path):
    return shutil.copytree(small, tmp_path / "book")


def change(path, edit) -> None:
    notebook = notebooks.read(path)
    edit(notebook.metadata.bookkit.chapter)
    files.write_text(path, notebooks.dumps(notebook))


def test_nothing_changes_where_nothing_is_new(copy):
    assert lists.write(copy) == []


def test_a_new_title_reaches_every_list_once_and_for_all(copy):
    first = chapters.read(copy)[0]
    change(first.path, lambda chapter: chapter.update(title="A new title: with a colon", hours=7.5))
    assert {str(name) for name in lists.write(copy)} == set(LISTED)
    for page in LISTED:
        assert "A new title: with a colon" in (copy / page).read_text(encoding="utf-8")
    titles = [entry["title"] for part in yaml.safe_load((copy / "_toc.yml").read_text())["parts"]
              for entry in part["chapters"] if "title" in entry]  # fmt: skip
    assert f"{first.number}. A new title: with a colon" in titles
    assert "| 7.5 |" in (copy / "README.md").read_text(encoding="utf-8")
    assert lists.write(copy) == []


def test_a_written_chapter_leaves_the_plan(copy):
    path = chapters.read(copy)[0].path
    planned = min(yaml.safe_load((copy / lists.PLAN).read_text())["planned"])
    change(path, lambda chapter: chapter.update(number=planned, needs=[]))
    path.rename(path.with_name(f"{planned:02d}_first.ipynb"))
    with pytest.raises(BookError, match=f"still plans chapter {planned}"):
        lists.write(copy)


@pytest.mark.parametrize("page", LISTED)
def test_a_page_that_lost_its_marks_changes_nothing(copy, page):
    change(chapters.read(copy)[0].path, lambda chapter: chapter.update(title="New"))
    text = (copy / page).read_text(encoding="utf-8").replace("chapters:end", "")
    (copy / page).write_text(text, encoding="utf-8")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(BookError, match=f"{page} has no place"):
        lists.write(copy)
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda chapter: chapter.pop("hours"), "too little about itself: .*hours"),
        (lambda chapter: chapter.update(title=""), "too little about itself: .*title"),
        (lambda chapter: chapter.update(needs="2"), "too little about itself: .*needs"),
        (lambda chapter: chapter.update(number=3), "calls itself chapter 3"),
        (lambda chapter: chapter.update(needs=[7]), "not earlier"),
    ],
)
def test_a_notebook_that_does_not_describe_itself(copy, edit, told):
    change(chapters.read(copy)[0].path, edit)
    with pytest.raises(BookError, match=told):
        lists.write(copy)


@pytest.mark.parametrize("text", ["", "parts: 3", "parts: {A: 1}", "parts: {A: 1}\nplanned: {1: {title: x}}", "a: ["])
def test_a_broken_plan(copy, text):
    (copy / lists.PLAN).write_text(text)
    with pytest.raises(BookError, match="no list of parts"):
        lists.write(copy)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 second"), (4.6, "5 seconds"), (89, "89 seconds"), (754.2, "13 minutes")]
)
def test_durations_in_words(seconds, words):
    assert lists.duration(seconds) == words
