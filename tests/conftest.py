"""What all tests share: where the book is, its chapters, and their executed copies."""

import functools
import os
from pathlib import Path

import pytest

from bookkit import notebooks
from bookkit.errors import BookError
from tools import runs

ROOT = Path(__file__).resolve().parents[1]
FIXTURES = Path(__file__).parent / "fixtures" / "notebooks"
MINI = FIXTURES / "mini"  # a whole book in small: one chapter that keeps every rule


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
    """A function from a chapter's path to its executed notebook, from the run that nbval has made of it.

    Nothing is run here. Where a chapter has not run as it is now, a test skips; with BOOK_REQUIRE set, it fails.
    """

    @functools.cache
    def executed_notebook(path: Path):
        try:
            record, notebook = runs.of(path)
        except BookError as error:
            if os.environ.get("BOOK_REQUIRE"):
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
        if record["verdict"] != runs.PASSED:
            pytest.fail(f"{path.stem}: {runs.told(record)}", pytrace=False)
        return notebook

    return executed_notebook


@pytest.fixture(scope="module")
def own_accelerator():
    """Accelerate keeps one precision a process; what another recipe's tests chose must not bind these."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
