"""Roles of the kind `file`: fetched only by name, from the hub or from a file that is there, and converted once."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hub_standin import Hub
from nbformat.v4 import new_code_cell, new_notebook
from test_models import sentence, tiny_gguf

import bookkit
from bookkit import colab, convert, models, paths
from bookkit import fetch as fetching

ID, NAME = "someone/large", "large.gguf"
PINNED, NEWER = "a" * 40, "b" * 40


class Book:
    """The registry of a book with one large model, an empty cache, and the model's file in a folder of its own."""

    def __init__(self, folder: Path):
        self.root, self.cache, self.file = folder / "book", folder / "cache", folder / "elsewhere" / "copy.gguf"
        self.file.parent.mkdir(parents=True)
        tiny_gguf(self.file)
        content = self.file.read_bytes()
        pocket = {
            "kind": "file",
            "id": ID,
            "revision": PINNED,
            "seen_in": "a test",
            "files": {NAME: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}},
            "convert": "gguf",
            "dtype": "bfloat16",
            "recipe": 1,
            "licence": "MIT",
            "parameters": 1,
            "bytes": 10_000,
            "passport": "book/passports/large.md",
        }
        (self.root / "data").mkdir(parents=True)
        roles = {"large": {"title": "Large", "pocket": pocket, "hub": "same"}}
        (self.root / "data" / "models.yml").write_text(yaml.safe_dump({"roles": roles}), encoding="utf-8")
        models._read_registry.cache_clear()

    def left(self) -> list[str]:
        return sorted(path.name for path in self.cache.rglob("*")) if self.cache.exists() else []


@pytest.fixture
def book(tmp_path, monkeypatch) -> Book:
    made = Book(tmp_path)
    monkeypatch.setenv("BOOK_ROOT", str(made.root))
    monkeypatch.setenv("BOOKKIT_CACHE", str(made.cache))
    monkeypatch.setenv("BOOK_MODELS", "pocket")
    return made


def fetch(*roles: str, **options) -> list[str]:
    said: list[str] = []
    fetching.fetch(roles, say=said.append, **options)
    return said


# --- unasked ------------------------------------------------------------------------------------------------


def test_without_a_name_nothing_is_fetched_and_nothing_is_said(book):
    assert fetch() == [] and fetch(verify=True) == [] and book.left() == []
    assert not bookkit.available("large")
    assert "run `python -m bookkit fetch large`" in sentence(bookkit.model, "large")


def test_the_assistant_of_the_book_is_such_a_role(monkeypatch):
    fetched = []
    monkeypatch.setattr(fetching, "_fetch_pocket", lambda role, *_: fetched.append(role))
    monkeypatch.delenv("BOOK_MODELS", raising=False)
    fetching.fetch()
    assert "chat" in fetched and "assistant" not in fetched
    pocket = models.registry()["assistant"]["pocket"]
    assert pocket["kind"] == "file" and models.download_bytes("assistant") == 0  # no chapter's price
    cell = new_code_cell('bookkit.model("chat")\nbookkit.model("assistant")')
    assert colab.roles(new_notebook(cells=[cell])) == ["chat"]


def test_available_does_not_mark_the_run(book):
    """A cell that asks does not depend on the model: its price label would name half a gigabyte."""
    from bookkit import used

    before = set(used._noted)
    bookkit.available("large")
    assert used._noted == before
    assert '"lrage"' in sentence(bookkit.available, "lrage")


# --- from a file that is there already ----------------------------------------------------------------------


def test_a_given_file_is_converted_once_and_stays_where_it_is(book):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = book.file.read_bytes()
    said = fetch("large", source=book.file)
    assert said[0] == f"large: not here yet; taking {book.file}" and said[-1] == "large: Large is ready"
    assert bookkit.available("large") and book.file.read_bytes() == before
    folder = Path(bookkit.model("large"))
    assert folder.parent == book.cache and folder.name.startswith(f"large-{PINNED[:8]}-")
    assert [path.name for path in book.cache.iterdir()] == [folder.name]
    assert str(AutoModelForCausalLM.from_pretrained(folder).dtype) == "torch.bfloat16"
    assert AutoTokenizer.from_pretrained(folder).tokenize("x  7") == ["x", "ĠĠ", "7"]
    assert fetch("large", verify=True) == ["large: Large is ready"]
    assert bookkit.revision("large") is None


def test_what_lies_beside_a_given_file_is_not_read(book):
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json"):
        (book.file.parent / name).write_text("{ not JSON")
    fetch("large", source=book.file)
    assert bookkit.available("large")


def test_in_hub_mode_it_is_the_same_model(book, monkeypatch):
    monkeypatch.setenv("BOOK_MODELS", "hub")
    assert not bookkit.available("large")
    fetch("large", source=book.file)
    assert bookkit.available("large") and Path(bookkit.model("large")).is_dir()


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda path: path.unlink(), "There is no file"),
        (lambda path: (path.unlink(), path.mkdir()), "is no file: give the path of large.gguf itself"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "bytes instead of"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "does not have the recorded sha256"),
        (lambda path: path.write_bytes(b""), "has 0 bytes instead of"),
    ],
)
def test_what_is_not_the_file_is_told_and_leaves_nothing(book, spoil, part):
    spoil(book.file)
    assert part in sentence(fetch, "large", source=book.file)
    assert book.left() == [] and not bookkit.available("large")


def test_a_home_folder_and_a_path_below_here_are_understood(book, monkeypatch):
    monkeypatch.setenv("HOME", str(book.file.parent))
    monkeypatch.chdir(book.file.parent)
    assert "~/none.gguf" not in sentence(fetch, "large", source="~/none.gguf")
    fetch("large", source="copy.gguf")
    assert bookkit.available("large")


@pytest.mark.parametrize("roles", [(), ("large", "large")])
def test_a_file_is_of_one_role(book, roles):
    assert "that role must be named (large)" in sentence(fetch, *roles, source=book.file)


def test_a_role_of_another_kind_takes_no_file(monkeypatch):
    monkeypatch.delenv("BOOK_MODELS", raising=False)
    assert "(assistant)" in sentence(fetch, "chat", source="model.gguf")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_conversion_that_breaks_off_leaves_nothing(book, monkeypatch, error):
    def breaks_off(source, target, dtype):
        target.mkdir()
        (target / "model.safetensors").write_bytes(b"half")
        raise error

    monkeypatch.setattr(convert, "gguf_to_safetensors", breaks_off)
    if isinstance(error, OSError):
        assert "is full" in sentence(fetch, "large", source=book.file)
    else:
        with pytest.raises(KeyboardInterrupt):
            fetch("large", source=book.file)
    assert book.left() == [] and not bookkit.available("large")


def test_a_damaged_copy_is_not_available_and_only_mended_by_name(book):
    fetch("large", source=book.file)
    weights = Path(bookkit.model("large")) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert not bookkit.available("large")
    assert "run `python -m bookkit fetch large`" in sentence(bookkit.model, "large")
    assert fetch() == []
    fetch("large", source=book.file)
    assert bookkit.available("large")


# --- from the hub -------------------------------------------------------------------------------------------


def run(book: Book, url: str, *words: str) -> subprocess.CompletedProcess:
    """A process that fetches the role from the hub at `url`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    home = str(book.root.parent / "home")
    told = {"HF_ENDPOINT": url, "HF_HOME": home, "HF_HUB_DISABLE_TELEMETRY": "1", "no_proxy": "127.0.0.1"}
    command = [sys.executable, "-m", "bookkit", "fetch", "large", *words]
    environment = inherited | told | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, cwd=paths.root())


def failure(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("bookkit: ")]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0]


@pytest.mark.network_stub
def test_the_pinned_file_comes_from_the_hub(book):
    content = book.file.read_bytes()
    commits = {PINNED: {NAME: content, "other.gguf": b"x"}, NEWER: {NAME: b"newer"}}
    with Hub(ID, commits, main=NEWER) as hub:
        done = run(book, hub.url)
        assert done.returncode == 0, done.stderr
        assert hub.files_asked() == {(PINNED, NAME)}
        asked = len(hub.asked)
        assert run(book, hub.url).stdout == "large: Large is ready\n" and len(hub.asked) == asked
    assert bookkit.available("large")
    assert [path.name for path in book.cache.iterdir()] == [Path(bookkit.model("large")).name]
    assert not list((book.root.parent / "home").rglob("*.gguf")), "a second copy would lie in the hub's own cache"


@pytest.mark.network_stub
def test_a_download_that_is_cut_off_altered_or_refused_is_told_and_leaves_nothing(book):
    content = book.file.read_bytes()
    with Hub(ID, {PINNED: {NAME: content}}, main=PINNED) as hub:
        hub.cut_at = len(content) // 2
        assert "fetch large` again" in failure(run(book, hub.url))
    with Hub(ID, {PINNED: {NAME: content[:-1] + b"x"}}, main=PINNED) as hub:
        assert "does not have the recorded sha256" in failure(run(book, hub.url))
    with Hub(ID, {NEWER: {NAME: content}}, main=NEWER) as hub:
        assert PINNED in failure(run(book, hub.url))
    with Hub(ID, {PINNED: {"other.gguf": content}}, main=PINNED) as hub:
        assert ID in failure(run(book, hub.url))
    assert "cannot be reached" in failure(run(book, "http://127.0.0.1:9"))
    assert book.left() == []


def test_a_disk_that_fills_up_during_the_download_is_told_of_the_disk(book, monkeypatch):
    import huggingface_hub

    def fills_up(*_, local_dir, **__):
        (local_dir / "half").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fills_up)
    assert f"The disk of the cache {book.cache} is full" in sentence(fetch, "large")
    assert book.left() == []


@pytest.mark.network_stub
def test_a_given_file_needs_no_hub(book):
    done = run(book, "http://127.0.0.1:9", "--from", str(book.file))
    assert done.returncode == 0 and bookkit.available("large"), done.stderr
