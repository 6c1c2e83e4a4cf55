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
# # Generating with GPT-2
#
# A language model never writes. It reads a text and says, for every token it knows, how probable it is as the next one; that is all. Something else has to choose. Why does choosing the most probable token every time make a model go round in circles, and which way of choosing comes closest to a text that people would write?
#
# ![Judge perplexity against variety for ways of going on with a novel. The methods that search lie low and to the left, those that throw dice higher and to the right; the text itself is marked in blue.](../book/_static/openings/07_gpt2_generation.svg)
#
# Each point is one way of choosing, tried on the same model and the same beginnings: to the right, how varied the result is; upwards, how surprising another, larger model finds it. The blue square is the text as its author wrote it. By the end of the chapter you will have built every method in this picture by hand, and in section 7 you will have drawn it.

# %% [markdown]
# ## You will be able to
#
# - read what a language model returns, and compute from it how probable a given text is;
# - build greedy search, beam search, temperature, top-k, top-p, min-p, the repetition penalty and contrastive search by hand, and show that they equal the library's;
# - measure what a way of choosing does to variety and to plausibility, and say how sure you are;
# - make generation fast with the key-value cache, with batches and with streaming, and predict how fast;
# - find and mend five mistakes that people make when they generate.
#
# ## You need
#
# [Chapter 2](02_tokenization.ipynb) for tokens, and a little probability: logarithms, and the idea of a distribution. How the model computes its answer does not matter here.
#
# <!-- price:begin --><!-- price:end -->

# %% [markdown]
# ## Set-up
#
# The first cell matters on Colab only. The second imports what the chapter uses and loads the model: in this book's pocket size it is `pocket-gpt2`, a small GPT-2 [(Radford et al., 2019)](../book/references.md#radford2019) trained for this book on short stories, most of them written by a program, and on passages from old novels. It also loads beginnings of texts that the model has not seen in training. Every text of the training data was preceded by the end-of-text token, so every prompt here begins with it as well: that is what `encode` does. (The library would take that token for padding and warn at every call, so its warnings are off, except where they are the subject.)

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
    # !{sys.executable} -m bookkit fetch chat
    print("The published pages of this book:", PAGES)

# %% tags=["needed-by-exercises"]
import math
import time
from threading import Thread

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
import transformers
from datasets import Dataset
from torch.nn import functional as F
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    StoppingCriteria,
    TextIteratorStreamer,
    TextStreamer,
)
from transformers.generation import logits_process

import bookkit
from bookkit import figures, repro, results
from bookkit.viewers import branches, next_token

figures.use_style()
repro.setup(seed=0, packages=("torch", "transformers"))
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()  # no warnings, except where we look

tokenizer = AutoTokenizer.from_pretrained(
    bookkit.model("gpt2"), revision=bookkit.revision("gpt2")
)
model = AutoModelForCausalLM.from_pretrained(
    bookkit.model("gpt2"), revision=bookkit.revision("gpt2"), dtype=torch.float32
).eval()
EOS = model.config.eos_token_id
torch.set_grad_enabled(False)  # nothing is trained in this chapter


def encode(text: str) -> torch.Tensor:
    """The ids of a text with the end-of-text token in front, shape (1, length)."""
    return torch.tensor([[EOS, *tokenizer.encode(text, verbose=False)]])


corpus = bookkit.data("corpora/pocket_stories/sample.jsonl.xz")
corpus = Dataset.from_json(str(corpus))
tests = [row for row in corpus if row["split"] == "test"]
unseen = {row["id"]: row["text"] for row in tests}
stories = [row["text"] for row in tests if row["kind"] == "story"]

# %% [markdown]
# ## 1. What the model returns
#
# Give the model the beginning of a story. It returns one row of numbers for every position, and every row has one number for every token of the vocabulary: the *logits*, scores without a unit. The softmax function turns a row into probabilities, $p_i = e^{z_i} / \sum_j e^{z_j}$. Two more numbers say what a distribution is like. The [surprise](../book/glossary.md#surprise) of a token is $-\log_2 p$ bits: none for a certain event, one bit for a coin toss. The [entropy](../book/glossary.md#entropy) of the distribution is the surprise to be expected on average; two to that power is the number of equally probable tokens that would be as uncertain.
#
# Look at the shape first, then at the most probable next tokens and what share they leave for all others.

# %% tags=["nbval-check-output"]
PROMPT = "A strong wind came from the west. I still remember that morning well. I"
ids = encode(PROMPT)
logits = model(ids).logits
print(f"{ids.shape[1]} tokens in, logits of shape {tuple(logits.shape)} out")

p = logits[0, -1].softmax(-1)
assert torch.isclose(p.sum(), torch.tensor(1.0))
for share, token in zip(*p.topk(6)):
    surprise = -share.log2().item()
    print(f"{tokenizer.decode(token)!r:12} {share:6.1%}  {surprise:4.1f} bits")
print(f"{'all others':12} {1 - p.topk(6).values.sum():6.1%}")
entropy = -(p * p.log2()).sum().item()
print(f"entropy {entropy:.1f} bits, as unsure as among {2**entropy:.0f} equal tokens")

# %% [markdown]
# The last row is the answer to "what comes next?". The other rows are answers to the same question at every earlier place, because the model reads each prefix of the text on the way. They are not needed for writing on, and they are what we need to measure how probable a *given* text is.
#
# The rule of probability is that of any chain of events: the first token's probability, times the second's given the first, and so on. Products of many small numbers vanish in a computer, so one adds logarithms:
#
# $$\log p(x_1 \dots x_n) = \sum_{t=1}^{n} \log p(x_t \mid x_0 \dots x_{t-1}).$$
#
# Mind the index. The logits at position $t-1$ speak of the token at position $t$; a program that compares a row with the token of the *same* position measures nonsense. The cell does it by hand and then asks the library, whose loss is the mean over the same terms. Then it compares a sentence with the same words in another order; the [perplexity](../book/glossary.md#perplexity) it prints is two to the power of the mean surprise: how many equally probable choices, on average, would have been as hard to guess.
#
# Last, it draws where the surprise of one story falls. Each bar is one token of a text that the model has never seen; look for what the tall bars have in common.

# %% bookkit={"twin_of": ["cross_entropy", "loss", "compute_transition_scores"]} tags=["twin"]
def token_log_probs(ids: torch.Tensor) -> torch.Tensor:
    """Log-probability (nats) of each token after the first: (rows, n) → (rows, n − 1)."""
    logp = model(ids).logits[:, :-1].log_softmax(-1)  # row t speaks of token t + 1
    return logp.gather(-1, ids[:, 1:, None])[..., 0]


# %% tags=["twin-check"]
for text in [PROMPT, *stories[:6]]:
    row = encode(text)[:, :256]
    by_hand = token_log_probs(row)
    assert torch.isclose(by_hand.mean(), -model(row, labels=row).loss, atol=1e-4)
    unshifted = model(row).logits.log_softmax(-1).gather(-1, row[..., None])[0, 1:]
    assert not torch.isclose(unshifted.mean(), by_hand.mean(), atol=0.1)

for text in ["She gave the book to her friend.", "Friend book to gave her the she."]:
    bits = -token_log_probs(encode(text))[0] / math.log(2)
    print(f"{text}  {bits.sum():.0f} bits, perplexity {2 ** bits.mean():,.0f}")


def words_of(ids) -> list[str]:
    """Each token as text, with a line break made visible."""
    return [tokenizer.decode(token).replace("\n", "⏎") for token in ids]


sample_story = encode(stories[0])[:, :41]
bits = -token_log_probs(sample_story)[0] / math.log(2)
fig, ax = plt.subplots(figsize=(7.2, 3.4))
ax.bar(range(len(bits)), bits, color=figures.BLUE)
ax.set_xticks(range(len(bits)), words_of(sample_story[0, 1:]), rotation=90, fontsize=9)
ax.set_ylabel("surprise in bits")
ax.grid(axis="x", visible=False)
ax.set_title("Where a story surprises the model")
figures.show(
    fig,
    alt="Surprise in bits of each token of the beginning of a story, as bars over "
    "the words. A few tall bars stand among many low ones.",
)

# %% [markdown]
# The order of the words alone makes the difference between the two sentences. And text is not evenly surprising. Names and the words that decide what happens cost many bits, while the rest of a phrase follows almost for nothing. Keep this picture in mind: a method of choosing that never dares a tall bar will not write like this.
#
# ## 2. Greedy: always the most probable
#
# The simplest way to choose is to take the most probable token, append it, and ask again. This is [greedy search](../book/glossary.md#greedy-search). The cell writes it as a loop and compares it with the library's `generate`. In both, the end-of-text token is forbidden until the text has its length, so that the lengths agree (`min_new_tokens` for the library). The asterisks separate prompt and continuation; the first two texts begin like stories, the others like a novel.

# %% bookkit={"twin_of": ["generate"]} tags=["twin", "needed-by-exercises"]
def next_logits(ids: torch.Tensor) -> torch.Tensor:
    """Logits of the next token of each row, end-of-text forbidden: (rows, vocabulary)."""
    logits = model(ids).logits[:, -1].clone()
    logits[:, EOS] = -torch.inf
    return logits


def greedy(ids: torch.Tensor, steps: int) -> torch.Tensor:
    """Append the most probable token to each row, again and again."""
    for _ in range(steps):
        ids = torch.cat([ids, next_logits(ids).argmax(-1, keepdim=True)], 1)
    return ids


STEPS = 48
sweep = results.read("decoding")  # section 7 says what it holds
beginnings = {  # 24 tokens each, and the end-of-text token in front
    kind: torch.cat([encode(unseen[key])[:, :25] for key in part["texts"]])
    for kind, part in sweep["kinds"].items()
}
prompts, novel_prompts = beginnings["story"], beginnings["novel"]
everything = torch.ones_like(prompts)  # the attention mask: nothing is padding


def show(ids: torch.Tensor, prompt_length: int = 25) -> None:
    """Print a row's prompt and continuation with asterisks in between."""
    text = tokenizer.decode(ids[1:prompt_length]), tokenizer.decode(ids[prompt_length:])
    print(*text, sep=" ***")


# %% tags=["twin-check"]
def same_choices(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Whether rows are equal, or first differ where two tokens are all but tied."""
    for a, b in zip(ours, theirs):
        if not torch.equal(a, b):
            at = (a != b).nonzero()[0, 0]
            rivals = next_logits(a[None, :at])[0, [a[at], b[at]]]
            if rivals.diff().abs() > 1e-3:
                return False
    return True


fixed = {"min_new_tokens": STEPS, "max_new_tokens": STEPS}
four = torch.cat([prompts[:2], novel_prompts[:2]])  # two of each kind
ours = greedy(four, STEPS)
theirs = model.generate(
    four, attention_mask=everything[:4], do_sample=False, **fixed
)
assert same_choices(ours, theirs)
for row in ours:
    show(row)
    print()

# %% [markdown]
# The loop and the library agree token for token. (`same_choices` lets one thing pass: where two tokens are as good as equally probable, rounding may decide differently. Section 11 comes back to that.) Read the continuations to the end. The two stories begin differently and tell of the same beekeeper: greedy search tells the model's favourite scene. The passages of the novel, a kind of text that the model has met far less often, end in circles. A model that has just written a phrase finds the same phrase more probable the next time, and a method that always takes the top has no way out of the circle [(Holtzman et al., 2020)](../book/references.md#holtzman2020). Remember both halves of this: the circles come where the model is unsure, and where it is sure, what is lost is variety.
#
# ## 3. Beam search: look further ahead
#
# Greedy search can also miss what it is looking for. Suppose a toy model knows six words, and its probabilities are those in the next cell. Greedy takes *the*, the more probable first word, and ends with a sentence of lower probability than one that begins with *a*: a good first step into a poor neighbourhood.
#
# [Beam search](../book/glossary.md#beam-search) keeps several unfinished texts at a time, its *beams*. At each step it extends every beam by every token and keeps the few extensions with the largest total log-probability. The function `beam_search` takes anything that returns log-probabilities, so that it runs on the toy first and on the model afterwards.
#
# Beam search repeats itself too, so people add a ban: no sequence of three tokens may occur twice. `ban_repeats` sets the log-probability of every token that would complete such a repetition to $-\infty$. Look what the second beam changes in the toy. The second cell compares both functions with the library, on the real model. (The library counts the prompt to what may not be repeated; so does ours.)

# %% bookkit={"twin_of": ["generate", "NoRepeatNGramLogitsProcessor"]} tags=["twin", "nbval-check-output"]
def beam_search(ids: torch.Tensor, steps: int, width: int, log_probs):
    """Return the `width` best continuations of one prompt (1, n) and their log p."""
    beams, totals = ids, torch.zeros(len(ids))
    for _ in range(steps):
        logp = log_probs(beams)  # (beams, vocabulary)
        totals, best = (totals[:, None] + logp).flatten().topk(width)
        parents, tokens = best // logp.shape[1], best % logp.shape[1]
        beams = torch.cat([beams[parents], tokens[:, None]], 1)
    return beams, totals


def model_log_probs(ids: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the next token; end-of-text is forbidden, not renormalised."""
    logp = model(ids).logits[:, -1].log_softmax(-1)
    logp[:, EOS] = -torch.inf
    return logp


def ban_repeats(ids: torch.Tensor, logp: torch.Tensor, n: int) -> torch.Tensor:
    """Forbid every token that would complete an n-gram the row already holds."""
    logp = logp.clone()
    for row, scores in zip(ids.tolist(), logp):
        for start in range(len(row) - n + 1):
            if row[start : start + n - 1] == row[len(row) - n + 1 :]:
                scores[row[start + n - 1]] = -torch.inf
    return logp


WORDS = ["⟨start⟩", "the", "a", "dog", "cat", "bird"]
toy = torch.full((6, 6), 1e-9)  # row: the last word; column: the next
toy[0, 1], toy[0, 2] = 0.6, 0.4
toy[1, 3], toy[1, 4], toy[1, 5] = 0.4, 0.3, 0.3
toy[2, 3], toy[2, 4], toy[2, 5] = 0.9, 0.05, 0.05
for width in [1, 2]:
    found, totals = beam_search(
        torch.tensor([[0]]), 2, width, lambda ids: toy[ids[:, -1]].log()
    )
    words = " ".join(WORDS[token] for token in found[0, 1:])
    print(f"width {width}: {words}, probability {totals[0].exp():.2f}")


# %% tags=["twin-check"]
def banned_log_probs(ids: torch.Tensor) -> torch.Tensor:
    return ban_repeats(ids, model_log_probs(ids), n=3)


for n in [2, 3, 4]:
    library_ban = logits_process.NoRepeatNGramLogitsProcessor(n)
    rows, scores = ours, model_log_probs(ours)
    assert torch.equal(ban_repeats(rows, scores, n), library_ban(rows, scores.clone()))
assert not torch.equal(ban_repeats(rows, scores, 3), library_ban(rows, scores.clone()))

SHORT, first = 24, prompts[:1]
for log_probs, extra in [
    (model_log_probs, {}),
    (banned_log_probs, {"no_repeat_ngram_size": 3}),
]:
    beams, totals = beam_search(first, SHORT, 4, log_probs)
    theirs = model.generate(
        first, attention_mask=everything[:1], num_beams=4, do_sample=False,
        min_new_tokens=SHORT, max_new_tokens=SHORT, **extra,
    )  # fmt: skip
    assert same_choices(beams[:1], theirs)
    show(beams[0])
    print()

# %% [markdown]
# With one beam, beam search *is* greedy search. With two it keeps *a* alive for one more step, and finds the more probable sentence. On the real model it equals the library's, with the ban and without it.
#
# Does looking further ahead find more probable text? Ask on all thirty-two story beginnings: write twenty-four tokens with greedy search and with four beams, and compare the log-probabilities. Beam search promises nothing here: a beam that would have won in the end may be dropped half-way. Then look at one of the trees in which it wins, drawn from the model's own numbers: of the first twenty-four beginnings, the one where three tokens of looking ahead gain most. Follow the two paths and multiply.

# %%
short = {"min_new_tokens": SHORT, "max_new_tokens": SHORT, "do_sample": False}
mask = {"attention_mask": everything}
by_greedy = model.generate(prompts, **mask, **short)
by_beam = model.generate(prompts, **mask, **short, num_beams=4)


def continuation_log_prob(ids: torch.Tensor) -> torch.Tensor:
    """Log-probability (nats) of what follows the prompt, for each row."""
    return token_log_probs(ids)[:, 24:].sum(1)


gain = continuation_log_prob(by_beam) - continuation_log_prob(by_greedy)
more, fewer = int((gain > 0.01).sum()), int((gain < -0.01).sum())
print(f"of {len(gain)} texts, beam search found {more} more probable ones,")
print(f"{len(gain) - more - fewer} equally probable and {fewer} less probable ones")
assert more > fewer



def path_probabilities(ids: torch.Tensor, new: int) -> list[float]:
    """The model's probability of each of the last `new` tokens of one row."""
    return token_log_probs(ids)[0, -new:].exp().tolist()


def best_tree(depth: int = 3):
    """The prompt where the first `depth` tokens of beam search beat greedy's most."""
    found = []
    for prompt in prompts[:24].split(1):
        straight = greedy(prompt, depth)
        beams, totals = beam_search(prompt, depth, 4, model_log_probs)
        gain = totals[0] - token_log_probs(straight)[0, -depth:].sum()
        found.append((gain, straight, beams[:1]))
    return max(found, key=lambda entry: entry[0])


advantage, straight, ahead = best_tree()
assert advantage > 0
shared = int((straight == ahead)[0, -3:].cumprod(0).sum())  # steps that both take
fig, ax = plt.subplots(figsize=(7.2, 3.0))
for path, y, colour in [(ahead, 1.0, figures.GREEN), (straight, -1.0, figures.GREY)]:
    heights = [0.0] * (shared + 1) + [y] * (3 - shared)
    ax.plot(range(4), heights, "o-", color=colour)
    probabilities = path_probabilities(path, 3)
    for step, (token, share) in enumerate(zip(words_of(path[0, -3:]), probabilities)):
        middle = (heights[step] + heights[step + 1]) / 2
        lift = 0.16 if heights[step + 1] >= 0 else -0.42
        ax.text(step + 1, heights[step + 1] + lift, token, ha="center", size=12)
        ax.text(step + 0.5, middle + lift, f"{share:.2f}", ha="center", color=colour)
    name = "beam search" if y > 0 else "greedy"
    total = math.prod(probabilities)
    ax.text(3.35, y, f"{name}\n{total:.4f} in all", va="center", color=colour)
tail = tokenizer.decode(straight[0, -9:-3]).replace("\n", "⏎")
ax.text(-0.1, 0, f"… {tail}", ha="right", va="center")
ax.set(xlim=(-2.6, 4.6), ylim=(-1.7, 1.7))
ax.axis("off")
figures.show(
    fig,
    alt="Two paths of three tokens from one beginning. Where they part, greedy's path "
    "takes the more probable token, and in the end it has the smaller product.",
)

# %% [markdown]
# Where the paths part, the upper one takes the less probable token, and what that opens up more than pays for it. Whether a *more probable* text is a *better* text is another question. Section 7 and the folklore check measure it.
#
# ## 4. Sampling, and how to cut off the tail
#
# The other way to choose is to throw dice: take each token with the probability that the model gives it. [Sampling](../book/glossary.md#sampling) does not loop, and it has the opposite weakness. Thousands of tokens with a tiny probability each add up; every so often one of them is drawn, and a text does not recover easily from a senseless word. So people bend the distribution before they draw:
#
# - the [temperature](../book/glossary.md#temperature) $T$ divides the logits. Below one it sharpens the distribution, above one it flattens it;
# - *top-k* [(Fan et al., 2018)](../book/references.md#fan2018) keeps the $k$ most probable tokens;
# - *top-p* or nucleus sampling [(Holtzman et al., 2020)](../book/references.md#holtzman2020) keeps the fewest tokens that together have probability $p$;
# - *min-p* [(Nguyen et al., 2024)](../book/references.md#nguyen2024) keeps the tokens that are at least $p$ times as probable as the most probable one.
#
# What is cut gets the logit $-\infty$, that is, probability zero, and the rest grows to fill the gap. Each rule is a line or two. The second cell compares them with the library's on the next-token logits of the thirty-two story beginnings, and then whole sampled texts, drawn with the same seed.
#
# How do the rules differ? The picture compares two places in one story: one where the model is fairly sure what comes next, and one where it is not. The curves show the probabilities of the tokens from the most probable to the least; the marks show how many tokens each rule keeps.

# %% bookkit={"twin_of": ["logits_process", "generate", "TopKLogitsWarper", "TopPLogitsWarper", "MinPLogitsWarper", "TemperatureLogitsWarper"]} tags=["twin", "needed-by-exercises"]
def temper(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    return logits / temperature


def top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    kth = logits.sort(descending=True).values[:, k - 1 : k]
    return logits.masked_fill(logits < kth, -torch.inf)


def top_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    ordered, order = logits.sort(descending=True)
    share = ordered.softmax(-1)
    before = share.cumsum(-1) - share  # what the more probable tokens have together
    cut = torch.empty_like(before, dtype=torch.bool).scatter(1, order, before >= p)
    return logits.masked_fill(cut, -torch.inf)


def min_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    share = logits.softmax(-1)
    return logits.masked_fill(share < p * share.amax(-1, keepdim=True), -torch.inf)


def sample(ids: torch.Tensor, steps: int, bend=lambda logits: logits) -> torch.Tensor:
    """Append tokens drawn from the bent distribution to each row."""
    for _ in range(steps):
        p = bend(next_logits(ids)).softmax(-1)
        ids = torch.cat([ids, torch.multinomial(p, 1)], 1)
    return ids


# %% tags=["twin-check"]
logits = next_logits(prompts)
pairs = [
    *((temper, logits_process.TemperatureLogitsWarper, t) for t in (0.5, 0.7, 1.5)),
    *((top_k, logits_process.TopKLogitsWarper, k) for k in (1, 5, 40)),
    *((top_p, logits_process.TopPLogitsWarper, p) for p in (0.1, 0.5, 0.9)),
    *((min_p, logits_process.MinPLogitsWarper, p) for p in (0.01, 0.1, 0.5)),
]
for rule, library, setting in pairs:
    ours, theirs = rule(logits, setting), library(setting)(prompts, logits)
    assert torch.equal(ours, theirs), (rule, setting)
    changed = rule(logits, 3 if rule is top_k else 0.3)  # another setting is noticed
    assert not torch.equal(changed, theirs), (rule, setting)

settings = [
    (lambda x: x, {"top_k": 0}),
    (lambda x: temper(x, 0.7), {"top_k": 0, "temperature": 0.7}),
    (lambda x: top_p(x, 0.9), {"top_k": 0, "top_p": 0.9}),
    (lambda x: min_p(top_k(temper(x, 1.2), 50), 0.1),
     {"temperature": 1.2, "top_k": 50, "min_p": 0.1}),
]  # fmt: skip
fixed = {"min_new_tokens": SHORT, "max_new_tokens": SHORT}
for bend, words in settings:
    torch.manual_seed(7)
    ours = sample(prompts[:4], SHORT, bend)
    torch.manual_seed(7)
    theirs = model.generate(
        prompts[:4], attention_mask=everything[:4], do_sample=True, **fixed, **words
    )
    same = (ours == theirs).all(1).sum().item()
    print(f"{same} of 4 texts equal with {words}")
    assert same >= 3  # the dice may fall on a boundary that rounding moves


row = encode(stories[1])[:, :120]
all_p = model(row).logits[0].softmax(-1)
all_entropy = -(all_p * all_p.clamp_min(1e-30).log2()).sum(-1)
order = all_entropy[20:].argsort() + 20
places = {"sure": order[len(order) // 5].item(), "unsure": order[-4].item()}
rules = {
    "min-p 0.1": lambda x: min_p(x, 0.1),
    "top-p 0.9": lambda x: top_p(x, 0.9),
    "top-k 40": lambda x: top_k(x, 40),
}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.8), sharey=True)
kept = {}
for ax, (name, place) in zip(axes, places.items()):
    shares = all_p[place].sort(descending=True).values
    ranks = np.unique(np.geomspace(1, len(shares), 120).astype(int))
    ax.loglog(ranks, shares[ranks - 1], color=figures.BLUE)
    for height, (rule, bend) in zip([0.9, 0.3, 0.1], rules.items()):
        kept[name, rule] = int((bend(all_p[place].log()[None]) > -torch.inf).sum())
        ax.plot([kept[name, rule]] * 2, [1e-7, height], ":", color=figures.INK, lw=1)
        ax.text(kept[name, rule] * 1.15, height, f"{rule}: {kept[name, rule]}", va="top")
    ax.set_title(f"{name}: {all_entropy[place]:.1f} bits")
    ax.set(xlabel="rank of the token", ylim=(1e-7, 1.5))
axes[0].set_ylabel("probability")
figures.show(
    fig,
    alt="Probability against rank at two places of a story, on logarithmic axes. Where "
    "the model is sure, the curve falls at once and min-p and top-p keep few tokens; "
    "where it is unsure, they keep many. Top-k keeps forty at both.",
)
assert kept["sure", "top-k 40"] == kept["unsure", "top-k 40"] == 40
assert kept["sure", "top-p 0.9"] < kept["unsure", "top-p 0.9"]
assert kept["sure", "min-p 0.1"] <= kept["unsure", "min-p 0.1"]

# %% [markdown]
# The same seed gives the same texts, by hand and in the library. Note the order in the last setting: temperature first, then the cuts. The library applies them in this order too, and since a cut looks at probabilities that the temperature has already changed, the order matters.
#
# Top-k keeps the same number at both places: where the model is sure it lets in tokens with hardly any probability, and where the model is unsure it may cut off good ones. Top-p and min-p follow the shape of the distribution.
#
# ## 5. Against repetition: a penalty and a contrast
#
# Two more methods attack the circles directly. The [repetition penalty](../book/glossary.md#repetition-penalty) [(Keskar et al., 2019)](../book/references.md#keskar2019) makes every token that has occurred less probable: a positive logit is divided by a constant, a negative one multiplied by it. The second cell compares it with the library; look at its first two lines: logits that differ by a constant mean the same probabilities, and yet the penalty treats them differently.
#
# [Contrastive search](../book/glossary.md#contrastive-search) [(Su et al., 2022)](../book/references.md#su2022) looks at what the model thinks instead of what it has written. Among the $k$ most probable tokens $v$ it takes the one with the best balance of probability and novelty,
#
# $$(1-\alpha)\,p(v \mid x) \;-\; \alpha \max_{j} \cos(h_v, h_{x_j}),$$
#
# where $h_v$ is the model's last hidden state once $v$ has been appended, and $h_{x_j}$ are those of the tokens so far. It is deterministic, like greedy search. In older tutorials it is one argument of `generate`; see in the output what the installed version answers. Loading code from a hub is not an option here, so the twin below is all there is. There is nothing in the library to compare it with; what can be checked is what the formula demands: with $\alpha = 0$ or one candidate it must be greedy search, and every choice must be that of a slow second version that computes everything anew.

# %% bookkit={"twin_of": ["RepetitionPenaltyLogitsProcessor", "generate"]} tags=["twin"]
def penalise(ids: torch.Tensor, logits: torch.Tensor, penalty: float) -> torch.Tensor:
    """Make every token that a row already holds less probable."""
    seen = logits.gather(1, ids)
    lowered = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.scatter(1, ids, lowered)


def contrastive_search(ids: torch.Tensor, steps: int, k: int = 4, alpha: float = 0.6):
    """Contrastive search on a batch of prompts of equal length (rows, n)."""
    rows = torch.arange(len(ids))
    out = model(ids, output_hidden_states=True, use_cache=True)
    states, cache = out.hidden_states[-1], out.past_key_values
    logits = out.logits[:, -1]
    for _ in range(steps):
        logits[:, EOS] = -torch.inf
        share, candidates = logits.softmax(-1).topk(k)
        cache.batch_repeat_interleave(k)  # one row for each candidate
        out = model(
            candidates.view(-1, 1), past_key_values=cache, output_hidden_states=True
        )
        new = out.hidden_states[-1][:, -1].unflatten(0, (-1, k))  # (rows, k, width)
        cosines = F.normalize(new, dim=-1) @ F.normalize(states, dim=-1).mT
        best = ((1 - alpha) * share - alpha * cosines.amax(-1)).argmax(-1)
        cache.batch_select_indices(rows * k + best)
        ids = torch.cat([ids, candidates[rows, best, None]], 1)
        states = torch.cat([states, new[rows, best, None]], 1)
        logits = out.logits[:, -1].unflatten(0, (-1, k))[rows, best]
    return ids


# %% tags=["twin-check"]
written = by_greedy  # the beginnings with what greedy search made of them
logits = next_logits(written)
for penalty in [1.1, 1.2, 2.0]:
    library = logits_process.RepetitionPenaltyLogitsProcessor(penalty)
    ours = penalise(written, logits, penalty)
    assert torch.equal(ours, library(written, logits.clone()))
    assert not torch.equal(penalise(written[:, :25], logits, penalty), ours)

token = logits[0].argmax()  # what greedy search would write next
for shift in [0, -30]:
    shifted = logits[:1] + shift
    assert torch.allclose(shifted.softmax(-1), logits[:1].softmax(-1), atol=1e-5)
    before = shifted.softmax(-1)[0, token]
    after = penalise(token.view(1, 1), shifted, 1.2).softmax(-1)[0, token]
    print(f"all logits {shift:+d}: p of the top token {before:.2f} → {after:.4f}")


def slow_choice(ids: torch.Tensor, k: int, alpha: float) -> int:
    """The next token of one row, by the formula, with nothing kept from before."""
    share, candidates = next_logits(ids)[0].softmax(-1).topk(k)
    scores = []
    for p, token in zip(share, candidates):
        longer = torch.cat([ids, token.view(1, 1)], 1)
        h = model(longer, output_hidden_states=True).hidden_states[-1][0]
        likeness = torch.cosine_similarity(h[-1:], h[:-1]).max()
        scores.append((1 - alpha) * p - alpha * likeness)
    return candidates[torch.stack(scores).argmax()].item()


contrasted = contrastive_search(prompts[:4], STEPS)
for end in [26, 40, 60]:
    for row in contrasted[:2]:
        assert row[end] == slow_choice(row[None, :end], k=4, alpha=0.6)
straight = greedy(prompts[:4], 12)
assert same_choices(contrastive_search(prompts[:4], 12, alpha=0.0), straight)
assert same_choices(contrastive_search(prompts[:4], 12, k=1), straight)
assert not same_choices(contrasted[:, :37], straight)
try:
    model.generate(first, attention_mask=everything[:1], penalty_alpha=0.6, top_k=4)
except (ValueError, OSError) as error:
    print("the library:", error)

# %% [markdown]
# So the strength of the repetition penalty depends on a constant that has no meaning. A value that suits one model says little about another.
#
# The library would fetch contrastive search's code from the hub and refuses to do so without being told to trust it. Whether to run a stranger's code is worth more than one keyword argument; here the formula is a page of Python, and you have read it.
#
# ## 6. Stopping and streaming
#
# Until now every text had a fixed length. In use, a text should end when the model ends it, or when you have what you asked for. Four rules, checked after each token, can be combined: a number of new tokens, the end-of-text token, a string (`stop_strings`, for which `generate` needs the tokenizer, since a string can begin in the middle of a token), and any function of yours (`StoppingCriteria`).
#
# Settings that belong together can be kept in a `GenerationConfig`, which can be saved beside a model; `model.generation_config` is the model's own. Give `generate` either such an object or single settings, not both: older code mixes them freely, and the installed version warns that this will end. Look at which rule ended which text. The last line shows a trap: `max_length` counts the prompt.
#
# The second cell is about another wish: nobody wants to look at an empty screen until the last token is there. A *streamer* receives each token from `generate` and passes on text as soon as it cannot change any more (a character may be made of several tokens; [chapter 2](02_tokenization.ipynb) shows what goes wrong otherwise). `TextStreamer` prints. `TextIteratorStreamer` is an iterator: `generate` runs in a thread of its own, and your loop takes the pieces at its own pace, which is how a web server or a widget does it. Watch the pieces, and when the first one came.

# %% tags=["nbval-check-output"]
class StopAfterSentences(StoppingCriteria):
    """Stop a row once its continuation holds so many full stops."""

    def __init__(self, count: int, prompt_length: int):
        self.count, self.prompt_length = count, prompt_length

    def __call__(self, input_ids, scores, **kwargs) -> torch.Tensor:
        texts = tokenizer.batch_decode(input_ids[:, self.prompt_length :])
        return torch.tensor([text.count(".") >= self.count for text in texts])


def until(**settings) -> GenerationConfig:
    """Greedy search that ends at the end-of-text token, or earlier."""
    return GenerationConfig(do_sample=False, eos_token_id=EOS, pad_token_id=EOS, **settings)


calls = {
    "max_new_tokens=20": (until(max_new_tokens=20), {}),
    "the string ' and'": (
        until(max_new_tokens=150, stop_strings=[" and"]), {"tokenizer": tokenizer}
    ),
    "two full stops": (
        until(max_new_tokens=150), {"stopping_criteria": [StopAfterSentences(2, 25)]}
    ),
    "the end of the text": (until(max_new_tokens=200), {}),
    "max_length=30": (until(max_length=30), {}),
}  # fmt: skip
start = prompts[2:3]
for name, (settings, more) in calls.items():
    row = model.generate(
        start, attention_mask=torch.ones_like(start), generation_config=settings, **more
    )
    added = tokenizer.decode(row[0, 25:])
    print(f"{name}: {row.shape[1] - 25} tokens, ending {added[-24:]!r}")
assert row.shape[1] == 30  # the prompt and its end-of-text token are counted

# %%
torch.manual_seed(1)
choice = {"do_sample": True, "top_k": 0, "min_p": 0.1, "max_new_tokens": 40}
print("TextStreamer: ", end="")
_ = model.generate(
    first,
    attention_mask=torch.ones_like(first),
    streamer=TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True),
    **choice,
)

streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
words = {"streamer": streamer, "attention_mask": torch.ones_like(first), **choice}
started = time.perf_counter()
worker = Thread(target=model.generate, args=(first,), kwargs=words)
worker.start()
pieces, arrived = [], []
for piece in streamer:
    pieces.append(piece)
    arrived.append(time.perf_counter() - started)
worker.join()
filled = [n for n, piece in enumerate(pieces) if piece]
print("TextIteratorStreamer:", "|".join(piece for piece in pieces if piece))
print(f"first piece after {1000 * arrived[filled[0]]:.0f} ms,", end=" ")
print(f"the last after {1000 * arrived[-1]:.0f} ms")
try:
    model.generate(first, num_beams=4, streamer=streamer, max_new_tokens=5)
except ValueError as error:
    print("with beams:", str(error)[:80])

# %% [markdown]
# Pieces are words with the space behind them, because a word is passed on only when the next space shows that it is complete. Beam search refuses to stream: until its end it does not know which beam will win, so there is nothing that it could safely show.
#
# ## 7. Measured: variety against plausibility
#
# Now put all methods on one scale. Thirty-two beginnings of stories and thirty-two of passages from a novel, twenty-four tokens each, were continued by forty-eight tokens with every method. What to measure?
#
# - *Distinct-2*: distinct pairs of neighbouring tokens as a share of all pairs, over all continuations together [(Li et al., 2016)](../book/references.md#li2016). Higher is more varied.
# - *Repetition*: the share of four-token sequences that have occurred before in the same continuation.
# - *Entropy*: how uncertain the model itself is along the continuation, in bits.
# - *Judge perplexity*: how surprising SmolLM2 [(Allal et al., 2025)](../book/references.md#allal2025), another and larger model that has read much more, finds the continuation.
#
# None of these is quality. The yardstick is the first row, the text as it really goes on: a good method should be as varied *and* as surprising as that. Be careful with the word *real*: the stories' own continuations were written by a program with many hand-written phrases, those of the novel by Jane Austen.
#
# Judging so many texts would take several minutes, so a committed script did it once (`training/sweeps/decoding.py`; `data/results/decoding.json` holds the continuations, with the hashes of everything they were made from). The cell computes the table, with 95 % intervals by drawing the beginnings anew two thousand times. Then it computes some of the stored figures again, live: one continuation of each method is judged anew (the sweep let the judge run in bfloat16, to save time), and contrastive search writes a few of its texts anew.

# %% tags=["nbval-check-output"]
def distinct(rows: list[list[int]], n: int) -> float:
    """Distinct n-grams as a share of all n-grams of all rows."""
    grams = [gram for row in rows for gram in zip(*(row[i:] for i in range(n)))]
    return len(set(grams)) / len(grams)


def repeated(row: list[int], n: int = 4) -> float:
    """The share of a row's n-grams that stand earlier in it as well."""
    return 1 - distinct([row], n)


def measures(run: dict, rows: np.ndarray) -> tuple[float, float, float, float]:
    """Distinct-2, repetition, entropy and judge perplexity over chosen texts."""
    ids = [run["rows"][row] for row in rows]
    nats, count = run["judge_nats"][rows].sum(), run["judge_tokens"][rows].sum()
    repetition = run["repetition"][rows].mean()
    entropy = run["entropy_bits"][rows].mean()
    return distinct(ids, 2), repetition, entropy, math.exp(nats / count)


COUNT = len(prompts)
ALL = np.arange(COUNT)
table = {}
for kind, part in sweep["kinds"].items():
    draws = np.random.default_rng(0).integers(0, COUNT, size=(2000, COUNT))
    print(f"{kind:24} distinct-2   repetition  entropy  judge perplexity (95%)")
    for name, run in part["strategies"].items():
        run["rows"] = [[int(token) for token in row.split()] for row in run["ids"]]
        run["repetition"] = np.array([repeated(row) for row in run["rows"]])
        for key in ["judge_nats", "judge_tokens", "entropy_bits"]:
            run[key] = np.array(run[key])
        nats, tokens = run["judge_nats"][draws].sum(1), run["judge_tokens"][draws].sum(1)
        again = {
            "repetition": run["repetition"][draws].mean(1),
            "judge": np.exp(nats / tokens),
        }
        point = measures(run, ALL)
        interval = {key: np.percentile(v, [2.5, 97.5]) for key, v in again.items()}
        table[kind, name] = point, interval
        low, high = interval["judge"]
        print(
            f"{name:24} {point[0]:10.2f} {point[1]:12.0%} {point[2]:8.1f}", end=" "
        )
        print(f"{point[3]:9.1f} ({low:.1f} to {high:.1f})")

story = sweep["kinds"]["story"]["strategies"]
if bookkit.mode() == "pocket":  # the sweep was made with the pocket models
    judge_tokenizer = AutoTokenizer.from_pretrained(
        bookkit.model("chat"), revision=bookkit.revision("chat")
    )
    judge = AutoModelForCausalLM.from_pretrained(
        bookkit.model("chat"), revision=bookkit.revision("chat"), dtype=torch.float32
    ).eval()
    start = torch.tensor([judge_tokenizer.convert_tokens_to_ids("<|endoftext|>")])
    for name, row in zip(story, np.random.default_rng(1).integers(0, COUNT, len(story))):
        ids = torch.cat([prompts[row, 1:], torch.tensor(story[name]["rows"][row])])
        opening = len(tokenizer.decode(prompts[row, 1:]))
        read = judge_tokenizer(tokenizer.decode(ids), return_offsets_mapping=True)
        judged = torch.cat([start, torch.tensor(read["input_ids"])])
        logp = judge(judged[None]).logits[0, :-1].log_softmax(-1)
        nats = -logp.gather(1, judged[1:, None])[:, 0]
        new = torch.tensor([first >= opening for first, _ in read["offset_mapping"]])
        assert new.sum() == story[name]["judge_tokens"][row]
        assert math.isclose(nats[new].sum(), story[name]["judge_nats"][row], rel_tol=0.03)
    rows = torch.tensor(story["contrastive"]["rows"])[:4]
    again = (contrasted[:, 25:] == rows).all(1).sum().item()
    assert again >= 3  # a near tie may fall the other way on another machine
    print(f"{len(story)} continuations judged again, in float32: within 3 % of the sweep's")

# %% [markdown]
# Read the table from the first row of each half. The methods that search come out with fewer distinct pairs than the text itself, and with text that the judge finds easy to predict; those that throw dice are more varied, and the judge is more surprised the more of the tail they let in. Repetition belongs to greedy and beam search alone; the ban and the penalty, which forbid it, bring it down.
#
# As pictures: variety to the right, surprise upwards, the text itself in blue. The closer to it, the better a method imitates the way such texts go on. Methods that throw dice are green, those that search are grey.

# %%
def draw_map(kind: str, title: str):
    """Every method as a point with its interval, its name at the right."""
    fig, ax = plt.subplots(figsize=(7.2, 4.6))
    names = sorted(sweep["kinds"][kind]["strategies"], key=lambda n: table[kind, n][0][3])
    heights = np.log([table[kind, name][0][3] for name in names])
    low, high = heights.min() - 0.3, heights.max() + 0.3
    places, gap = heights.copy(), (high - low) / 15
    for _ in range(300):  # push names apart until none covers another
        for n in range(1, len(places)):
            if (short := gap - (places[n] - places[n - 1])) > 0:
                places[n - 1] -= short / 2
                places[n] += short / 2
    for name, place in zip(names, np.exp(places)):
        point, interval = table[kind, name]
        own = name == "the text itself"
        dice = any(word in name for word in ("temper", "top-", "min-"))
        colour = figures.BLUE if own else figures.GREEN if dice else figures.GREY
        error = np.abs(interval["judge"] - point[3])[:, None]
        style = {"fmt": "s" if own else "o", "markersize": 9 if own else 6, "lw": 1}
        ax.errorbar(point[0], point[3], yerr=error, color=colour, **style)
        ax.plot([point[0], 1.05], [point[3], place], color=colour, lw=0.6, alpha=0.6)
        ax.text(1.06, place, name, color=colour, va="center", size=10)
    ax.set_yscale("log")
    ax.set_ylim(np.exp(min(low, places[0] - gap)), np.exp(max(high, places[-1] + gap)))
    ax.set_xlim(0, 1.45)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    ax.set(xlabel="distinct pairs of tokens, as a share of all", title=title)
    ax.set_ylabel("perplexity to the judge")
    return fig


figures.show(
    draw_map("story", "Stories"),
    alt="Judge perplexity against variety for the stories. The methods that search lie "
    "low and to the left, those that throw dice higher and to the right.",
)

# %% tags=["opening-picture"]
figures.show(
    draw_map("novel", "Ways to go on with a novel"),
    alt="Judge perplexity against variety for the novel. The methods that search lie low "
    "and to the left, those that throw dice higher and to the right; the text itself "
    "is marked in blue.",
)

# %% [markdown]
# In both pictures the methods lie along a curve from repetition, at the lower left, to confusion, at the upper right, and a dial such as the temperature moves a method along it. What the curve misses is the corner where the text itself lies: as varied, and less surprising to the judge. No way of choosing can add what the model does not know; it can only choose a place on the curve.
#
# ## 8. The key-value cache
#
# The loops of sections 2 and 4 waste nearly all of their work: at every step they read the whole text again to learn one thing about its end. In a GPT a token's internal keys and values depend on the tokens before it only, so they never change once computed. The [key-value cache](../book/glossary.md#kv-cache) keeps them, and each step then runs one token through the model. It is on by default.
#
# What should it save? Let one step cost a fixed amount $a$, whatever the text (calling every layer, reading every weight), plus $b$ for each token that runs through. Without the cache a step at length $n$ costs $a + bn$; with it, $a + b$. The cell measures $a$ and $b$ on short texts only, predicts, and then times real steps as the text grows to 256 tokens, on the pocket model and on the larger judge. It first checks what must hold: the same logits with and without.

# %%
def step_seconds(net, lengths: list[int], cached: bool, repeats: int) -> list[float]:
    """For each length, the median time of the step that computes the last logits."""
    ids = torch.randint(5, 6000, (1, max(lengths)))
    past = net(ids[:, :-1], use_cache=True, logits_to_keep=1).past_key_values
    medians = {}
    for length in sorted(lengths, reverse=True):
        times = []
        for _ in range(repeats):
            if extra := past.get_seq_length() - (length - 1):
                past.crop(-extra)  # forget what stands behind
            read = ids[:, length - 1 : length] if cached else ids[:, :length]
            words = {"past_key_values": past, "use_cache": True} if cached else {}
            started = time.perf_counter()
            net(read, logits_to_keep=1, **({"use_cache": False} | words))
            times.append(time.perf_counter() - started)
        medians[length] = float(np.median(times))
    return [medians[length] for length in lengths]


past = model(prompts[:4, :-1], use_cache=True).past_key_values
with_cache = model(prompts[:4, -1:], past_key_values=past).logits[:, -1]
assert torch.allclose(with_cache, model(prompts[:4]).logits[:, -1], atol=1e-3)
config = model.config
kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in past.layers)
assert kept == 4 * 25 * 2 * config.n_layer * config.n_embd * 4  # 4 bytes a number
print(f"the cache takes {kept // 100 / 1000:.1f} kB a token")

LENGTHS = [32, 64, 128, 256]
nets = {"pocket-gpt2" if bookkit.mode() == "pocket" else "GPT-2": (model, 9)}
if bookkit.mode() == "pocket":
    nets["SmolLM2"] = (judge, 2)
steps = {}
for name, (net, repeats) in nets.items():
    step_seconds(net, [32], False, 2)  # warm up
    one, many = step_seconds(net, [2, 64], False, repeats)
    b = (many - one) / 62
    a = one - 2 * b
    predicted = [a + b * n for n in LENGTHS], [a + b for n in LENGTHS]
    measured = [step_seconds(net, LENGTHS, cached, repeats) for cached in (False, True)]
    steps[name] = predicted, measured
    ratio = [rows[0][-1] / rows[1][-1] for rows in steps[name]]
    print(f"{name}: a = {1000 * a:.1f} ms, b = {1000 * b:.2f} ms a token;", end=" ")
    print(f"at 256 tokens {ratio[0]:.0f} times as fast predicted, {ratio[1]:.0f} measured")
    assert ratio[1] > min(3, ratio[0] / 3)

fig, axes = plt.subplots(1, len(steps), figsize=(7.6, 3.6), squeeze=False)
for ax, (name, (predicted, measured)) in zip(axes[0], steps.items()):
    for label, line, dots, colour in zip(
        ["without the cache", "with the cache"],
        predicted,
        measured,
        [figures.GREY, figures.GREEN],
    ):
        ax.plot(LENGTHS, 1000 * np.array(line), "--", color=colour, lw=1.2)
        ax.plot(LENGTHS, 1000 * np.array(dots), "o", color=colour)
        ax.annotate(
            label, (LENGTHS[-1], 1000 * dots[-1]), xytext=(0, 8), ha="right",
            textcoords="offset points", color=colour,
        )  # fmt: skip
    ax.set(xlabel="tokens in the text", title=name, ylim=0)
axes[0, 0].set_ylabel("milliseconds a step")
figures.show(
    fig,
    alt="Time of one step against the length of the text, for a small and a larger "
    "model. Without the cache the time grows with the length, close to a dashed "
    "predicted line; with the cache it stays flat.",
)

# %% [markdown]
# Dots are measured, dashed lines predicted from texts of at most 64 tokens. Without the cache the cost of a step grows with the text, and the cost of a whole text with the square of its length; with the cache each step costs the same. A count of multiplications alone would promise a factor of 256. What keeps it lower is $a$: a step with one token still has to read every weight from memory, and it still pays for every call. That is why the next section pays off.
#
# ## 9. Many texts at once, and on which side to pad
#
# If a step with one token is dominated by a fixed price, let it serve many texts at a time: a *batch*. The texts of a batch have different lengths, so the short ones are filled up with a meaningless token, the padding, and an attention mask says which tokens to ignore. Writing goes on at the right end, so padding belongs on the *left*. The tokenizer pads on the right unless told otherwise, and GPT-2 has no padding token at all; one takes the end-of-text token and relies on the mask.
#
# Watch three things: whether a text in a batch comes out as it does alone, what right padding does, and (the quiet one) what happens if you call the model yourself with left padding and forget the positions. GPT-2 numbers positions from the left end of the row, padding included, unless you say better; `generate` does that for you. The last lines count how many tokens a second come out as the batch grows.

# %%
uneven = [PROMPT[:43], PROMPT, stories[2][:90]]
tokenizer.pad_token = tokenizer.eos_token
begun = [tokenizer.eos_token + text for text in uneven]  # each text after its own end-of-text
quiet = {"do_sample": False, "min_new_tokens": 16, "max_new_tokens": 16}


def continued(side: str) -> list[str]:
    """Greedy continuations of the uneven batch, padded on one side."""
    batch = tokenizer(begun, return_tensors="pt", padding=True, padding_side=side)
    out = model.generate(**batch, **quiet)
    return tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :])


alone = []
for text in uneven:
    row = encode(text)
    out = model.generate(row, attention_mask=torch.ones_like(row), **quiet)
    alone.append(tokenizer.decode(out[0, row.shape[1] :]))
left, right = continued("left"), continued("right")
for text, *ways in zip(uneven, alone, left, right):
    print(f"… {text[-20:]!r}")
    for name, way in zip(["alone", "left", "right"], ways):
        print(f"   {name:6} {way!r}")

batch = tokenizer(begun, return_tensors="pt", padding=True, padding_side="left")
positions = (batch["attention_mask"].cumsum(-1) - 1).clamp_min(0)
truth = model(encode(uneven[0])).logits[0, -1]
wrong = model(**batch).logits[0, -1]
mended = model(**batch, position_ids=positions).logits[0, -1]
print(f"logits off by {(wrong - truth).abs().max():.2f} without positions,", end=" ")
print(f"by {(mended - truth).abs().max():.6f} with them")
assert torch.allclose(mended, truth, atol=1e-3)
assert not torch.allclose(wrong, truth, atol=0.1)
assert sum(a == b for a, b in zip(alone, left)) >= 2  # near ties aside

for size in [1, 4, 16, 32]:
    started = time.perf_counter()
    model.generate(
        prompts[:size], attention_mask=torch.ones_like(prompts[:size]), **quiet
    )
    speed = 16 * size / (time.perf_counter() - started)
    print(f"{size:2} texts at a time: {speed:6.0f} tokens a second")

# %% [markdown]
# Padded on the left, every text comes out as it does alone. Padded on the right, the short texts go on after a row of end-of-text tokens: the model believes that a text has ended, and its continuation belongs to another one. Nothing fails, and the longest text of the batch even comes out right, which is why this mistake survives tests with a single prompt. The library does warn, if it can recognise the padding; a log is easily overlooked.
#
# ## 10. Looking between the layers
#
# The model's answer forms layer by layer. Every block adds to one vector per position, the *residual stream*; the last layer normalises it and compares it with the embedding of every token. Nothing keeps us from doing that earlier: take the stream after any block, normalise it, read off a distribution. This is the [logit lens](../book/glossary.md#logit-lens) [(nostalgebraist, 2020)](../book/references.md#nostalgebraist2020). One trap: in the library the *last* entry of `hidden_states` has been normalised already, the others have not.
#
# Read the picture from bottom to top: each cell shows what the model would say next at that layer, the stronger the colour the surer.

# %%
def lens(ids: torch.Tensor) -> torch.Tensor:
    """Next-token probabilities read off after every block: (blocks + 1, n, vocabulary)."""
    hidden = model(ids, output_hidden_states=True).hidden_states
    stages = [model.transformer.ln_f(state) for state in hidden[:-1]] + [hidden[-1]]
    return torch.stack([model.lm_head(stage)[0].softmax(-1) for stage in stages])


row = encode(PROMPT)
seen = lens(row)
final = model(row).logits[0].softmax(-1)
assert torch.allclose(seen[-1], final, atol=1e-5)
twice = model.lm_head(model.transformer.ln_f(
    model(row, output_hidden_states=True).hidden_states[-1]
))  # fmt: skip
assert not torch.allclose(twice[0].softmax(-1), final, atol=1e-2)  # normalised twice

agree, nats = np.zeros(len(seen)), np.zeros(len(seen))
read = prompts.split(1)
for row_ids in read:
    layers = lens(row_ids)[:, 1:]
    agree += (layers.argmax(-1) == layers[-1].argmax(-1)).float().mean(-1).numpy()
    next_ids = torch.cat([row_ids[0, 2:], row_ids[0, -1:]])
    nats -= layers[:, torch.arange(23), next_ids[:23]].log().mean(-1).numpy()
for stage in range(len(seen)):
    print(f"after {stage} blocks: the final favourite in {agree[stage] / len(read):.0%},", end=" ")
    print(f"{nats[stage] / len(read) / math.log(2):.1f} bits for the true next token")

from_token = -9
shares, favourites = seen[:, from_token:].max(-1)
fig, ax = plt.subplots(figsize=(7.6, 3.4))
for stage, column in np.ndindex(*shares.shape):
    share = shares[stage, column].item()
    box = plt.Rectangle((column - 0.48, stage - 0.45), 0.96, 0.9, lw=0)
    box.set(facecolor=figures.ORANGE, alpha=0.1 + 0.8 * share)
    ax.add_patch(box)
    token = words_of([favourites[stage, column]])[0]
    ax.text(column, stage, token, ha="center", va="center", size=10)
ax.set(xlim=(-0.5, -from_token - 0.5), ylim=(-0.5, len(shares) - 0.5))
ax.set_xticks(range(-from_token), words_of(row[0, from_token:]))
ax.set_yticks(range(len(shares)), ["embedding", *(f"block {n}" for n in range(1, len(shares)))])
ax.grid(visible=False)
ax.set_xlabel("the token read; above it what comes next, by layer")
figures.show(
    fig,
    alt="The most probable next token after each block, for the last tokens of a "
    "sentence, as a grid of words. Colours grow stronger towards the last block.",
)

# %% [markdown]
# In the lowest row the lens reads the token itself back: the embedding of a word is, of all, most like itself. From block to block the answer moves to what comes next, and the printed shares say how often, over all beginnings, a layer's favourite is the final one already.
#
# ## 11. The same text again?
#
# A seed fixes the dice. It does not fix everything: the dice are thrown for the whole batch, so a text depends on its neighbours; and the arithmetic behind the probabilities is rounded, in an order that depends on the batch, the number of threads, the processor and the number format. Usually this touches the sixth digit. It matters where two tokens are nearly equally probable, a *near tie*: there the sixth digit decides, and every later token with it.
#
# The first lines throw the dice. The others compute the greedy choice at every position of the sweep's own texts in other ways and count how often the favourite changes, and how close the race was where it did.

# %%
def draw(rows: torch.Tensor, seed: int) -> str:
    """The first row's sampled continuation."""
    torch.manual_seed(seed)
    return tokenizer.decode(sample(rows, 12)[0, 25:])


print("seed 1:           ", repr(draw(prompts[:1], 1)))
print("seed 1 again:     ", repr(draw(prompts[:1], 1)))
print("seed 1, in a batch:", repr(draw(prompts[[0, 1, 2]], 1)))
assert draw(prompts[:1], 1) == draw(prompts[:1], 1)

texts = torch.cat([prompts, torch.tensor(story["the text itself"]["rows"])], 1)[:24]
reference = model(texts).logits
top = reference.topk(2).values
gap = top[..., 0] - top[..., 1]
threads = torch.get_num_threads()


def flips(name: str, other: torch.Tensor) -> int:
    changed = other.argmax(-1) != reference.argmax(-1)
    off = (other.float() - reference).abs().max()
    print(f"{name:15} logits off by {off:.1e},", end=" ")
    print(f"{changed.sum()} of {changed.numel()} favourites change", end="")
    print(f", all with a gap under {gap[changed].max():.3f}" if changed.any() else "")
    return int(changed.sum())


flips("one at a time", torch.cat([model(row[None]).logits for row in texts]))
torch.set_num_threads(1 if threads > 1 else 2)
flips(f"{torch.get_num_threads()} thread(s)", model(texts).logits)
torch.set_num_threads(threads)
in_double = flips("float64", model.double()(texts).logits)
in_half = flips("bfloat16", model.bfloat16()(texts).logits)
model = AutoModelForCausalLM.from_pretrained(
    bookkit.model("gpt2"), revision=bookkit.revision("gpt2"), dtype=torch.float32
).eval()
close = (gap < 0.001).float().mean().item()
print(f"gaps under 0.001: {close:.2%} of all positions")
assert in_double <= in_half

# %% [markdown]
# With the same seed and the same batch the text is the same; with neighbours in the batch the first text gets other dice. Running the rows one at a time, changing the threads or computing with twice the digits moves the logits too little to matter except at a near tie. In bfloat16, which keeps two to three digits, some favourites change, each where two tokens were close. A text of a hundred tokens passes a hundred such places, and after the first difference it is another text. So state the model, the versions, the number format and the settings beside a result, test properties and not the letters of a text, and expect another machine to differ.
#
# ## Try it
#
# The viewer holds the model's real logits for a few beginnings and computes the rest in this page, without a server. Move the temperature first, then one filter at a time, and watch which tokens disappear; then go to another beginning and see what the same setting does there. Below it, beam search unfolds as a tree, step by step: look for the step at which the path of greedy search (dashed) loses the lead or is dropped. It starts from the beginning whose tree section 3 drew.
#
# The second cell is a small writing desk on the real model: set the dials, press *write*, and the text grows as it comes. *Back* takes the last piece away, and you can type into the text at any time.

# %%
def beam_tree(ids: torch.Tensor, steps: int, width: int) -> list[list[dict]]:
    """What beam search looks at: for each step the best `width`, and as many dropped."""
    beams, totals, levels = ids, torch.zeros(1), []
    for _ in range(steps):
        logp = model_log_probs(beams)
        totals, best = (totals[:, None] + logp).flatten().topk(2 * width)
        parents, tokens = best // logp.shape[1], best % logp.shape[1]
        names = tokenizer.convert_ids_to_tokens(tokens)
        level = [
            {"token": names[n], "log_prob": logp[parents[n], tokens[n]].item()}
            | {"parent": int(parents[n]), "kept": n < width}
            for n in range(2 * width)
        ]
        levels.append(level)
        beams = torch.cat([beams[parents], tokens[:, None]], 1)[:width]
        totals = totals[:width]
    return levels


places = [PROMPT, PROMPT.rsplit(" ", 1)[0], stories[1][:150].rsplit(" ", 1)[0]]
display(
    next_token.viewer(
        [(text, model(encode(text)).logits[0, -1]) for text in places],
        names=tokenizer.convert_ids_to_tokens,
        alt="The most probable next tokens of a text as bars, with sliders for the "
        "temperature, top-k, top-p and min-p that change them",
    ),
    branches.viewer(
        beam_tree(straight[:, :25], steps=6, width=3),
        prompt=tokenizer.decode(straight[0, 1:25]),
        alt="Beam search as a tree of six steps: at each, three beams are kept and "
        "three candidates dropped",
    ),
)

# %% tags=["remove-output"]
desk = widgets.Textarea(PROMPT, layout={"width": "98%", "height": "9em"})
dials = {
    "temperature": widgets.FloatSlider(1.0, min=0.1, max=2.0, description="temperature"),
    "top_k": widgets.IntSlider(0, min=0, max=100, description="top-k"),
    "top_p": widgets.FloatSlider(1.0, min=0.05, max=1.0, step=0.05, description="top-p"),
    "min_p": widgets.FloatSlider(0.1, min=0.0, max=0.5, step=0.05, description="min-p"),
}
length = widgets.IntSlider(24, min=1, max=80, description="tokens")
write = widgets.Button(description="write", button_style="primary")
back = widgets.Button(description="back")
history = []


def on_write(button) -> None:
    """Continue the text in the box, piece by piece."""
    history.append(desk.value)
    row = encode(desk.value)[:, -(model.config.n_positions - length.value) :]
    pieces = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    words = {name: dial.value for name, dial in dials.items()}
    words |= {"do_sample": True, "max_new_tokens": length.value, "streamer": pieces}
    words |= {"attention_mask": torch.ones_like(row), "pad_token_id": EOS}
    Thread(target=model.generate, args=(row,), kwargs=words).start()
    for piece in pieces:
        desk.value += piece


def on_back(button) -> None:
    """Undo the last writing."""
    if history:
        desk.value = history.pop()


write.on_click(on_write)
back.on_click(on_back)
widgets.VBox([desk, *dials.values(), length, widgets.HBox([write, back])])

# %% [markdown]
# In JupyterLab and Colab the cell above is a desk with a text field, five sliders and two buttons; on the published page the viewers stand in for it.
#
# ## Folklore check: beam search gives better text
#
# It is still common advice to turn on beam search, with four or more beams, "for better quality". In machine translation there are good reasons for it. Test it for open-ended writing, on the texts of section 7. If *better* means *more probable to the model*, the claim should hold by construction, and section 3 has counted how often. If it means *closer to how such texts really go on*, compare each method with the text itself on the same beginnings: the ratio of their judge perplexities (one would be perfect), and how much more repetition there is. The intervals come from drawing the beginnings anew; the last column says in how many of the draws the method is farther from the text itself than top-p sampling is.

# %% tags=["nbval-check-output"]
def drawn(kind: str, name: str, picks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log judge perplexity and repetition of one method, for each draw of texts."""
    run = sweep["kinds"][kind]["strategies"][name]
    nats, tokens = run["judge_nats"][picks].sum(1), run["judge_tokens"][picks].sum(1)
    return nats / tokens, run["repetition"][picks].mean(1)


picks = np.random.default_rng(2).integers(0, COUNT, size=(2000, COUNT))
for kind in sweep["kinds"]:
    own_log, own_repetition = drawn(kind, "the text itself", picks)
    rival = np.abs(drawn(kind, "top-p 0.9", picks)[0] - own_log)
    print(f"{kind}: perplexity to the judge, relative to the text itself")
    for name in ["greedy", "beam 4", "beam 4, no 3-gram twice", "top-p 0.9"]:
        log, repetition = drawn(kind, name, picks)
        low, high = np.exp(np.percentile(log - own_log, [2.5, 97.5]))
        extra = np.percentile(repetition - own_repetition, [2.5, 97.5])
        worse = (np.abs(log - own_log) > rival).mean()
        print(
            f"  {name:24} {low:.2f} to {high:.2f}; repetition {extra[0]:+.0%} to "
            f"{extra[1]:+.0%}; farther off in {worse:.0%}"
        )

# %% [markdown]
# FOLKLORE-VERDICT
#
# ## Classic mistakes
#
# **A filter that you did not ask for.** `do_sample=True` alone does not sample from the model's distribution: unless you say `top_k=0`, `generate` keeps the fifty most probable tokens. **A dial that is not connected.** Without `do_sample=True`, the temperature changes nothing; the library says so in its log, and goes on. **The prompt counted with the answer.** `generate` returns the prompt and the continuation in one row; whoever measures the whole row measures the prompt as well. (Three other mistakes stood in their places: `max_length` in section 6, right padding and forgotten positions in section 9, the state that is normalised twice in section 10.)

# %% tags=["nbval-check-output"]
settings = {"max_new_tokens": 1, "do_sample": True, "output_scores": True}
settings |= {"return_dict_in_generate": True, "attention_mask": torch.ones_like(first)}
for words in [{}, {"top_k": 0}]:
    out = model.generate(first, **settings, **words)
    possible = int((out.scores[0] > -torch.inf).sum())
    print(f"do_sample=True {words or ''}: {possible:,} tokens can be drawn")

plain = {"attention_mask": torch.ones_like(first), "max_new_tokens": 20}
cold = model.generate(first, **plain, do_sample=False)
hot = model.generate(first, **plain, do_sample=False, temperature=50.0)
print("temperature 50 without do_sample:", "the same text" if torch.equal(cold, hot) else "another")
assert torch.equal(cold, hot)

row = greedy(novel_prompts[:1], STEPS)[0].tolist()
print(f"repetition with the prompt {repeated(row, 2):.1%}, without {repeated(row[25:], 2):.1%}")
assert repeated(row, 2) != repeated(row[25:], 2)

# %% [markdown]
# ## On the full-size model
#
# With `BOOK_MODELS=hub` the same cells run on OpenAI's GPT-2 of 124 million parameters [(Radford et al., 2019)](../book/references.md#radford2019), at a pinned version. The tables of section 7 and of the folklore check stay those of the pocket model, because the sweep was made with it. The best known output of GPT-2 is a circle: Hugging Face's article on decoding gives the prompt "I enjoy walking with my cute dog", and greedy search answers with "I'm not sure if I'll ever be able to walk with my dog" and soon repeats itself [(von Platen, 2020)](../book/references.md#vonplaten2020). The cell checks this on the full-size model only.

# %%
if bookkit.mode() == "hub":
    row = tokenizer("I enjoy walking with my cute dog", return_tensors="pt")
    out = model.generate(**row, do_sample=False, max_new_tokens=50)
    text = tokenizer.decode(out[0])
    print(text)
    assert text.count("I'm not sure if I'll") > 1, "the published circle is missing"
else:
    print("The published output belongs to the full-size GPT-2: set BOOK_MODELS=hub.")

# %% [markdown]
# ## Exercises
#
# The first is a warm-up, the last is open. Write your answer in place of `raise NotImplementedError`, then run the check.

# %% [markdown] bookkit={"exercise": "ex07-1", "role": "task"}
# ### Exercise 1. Bits of a continuation
#
# A colleague wants to know how surprised the model is by an *answer*, given a prompt: the sum of the surprises, in bits, of the tokens from position `start` on. You get the logits of the whole row, so that you need no model.
#
# ```python
# def continuation_bits(logits: torch.Tensor, ids: list[int], start: int) -> float:
#     """Bits of surprise of ids[start:], from logits (len(ids), vocabulary); start ≥ 1.
#
#     >>> flat = torch.zeros(4, 8)  # eight tokens, all equally probable
#     >>> round(continuation_bits(flat, [0, 5, 2, 7], start=3), 3)
#     3.0
#     >>> round(continuation_bits(flat, [0, 5, 2, 7], start=2), 3)
#     6.0
#     """
#     raise NotImplementedError
# ```

# %% cellView="form" jupyter={"source_hidden": true} nbgrader={"grade": false, "grade_id": "ex07-1-solution", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["hide-input", "exercise-solution"]
# @title Solution of exercise 1 {display-mode: "form"}
def continuation_bits(logits: torch.Tensor, ids: list[int], start: int) -> float:
    """Bits of surprise of ids[start:], from logits (len(ids), vocabulary); start ≥ 1."""
    ### BEGIN SOLUTION
    logp = logits.log_softmax(-1)
    nats = -sum(logp[at - 1, ids[at]].item() for at in range(start, len(ids)))
    return nats / math.log(2)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex07-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["exercise-check"]
flat = torch.zeros(4, 8)
assert math.isclose(continuation_bits(flat, [0, 5, 2, 7], 3), 3.0, abs_tol=1e-5), (
    "one of eight equal tokens is worth three bits"
)
assert math.isclose(continuation_bits(flat, [0, 5, 2, 7], 1), 9.0, abs_tol=1e-5), (
    "add the surprises up; do not average them"
)
tilted = torch.tensor([[0.0, math.log(3)], [math.log(7), 0.0], [0.0, 0.0]])
value = continuation_bits(tilted, [0, 1, 0], 1)  # p = 3/4, then 7/8
assert math.isclose(value, math.log2(4 / 3) + math.log2(8 / 7), abs_tol=1e-5), (
    f"row t speaks of token t + 1, in bits: 0.608 expected, not {value:.3f}"
)
story_ids = encode(next(iter(unseen.values())))[:, :60]
nats = -F.log_softmax(model(story_ids).logits[0], -1)[:-1].gather(1, story_ids[0, 1:, None])
value = continuation_bits(model(story_ids).logits[0], story_ids[0].tolist(), 20)
assert math.isclose(value, nats[19:].sum().item() / math.log(2), rel_tol=1e-3), (
    "on a real text: only the tokens from `start` on count, each given all before it"
)
print("Exercise 1: all checks passed.")


# %% [markdown] bookkit={"exercise": "ex07-2", "role": "task"}
# ### Exercise 2. Typical sampling
#
# People do not say the most probable thing; they say something about as surprising as expected. *Typical sampling* [(Meister et al., 2023)](../book/references.md#meister2023) keeps the tokens whose surprise is nearest to the entropy: order the tokens by $|-\log p_i - H|$, smallest first, and keep as many from the front as it takes for their probabilities to reach `mass`, the one that reaches it included. Give the others the logit $-\infty$. (The library has it as `TypicalLogitsWarper`.)
#
# ```python
# def typical(logits: torch.Tensor, mass: float) -> torch.Tensor:
#     """Keep the typical tokens of each row of logits (rows, vocabulary).
#
#     >>> logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
#     >>> typical(logits, 0.9).isinf().tolist()
#     [[False, False, False]]
#     >>> typical(logits, 0.25).isinf().tolist()  # H is 1.03 nats, -log 0.3 is 1.20
#     [[True, False, True]]
#     """
#     raise NotImplementedError
# ```

# %% cellView="form" jupyter={"source_hidden": true} nbgrader={"grade": false, "grade_id": "ex07-2-solution", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["hide-input", "exercise-solution"]
# @title Solution of exercise 2 {display-mode: "form"}
def typical(logits: torch.Tensor, mass: float) -> torch.Tensor:
    """Keep the typical tokens of each row of logits (rows, vocabulary)."""
    ### BEGIN SOLUTION
    logp = logits.log_softmax(-1)
    entropy = -(logp.exp() * logp).nansum(-1, keepdim=True)
    order = (-logp - entropy).abs().argsort(-1)
    share = logp.exp().gather(-1, order)
    before = share.cumsum(-1) - share  # what the more typical tokens have together
    cut = torch.empty_like(before, dtype=torch.bool).scatter(-1, order, before >= mass)
    return logits.masked_fill(cut, -torch.inf)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex07-2-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["exercise-check"]
three = torch.tensor([[0.5, 0.3, 0.2]]).log()
assert typical(three, 0.9).isinf().sum() == 0, "0.3, then 0.5 make 0.8: all are needed"
assert typical(three, 0.25).isinf().tolist() == [[True, False, True]], (
    "0.3 has the surprise nearest to the entropy, so it comes first"
)
assert typical(three, 0.7).isinf().tolist() == [[False, False, True]], (
    "keep the token that reaches the mass, and compare surprise with entropy in one unit"
)
assert torch.equal(typical(three, 0.25)[0, 1], three[0, 1]), "kept logits stay as they are"
real = next_logits(prompts[:12])
for mass in [0.2, 0.5, 0.9]:
    expected = logits_process.TypicalLogitsWarper(mass)(prompts[:12], real)
    differing = (typical(real, mass) != expected).sum().item()
    assert differing <= 2, f"{differing} of the model's logits differ at mass {mass}"
print("Exercise 2: all checks passed.")


# %% [markdown] bookkit={"exercise": "ex07-3", "role": "task"}
# ### Exercise 3. Your own way of choosing (open)
#
# Write a rule that bends the logits before the dice are thrown, so that the continuations of sixteen passages of the novel are *both* plausible and varied: less repetition than greedy search has, by at least half, and a probability under the model clearly above that of plain sampling. You may use the ids written so far. The rules of sections 4 and 5 are there to be combined.
#
# ```python
# def my_rule(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
#     """Bend next-token logits (rows, vocabulary), given the ids so far (rows, n).
#
#     >>> bent = my_rule(prompts[:2], next_logits(prompts[:2]))
#     >>> bent.shape == next_logits(prompts[:2]).shape
#     True
#     """
#     raise NotImplementedError
# ```

# %% cellView="form" jupyter={"source_hidden": true} nbgrader={"grade": false, "grade_id": "ex07-3-solution", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["hide-input", "exercise-solution"]
# @title Solution of exercise 3 {display-mode: "form"}
def my_rule(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Bend next-token logits (rows, vocabulary), given the ids so far (rows, n)."""
    ### BEGIN SOLUTION
    return min_p(temper(logits, 0.9), 0.1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex07-3-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} tags=["exercise-check"]
def written_by(rule, seed: int, steps: int = 32) -> tuple[float, float]:
    """Mean repetition of token pairs, and mean log p a token, over 16 continuations."""
    torch.manual_seed(seed)
    rows, past, read, total = novel_prompts[:16], None, novel_prompts[:16], 0.0
    for _ in range(steps):
        out = model(read, past_key_values=past, use_cache=True)
        past, logits = out.past_key_values, out.logits[:, -1].clone()
        logits[:, EOS] = -torch.inf
        read = torch.multinomial(rule(rows, logits.clone()).softmax(-1), 1)
        total += logits.log_softmax(-1).gather(1, read).mean().item()
        rows = torch.cat([rows, read], 1)
    pairs = [set(zip(row[25:], row[26:])) for row in rows.tolist()]
    return 1 - sum(map(len, pairs)) / (16 * (steps - 1)), total / steps


before = next_logits(prompts[:2])
bent = my_rule(prompts[:2], before.clone())
assert bent.shape == before.shape, "return one logit for every token of every row"
circles, _ = written_by(lambda ids, logits: top_k(logits, 1), seed=0)
_, plain = written_by(lambda ids, logits: logits, seed=0)
for seed in [1, 2, 3]:
    repetition, plausible = written_by(my_rule, seed)
    assert repetition <= circles / 2, (
        f"seed {seed}: {repetition:.0%} of the pairs are repetitions, greedy {circles:.0%}"
    )
    assert plausible > plain + 0.3, (
        f"seed {seed}: log p {plausible:.2f} a token is not clearly above {plain:.2f}"
    )
print("Exercise 3: all checks passed.")

# %% [markdown]
# ## Summary
#
# A language model returns a distribution; writing is a choice, and the choice is yours. Greedy and beam search look for the most probable text, and the most probable text is not how people write: it repeats itself. Sampling writes as varied as the model is unsure, and stumbles over the many improbable tokens; temperature, top-k, top-p and min-p cut that tail, the last two according to how sure the model is. Each is a line or two on the logits, and you have seen all of them equal the library's. The key-value cache makes a step's cost independent of the length of the text, batches share the fixed part of it, and padding belongs on the left. A seed repeats a text on one machine; between machines, near ties decide.
#
# ### Words to know
#
# [Surprise](../book/glossary.md#surprise), [entropy](../book/glossary.md#entropy), [perplexity](../book/glossary.md#perplexity), [greedy search](../book/glossary.md#greedy-search), [beam search](../book/glossary.md#beam-search), [sampling](../book/glossary.md#sampling), [temperature](../book/glossary.md#temperature), [top-k](../book/glossary.md#top-k), [top-p](../book/glossary.md#top-p), [min-p](../book/glossary.md#min-p), [repetition penalty](../book/glossary.md#repetition-penalty), [contrastive search](../book/glossary.md#contrastive-search), [key-value cache](../book/glossary.md#kv-cache), [logit lens](../book/glossary.md#logit-lens), [end-of-text token](../book/glossary.md#end-of-text-token), [context window](../book/glossary.md#context-window).
#
# ### Where to read on
#
# [Holtzman et al. (2020)](../book/references.md#holtzman2020) asked why the most probable text is so odd, and introduced top-p. [Su et al. (2022)](../book/references.md#su2022) is the paper on contrastive search, [Meister et al. (2023)](../book/references.md#meister2023) the one on typical sampling. [Von Platen (2020)](../book/references.md#vonplaten2020) shows the classic methods on the full-size GPT-2; parts of its code no longer run. [nostalgebraist (2020)](../book/references.md#nostalgebraist2020) introduced the logit lens.
