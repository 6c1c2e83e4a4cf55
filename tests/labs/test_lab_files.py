"""What the labs are made of: the runtime as npm brings it, graphs that belong to the weights, pictures of the model."""

import gzip
import hashlib
import importlib.util
import json
import re

import numpy as np
import pytest
from in_node import ROOT

from book._ext import labs
from bookkit import files
from bookkit.viewers import fragment

VENDOR = ROOT / "book" / "_ext" / "vendor" / "onnxruntime-web"
DATA, SHOWN = ROOT / "data" / "labs" / "pictures", ROOT / "book" / "_static" / "lab" / "pictures"
MODEL = ROOT / "data" / "models" / "pocket-diffusion"
GRAPHS = json.loads((DATA / "graphs.json").read_text(encoding="utf-8"))["graphs"]


# --- the runtime ------------------------------------------------------------------------------------------


def test_the_runtime_is_what_npm_brings():
    origin = json.loads((VENDOR / "ORIGIN.json").read_text(encoding="utf-8"))
    for name, recorded in origin["files"].items():
        content = (VENDOR / name).read_bytes()
        content = gzip.decompress(content) if recorded.get("packed") == "gzip" else content
        assert (len(content), hashlib.sha256(content).hexdigest()) == (recorded["bytes"], recorded["sha256"]), name
    assert "Microsoft Corporation" in (VENDOR / "LICENSE").read_text(encoding="utf-8")
    notices = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
    assert f"## ONNX Runtime Web {origin['version']}\n" in notices
    assert f"v{origin['version']}" in (VENDOR / "ort.wasm.bundle.min.mjs").read_text(encoding="utf-8")[:200]
    assert sum(path.stat().st_size for path in VENDOR.iterdir()) <= 5_000_000


# --- graphs and weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_belongs_to_its_weights(name):
    record, graph = GRAPHS[name], DATA / GRAPHS[name]["file"]
    found = {"bytes": graph.stat().st_size, "sha256": files.sha256(graph)}
    assert found == {key: record[key] for key in found}
    weights = MODEL / record["weights"]["file"]
    problem = files.file_problem(weights, record["weights"], hashes=True)
    assert problem is None, f"{problem}; export the graphs anew: python -m training.browser"
    assert record["bytes"] < 300_000  # no weights inside


def test_graphs_compute_what_the_networks_do():
    """With the shipped weights behind them; the runtime is the one that the chapters use, on the CPU."""
    import onnxruntime
    import torch

    from training.browser import graphs

    for name, (network, inputs, outputs, weights) in graphs.networks(MODEL).items():
        content = (MODEL / weights).read_bytes()
        own = onnxruntime.SessionOptions()
        own.intra_op_num_threads, own.log_severity_level = 1, 3
        own.add_external_initializers_from_files_in_memory(["weights"], [content], [len(content)])
        session = onnxruntime.InferenceSession((DATA / f"{name}.onnx").read_bytes(), own)
        assert [one.name for one in session.get_outputs()] == outputs
        found = session.run(None, {key: value.numpy() for key, value in inputs.items()})
        with torch.no_grad():
            wanted = network.eval()(*inputs.values())
        for key, one, other in zip(outputs, found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            assert list(one.shape) == GRAPHS[name]["outputs"][key]
            assert np.abs(one - other.numpy()).max() < 1e-4, (name, key)


@pytest.mark.slow
def test_exporting_again_gives_the_same_bytes(tmp_path):
    missing = [
        name for name in ("onnx", "onnxscript", "onnx_ir", "ml_dtypes") if importlib.util.find_spec(name) is None
    ]
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed; see training/browser/requirements.txt")
    from training.browser import graphs

    record = graphs.write(MODEL, tmp_path)
    assert record == json.loads((DATA / "graphs.json").read_text(encoding="utf-8"))
    for name in GRAPHS:
        assert (tmp_path / f"{name}.onnx").read_bytes() == (DATA / f"{name}.onnx").read_bytes(), name


# --- what stands there before anything is loaded ----------------------------------------------------------


def test_the_prepared_run_is_of_this_model():
    from training.browser import example

    record = json.loads((SHOWN / "example.json").read_text(encoding="utf-8"))
    assert record["weights"] == example.weights_of(MODEL), "the model has changed: python -m training.browser"
    assert record["settings"] == example.SETTINGS
    assert json.loads((SHOWN / "words.json").read_text(encoding="utf-8")) == example.known_words()
    sizes = {
        name: (SHOWN / name).stat().st_size for name in ("example.webp", "example.json", "strip.webp", "words.json")
    }
    assert sum(sizes.values()) < 400_000, sizes


def test_words_of_the_prepared_run_are_those_of_its_sentence():
    record = json.loads((SHOWN / "example.json").read_text(encoding="utf-8"))
    prompt, words = record["settings"]["prompt"], record["words"]
    assert "".join(word["text"] for word in words) == prompt.replace(" ", "")
    assert [word["first"] for word in words][0] == 1
    assert record["last"] == words[-1]["first"] + words[-1]["count"]
    page = (ROOT / "book" / "lab" / "pictures.md").read_text(encoding="utf-8")
    (alt,) = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    subject = prompt.split(",")[0].split()[-1]
    assert subject in alt, f"the page says of its strip: {alt}"


# --- the site ---------------------------------------------------------------------------------------------


def test_the_site_gets_each_file_once_under_its_hash(tmp_path):
    (tmp_path / "lab" / "files").mkdir(parents=True)
    (tmp_path / "lab" / "files" / "0123456789abcdef.bin").write_text("of an older version")
    labs.write(ROOT, tmp_path)
    listing = json.loads((tmp_path / "lab" / "labs.json").read_text(encoding="utf-8"))
    names = set()
    wanted = labs.contents(ROOT)
    assert listing["labs"].keys() == wanted.keys() == {*labs.LABS, "search"}
    for lab, entry in listing["labs"].items():
        assert entry["files"].keys() == wanted[lab].keys()
        for record in entry["files"].values():
            path = tmp_path / "lab" / record["url"]
            names.add(path.name)
            assert path.name.startswith(record["sha256"][:16])
            assert (path.stat().st_size, files.sha256(path)) == (record["bytes"], record["sha256"])
    assert {path.name for path in (tmp_path / "lab" / "files").iterdir()} == names
    weights = labs.LABS["pictures"]["unet.safetensors"]
    assert listing["labs"]["pictures"]["files"]["unet.safetensors"]["sha256"] == files.sha256(ROOT / weights)


def test_what_viewers_share_becomes_a_module():
    source = (fragment.FOLDER / "shared.js").read_text(encoding="utf-8")
    module = labs.module(source)
    (exported,) = re.findall(r"export \{(.*)\};\n$", module)
    assert module.startswith(source) and {"el", "svg", "choices", "player", "speaker", "onTheme"} <= set(
        exported.split(", ")
    )
    assert ".bookkit-viewer{" in labs.shared_style() and ".bkv{" in labs.shared_style()


@pytest.mark.parametrize("name", labs.VIEWERS)
def test_a_viewer_becomes_a_module(name):
    module = labs.viewer_module(name)
    (wanted,) = re.findall(r'^import \{(.*)\} from "../shared.js";', module)
    (exported,) = re.findall(r"export \{(.*)\};\n$", module)
    assert "mount" in exported.split(", ") and not set(wanted.split(", ")) & set(exported.split(", "))
    assert "NAME" not in module + labs.viewer_source(name, "css") and f"bk-{name}-" in module
