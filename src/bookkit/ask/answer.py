"""Ask the book: a search over its pages, and an answer by the chat model from what was found.

    python -m bookkit ask "Which chapter is about LoRA?"

Every page is cut into chunks of whole sentences. Their vectors lie in Chroma, in the cache, and are made anew when the
book or the embedding model has changed. A question is looked up by its words (BM25) and by its meaning, and reciprocal
rank fusion makes one ranking of the two. The chat model reranks the best of them: by how probable it finds the question
after each (chapter 14 measures what that gains). Then it answers from the first three in the house format of chapter
12, with the adapter of the role ``grounded-qa``, which is switched off for the reranking.

Whether the book answers at all can hardly be read off a search. On the tuning half of ``data/questions`` (92 questions
that the book answers, 18 that it does not) the cosine of the best chunk was higher for a question with an answer in 53
of 100 pairs, where guessing is right in 50: most of the others ask about things that the book does talk about. So the
model has to refuse. Only where the cosine is below FLOOR is it not asked: none of the 92 were, and one of the 18.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bookkit import address, four_bits, models, paths
from bookkit.ask import passages, stores
from bookkit.ask.passages import Section
from bookkit.errors import BookError

if TYPE_CHECKING:
    import numpy as np

FLOOR = 0.23
SHOWN = 3  # chunks that the model gets
CANDIDATES = 50  # of each ranking
RERANKED = 20  # of the fused ranking
LONGEST = 100  # words of a question
NEW_TOKENS = 64
INDEX = "book"
PATIENCE = 10  # seconds to wait for another program that writes the index
_EXAMPLE = re.compile(r'(bookkit ask) "[^"]*"')  # a page that shows how to ask would be the best find for its question

Embed = Callable[[list[str]], "np.ndarray"]
Reply = Callable[[list[dict], Callable[[str], object]], str]
Fit = Callable[[str, str], float]  # of a chunk and a question, the higher the better


@dataclass(frozen=True)
class Found:
    """A chunk of a section that was found."""

    section: Section
    text: str


class Search:
    """The book, cut and indexed.

    Args:
        sections: what is searched.
        folder: of the index.
        embed: texts to vectors (texts, width).
        embedder: says which model `embed` is.
        say: takes the progress messages.

    Raises:
        BookError: there is nothing to search, or the index cannot be read or written.
    """

    def __init__(self, sections: Sequence[Section], folder: Path, embed: Embed, embedder: str, say: Callable):
        import bm25s

        self.pieces = [
            Found(section, _EXAMPLE.sub(r"\1 …", passages.fit(text)))
            for section in sections
            for text in passages.pieces(section)
        ]
        if not self.pieces:
            raise BookError("The book has no text to search: run this inside a copy of the book.")
        self.folder, self.embed = folder, embed
        if borrowed := not _writable(folder):
            self._copy = TemporaryDirectory(ignore_cleanup_errors=True)  # Chroma writes even where it only reads
            self.folder = Path(self._copy.name)
            _copy(folder, self.folder)
        texts = [piece.text for piece in self.pieces]
        made_of = json.dumps([embedder, texts]).encode()
        self.fingerprint = hashlib.sha256(made_of).hexdigest()
        self.words = bm25s.BM25(method="lucene")
        self.words.index([passages.keywords(text) for text in texts], show_progress=False)
        with self._index() as store:
            there = store.fingerprint(INDEX)
        if there == self.fingerprint:
            return
        if borrowed:
            raise BookError(
                f"{folder} holds no index of this book and cannot be written: set BOOKKIT_CACHE to a folder of your "
                "own, and run `python -m bookkit fetch`."
            )
        why = "The book or the embedding model has changed" if there else "This is the first question"
        say(f"{why}: making an index of {len(texts):,} passages …")
        vectors = embed(texts)
        with self._index() as store:
            store.write(INDEX, self.fingerprint, [str(n) for n in range(len(texts))], texts, vectors)

    def find(self, question: str, count: int = SHOWN, fit: Fit | None = None) -> list[Found]:
        """The best chunks for a question, no two of one section; none where nothing is near it.

        Args:
            question: the question.
            count: how many.
            fit: puts the best RERANKED of the search into a new order.
        """
        return distinct(reranked(self.candidates(question), question, fit), count)

    def candidates(self, question: str) -> list[Found]:
        """All chunks that either ranking holds, the best of both first; none where nothing is near the question."""
        with self._index() as store:
            hits = store.search(INDEX, self.embed([question]), CANDIDATES, self.fingerprint)[0]
        if hits[0].score < FLOOR:
            return []
        words = passages.keywords(question)
        scores = self.words.get_scores(words) if words else []
        by_words = [n for n in sorted(range(len(scores)), key=lambda n: -scores[n])[:CANDIDATES] if scores[n] > 0]
        fused: dict[int, float] = {}
        for ranking in ([int(hit.id) for hit in hits], by_words):
            for rank, number in enumerate(ranking, 1):
                fused[number] = fused.get(number, 0) + 1 / (60 + rank)
        return [self.pieces[number] for number in sorted(fused, key=lambda n: -fused[n])]

    @contextmanager
    def _index(self) -> Iterator[stores.Store]:
        """The open store; whatever it refuses is told together with what to do."""
        try:
            database = self.folder / "chroma.sqlite3"
            if database.is_file():  # Chroma itself would wait for ever
                with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
                    connection.execute("BEGIN IMMEDIATE")
            with stores.open_store(f"chroma:{self.folder}") as store:
                yield store
        except (BookError, sqlite3.Error) as error:
            raise BookError(
                f"The index in {self.folder} cannot be used ({str(error).rstrip('.')}): "
                "if another program is using it, wait; if not, delete the folder, and it is made anew."
            ) from error


def reranked(found: list[Found], question: str, fit: Fit | None) -> list[Found]:
    """The first RERANKED chunks in the order of how well they fit the question; the rest behind them as it was."""
    if fit is None:
        return found
    return sorted(found[:RERANKED], key=lambda piece: -fit(piece.text, question)) + found[RERANKED:]


def distinct(found: list[Found], count: int) -> list[Found]:
    """The first `count` chunks, no two of one section."""
    best: dict[tuple[str, str], Found] = {}
    for piece in found:
        best.setdefault((piece.section.document, piece.section.anchor), piece)
    return list(best.values())[:count]


def _writable(folder: Path) -> bool:
    """Whether a folder can be written, or made where it is missing."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return there.is_dir() and all(os.access(place, os.W_OK) for place in (there, *folder.glob("*")))


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a folder, without their modes."""
    for path in source.rglob("*"):
        copy = target / path.relative_to(source)
        copy.mkdir(parents=True, exist_ok=True) if path.is_dir() else shutil.copyfile(path, copy)


def ask(
    question: str,
    *,
    say: Callable[[str], object] = print,
    write: Callable[[str], object] | None = None,
    search: Search | None = None,
    reply: Reply | None = None,
    fit: Fit | None = None,
) -> list[Found]:
    """Answer a question from the book, and name the sections that the answer comes from.

    Args:
        question: the question.
        say: takes lines.
        write: takes the answer bit by bit, as the model writes it; by default the terminal.
        search: the book; by default the one that this program runs in.
        reply: the model: messages, and what takes the bits, to the whole reply; by default the role ``chat``, which
            then reranks, too,
            unless `fit` does.
        fit: reranks.

    Returns:
        The chunks that the answer names; none where the book does not say.

    Raises:
        BookError: there is no question or it is too long, a model or a package is missing, or the index cannot be used.
    """
    question = passages.fit(" ".join(question.split()))
    if not re.search(r"\w", question):
        raise BookError('There is no question: write it in quotation marks, python -m bookkit ask "What is a token?".')
    if len(question.split()) > LONGEST:
        raise BookError(f"The question has {len(question.split())} words: ask in at most {LONGEST}.")
    try:
        search = search or _search(say)
        candidates = search.candidates(question)
        if not candidates:
            say("The book does not say.")
            return []
        if reply is None:
            reply, of_chat = _chat()
            fit = fit or of_chat
    except ModuleNotFoundError as error:
        raise BookError(f"Asking needs the package {error.name}: pip install -r requirements.lock.") from None
    found = distinct(reranked(candidates, question, fit), SHOWN)
    text = reply(prompt([piece.text for piece in found], question), write or _to_terminal)
    (write or _to_terminal)("\n")
    if _house()["abstention"].rstrip(".").lower() in text.lower():
        say("\nNearest to the question:")
        cited = []
    else:
        numbers = {int(number) for number in re.findall(r"\[(\d{1,2})\]", text)}
        cited = [piece for number, piece in enumerate(found, 1) if number in numbers]
        say("" if cited else "\nThe answer names no passage. It was given these:")
    for number, piece in enumerate(found, 1):
        if piece in cited or not cited:
            say(f"[{number}] {' › '.join(piece.section.trail[-2:])}\n    {link(piece.section)}")
    return cited


def prompt(texts: list[str], question: str) -> list[dict]:
    """The messages that ask for an answer in the house format of chapter 12."""
    numbered = "\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))
    return [
        {"role": "system", "content": _house()["system"]},
        {"role": "user", "content": f"{numbered}\n\nQuestion: {question}"},
    ]


def link(section: Section) -> str:
    """Where a section can be read: on the built page, else on the published one, else in the source."""
    root = paths.root()
    built = root / "_build" / "html" / Path(section.document).with_suffix(".html")
    if built.is_file():
        return f"{built.as_uri()}#{section.anchor}"
    pages = address.read(root)[1]
    if pages:
        return f"{pages.rstrip('/')}/{Path(section.document).with_suffix('.html').as_posix()}#{section.anchor}"
    return f"{section.document}#{section.anchor}"


def _house() -> dict:
    return json.loads(paths.read_text("corpora/grounded_qa/house_format.json"))


def _to_terminal(text: str) -> None:
    print(text, end="", file=sys.stdout, flush=True)


def _search(say: Callable) -> Search:
    """The book that this program runs in, with the model of the role ``embedder``."""
    name, revision = models.model("embedder"), models.revision("embedder")
    _quiet()
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(name, revision=revision)

    def embed(texts: list[str]) -> "np.ndarray":
        return model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)

    folder = paths.cache() / "ask"
    return Search(passages.book(), folder, embed, f"{Path(name).name} {revision}", say)


def question_log_prob(tokenizer, model, text: str, question: str) -> float:
    """The mean log-probability (nats) of a question's tokens after a chunk, as a chat model sees it."""
    import torch

    messages = [{"role": "user", "content": f"{text}\n\nWrite a question that this passage answers."}]
    before = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    after = tokenizer(question, add_special_tokens=False).input_ids
    with torch.inference_mode():
        logits = model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
    return logits.log_softmax(-1)[range(len(after)), after].mean().item()


def _chat() -> tuple[Reply, Fit]:
    """The model of the role ``chat``, with the adapter of ``grounded-qa`` where one is shipped; and as a reranker."""
    name, revision = models.model("chat"), models.revision("chat")
    shipped = models.mode() == "pocket" and models.registry()["grounded-qa"]["pocket"]["kind"] != "later"
    adapter = models.model("grounded-qa") if shipped else None
    _quiet()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer

    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    model = AutoModelForCausalLM.from_pretrained(name, revision=revision, dtype=torch.float32)
    if adapter:
        from peft import PeftModel

        if _trained_beside(Path(adapter)) == "nf4":
            model = four_bits.through_nf4(model)
        model = PeftModel.from_pretrained(model, adapter)

    def reply(messages: list[dict], write: Callable[[str], object]) -> str:
        class Writer(TextStreamer):
            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
                write(text)

        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            made = model.generate(
                **ids,
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=tokenizer.eos_token_id,
                streamer=Writer(tokenizer, skip_prompt=True, skip_special_tokens=True),
            )
        return tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)

    def fit(text: str, question: str) -> float:
        with model.disable_adapter() if adapter else nullcontext():
            return question_log_prob(tokenizer, model, text, question)

    return reply, fit


def _trained_beside(adapter: Path) -> str | None:
    """The precision of the frozen weights that an adapter was trained beside."""
    return json.loads((adapter / "base.json").read_text(encoding="utf-8")).get("precision")


def _quiet() -> None:
    """No progress bars and no warnings of libraries between question and answer."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
