"""The command line: exit codes, one calm line per failure, and the address of the book written everywhere."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bookkit import BookError, address, cli

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = "https://github.com/OWNER/the-book", "https://github.com/ada-l/cell_by.cell"


# --- commands -----------------------------------------------------------------------------------------------


def bookkit(*words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "bookkit", *words],
        env=os.environ | {"BOOK_MODELS": "pocket"} | environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


def test_help_names_every_command():
    done = bookkit("--help")
    assert done.returncode == 0
    for name in ("fetch", "ask", "serve", "student", "status", "lists", "address", "strip"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("words", "environment", "part"),
    [
        (["fetch", "no-such-role"], {}, "no-such-role"),
        (["fetch", "controlnet"], {}, "not shipped yet"),
        (
            ["fetch", "assistant", "--from", "no/such.gguf"],
            {"BOOKKIT_CACHE": "/nowhere"},
            "There is no file no/such.gguf",
        ),
        (["fetch", "--from", "no/such.gguf"], {}, "must be named (assistant)"),
        (["fetch"], {"BOOK_MODELS": "enormous"}, "enormous"),
        (["fetch"], {"BOOK_ROOT": "/nowhere"}, "/nowhere"),
        (["fetch", "grounded-qa"], {"BOOK_MODELS": "hub"}, "full-size"),
        (["ask", " "], {}, "no question"),
        (["student", "no/such.ipynb"], {}, "such.ipynb"),
        (["strip", "no/such.ipynb"], {}, "such.ipynb"),
        (["address", "not an address"], {}, "not an address"),
    ],
)
def test_failure_is_one_line_and_exit_code_1(words, environment, part, monkeypatch, capsys):
    for name, value in ({"BOOK_MODELS": "pocket"} | environment).items():
        monkeypatch.setenv(name, value)
    assert cli.main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bookkit: ") and part in line


@pytest.mark.parametrize("words", [["lists"], ["strip"], ["fetch"]])
def test_a_python_without_the_environment_is_told_which_one_to_use(words):
    """Without site-packages, as the system's Python would run it."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "bookkit", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.search(r"lacks \w+, .*: run .venv/bin/python -m bookkit instead, after 'make env'", line)


@pytest.mark.parametrize("words", [[], ["no-such-command"], ["ask"], ["student"], ["address"]])
def test_wrong_words_are_explained(words, capsys):
    with pytest.raises(SystemExit, match="^2$"):
        cli.main(words)
    assert "usage: python -m bookkit" in capsys.readouterr().err


def test_a_sentence_over_several_lines_is_still_told_in_one(monkeypatch, capsys):
    def fail(*_, **__):
        raise BookError("The first line\n  and the second.")

    monkeypatch.setattr("bookkit.fetch.fetch", fail)
    assert cli.main(["fetch"]) == 1
    assert capsys.readouterr().err == "bookkit: The first line and the second.\n"


def test_interruption_is_no_traceback(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bookkit.fetch.fetch", interrupt)
    assert cli.main(["fetch"]) == 130
    assert capsys.readouterr().err == "bookkit: Interrupted.\n"


def test_fetch_passes_its_words_on(monkeypatch, capsys):
    seen = {}
    monkeypatch.setattr(
        "bookkit.fetch.fetch",
        lambda roles, verify, say, source: seen.update(roles=roles, verify=verify, source=source) or say("fine"),
    )
    assert cli.main(["fetch", "chat", "embedder", "--verify"]) == 0
    assert seen == {"roles": ["chat", "embedder"], "verify": True, "source": None}
    assert cli.main(["fetch", "assistant", "--from", "a.gguf"]) == 0
    assert seen == {"roles": ["assistant"], "verify": False, "source": "a.gguf"}
    assert capsys.readouterr().out == "fine\nfine\n"


def test_ask_passes_its_words_on(monkeypatch):
    seen = []
    monkeypatch.setattr("bookkit.ask.answer.ask", seen.append)
    assert cli.main(["ask", "What", "is a token?"]) == 0 and seen == ["What is a token?"]


def test_student_passes_its_words_on(monkeypatch, capsys):
    seen = {}
    monkeypatch.setattr(
        "bookkit.teaching.student_copy",
        lambda path, out, handout: seen.update(path=path, out=out, handout=handout) or Path("copy.ipynb"),
    )
    assert cli.main(["student", "a.ipynb", "-o", "b.ipynb", "--handout"]) == 0
    assert seen == {"path": Path("a.ipynb"), "out": Path("b.ipynb"), "handout": True}
    assert capsys.readouterr().out == "copy.ipynb\n"


def test_strip_names_what_it_changed(monkeypatch, capsys):
    monkeypatch.setattr("bookkit.notebooks.strip", lambda path: path.name == "a.ipynb")
    assert cli.main(["strip", "a.ipynb", "b.ipynb"]) == 0
    assert capsys.readouterr().out == "a.ipynb\n"


# --- terminals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp437"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "C"},
    ],
)
def test_a_terminal_that_is_not_utf_8_shows_what_it_can(environment):
    # The editable install's own finder reads no path with an umlaut where the file system counts as ASCII.
    environment = environment | {"PYTHONPATH": str(ROOT / "src")}
    done = bookkit("fetch", "–/κ", **environment)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.match(r'bookkit: There is no role ".*/.*" in data/models.yml: ', line)
    done = bookkit("strip", "--help", **environment)
    assert (done.returncode, done.stderr) == (0, "")


PRINTS = """
import sys
from bookkit import cli, fetch
fetch.fetch = lambda roles, verify, say, source: [say(role) for role in roles]
sys.exit(cli.main(["fetch", *sys.argv[1:] * 5000]))
"""


def printing(output, *words: str, unbuffered: bool) -> subprocess.Popen:
    """5,000 lines from a process of its own, its output where a test wants it."""
    return subprocess.Popen(
        [sys.executable, "-c", PRINTS, *words],
        env=os.environ | {"PYTHONUNBUFFERED": "1" if unbuffered else ""},
        stdout=output,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_closed_pipe_ends_quietly(unbuffered):
    process = printing(subprocess.PIPE, "a.ipynb", unbuffered=unbuffered)
    assert process.stdout.readline().strip() == b"a.ipynb"
    process.stdout.close()
    assert (process.stderr.read(), process.wait(30)) == (b"", 141)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_full_disk_under_the_output_is_told(unbuffered):
    with open("/dev/full", "w") as full:
        process = printing(full, "a.ipynb", unbuffered=unbuffered)
        told = process.stderr.read().decode()
    assert process.wait(30) == 1
    assert told == "bookkit: The output cannot be read or written (No space left on device).\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such arguments")
@pytest.mark.parametrize("words", [["student", b"\xff\xfe.ipynb"], ["fetch", b"\xe4"], ["address", b"\x80"]])
def test_an_argument_that_is_not_utf_8_is_no_traceback(words):
    done = subprocess.run([sys.executable, "-m", "bookkit", *words], capture_output=True, cwd=ROOT)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("bookkit: ") and "?" in line


# --- the address of the book --------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path) -> Path:
    """The files that hold the address, with what stands around it."""
    cell = {"source": [f'REPOSITORY = "{OLD}"\n', 'PAGES = ""\n', "print(REPOSITORY)"], "cell_type": "code"}
    stale = {
        "source": ['REPOSITORY = "https://example.org/left/behind"\n', "PAGES = 'x'"],
        "cell_type": "code",
    }
    texts = {
        "_config.yml": "title: T\nrepository:   # where\n  # a comment\n"
        f"  url: {OLD}   # here\n  branch: main\n"
        'html:\n  favicon: f.svg\n  baseurl: ""\n',
        "README.md": f"[repo]({OLD}), {OLD}.git, {OLD}-extras, "
        "https://colab.research.google.com/github/OWNER/the-book/blob/main/notebooks/a.ipynb, "
        "https://mybinder.org/v2/gh/OWNER/the-book/main, "
        "?repo=https%3A%2F%2Fgithub.com%2FOWNER%2Fthe-book&x\n",
        "CITATION.cff": f'repository-code: "{OLD}"\n',
        "book/index.md": f"See {OLD}/issues.\n",
        "book/parts/deep.md": "Nothing here.\n",
        "notebooks/a.ipynb": json.dumps({"cells": [cell]}, indent=1),
        "notebooks/b.ipynb": json.dumps({"cells": [stale]}, indent=1),
        "src/untouched.md": OLD,
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def texts(book: Path) -> dict[str, str]:
    return {str(p.relative_to(book)): p.read_text(encoding="utf-8") for p in book.rglob("*") if p.is_file()}


def test_address_is_written_everywhere(book):
    before = texts(book)
    changed = address.write(book, NEW + "/", pages="https://ada-l.github.io/cell/")
    after = texts(book)
    assert address.read(book) == (NEW, "https://ada-l.github.io/cell")
    assert yaml.safe_load(after["_config.yml"])["repository"]["branch"] == "main"
    assert "# a comment" in after["_config.yml"] and "# here" in after["_config.yml"]
    assert f"[repo]({NEW}), {NEW}.git, {OLD}-extras" in after["README.md"]
    assert "/github/ada-l/cell_by.cell/blob/main/" in after["README.md"]
    assert "/gh/ada-l/cell_by.cell/main" in after["README.md"]
    assert "%2Fada-l%2Fcell_by.cell&x" in after["README.md"]
    for name in ("a", "b"):
        source = "".join(json.loads(after[f"notebooks/{name}.ipynb"])["cells"][0]["source"])
        namespace: dict = {}
        exec(source, namespace)
        assert namespace["REPOSITORY"] == NEW and namespace["PAGES"] == "https://ada-l.github.io/cell"
    assert NEW in after["CITATION.cff"] and NEW + "/issues" in after["book/index.md"]
    assert {str(path) for path in changed} == {name for name in before if before[name] != after[name]}
    assert after["src/untouched.md"] == OLD and set(after) == set(before)
    assert address.write(book, NEW) == []


def test_a_book_without_an_address_says_so_until_it_has_one(book):
    assert "bookkit address https://github.com/YOU/REPOSITORY" in address.unpublished(book)
    address.write(book, NEW)
    assert address.unpublished(book) is None


def test_pages_stay_where_only_the_repository_moves(book):
    address.write(book, OLD, pages="https://one.example/book")
    address.write(book, NEW)
    assert address.read(book) == (NEW, "https://one.example/book")
    address.write(book, NEW, pages="https://two.example")
    assert address.read(book) == (NEW, "https://two.example")
    assert "one.example" not in "".join(texts(book).values())


@pytest.mark.parametrize(
    "url",
    [
        "x",
        "github.com/a/b",
        "ftp://x.org/a/b",
        'https://x.org/a/b"; import os',
        "https://x.org/a/b?c=d",
        "https://x.org/a/b#c",
        "https://x.org/a b/c",
        "https://x.org/a/b\\n",
    ],
)
def test_malformed_address_changes_nothing(book, url):
    before = texts(book)
    for given in ({"url": url}, {"url": NEW, "pages": url}):
        with pytest.raises(BookError, match="is not an address"):
            address.write(book, **given)
    with pytest.raises(BookError, match="OWNER/REPOSITORY"):
        address.write(book, "https://github.com/only-the-owner")
    assert texts(book) == before


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/ada-l/cell_by.cell/blob/main/README.md",
        "https://github.com/ada-l/cell_by.cell/settings/pages/",
        "https://www.github.com/ada-l/cell_by.cell/notebooks",
        "https://gitlab.com/group/part/book/-/tree/main",
        "https://codeberg.org/ada-l/book/src/branch/main",
    ],
)
def test_an_address_inside_the_repository_is_refused(book, url):
    before = texts(book)
    with pytest.raises(BookError, match="address of a repository itself: write it like https://github.com/OWNER/REPO"):
        address.write(book, url)
    assert texts(book) == before


@pytest.mark.parametrize("page", ["/book/index.html", "/INDEX.HTM", "/notebooks/02_tokenization.html/"])
def test_the_address_of_one_page_is_refused(book, page):
    before = texts(book)
    with pytest.raises(BookError, match="the whole site, but of a page"):
        address.write(book, NEW, pages="https://ada-l.github.io/cell" + page)
    assert texts(book) == before


def test_groups_above_a_repository_are_part_of_its_address(book):
    address.write(book, "https://gitlab.com/school/ai/book.git/", pages="http://localhost:8000")
    assert address.read(book) == ("https://gitlab.com/school/ai/book", "http://localhost:8000")


def test_a_file_that_cannot_be_read_changes_nothing(book):
    (book / "notebooks" / "z.ipynb").write_bytes(b"\xff\xfe")
    with pytest.raises(BookError, match="z.ipynb"):
        address.write(book, NEW)
    assert OLD in (book / "_config.yml").read_text()


def test_a_full_disk_changes_nothing(book, monkeypatch):
    before = texts(book)
    real, written = os.fdopen, []

    def fills_up(handle, mode):
        written.append(handle)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return real(handle, mode)

    monkeypatch.setattr(os, "fdopen", fills_up)
    with pytest.raises(BookError, match="No space left"):
        address.write(book, NEW)
    assert texts(book) == before


def test_a_configuration_without_repository(book):
    (book / "_config.yml").write_text("title: T\n")
    with pytest.raises(BookError, match="repository.url"):
        address.write(book, NEW)


def test_the_books_own_configuration_has_one():
    url, pages = address.read(ROOT)
    assert url.startswith("https://") and url.count("/") == 4
    assert pages == "" or pages.startswith("https://")
