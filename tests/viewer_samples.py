"""One small, real sample of each viewer. What every viewer must do is asked of all of them: see SAMPLES.

A new viewer adds a sample here, which puts it into tests/unit/test_viewers.py and tests/site/test_viewers.py, and a
test of its own behaviour. The samples need no browser; their walks get a page of Playwright's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

import bookkit
from bookkit.viewers import (
    attention,
    branches,
    flow,
    learning,
    next_token,
    prompt,
    query,
    retrieval,
    sentence_map,
    tokens,
    trajectory,
    vectors,
)

LONG = "a" * 60
"""A word that must not make a page wider."""


def at_rest(at) -> Iterator[None]:
    """The states of a viewer that has nothing to choose from."""
    yield


@dataclass(frozen=True)
class Sample:
    """What the common tests need of a viewer.

    markup: makes a fragment from data of the kind that a chapter has, awkward words among it. still: a selector, and
    how many of it the static picture holds. hostile: makes a fragment that carries these texts wherever it takes text.
    read: goes through the hostile fragment on a page as a reader would, and asserts that the texts are shown as text.
    states: brings the fragment of `markup` into each state worth a look, one after the other; it gets a page that holds
    one, or the locator of one among several.
    """

    markup: Callable[[], str]
    still: tuple[str, int]
    hostile: Callable[[Sequence[str]], str]
    read: Callable[[object, Sequence[str]], None]
    states: Callable[[object], Iterator[None]] = at_rest


# ------------------------------------------------------------------ attention

_SENTENCE = "The animal didn 't cross the street because it was too tired , but the dog did .".split()


def _weights(layers: int, heads: int, n: int) -> np.ndarray:
    """Weights as a decoder makes them: softmax over random scores, the future masked."""
    scores = np.random.default_rng(0).normal(size=(layers, heads, n, n)) * 3
    scores[..., *np.triu_indices(n, 1)] = -np.inf
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def _attention() -> str:
    words = [*_SENTENCE, LONG, "Ünïcödé", "مرحبا"]
    return attention.viewer(words, _weights(30, 9, len(words)), alt="Attention of a model over a sentence.").data


def _attention_hostile(texts: Sequence[str]) -> str:
    words = [text[:60] for text in texts][: attention.MOST_TOKENS]
    return attention.viewer(words, _weights(2, 2, len(words)), title=texts[0], alt=texts[0]).data


def _attention_read(page, texts: Sequence[str]) -> None:
    queries = page.get_by_role("listbox", name="Queries").get_by_role("option")
    assert "<script>window.__pwned·=·true</script>" in queries.all_text_contents()
    for row in queries.all():
        row.hover()


def _attention_states(at) -> Iterator[None]:
    for view in ("One token", "All tokens", "Matrix"):
        at.get_by_role("radio", name=view).check()
        yield


# ------------------------------------------------------------------ branches


def beams(steps: int, width: int = 4, odd: str = " t11") -> list[list[dict]]:
    """A search over random numbers, kept and dropped as beam search does; `odd` is a token of the second step."""
    random, found, totals = np.random.default_rng(0), [], [0.0]
    for step in range(steps):
        options = sorted(
            ((total + logp, logp, parent) for parent, total in enumerate(totals) for logp in -random.gamma(1, 1.5, 6)),
            reverse=True,
        )[: 2 * width]
        found.append(
            [
                {
                    "token": odd if step == i == 1 else f" t{step}{i}",
                    "log_prob": logp,
                    "parent": parent,
                    "kept": i < width,
                }
                for i, (_, logp, parent) in enumerate(options)
            ]
        )
        totals = [total for total, _, _ in options[:width]]
    return found


def _branches_hostile(texts: Sequence[str]) -> str:
    step = [{"token": text[:200], "log_prob": -1.0 - i / 10} for i, text in enumerate(texts)]
    return branches.viewer([step], prompt=texts[0], title=texts[0], alt=texts[0]).data


def _branches_read(page, texts: Sequence[str]) -> None:
    options = page.get_by_role("option")
    assert options.count() == len(texts)
    for place in (0, 1, len(texts) - 1):
        options.nth(place).click()


# ------------------------------------------------------------------ flow

_ANGLE = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_RING = np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], axis=1)
_WAY = np.stack([_RING * (2 - step / 5) for step in range(6)])
_GUESSES = np.stack([_RING * step / 5 for step in range(6)])


def _flow(runs: dict[str, flow.Run], **options) -> str:
    given = {"data": _RING, "noise": np.linspace(1, 0, 6), "grid": _RING, "arrows": np.stack([-0.2 * _RING] * 6)}
    return flow.viewer(runs, **{**given, "alt": "Twelve points flow from a wide ring to a narrow one.", **options}).data


def _flow_hostile(texts: Sequence[str]) -> str:
    return _flow({f"run {text}": flow.Run(_WAY, _GUESSES, text) for text in texts}, title=texts[0], alt=texts[0])


def _flow_read(page, texts: Sequence[str]) -> None:
    runs = page.get_by_role("radio")
    assert runs.count() == len(texts)
    for run in runs.all():
        run.dispatch_event("click")


def _flow_states(at) -> Iterator[None]:
    yield
    at.get_by_role("slider", name="Step").press("End")
    yield


# ------------------------------------------------------------------ learning

_PASSAGE = ["Once", " upon", " a", " time", LONG]
_STAGES = [
    learning.Stage("after 0 steps", [9.0, 8.5, 8.7, 8.8, 2.0], "qx zz"),
    learning.Stage("after 50 steps", [6.0, 5.0, 3.0, 4.0, 2.0], "the the"),
    learning.Stage("after 100 steps", [5.0, 0.1, 1.0, 0.5, 2.0], "Once upon a day"),
]


def _learning_hostile(texts: Sequence[str]) -> str:
    nats = [float(i % 9) for i in range(len(texts))]
    stages = [learning.Stage(text, nats, text) for text in texts[:6]]
    return learning.viewer(texts, stages, title=texts[0], alt=texts[0]).data


def _learning_read(page, texts: Sequence[str]) -> None:
    assert page.locator("button.bk-learning-token").count() == len(texts)
    page.get_by_role("slider", name="Stage of the training").press("Home")
    page.locator("button.bk-learning-token").last.click()


def _learning_states(at) -> Iterator[None]:
    slider = at.get_by_role("slider", name="Stage of the training")
    for key in ("Home", "End"):
        slider.press(key)
        yield


# ------------------------------------------------------------------ next_token


def _next_token() -> str:
    rows = [np.random.default_rng(seed).normal(size=20_000) * 2.5 for seed in (0, 1)]
    return next_token.viewer(
        [(f"Text number {i} goes", row) for i, row in enumerate(rows)],
        lambda ids: [LONG if i % 3 == 0 else " مرحبا" if i % 3 == 1 else " t" for i in ids],
        top_k=10,
    ).data


def _next_token_hostile(texts: Sequence[str]) -> str:
    row = np.arange(len(texts), 0, -1.0)
    return next_token.viewer(
        [(texts[0], row), (texts[-1], row)], [text[:200] for text in texts], title=texts[0], alt=texts[0]
    ).data


def _next_token_read(page, texts: Sequence[str]) -> None:
    more = page.get_by_role("button", name="Show more tokens")
    if more.is_visible():
        more.click()
    for _ in range(5):
        page.get_by_role("button", name="Draw a token").click()
    page.get_by_role("combobox", name="Text so far").select_option("1")
    assert page.locator("li.bk-next_token-row > .bkv-token").count() == len(texts)


def _next_token_states(at) -> Iterator[None]:
    # Dice that show every face, thrown until the long word comes.
    thrown = at.locator(".bk-next_token-button").evaluate(
        """(button, long) => {
          const draws = button.parentNode.querySelector('.bk-next_token-draws');
          let n = 0;
          Math.random = () => (n++ % 200 + 0.5) / 200;
          while (n < 200 && !draws.textContent.includes(long)) button.click();
          return draws.textContent;
        }""",
        LONG,
    )
    assert LONG in thrown
    yield


# ------------------------------------------------------------------ prompt

_CONVERSATION = [
    prompt.Token("<|im_start|>", "template", 1),
    prompt.Token("user", "template", 4093, 0.01, [("system", 0.9), ("user", 0.01)]),
    prompt.Token("\n", "template", 198, 0.99, [("\n", 0.99)]),
    prompt.Token(LONG, "user", 7, 0.0, [(" Hello", 0.2), ("Hi", 0.1)]),
    prompt.Token(" wörld", "assistant", 8, 0.5, [(" wörld", 0.5), (" there", 0.25)]),
]


def _prompt_hostile(texts: Sequence[str]) -> str:
    kinds = list(prompt.KINDS)
    tokens = [prompt.Token(t, kinds[i % 4], i, 0.25, [(t, 0.5), (texts[0], 0.1)]) for i, t in enumerate(texts)]
    return prompt.viewer(tokens, title=texts[0], alt=texts[0]).data


def _prompt_read(page, texts: Sequence[str]) -> None:
    assert page.locator("button.bk-prompt-token").count() == len(texts)
    page.locator("button.bk-prompt-token").first.click()
    page.locator("button.bk-prompt-token").last.click()


def _prompt_states(at) -> Iterator[None]:
    for place in ("first", "last"):
        getattr(at.locator("button.bk-prompt-token"), place).click()
        yield


# ------------------------------------------------------------------ query


def _query(names: Sequence[str] = ("Mary", LONG, "مرحبا"), **options) -> str:
    shown = {"axes": ("doer", LONG), "alt": "A query among three keys.", **options}
    return query.viewer(names, [(2, 0), (0, 0), (0, -2)], [(8, 0), (0, 0), (0, 8)], query=(2, 1), **shown).data


def _query_hostile(texts: Sequence[str]) -> str:
    return _query((texts[0], *texts[-2:]), title=texts[0], alt=texts[0], axes=texts[1:3])


def _query_read(page, texts: Sequence[str]) -> None:
    assert page.get_by_role("rowheader").count() == 3
    for slider in page.get_by_role("slider").all():
        slider.press("End")


def _query_states(at) -> Iterator[None]:
    yield
    for key in ("Home", "End"):
        at.get_by_role("slider").first.press(key)
        yield


# ------------------------------------------------------------------ retrieval


def _retrieval() -> str:
    passages = [
        retrieval.Passage(f"Title {i}", f"Cats, number {i}: a cat's\n\ncatalogue of CATS.", f"#part-{i}")
        for i in range(6)
    ]
    questions = [
        retrieval.Question(
            "What do cats eat?", {"BM25": [(3, 7.5), (1, 2.25)], "dense": [(1, 0.8), (4, 0.6)]}, [1], ["cats", "eat"]
        ),
        retrieval.Question(f"Who? {LONG}", {"BM25": [(0, -1.0), (3, -5.5)], "dense": [(0, 0.3), (1, 0.2)]}, [5]),
    ]
    return retrieval.viewer(questions, passages, alt="Two lists of two passages each.").data


def _retrieval_hostile(texts: Sequence[str]) -> str:
    short = [text for text in texts if len(text) < 900]
    found = [(number, 1.0 - number / 100) for number in range(len(short))]
    return retrieval.viewer(
        [retrieval.Question(text, {f"1{text}": found, f"2{text}": found}, [0], [text]) for text in short[:1]]
        + [retrieval.Question(text, {f"1{short[0]}": found, f"2{short[0]}": found}, [0], [text]) for text in short[1:]],
        [retrieval.Passage(text, text) for text in short],
        alt=texts[0],
    ).data


def _retrieval_read(page, texts: Sequence[str]) -> None:
    viewer = page.locator(".bookkit-retrieval")
    for number, text in enumerate(text for text in texts if len(text) < 900):
        viewer.evaluate("(host, i) => { host.bookkit.ask(i); host.bookkit.choose(i); }", number)
        assert viewer.locator(".bk-retrieval-text").text_content() == text


def _retrieval_states(at) -> Iterator[None]:
    yield
    at.get_by_role("button", name="Next question").click()
    yield


# ------------------------------------------------------------------ sentence_map


def _sentence_map() -> str:
    points = np.random.default_rng(1).normal(size=(80, 2))
    points[1::2, 0] += 6
    return sentence_map.viewer(
        [f"text number {i} about {'water' if i % 10 == 0 else LONG}" for i in range(80)],
        {"one": points, "two": points[::-1]},
        titles=[f"word{i}" for i in range(80)],
        groups=["left", "right"] * 40,
        vectors=np.random.default_rng(9).normal(size=(80, 6)),
        notes={"one": "A note."},
        alt="Eighty made-up texts as points in two clouds.",
    ).data


def _sentence_map_hostile(texts: Sequence[str]) -> str:
    short = [text for text in texts if len(text) < 5_000]
    points = np.random.default_rng(1).normal(size=(len(short), 2))
    return sentence_map.viewer(
        short, {texts[0]: points}, titles=short, groups=short, notes={texts[0]: texts[0]}, what=texts[0], alt=texts[0]
    ).data


def _sentence_map_read(page, texts: Sequence[str]) -> None:
    field = page.locator(".bookkit-sentence_map input[type=search]")
    for text in texts:
        field.fill(text[:5_000].replace("\n", " ").replace("\x00", ""))
    field.fill("")
    circles = page.locator(".bk-sentence_map-live circle")
    assert circles.count() == sum(len(text) < 5_000 for text in texts)
    for circle in circles.all():
        circle.focus()


def _sentence_map_states(at) -> Iterator[None]:
    at.get_by_label("Search the texts").fill("water")
    for name in ("one", "two"):
        at.get_by_role("radio", name=name).check()
        yield


# ------------------------------------------------------------------ tokens


def _merges():
    return bookkit.data("tokenizers/gpt2/merges.txt")


def _tokens() -> str:
    alt = "A sentence cut into GPT-2's tokens, each with its id."
    strip = tokens.strip(
        ["This", " is", b" \xf0\x9f", b"\xa4\x97"], [1, 2, 3, 4], label="Another", alt="Four pieces"
    ).data
    return tokens.viewer(f"untangling 🤗 مرحبا {LONG}{LONG}", merges=_merges(), alt=alt).data + strip


def _tokens_hostile(texts: Sequence[str]) -> str:
    viewer = tokens.viewer(
        texts[0], merges=_merges(), alt=texts[0], examples=[(texts[0], texts[0])], special_tokens={texts[0]: 50256}
    ).data
    short = [text[:200] for text in texts]
    return viewer + tokens.strip(short, range(len(short)), label=texts[0], alt=texts[0]).data


def _tokens_read(page, texts: Sequence[str]) -> None:
    field = page.get_by_label("Text to cut into tokens")
    assert field.input_value() == texts[0]
    for text in texts:
        field.fill(text)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.locator(".bk-tokens-examples button").click()
    assert field.input_value() == texts[0]


def _tokens_states(at) -> Iterator[None]:
    for view in ("Ids", "Table", "Pieces"):
        at.get_by_role("radio", name=view).check()
        yield
    for _ in range(3):
        at.get_by_label("One merge on").click()
    yield


# ------------------------------------------------------------------ trajectory


def _run(colour, names=("subject", "background")) -> trajectory.Run:
    """Grey gives way to a colour; the network expects the colour from the middle on."""
    shares = np.linspace(0, 1, 9)
    held = np.stack([np.full((32, 32, 3), 128 + share * (np.array(colour) - 128)) for share in shares])
    expected = np.stack([np.full((32, 32, 3), colour if share >= 0.5 else 128) for share in shares])
    scores = {name: shares ** (place + 1) for place, name in enumerate(names)}
    return trajectory.Run(held.astype(np.uint8), expected.astype(np.uint8), scores)


def _trajectory() -> str:
    runs = {("1", "0"): _run((220, 30, 30)), ("1", "1"): _run((30, 160, 60))}
    return trajectory.viewer(runs, prompt=f"a pear {LONG}", alt="Grey gives way to red.").data


def _trajectory_hostile(texts: Sequence[str]) -> str:
    runs = {(text, seed): _run((1, 2, 3), texts[:3]) for text in texts[:4] for seed in ("0", "1")}
    return trajectory.viewer(runs, dials=(texts[0], texts[-1]), prompt=texts[0], alt=texts[0]).data


def _trajectory_read(page, texts: Sequence[str]) -> None:
    assert page.locator("li.bk-trajectory-value").count() == len(texts[:3])
    for option in page.get_by_role("radio").all():
        option.dispatch_event("click")


def _trajectory_states(at) -> Iterator[None]:
    yield
    at.get_by_role("slider", name="Step").press("End")
    yield


# ------------------------------------------------------------------ vectors


def _vectors() -> str:
    return vectors.viewer((3, 1), (-1, 4), names=(LONG, "مرحبا"), alt="Two vectors, nearly at a right angle.").data


def _vectors_hostile(texts: Sequence[str]) -> str:
    return vectors.viewer((1, 2), (2, 1), names=(texts[0], texts[-1]), title=texts[0], alt=texts[0]).data


def _vectors_read(page, texts: Sequence[str]) -> None:
    tips = page.get_by_role("slider")
    assert tips.count() == 2
    for tip, text in zip(tips.all(), (texts[0], texts[-1]), strict=True):
        tip.press("ArrowUp")
        assert tip.get_attribute("aria-label") == f"Tip of {text}"


def _vectors_states(at) -> Iterator[None]:
    yield
    at.get_by_role("radio", name="Both of length 1").check()
    yield


SAMPLES = {
    "attention": Sample(_attention, ("svg text", 45), _attention_hostile, _attention_read, _attention_states),
    "branches": Sample(
        lambda: branches.viewer(beams(12, odd=LONG), prompt="Go").data,
        ("svg text", 188),
        _branches_hostile,
        _branches_read,
    ),
    "flow": Sample(
        lambda: _flow({"DDIM": flow.Run(_WAY, _GUESSES, "No dice."), "DDPM": flow.Run(_WAY[:, ::-1], _GUESSES)}),
        ("circle", 36),
        _flow_hostile,
        _flow_read,
        _flow_states,
    ),
    "learning": Sample(
        lambda: learning.viewer(_PASSAGE, _STAGES).data,
        (".bk-learning-token", 5),
        _learning_hostile,
        _learning_read,
        _learning_states,
    ),
    "next_token": Sample(_next_token, ("svg rect", 15), _next_token_hostile, _next_token_read, _next_token_states),
    "prompt": Sample(
        lambda: prompt.viewer(_CONVERSATION).data,
        (".bk-prompt-token", 5),
        _prompt_hostile,
        _prompt_read,
        _prompt_states,
    ),
    "query": Sample(_query, ("svg text", 3), _query_hostile, _query_read, _query_states),
    "retrieval": Sample(_retrieval, ("li", 4), _retrieval_hostile, _retrieval_read, _retrieval_states),
    "sentence_map": Sample(
        _sentence_map, ("circle", 80), _sentence_map_hostile, _sentence_map_read, _sentence_map_states
    ),
    "tokens": Sample(_tokens, (".bk-tokens-p", 42), _tokens_hostile, _tokens_read, _tokens_states),
    "trajectory": Sample(_trajectory, ("img", 1), _trajectory_hostile, _trajectory_read, _trajectory_states),
    "vectors": Sample(_vectors, ("svg circle", 2), _vectors_hostile, _vectors_read, _vectors_states),
}
"""Every viewer's sample, by the name of its folder."""
