"""The search over the book that runs in a reader's browser: passages and their vectors, and the model that made them.

The search lab computes a question's vector on the reader's machine and compares it with those of all passages. These
are made here while the site is built, by the same network: the role ``embedder`` with its weights as eight bits
(:mod:`bookkit.eight_bits`), through the graph in ``data/labs/search``. Only passages that are new or have changed are
encoded; the other vectors lie in the cache.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from bookkit import eight_bits, files, models, paths
from bookkit.ask import passages
from bookkit.errors import BookError

if TYPE_CHECKING:
    import numpy as np

ROLE = "embedder"
GRAPHS = "data/labs/search"
OWN_PAGE = "book/lab/search.md"
"""The lab's page is left out: its examples would be the best find for themselves."""
LONGEST = 256
"""Tokens of a text, as sentence_bert_config.json has it; what is longer is cut off."""


def folder() -> Path | None:
    """Where the fetched model lies, None where it is missing; both sizes of models use the same files."""
    place = models.folder_of(ROLE, models.entry_of(ROLE)["pocket"])
    return None if files.manifest_problem(place, models.MANIFEST) else place


class Encoder:
    """The model as the browser has it, on this machine.

    Args:
        root: of the book.

    Raises:
        BookError: the model has not been fetched, or its weights are not those that the graph was made for.
    """

    def __init__(self, root: Path):
        place = folder()
        if place is None:
            raise BookError("The model of the search lab is not in the cache: run `python -m bookkit fetch embedder`.")
        self.graph, self.vocabulary, self._model = root / GRAPHS / "encoder.onnx", place / "vocab.txt", place
        self.record = json.loads((root / GRAPHS / "graphs.json").read_text(encoding="utf-8"))["graphs"]["encoder"]

    @cached_property
    def weights(self) -> Path:
        """The file of weights, made once for each graph."""
        wanted = self.record["weights"]
        path = paths.cache() / "search-lab" / f"{wanted['sha256'][:16]}.safetensors"
        if files.file_problem(path, wanted, hashes=True):
            content = pack(self._model)
            if hashlib.sha256(content).hexdigest() != wanted["sha256"]:
                raise BookError("The embedder's weights are not those of the graph: run `make browser`.")
            files.write_bytes(path, content)
        return path

    @cached_property
    def _session(self):
        import onnxruntime

        options, content = onnxruntime.SessionOptions(), self.weights.read_bytes()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        options.add_external_initializers_from_files_in_memory(["weights"], [content], [len(content)])
        return onnxruntime.InferenceSession(self.graph.read_bytes(), options)

    @cached_property
    def _tokenizer(self):
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._model / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(LONGEST)
        return tokenizer

    def __call__(self, texts: Iterable[str]) -> "np.ndarray":
        """The vectors of texts, float32 (texts, width), each of length 1."""
        import numpy as np

        ids = (np.array([one.ids], np.int64) for one in self._tokenizer.encode_batch(list(texts)))
        return np.stack([self._session.run(None, {"ids": one})[0] for one in ids])


def pack(model: Path) -> bytes:
    """The weights of a model's folder as eight bits, without what a sentence's vector does not need."""
    kept = re.compile(r"(embeddings|encoder)\..*\.(weight|bias)")
    return eight_bits.pack(model / "model.safetensors", lambda name: bool(kept.fullmatch(name)))


def write(root: Path, encoder: Encoder, target: Path, say: Callable[[str], object] = print) -> None:
    """Write the book's passages as passages.json, and their vectors as passages.bin.

    passages.json: ``pages``, each with its title and its address below the site's root, and ``passages``, each as
    page, anchor, headings, text. passages.bin: a float32 scale for each passage, then its int8 vector.

    Args:
        root: of the book.
        encoder: the model.
        target: a folder.
        say: takes a sentence where passages have to be encoded.

    Raises:
        BookError: a page cannot be read, or a file cannot be written.
    """
    pages, listed, texts = {}, [], []
    for section in passages.book(root):
        if section.document == OWN_PAGE:
            continue
        page = pages.setdefault(section.document, (len(pages), section.trail[0] if section.trail else ""))[0]
        for piece in map(passages.fit, passages.pieces(section)):
            texts.append(piece)
            listed.append([page, section.anchor, " › ".join(section.trail[1:]), piece.partition("\n")[2]])
    addresses = [[title, Path(document).with_suffix(".html").as_posix()] for document, (_, title) in pages.items()]
    whole, scale = _vectors(texts, encoder, say)
    files.write_all({
        target / "passages.json": json.dumps(
            {"pages": addresses, "passages": listed}, ensure_ascii=False, separators=(",", ":")
        ).encode(),
        target / "passages.bin": scale.tobytes() + whole.tobytes(),
    })  # fmt: skip


def _vectors(texts: list[str], encoder: Encoder, say: Callable[[str], object]) -> "tuple[np.ndarray, np.ndarray]":
    """The vectors of texts as eight bits: int8 (texts, width) and scales; what is known already from the cache."""
    import numpy as np

    shelf = paths.cache() / "search-lab" / f"vectors-{encoder.record['sha256'][:16]}.npz"
    known = {}
    if shelf.is_file():
        try:
            with np.load(shelf) as kept:
                known = dict(zip(kept["keys"].tolist(), zip(kept["whole"], kept["scale"], strict=True), strict=True))
        except (OSError, ValueError, KeyError, BadZipFile):
            known = {}  # a damaged file: all are made anew
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    if new := {key: text for key, text in zip(keys, texts, strict=True) if key not in known}:
        say(f"search lab: {len(new):,} of {len(texts):,} passages are new and get their vectors")
        known |= dict(zip(new, zip(*eight_bits.rows(encoder(new.values())), strict=True), strict=True))
        wanted, buffer = sorted(set(keys)), io.BytesIO()
        whole, scale = (np.stack(part) for part in zip(*(known[key] for key in wanted), strict=True))
        np.savez(buffer, keys=np.array(wanted), whole=whole, scale=scale)
        files.write_bytes(shelf, buffer.getvalue())
    return tuple(np.stack(part) for part in zip(*(known[key] for key in keys), strict=True))
