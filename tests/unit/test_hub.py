"""BOOK_MODELS=hub against a stand-in of the hub: real ``from_pretrained``, real downloads, pinned commit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_standin import Hub

from bookkit import models, paths

pytestmark = pytest.mark.network_stub

ENTRY = models.registry()["gpt2"]["hub"]
PINNED, NEWER = ENTRY["revision"], "f" * 40

LOAD = """
import hashlib, json
import bookkit
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(bookkit.model("gpt2"), revision=REVISION)
tokenizer = AutoTokenizer.from_pretrained(bookkit.model("gpt2"), revision=REVISION)
print(json.dumps({
    "weights": {name: hashlib.sha256(value.numpy().tobytes()).hexdigest() for name, value in
                model.state_dict().items()},
    "ids": tokenizer("ab ba").input_ids,
}))
"""


@pytest.fixture(scope="module")
def commits(tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """Two commits of a tiny GPT-2: the pinned one, and a newer one with other weights and only a pickle."""
    return {
        PINNED: _tiny_gpt2(tmp_path_factory.mktemp("pinned"), seed=0) | {"pytorch_model.bin": b"never read"},
        NEWER: _tiny_gpt2(tmp_path_factory.mktemp("newer"), seed=1) | {"pytorch_model.bin": b"never read"},
    }


def _tiny_gpt2(folder: Path, seed: int) -> dict[str, bytes]:
    import torch
    from tokenizers import Tokenizer
    from tokenizers import models as tokenizer_models
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    special = {"bos_token_id": 4, "eos_token_id": 4}
    sizes = {"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": 5}
    GPT2LMHeadModel(GPT2Config(**sizes, **special, dtype="float32")).save_pretrained(folder)
    vocab = {"a": 0, "b": 1, " ": 2, "ab": 3, "?": 4}
    bpe = tokenizer_models.BPE(vocab=vocab, merges=[("a", "b")], unk_token="?")
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(bpe), unk_token="?").save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(commits):
    with Hub(ENTRY["id"], commits, main=NEWER) as hub:
        yield hub


def run(hub_url: str, home: Path, *words: str, **extra: str) -> subprocess.CompletedProcess:
    """A Python process in hub mode that knows no hub but the one at `hub_url`, and no cache but `home`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment = inherited | {
        "BOOK_MODELS": "hub",
        "HF_ENDPOINT": hub_url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "no_proxy": "127.0.0.1",
        **extra,
    }
    command = [sys.executable, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, cwd=paths.root())


def load(hub_url: str, home: Path, revision: str = 'bookkit.revision("gpt2")', **extra: str) -> dict:
    done = run(hub_url, home, "-c", LOAD.replace("REVISION", revision), **extra)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def weights_of(files: dict[str, bytes]) -> dict[str, str]:
    import hashlib

    from safetensors.torch import load as load_bytes

    tensors = load_bytes(files["model.safetensors"])
    return {name: hashlib.sha256(value.numpy().tobytes()).hexdigest() for name, value in tensors.items()}


def test_from_pretrained_downloads_the_pinned_commit(hub, commits, tmp_path):
    loaded = load(hub.url, tmp_path)
    expected = weights_of(commits[PINNED])
    assert expected != weights_of(commits[NEWER])
    assert {name: loaded["weights"][name] for name in expected} == expected
    assert loaded["ids"] == [3, 2, 1, 0]
    assert {revision for revision, _ in hub.files_asked()} == {PINNED}
    assert (PINNED, "model.safetensors") in hub.files_asked()
    assert (PINNED, "pytorch_model.bin") not in hub.files_asked()


def test_without_the_revision_the_newest_commit_would_come(hub, commits, tmp_path):
    """Why a call names both: an id alone follows the branch main."""
    expected = weights_of(commits[NEWER])
    loaded = load(hub.url, tmp_path, revision='"main"')
    assert {name: loaded["weights"][name] for name in expected} == expected


def test_fetch_downloads_ahead_and_the_chapter_then_needs_no_hub(hub, commits, tmp_path):
    done = run(hub.url, tmp_path, "-m", "bookkit", "fetch", "gpt2")
    assert done.returncode == 0, done.stderr
    assert {name for _, name in hub.files_asked()} <= set(ENTRY["files"])
    loaded = load("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    expected = weights_of(commits[PINNED])
    assert {name: loaded["weights"][name] for name in expected} == expected


def test_fetch_without_a_role_downloads_nothing_large(hub, tmp_path):
    done = run(hub.url, tmp_path, "-m", "bookkit", "fetch")
    assert done.returncode == 0, done.stderr
    assert hub.asked == []


def failure(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("bookkit: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def complete_files(home: Path) -> set[str]:
    return {path.name for path in home.glob("hub/*/snapshots/*/*") if path.exists()}


def test_a_cut_off_download_is_told_and_leaves_no_half_file(hub, commits, tmp_path):
    hub.cut_at = len(commits[PINNED]["model.safetensors"]) // 2
    sentence = failure(run(hub.url, tmp_path, "-m", "bookkit", "fetch", "gpt2"))
    assert ENTRY["id"] in sentence and "again" in sentence
    assert "model.safetensors" not in complete_files(tmp_path)

    hub.cut_at = None
    assert run(hub.url, tmp_path, "-m", "bookkit", "fetch", "gpt2").returncode == 0
    (snapshot,) = tmp_path.glob(f"hub/*/snapshots/{PINNED}/model.safetensors")
    assert snapshot.read_bytes() == commits[PINNED]["model.safetensors"]


def test_a_dead_hub_is_told(tmp_path):
    sentence = failure(run("http://127.0.0.1:9", tmp_path, "-m", "bookkit", "fetch", "gpt2"))
    assert "cannot be reached" in sentence


def test_a_commit_that_is_gone_is_told(commits, tmp_path):
    with Hub(ENTRY["id"], {NEWER: commits[NEWER]}, main=NEWER) as hub:
        assert PINNED in failure(run(hub.url, tmp_path, "-m", "bookkit", "fetch", "gpt2"))
