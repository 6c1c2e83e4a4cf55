"""Passages and their vectors in a vector database: Chroma, Qdrant or PostgreSQL with pgvector, behind one interface.

    with open_store("chroma:FOLDER") as store:
        store.write("book", fingerprint, ids, texts, vectors)
        found = store.search("book", queries, count=5)

Which database it is, and where, is one string (see :func:`open_store`), so that the same program runs on a folder
of a laptop and on a server. An index is there whole or not at all: it is written under another name and takes its
own when the last vector is in. Its fingerprint says what it was made of; :meth:`Store.search` refuses another.
Vectors are compared by their cosine.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bookkit.errors import BookError

if TYPE_CHECKING:
    import numpy as np

BATCH = 1000
SECONDS = 5  # to wait for a server


@dataclass(frozen=True)
class Hit:
    """A passage that was found: its id, its text, and the cosine between its vector and the query's."""

    id: str
    text: str
    score: float


def open_store(address: str) -> Store:
    """Open a vector database.

    Args:
        address: ``chroma:FOLDER`` or ``qdrant:FOLDER`` for a database inside this program, kept in a folder;
            ``qdrant:http://HOST:6333`` or ``postgresql://USER@HOST/DATABASE`` for a server.

    Raises:
        BookError: the address is of no known kind, its database's package is not installed, no server answers,
            or the folder is in use or damaged.
    """
    kind, _, place = address.partition(":")
    if kind not in KINDS or not place:
        raise BookError(f"{address!r} names no vector database: write {', '.join(EXAMPLES)}.")
    try:
        return KINDS[kind](address if kind == "postgresql" else place)
    except ModuleNotFoundError as error:
        raise BookError(f"{address} needs the package {error.name}: pip install -r requirements.lock.") from None


class Store(ABC):
    """A vector database that is open. Close it, or use it in a ``with`` statement."""

    def write(self, name: str, fingerprint: str, ids: Sequence[str], texts: Sequence[str], vectors: np.ndarray) -> None:
        """Put an index in the place of the one of this name, if there is one; whole or not at all.

        Args:
            name: of the index: a lower-case letter, then at least two more letters, digits or underscores.
            fingerprint: says what the index is made of, such as a hash over the texts and the embedding model.
            ids: one for each passage, all different.
            texts: of the passages.
            vectors: float (passages, width), none of length zero.

        Raises:
            BookError: something does not fit together, or the database refuses; what was there stays.
        """
        _check(name)
        lengths = {len(ids), len(texts), len(vectors)}
        if lengths == {0}:
            raise BookError(f"The index {name!r} would be empty: give at least one passage.")
        if len(lengths) > 1:
            raise BookError(f"{len(ids)} ids, {len(texts)} texts and {len(vectors)} vectors do not fit together.")
        if len(set(ids)) < len(ids):
            twice = next(key for number, key in enumerate(ids) if key in ids[:number])
            raise BookError(f"The id {twice!r} is there twice: give each passage its own.")
        for text in (*ids, *texts):
            if isinstance(text, str) and (found := _UNFIT.search(text)):
                raise BookError(f"The text {text[:40]!r} holds {found[0]!r}, which databases refuse: replace it first.")
        vectors = _measurable(vectors, "passages")
        with self._plainly():
            self._write(name, fingerprint, list(ids), list(texts), vectors)

    def fingerprint(self, name: str) -> str | None:
        """What the index is made of; None where there is none of this name."""
        _check(name)
        with self._plainly():
            return self._fingerprint(name)

    def search(self, name: str, queries: np.ndarray, count: int, fingerprint: str | None = None) -> list[list[Hit]]:
        """The `count` passages nearest to each query, best first.

        Args:
            name: of the index.
            queries: float (queries, width).
            count: how many; fewer come from a smaller index.
            fingerprint: what the index must be made of.

        Raises:
            BookError: there is no such index, its vectors have another width, its fingerprint is another, or a query
                has a cosine with nothing.
        """
        queries = _measurable(queries, "queries")
        found = self.fingerprint(name)
        if found is None:
            raise BookError(f"There is no index {name!r} in {self}: build it first.")
        if fingerprint not in (None, found):
            raise BookError(
                f"The index {name!r} in {self} was made of another text or with another embedding model: "
                "build it again."
            )
        with self._plainly():
            return self._search(name, queries, count)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """One sentence in the place of whatever the database's own package raises."""
        try:
            yield
        except BookError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise BookError(f"The vector database {self} refused: {said}") from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _write(self, name: str, fingerprint: str, ids: list[str], texts: list[str], vectors: np.ndarray) -> None: ...

    @abstractmethod
    def _fingerprint(self, name: str) -> str | None: ...

    @abstractmethod
    def _search(self, name: str, queries: np.ndarray, count: int) -> list[list[Hit]]: ...

    @abstractmethod
    def close(self) -> None:
        """Let go of the folder or the server."""

    @abstractmethod
    def __str__(self) -> str: ...


class Chroma(Store):
    """Chroma inside this program, kept in a folder."""

    def __init__(self, folder: str):
        import chromadb
        from chromadb.config import Settings

        self.folder = _folder("chroma", folder)
        with self._plainly():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.client = chromadb.PersistentClient(str(self.folder), settings=Settings(anonymized_telemetry=False))

    def _collection(self, name: str) -> Any:
        """The collection of an index, or None. Without an embedding function: the default one would be downloaded."""
        from chromadb.errors import NotFoundError

        try:
            return self.client.get_collection(name, embedding_function=None)
        except NotFoundError:
            return None

    def _write(self, name: str, fingerprint: str, ids: list[str], texts: list[str], vectors: np.ndarray) -> None:
        unfinished = f"{name}.unfinished"
        if self._collection(unfinished):
            self.client.delete_collection(unfinished)
        collection = self.client.create_collection(
            unfinished,
            embedding_function=None,
            metadata={"fingerprint": fingerprint},
            configuration={"hnsw": {"space": "cosine"}},
        )
        for start in range(0, len(ids), BATCH):
            part = slice(start, start + BATCH)
            collection.add(ids=ids[part], documents=texts[part], embeddings=vectors[part])
        if self._collection(name):
            self.client.delete_collection(name)
        collection.modify(name=name)

    def _fingerprint(self, name: str) -> str | None:
        collection = self._collection(name)
        return collection and collection.metadata["fingerprint"]

    def _search(self, name: str, queries: np.ndarray, count: int) -> list[list[Hit]]:
        collection = self._collection(name)
        found = collection.query(query_embeddings=queries, n_results=count, include=["documents", "distances"])
        return [
            [Hit(key, text, 1 - far) for key, text, far in zip(*row, strict=True)]
            for row in zip(found["ids"], found["documents"], found["distances"], strict=True)
        ]

    def close(self) -> None:
        self.client.close()

    def __str__(self) -> str:
        return f"chroma:{self.folder}"


class Qdrant(Store):
    """Qdrant, inside this program and kept in a folder, or on a server."""

    def __init__(self, place: str):
        from qdrant_client import QdrantClient

        self.place = place
        if place.lower().startswith(("http://", "https://")):
            self.client = QdrantClient(url=place, timeout=SECONDS, check_compatibility=False)
            try:
                self.client.get_collections()
            except Exception:
                raise BookError(
                    f"No Qdrant server answers at {place}: start one, or keep the index in a folder (qdrant:FOLDER)."
                ) from None
        else:
            try:
                self.client = QdrantClient(path=str(_folder("qdrant", place)))
            except RuntimeError as error:
                if "already accessed" not in str(error):
                    raise
                raise BookError(f"{self} is in use by another program: close that one first.") from None
            except BookError:
                raise
            except Exception as error:
                raise BookError(f"{self} is damaged ({error}): delete the folder and build the index again.") from error

    def _alias(self, name: str) -> str | None:
        """The collection that an index's name stands for. Aliases change hands in one step."""
        aliases = {alias.alias_name: alias.collection_name for alias in self.client.get_aliases().aliases}
        return aliases.get(name)

    def _write(self, name: str, fingerprint: str, ids: list[str], texts: list[str], vectors: np.ndarray) -> None:
        from qdrant_client import models

        old, new = self._alias(name), f"{name}--{fingerprint}"
        if old == new:
            new += "-again" if not old.endswith("-again") else ""
        if self.client.collection_exists(new):
            self.client.delete_collection(new)
        size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
        self.client.create_collection(new, vectors_config=size)
        for start in range(0, len(ids), BATCH):
            part = range(start, min(start + BATCH, len(ids)))
            points = [
                models.PointStruct(id=n, vector=vectors[n].tolist(), payload={"id": ids[n], "text": texts[n]})
                for n in part
            ]
            self.client.upsert(new, points, wait=True)
        point = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=new, alias_name=name))
        self.client.update_collection_aliases([point])
        if old and old != new:
            self.client.delete_collection(old)

    def _fingerprint(self, name: str) -> str | None:
        collection = self._alias(name)
        return collection and collection.removeprefix(f"{name}--").removesuffix("-again")

    def _search(self, name: str, queries: np.ndarray, count: int) -> list[list[Hit]]:
        rows = [self.client.query_points(name, query=query.tolist(), limit=count).points for query in queries]
        return [[Hit(point.payload["id"], point.payload["text"], point.score) for point in row] for row in rows]

    def close(self) -> None:
        self.client.close()

    def __str__(self) -> str:
        return f"qdrant:{self.place}"


class Postgres(Store):
    """PostgreSQL with the extension pgvector."""

    def __init__(self, address: str):
        import psycopg
        from pgvector.psycopg import register_vector

        try:
            parts = psycopg.conninfo.conninfo_to_dict(address)
            self.name = f"postgresql://{parts.get('host', 'localhost')}/{parts.get('dbname', '')}"  # no password
            self.connection = psycopg.connect(address, connect_timeout=SECONDS)
        except psycopg.Error as error:
            said = " ".join(str(error).split())[:160]
            raise BookError(f"No PostgreSQL server lets us in: {said}. Start one, or use chroma:FOLDER.") from None
        try:
            with self.connection.transaction():
                self.connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            register_vector(self.connection)
        except psycopg.Error:
            self.connection.close()
            raise BookError(f"The server of {self} has no pgvector: install it, or use an image that has it.") from None

    def _table(self, name: str) -> Any:
        from psycopg import sql

        return sql.Identifier(f"passages_{name}")

    def _write(self, name: str, fingerprint: str, ids: list[str], texts: list[str], vectors: np.ndarray) -> None:
        from psycopg import sql

        table = self._table(name)
        with self.connection.transaction(), self.connection.cursor() as cursor:  # all of it, or nothing
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
            cursor.execute(
                sql.SQL("CREATE TABLE {} (id text PRIMARY KEY, text text NOT NULL, vector vector({}) NOT NULL)").format(
                    table, sql.Literal(vectors.shape[1])
                )
            )
            cursor.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(fingerprint)))
            cursor.executemany(
                sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(table), list(zip(ids, texts, vectors, strict=True))
            )

    def _fingerprint(self, name: str) -> str | None:
        found = self.connection.execute("SELECT obj_description(to_regclass(%s))", [f"passages_{name}"]).fetchone()
        self.connection.commit()
        return found[0]

    def _search(self, name: str, queries: np.ndarray, count: int) -> list[list[Hit]]:
        from psycopg import sql

        nearest = sql.SQL(
            "SELECT id, text, 1 - (vector <=> %s) AS score FROM {} ORDER BY score DESC, id LIMIT %s"
        ).format(self._table(name))
        with self.connection.transaction():
            return [
                [Hit(*row) for row in self.connection.execute(nearest, (query, count)).fetchall()] for query in queries
            ]

    def close(self) -> None:
        self.connection.close()

    def __str__(self) -> str:
        return self.name


KINDS = {"chroma": Chroma, "qdrant": Qdrant, "postgresql": Postgres}
EXAMPLES = ("chroma:FOLDER", "qdrant:FOLDER", "qdrant:http://HOST:6333", "postgresql://USER@HOST/DATABASE")


_UNFIT = re.compile("[\0\ud800-\udfff]")


def _folder(kind: str, place: str) -> Path:
    """The folder that an address names; what looks like a server is none."""
    if re.match(r"[\w.-]{2,}:", place):  # a scheme or a port; one letter is a drive of Windows
        raise BookError(f"{kind}:{place} names a server that is not served here: write {', '.join(EXAMPLES)}.")
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise BookError(f"There is no home folder for {kind}:{place}: write the folder out.") from None


def _measurable(vectors: np.ndarray, what: str) -> np.ndarray:
    """Vectors in float32, all of which have a cosine: a length that is neither zero nor NaN nor beyond float32."""
    import numpy as np

    with np.errstate(over="ignore"):
        vectors = np.asarray(vectors).astype("float32")
        lengths = np.sqrt(np.square(vectors).sum(axis=-1))
    if vectors.ndim != 2 or not (np.isfinite(lengths) & (lengths > 0)).all():
        raise BookError(f"The vectors must be an array ({what}, width) without a row of zeros, NaN or infinity.")
    return vectors


def _check(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,40}", name):
        raise BookError(f"{name!r} is no name for an index: a lower-case letter, then letters, digits, underscores.")
