"""The vectors of chapter 14's chunks, made once: an index is not built anew for every question.

    python -m training.sweeps.rag_vectors    # 1 minute on one core

The frozen text of the book, in whole sentences of up to 100 words, by the model of the role embedder. In float16, whose
rounding moves a cosine by less than 0.001; the chapter makes a part of them anew and compares.
"""

import base64

import numpy as np

import bookkit
from bookkit import results
from bookkit.ask import passages
from training.sweeps import rag

NAME = "rag_vectors"


def pack(vectors: np.ndarray) -> dict:
    """Vectors as JSON can hold them."""
    data = base64.b64encode(vectors.astype("<f2").tobytes()).decode("ascii")
    return {"shape": list(vectors.shape), "float16": data}


def unpack(record: dict) -> np.ndarray:
    """What :func:`pack` packed, each vector of length 1 again."""
    found = np.frombuffer(base64.b64decode(record["float16"]), "<f2").reshape(record["shape"]).astype("float32")
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def read() -> np.ndarray:
    """The vectors, float (chunks, width), each of length 1.

    Raises:
        BookError: the record is missing or stale.
    """
    return unpack(results.read(NAME))


def main() -> None:
    from sentence_transformers import SentenceTransformer

    embedder = SentenceTransformer(bookkit.model("embedder"), revision=bookkit.revision("embedder"))
    texts = [text for _, text in rag.cut(passages.frozen(), "sentence")]
    vectors = embedder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    inputs = ["training/sweeps/rag_vectors.py", "training/sweeps/rag.py", f"data/{passages.FROZEN}"]
    path = results.write(NAME, pack(vectors), command="python -m training.sweeps.rag_vectors", seeds=[], inputs=inputs)
    print(f"{path.name}: {vectors.shape}")


if __name__ == "__main__":
    main()
