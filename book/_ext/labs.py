"""Bring what the labs need into the built site: models, graphs, the runtime, and what labs share with viewers.

Below ``_static/lab/`` of the site, beside the modules that stand in ``book/_static/lab``:

- ``files/``: weights, graphs and vocabularies as they lie in the repository, what is made of them and of the book's
  text, and the runtime, each under the first digits of its sha256, so that a browser may keep a file for ever;
- ``labs.json``: which of them a lab loads, with bytes and sha256;
- ``shared.js`` and ``shared.css``: what viewers share (``src/bookkit/viewers``), as a module, with the book's colours;
- ``viewers/``: the viewers that labs use with data of the reader's own, as modules.

Weights are copied while the site is built and lie in the repository once; those of a fetched model do not lie there at
all, and where it has not been fetched the site is built without its lab. No lab's page names them in its HTML: they
are loaded when the reader asks for it.
"""

import json
import posixpath
import re
import zlib
from pathlib import Path

from docutils import nodes

from bookkit import files
from bookkit.ask import browser
from bookkit.viewers import fragment

VENDOR = Path(__file__).with_name("vendor") / "onnxruntime-web"
RUNTIME = {"runtime.mjs": VENDOR / "ort.wasm.bundle.min.mjs", "runtime.wasm": VENDOR / "ort-wasm-simd-threaded.wasm.gz"}
PIPELINE = "data/models/pocket-diffusion"
LABS = {
    "pictures": {
        "graphs.json": "data/labs/pictures/graphs.json",
        "scheduler.json": f"{PIPELINE}/scheduler/scheduler_config.json",
        "tokenizer.json": f"{PIPELINE}/tokenizer/tokenizer.json",
        "tokenizer_config.json": f"{PIPELINE}/tokenizer/tokenizer_config.json",
        "text_encoder.onnx": "data/labs/pictures/text_encoder.onnx",
        "text_encoder.safetensors": f"{PIPELINE}/text_encoder/model.safetensors",
        "unet.onnx": "data/labs/pictures/unet.onnx",
        "unet.safetensors": f"{PIPELINE}/unet/diffusion_pytorch_model.safetensors",
        "decoder.onnx": "data/labs/pictures/decoder.onnx",
        "decoder.safetensors": f"{PIPELINE}/vae/diffusion_pytorch_model.safetensors",
        **RUNTIME,
    },
    "text": {
        "config.json": "data/models/pocket-gpt2/config.json",
        "tokenizer.json": "data/models/pocket-gpt2/tokenizer.json",
        "model.safetensors": "data/models/pocket-gpt2/model.safetensors",
    },
}
"""Of each lab, what its worker loads: the name that its engine uses, and the file (below the root, or a path)."""
VIEWERS = ("attention", "tokens")


def search(root: Path) -> dict[str, Path]:
    """The files of the search lab, those of the fetched embedder and the book's passages; none without the model."""
    if browser.folder() is None:
        return {}
    encoder, made = browser.Encoder(root), root / "_build" / "labs" / "search"
    browser.write(root, encoder, made)
    return {
        "encoder.onnx": encoder.graph,
        "encoder.safetensors": encoder.weights,
        "vocab.txt": encoder.vocabulary,
        **{name: made / name for name in ("passages.json", "passages.bin")},
        **RUNTIME,
    }


def names(source: str) -> list[str]:
    """What a viewer's script declares at its top level."""
    return re.findall(r"(?m)^(?:const|function) (\w+)", source)


def module(source: str) -> str:
    """A viewer's script as a module: all that stands at its top level is exported."""
    return f"{source}\nexport {{{', '.join(names(source))}}};\n"


def shared_source() -> str:
    return (fragment.FOLDER / "shared.js").read_text(encoding="utf-8")


def viewer_source(name: str, kind: str) -> str:
    """The "js" or "css" of a viewer, with its prefix put in, without what viewers share."""
    source = (fragment.FOLDER / name / f"viewer.{kind}").read_text(encoding="utf-8")
    return re.sub(r"\bbk-NAME\b", fragment.prefix(name), source)


def viewer_module(name: str) -> str:
    """A viewer as a module beside the shared one."""
    source = viewer_source(name, "js")
    shared = [word for word in names(shared_source()) if word not in names(source)]
    return f'import {{{", ".join(shared)}}} from "../shared.js";\n{module(source)}'


def shared_style() -> str:
    """The book's colours for labs, and the viewers' shared.css."""
    return fragment.THEME + "\n" + (fragment.FOLDER / "shared.css").read_text(encoding="utf-8")


def contents(root: Path) -> dict[str, dict[str, Path]]:
    """Of each lab, its files by the names that its engine uses; a lab whose model is missing is left out."""
    shipped = {lab: {key: root / path for key, path in paths.items()} for lab, paths in LABS.items()}
    fetched = search(root)
    return {**shipped, **({"search": fetched} if fetched else {})}


def entry(path: Path) -> dict:
    """What labs.json says of a file."""
    digest = files.sha256(path)
    # An ending that no host unpacks, compresses anew or treats in its own way.
    return {"url": f"files/{digest[:16]}.bin", "bytes": path.stat().st_size, "sha256": digest}


def write(root: Path, static: Path) -> None:
    """Everything that the labs need, below a site's folder ``_static``; what is there already stays."""
    target, listing, wanted = static / "lab", {"labs": {}}, set()
    (target / "files").mkdir(parents=True, exist_ok=True)
    for lab, paths in contents(root).items():
        listing["labs"][lab] = {"files": {}}
        for key, path in paths.items():
            record = entry(path)
            copy = target / record["url"]
            if not copy.is_file() or copy.stat().st_size != record["bytes"]:
                files.write_bytes(copy, path.read_bytes())
            listing["labs"][lab]["files"][key] = record
            wanted.add(copy.name)
    for old in (target / "files").iterdir():
        if old.name not in wanted:
            old.unlink()
    files.write_text(target / "labs.json", json.dumps(listing, indent=1) + "\n")
    files.write_text(target / "shared.js", module(shared_source()))
    files.write_text(target / "shared.css", shared_style())
    (target / "viewers").mkdir(exist_ok=True)
    for name in VIEWERS:
        files.write_text(target / "viewers" / f"{name}.js", viewer_module(name))
        files.write_text(target / "viewers" / f"{name}.css", viewer_source(name, "css"))


HOST = """<div class="bookkit-viewer bookkit-lab" data-bookkit="lab-{lab}" data-lab="{lab}" data-later{more}
role="figure" aria-label="{title}"><p class="bk-lab-note">Here stands the <a href="{page}">{lab} lab</a>, where the page
has JavaScript and comes from a web server.</p></div>"""


def stand_in(app, doctree) -> None:
    """Behind a control that needs a kernel, a cell tagged ``lab-NAME`` or ``lab-NAME-PANEL``, the page gets the lab."""
    for cell in list(doctree.findall(nodes.container)):
        for tag in cell["classes"]:
            lab, _, panel = tag.removeprefix("tag_lab-").partition("-")
            if tag.startswith("tag_lab-") and lab in (*LABS, "search"):
                page = posixpath.relpath(f"book/lab/{lab}", posixpath.dirname(app.env.docname))
                more = f' data-panel="{panel}"' if panel else ""
                element = HOST.format(lab=lab, more=more, page=f"{page}.html", title=f"The {lab} lab, in this page")
                cell.parent.insert(cell.parent.index(cell) + 1, nodes.raw("", element, format="html"))


def bring(app, pagename, templatename, context, doctree) -> None:
    """A page gets the modules of the labs that it holds, and the book's colours for what stands there before."""
    for lab in sorted(set(re.findall(r'data-lab="(\w+)"', context.get("body", "")))):
        app.add_css_file("lab/shared.css")
        app.add_js_file(f"lab/{lab}/page.js", type="module")


def finish(app, error) -> None:
    if error is None and app.builder.format == "html":
        write(Path(app.srcdir), Path(app.outdir) / "_static")


def setup(app):
    app.connect("doctree-read", stand_in)
    app.connect("html-page-context", bring)
    app.connect("build-finished", finish)
    # Pages that were read under other rules than those of this file are read again.
    rules = zlib.crc32(Path(__file__).read_bytes())
    return {"version": "1", "env_version": rules, "parallel_read_safe": True, "parallel_write_safe": True}
