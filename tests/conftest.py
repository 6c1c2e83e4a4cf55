"""What all tests share: where the book is, its chapters, and their executed copies."""

import functools
import os
import sys
from pathlib import Path

import pytest

from bookkit import notebooks
from bookkit.errors import BookError

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = Path(__file__).parent / "fixtures" / "notebooks"
MINI = FIXTURES / "mini"  # a whole book in small: one chapter that keeps every rule
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # for `tools`


def listed_chapters() -> list[Path]:
    """The chapters of ``_toc.yml`` that exist; tests/contract/test_repository.py asks for the others."""
    paths = [ROOT / f"{page}.ipynb" for page in notebooks.pages(ROOT) if page.startswith("notebooks/")]
    return [path for path in paths if path.is_file()]


def pytest_generate_tests(metafunc):
    """A test that asks for `book_chapter` runs once for every chapter of the book; it must only read it."""
    if "book_chapter" in metafunc.fixturenames:
        paths = listed_chapters()
        metafunc.parametrize("book_chapter", paths, ids=[path.stem for path in paths], scope="session")


@pytest.fixture
def mini():
    """The notebook of the book in small, to be broken at will."""
    return notebooks.read(MINI / "notebooks" / "01_mini.ipynb")


@pytest.fixture(scope="session")
def executed():
    """A function from a chapter's path to its executed notebook (from the cache where nothing changed).

    Where the tools that execute are missing, tests skip; with BOOK_REQUIRE set, they fail.
    """

    @functools.cache
    def run(path: Path):
        try:
            from tools.execute import execute

            return execute(path)
        except (ImportError, BookError) as error:  # kept, so that a broken chapter runs once, not once a test
            return error

    def executed_notebook(path: Path):
        result = run(path)
        if isinstance(result, ImportError) and not os.environ.get("BOOK_REQUIRE"):
            pytest.skip(f"chapters cannot be executed here: {result}")
        if isinstance(result, Exception):
            pytest.fail(str(result), pytrace=False)
        return notebooks.read(result)

    return executed_notebook
