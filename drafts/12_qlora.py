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
# # QLoRA fine-tuning
#
# You have a small chat model that writes fluent English and a task that it does badly. Can an ordinary laptop change that in an hour or so, without a graphics card? What exactly is changed, what does squeezing the model into four bits cost, and how would you know that it learned the task and not just the look of an answer?
#
# ![DRAFT: marks of the chat model on three hundred questions that it never saw, before and after fine-tuning, with intervals; families of questions that were in training, and families that were not.](../book/_static/openings/12_qlora.svg)
#
# DRAFT: one sentence on what the picture shows, once it is drawn. By the end of this chapter you will have computed every part of it: the bits, the adapter, the training and the marks.

# %% [markdown]
# ## You will be able to
#
# - decide between prompting, retrieval and fine-tuning for a task, and name what each of them costs;
# - write a LoRA layer and the NF4 data type by hand, and show that both equal the libraries';
# - predict the number of trained parameters and the memory of a training run before you start it;
# - train an adapter on a 4-bit model with `trl`, with the loss on the answer alone, and measure on unseen data what it changed;
# - merge, save and switch adapters, and explain why merging into four bits loses part of what was learned.
#
# ## You need
#
# [Chapter 4](04_attention.ipynb) for the matrices of a transformer, [chapter 5](05_gpt_from_scratch.ipynb) for the training loop, loss and perplexity. [Chapter 2](02_tokenization.ipynb) explains tokens and chat templates.
#
# <!-- price:begin --><!-- price:end -->

# %% [markdown]
# ## Set-up
#
# The first cell matters on Colab only. The second imports what the chapter uses: the adapter library `peft`, the training library `trl`, and `bitsandbytes`, which stores weights in four bits. If `bitsandbytes` is missing on your machine, the cell says so and the chapter goes on with the 4-bit code that you will write yourself. The last lines fetch the book's own recipe, `training/grounded_qa`: the data set, its scorer, and a few functions that tell in one sentence what is wrong with an input.

# %% cellView="form" tags=["hide-input"]
# @title On Colab: fetch the book's helper, data and pocket models (skipped elsewhere)
import sys

REPOSITORY = "https://github.com/OWNER/generative-ai-cell-by-cell"
PAGES = "https://OWNER.github.io/generative-ai-cell-by-cell"
if "google.colab" in sys.modules:
    # !test -d /content/book || git clone --quiet --depth 1 {REPOSITORY} /content/book
    # %cd -q /content/book/notebooks
    # %pip install --quiet --no-deps -r ../requirements-colab.txt -e ..
    # %pip install --quiet -r ../requirements-colab-12.txt
    sys.path.insert(0, "/content/book/src")
    print("The published pages of this book:", PAGES)

# %% tags=["needed-by-exercises"]
import copy
import functools
import importlib.util
import json
import logging
import math
import sys
import tempfile
import time
import warnings
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
import transformers
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig, PeftModel, get_peft_model
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM
from trl import SFTConfig, SFTTrainer

import bookkit
from bookkit import figures, meter, repro, results
from bookkit.errors import BookError
from bookkit.viewers import learning

sys.path.append(str(bookkit.data("models.yml").parents[1]))  # the recipes lie there
from training.grounded_qa import base, build, data, evaluate, house, score, settings

HAS_BNB = importlib.util.find_spec("bitsandbytes") is not None
if HAS_BNB:
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import bitsandbytes as bnb
else:
    print(
        "bitsandbytes is not installed: the chapter uses its own 4-bit code instead."
    )
transformers.utils.logging.disable_progress_bar()
disable_progress_bars()
warnings.simplefilter("ignore", FutureWarning)
figures.use_style()
repro.setup(seed=0, packages=("torch", "transformers", "peft", "trl", "bitsandbytes"))

# %% [markdown]
# ## 1. Should you fine-tune at all?
#
# Imagine the front desk of a small town's information office. People ask when the pool opens, what a ticket costs, who leads the choir. The answers stand in leaflets, and the leaflets change every week. You want a model that is given a question and the few leaflets that might help, and that answers in one fixed form, with the number of the leaflet, so that a program can read it and a person can check it. Where the leaflets do not tell, it must say so, in words that the program knows.
#
# There are three ways to get there, and most people reach for the most expensive one first.
#
# | | what it changes | good for | what it costs |
# |---|---|---|---|
# | *prompting* | the text before the question | a task that can be told, or shown by a few examples | tokens, at every call |
# | *retrieval* | which facts are in that text | knowledge that is large, private, or new every week | an index, and tokens at every call |
# | [*fine-tuning*](../book/glossary.md#fine-tuning) | the weights | behaviour that is the same every time: form, tone, when to stop, when to decline | data, training, and an evaluation that you trust |
#
# Facts that change every week do not belong in weights: next week they would be wrong, and nobody could see where they came from. So the leaflets come by retrieval; chapter 14 is about that. The *form* of the answer, and the courage to say "the context does not say", are the same every week. They are what this chapter trains.
#
# Prompting comes first even so, because it is tried in a minute. Look at the question below as the model gets it, and then at what it would cost to explain the task by four worked examples each time.

# %% tags=["nbval-check-output"]
dataset = data.load(bookkit.data("corpora/grounded_qa"))  # a datasets.DatasetDict
train_items, test_items = (list(dataset[split]) for split in ("train", "test"))
tokenizer = AutoTokenizer.from_pretrained(
    bookkit.model("chat"), revision=bookkit.revision("chat")
)
print(house.SYSTEM, end="\n\n")
print(house.user(test_items[1]["passages"], test_items[1]["question"]), end="\n\n")
print("wanted:", house.reply(test_items[1]))


def tokens_of(messages: list[dict]) -> int:
    """How many tokens a conversation takes as the model reads it."""
    return len(tokenizer.apply_chat_template(messages, return_dict=False))


shots = evaluate.examples(train_items, number=4, seed=12)
costs = {
    "question and passages alone": [
        len(tokenizer(house.user(item["passages"], item["question"])).input_ids)
        for item in test_items
    ],
    "with the instruction": [tokens_of(house.prompt(item)) for item in test_items],
    "and four examples": [
        tokens_of(evaluate.messages(item, shots)) for item in test_items
    ],
}
print(f"\nmean tokens of a prompt, over {len(test_items)} questions")
for name, counts in costs.items():
    print(f"{name:28}{np.mean(counts):6.0f}")
assert np.mean(costs["and four examples"]) > 3 * np.mean(
    costs["with the instruction"]
)

# %% [markdown]
# The instruction is a moderate price. The four examples are not: they make every prompt more than three times as long, at every call, for ever. That is the economic case for fine-tuning, and it is one that can be computed before any training: what the examples teach is moved into the weights once. The other case is quality, and that has to be measured. It may be that the model does the task well when it is told how, or that examples suffice. Then you are done, and need no training.
#
# A word on names. To go on training a model that somebody else has pretrained is [*transfer learning*](../book/glossary.md#transfer-learning). If the data are pairs of a prompt and the wanted reply, it is called [*supervised fine-tuning*](../book/glossary.md#supervised-fine-tuning), SFT; if the prompts are instructions of many kinds, *instruction tuning* [(Wei et al., 2022)](../book/references.md#wei2022), which is how a model that only continues text becomes one that answers [(Ouyang et al., 2022)](../book/references.md#ouyang2022). Our chat model has been through that. What follows is SFT for one narrow skill.
#
# ## 2. The task, and who can do it already
#
# The data set was made by a recipe of this book from templates, with invented names and facts, so that no model can know an answer beforehand; its [datasheet](https://github.com/OWNER/generative-ai-cell-by-cell/blob/main/data/corpora/grounded_qa/DATASHEET.md) follows the questions of [Gebru et al. (2021)](../book/references.md#gebru2021). Not every question can be answered from its passages, an idea of the second version of SQuAD [(Rajpurkar et al., 2018)](../book/references.md#rajpurkar2018): here one in five cannot, for one of four reasons.
#
# Before training on anything, look for ways to cheat. The cell counts, and shows one question of each unanswerable kind. Before you read on, say for each of the four why there is no answer. Then it asks how much of the test has been seen in training: it collects all runs of five words of the training passages and looks up those of each test item. Names are always new. But for half of the test items the *family* of templates, the café or the museum, occurs in training; for the other half it does not. Compare the two.

# %% tags=["nbval-check-output"]
kinds = sorted({item["kind"] for item in train_items})
print(f"{'':18}" + "".join(f"{split:>12}" for split in dataset))
print(f"{'items':18}" + "".join(f"{len(part):12,}" for part in dataset.values()))
for kind in kinds:
    counts = [part["kind"].count(kind) for part in dataset.values()]
    print(f"{kind:18}" + "".join(f"{count:12,}" for count in counts))
shown = {}
for item in sorted(test_items, key=lambda item: len(" ".join(item["passages"]))):
    if item["kind"] != "answerable":
        shown.setdefault(item["kind"], item)
for kind, item in sorted(shown.items()):
    print(f"\n{kind}:", *item["passages"])
    print("   ", item["question"])
print()
seen_in_training = [item["family"] in build.SHARED for item in test_items]


def runs(item: dict, n: int = 5) -> set[tuple[str, ...]]:
    """All different runs of n words in an item's passages."""
    text = " ".join(item["passages"]).lower().split()
    words = [word.strip(".,:;?!“”\"'()") for word in text]
    return set(zip(*(words[k:] for k in range(n))))


trained_runs = set().union(*map(runs, train_items))
shares = [len(runs(item) & trained_runs) / len(runs(item)) for item in test_items]
reported = json.loads(bookkit.read_text("corpora/grounded_qa/statistics.json"))
for seen, group in ((True, "families_seen"), (False, "families_unseen")):
    part = [
        share for share, other in zip(shares, seen_in_training) if other == seen
    ]
    name = group.replace("_", " ")
    print(
        f"{name:17}{len(part)} items, {np.mean(part):.1%} of their runs in training"
    )
    assert round(np.mean(part), 4) == reported["overlap"]["context_5_words"][group]
names = [
    {name for item in items for name in item["entities"]}
    for items in (train_items, test_items)
]
print(f"names in both: {len(names[0] & names[1])} of the test's {len(names[1])}")

# %% [markdown]
# The four kinds are four temptations. The passages speak of the right place and never tell the detail (*missing attribute*), or tell one much like it, the evening ferry in place of the morning one (*near miss*); they tell the detail of somebody else who stands beside (*neighbour*); or they speak of something else altogether (*other entity*).
#
# In the families that training has seen, two fifths of all five-word runs recur: whole sentences come back with other names. A model could do well there by knowing the sentences. In the unseen families hardly anything recurs. So the marks of models below are given for both halves as well, and the one to believe is that of the unseen families.
#
# Now the marks. *Exact match* is 1 if the answer equals the right one after both have been brought into one spelling ("two" is "2", "9:30 a.m." is "9.30 am"); *F1* gives part of the credit for part of the words. *Contained* only asks whether the right answer stands anywhere in the first line of the reply. For an unanswerable question the right answer is to [abstain](../book/glossary.md#abstention), and these three marks are 1 for that and 0 for anything else. *Citation* is the share of rightly named passages, over the answerable questions that come with more than one. [*Abstention precision*](../book/glossary.md#abstention) is the share of abstentions that were right, its *recall* the share of unanswerable questions at which the model abstained, and their F1, the harmonic mean of the two, stands in the column *abstention*. Behind each mark stands a [bootstrap interval](../book/glossary.md#bootstrap-interval).
#
# A mark means nothing without a rival. Three rivals below need no model. One always abstains. The others copy the sentence, or the whole passage, that has the most words in common with the question. Which mark can each of them fool? Beside them stands the chat model, once with the instruction alone (*zero-shot*), once with the four worked examples (*few-shot*). Three hundred questions take longer than a chapter has, so its replies were written beforehand by [the recipe](https://github.com/OWNER/generative-ai-cell-by-cell/tree/main/training/grounded_qa); the cell marks them anew. Then it has the model answer a few of the questions again, here and now, and asserts that the words are the same. Read its replies: are they wrong, or only in the wrong form?


# %%
def copy_best(item: dict, whole: bool) -> str:
    """Copy the passage, or the sentence, that shares most words with the question."""
    asked = set(score.tokens(item["question"]))
    best, most = "", -1.0
    for number, passage in enumerate(item["passages"], 1):
        for part in [passage] if whole else passage.split(". "):
            words = set(score.tokens(part))
            shared = len(asked & words) / math.sqrt(len(words) + 1)
            if shared > most:
                best, most = f"Answer: {part.strip('.')} [{number}]", shared
    return best


ANSWERS = {
    "exact_match": "exact",
    "f1": "F1",
    "contained": "contained",
    "citation": "citation",
}
ABSTENTIONS = {
    "abstention_precision": "precision",
    "abstention_recall": "recall",
    "abstention_f1": "F1",
}
GROUPS = {
    "all": range(len(test_items)),
    "seen": [k for k, seen in enumerate(seen_in_training) if seen],
    "unseen": [k for k, seen in enumerate(seen_in_training) if not seen],
}


record = results.read("grounded_qa")  # made by training/grounded_qa, see section 7
replies = {
    "always abstains": [house.ABSTENTION] * len(test_items),
    "copies a sentence": [copy_best(item, whole=False) for item in test_items],
    "copies a passage": [copy_best(item, whole=True) for item in test_items],
}
for system, texts in record["replies"].items():
    replies[system.replace("_", "-")] = [texts[item["id"]] for item in test_items]
tables = {name: score.table(test_items, texts) for name, texts in replies.items()}


@functools.cache
def marks_of(system: str, group: str) -> dict:
    """All marks of a system's replies to a group of the test items, with intervals."""
    return score.report(tables[system][GROUPS[group]])


def show_marks(title: str, marks: dict, systems, groups=tuple(GROUPS)) -> None:
    """Print some marks, in per cent."""
    print(f"{title:24}" + "".join(f"{name:>14}" for name in marks.values()))
    for system in systems:
        for group in groups:
            print(f"{system:18}{group:6}", end="")
            for mark in marks:
                one = [marks_of(system, group)[mark][k] for k in ("value", "low", "high")]
                text = "–"
                if None not in one:
                    text = "{:.0f} ({:.0f}–{:.0f})".format(*(100 * v for v in one))
                print(f"{text:>14}", end="")
            print()
    print()


systems = [*list(replies)[:3], "zero-shot", "few-shot"]
show_marks("per cent", ANSWERS, systems, ["all"])
show_marks("abstention, per cent", ABSTENTIONS, systems, ["all"])
show_marks("by family, per cent", ANSWERS, systems[3:], ["seen", "unseen"])
assert tables["always abstains"][:, score.COLUMNS.index("exact")].mean() == 0.2

model = AutoModelForCausalLM.from_pretrained(
    bookkit.model("chat"), revision=bookkit.revision("chat"), dtype=torch.float32
).eval()
sample = np.random.default_rng(0).choice(len(test_items), 3, replace=False)
for k in sample:
    item = test_items[k]
    (text,) = evaluate.write(
        model, tokenizer, [house.prompt(item)], record["new_tokens"]
    )
    print("question:", item["question"])
    print("  wanted:", house.reply(item))
    print("   reply:", text.replace("\n", " / "), end="\n\n")
    if bookkit.mode() == "pocket":
        assert text == replies["zero-shot"][k], "the record says something else"

# %% [markdown]
# Some of these marks come cheap. Whoever always abstains gets a fifth of all questions right. Whoever copies the passage with the most shared words has the right answer in the reply three times in four, and names the right passage more often still: that part of the task is a matter of words in common. What none of them gets is much exact match together with a good abstention F1. So these two are the marks that count, *contained* means something for short replies only, and a good *citation* is no proof of reading.
#
# With the instruction alone, the chat model gets 7 % exact match, less than blind abstaining. A quarter of its replies contain the right answer, inside a sentence of its own, or rightly abstain, and the replies above show how easily another name or number of the passages takes its place. It does abstain at times, but blindly: 21 % of its abstentions are right, and 20 % would be if it threw dice. The four examples change the *form*: exact match rises to 17 %, the passage is named rightly in 31 % of the cases where there is a choice, against 1 %. What is *in* the form hardly changes. The right answer is contained in no more replies than before, and abstention is not clearly better. Examples have shown the model what an answer looks like. They have not taught it to find one, or to notice that there is none.
#
# That decides the question of section 1. Prompting has been tried; it costs more than three times the tokens and does not suffice. If it had, we would be done here.
#
# ## 3. A change of low rank
#
# To fine-tune is to add something to the weights: where a layer held the matrix $W$, it holds $W + \Delta W$ afterwards. All of $\Delta W$ is free, so there is as much to store and to optimise as in the model itself. Is all of it needed?
#
# Take a case small enough to look inside. A network with three layers learns to read the tiny handwritten digits that scikit-learn brings [(Alpaydin and Kaynak, 1998)](../book/references.md#alpaydin1998). Then all digits are turned by a quarter of a circle, and the network, which reads hardly more of them than a guesser would, is fine-tuned on those. Afterwards we look at the $\Delta W$ of each layer through its *singular values*: any matrix is a sum of matrices of rank one, each a column times a row, and the squared singular values say how much each of them contributes. The cell does it three times, from three seeds, which stand side by side. Look first at what became of the upright digits, then at how fast the shares rise to one.

# %%
digits = load_digits()
upright, upright_test, labels, test_labels = train_test_split(
    torch.tensor(digits.data / 8 - 1).float(),
    torch.tensor(digits.target),
    test_size=597,
    random_state=0,
    stratify=digits.target,
)


def turned(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (number, 64), each turned by a quarter of a circle."""
    return pictures.view(-1, 8, 8).rot90(1, (1, 2)).reshape(-1, 64)


def small_net(seed: int) -> nn.Sequential:
    """A reader of 8 × 8 pictures, untrained."""
    torch.manual_seed(seed)
    layers = [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 10))


def fit(net, pictures, steps: int, rate: float, seed: int):
    """Train what is not frozen on pictures of the training digits."""
    dice = torch.Generator().manual_seed(seed)
    free = [weights for weights in net.parameters() if weights.requires_grad]
    optimizer = torch.optim.Adam(free, lr=rate, fused=True)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        rows = torch.randint(len(pictures), (64,), generator=dice)
        loss = F.cross_entropy(net(pictures[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


@torch.no_grad()
def reads(net, pictures: torch.Tensor) -> float:
    """The share of held-out digits that are read correctly."""
    return (net(pictures).argmax(dim=1) == test_labels).float().mean().item()


nets = [fit(small_net(seed), upright, 400, 0.003, seed) for seed in range(3)]
tuned = [
    fit(copy.deepcopy(net), turned(upright), 200, 0.003, k)
    for k, net in enumerate(nets)
]
for name, three in {"before": nets, "after fine-tuning": tuned}.items():
    for kind, pictures in (
        ("upright", upright_test),
        ("turned", turned(upright_test)),
    ):
        found = [reads(net, pictures) for net in three]
        print(f"{name:18}{kind:9}", *(f"{share:.0%}" for share in found))
print("\nshare of the change in its first 1, 2, 4, 8, 16 parts of rank one (seed 0)")
for layer in (0, 2, 4):
    delta = (tuned[0][layer].weight - nets[0][layer].weight).detach()
    energy = torch.linalg.svdvals(delta).square()
    shares = (energy.cumsum(0) / energy.sum())[[0, 1, 3, 7, min(15, len(energy) - 1)]]
    shape = " × ".join(map(str, delta.shape))
    print(f"layer {layer}, {shape:10}", *(f"{share:.0%}" for share in shares))
    assert shares[3] > 0.75

# %% [markdown]
# The fine-tuned network reads the turned digits about as well as it read the upright ones. And the change is lopsided: although a matrix of 128 by 128 could need 128 parts, eight of them carry most of it. (The last layer has only ten rows, so there are no more than ten parts to share.) Note also what happened to the upright digits, which nobody wanted to be forgotten: a good part of them is lost. That is [*catastrophic forgetting*](../book/glossary.md#catastrophic-forgetting), and we shall look for it in the language model.
#
# [*Low-rank adaptation*](../book/glossary.md#lora), LoRA, turns the observation into a rule [(Hu et al., 2022)](../book/references.md#hu2022): do not learn a full $\Delta W$ and find out that few parts matter; allow only $r$ parts from the start. The change is the product of two thin matrices, $B$ with $r$ columns and $A$ with $r$ rows, and the output of a layer becomes
#
# $$W x + \frac{\alpha}{r}\, B A x .$$
#
# $W$ is frozen; $A$ and $B$ together are an [*adapter*](../book/glossary.md#adapter). $A$ starts random, $B$ at zero, so that the adapted model begins as exactly the model it was. $\alpha$ is a number that you choose, and it is divided by $r$ so that the size of the change depends less on the rank. Here is all of it.
#
# What does the rank cost? Each matrix of $m$ by $n$ gets $r\,(m + n)$ parameters, so the count can be predicted from the shapes alone. The second cell first asserts that our layer is the library's, for three shapes, and that slips would be noticed. Then it builds the chat model's architecture on PyTorch's `meta` device, where tensors have a shape and no content, so that counting needs no memory and no weights. It compares two habits: adapters on the attention's query and value matrices only, as in most experiments of the first LoRA paper [(Hu et al., 2022)](../book/references.md#hu2022), and on all linear layers, as in QLoRA [(Dettmers et al., 2023)](../book/references.md#dettmers2023). Predict the last line from the ones above it.


# %% bookkit={"twin_of": ["LoraConfig", "get_peft_model", "PeftModel"]} tags=["twin", "needed-by-exercises"]
class LoRA(nn.Module):
    """A frozen linear layer and a trained change of rank r."""

    def __init__(self, layer: nn.Linear, r: int, alpha: float):
        super().__init__()
        self.layer, self.scale = layer.requires_grad_(False), alpha / r
        self.A = nn.Parameter(torch.empty(r, layer.in_features))
        self.B = nn.Parameter(torch.zeros(layer.out_features, r))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + self.scale * (x @ self.A.T) @ self.B.T


# %% tags=["twin-check", "nbval-check-output"]
dice = torch.Generator().manual_seed(0)
for inputs, outputs, r, alpha in [(5, 3, 1, 1), (64, 128, 4, 16), (576, 192, 8, 16)]:
    plain, x = nn.Linear(inputs, outputs), torch.randn(7, inputs, generator=dice)
    mine = LoRA(copy.deepcopy(plain), r, alpha)
    config = LoraConfig(r=r, lora_alpha=alpha, target_modules=["0"])
    theirs = get_peft_model(nn.Sequential(copy.deepcopy(plain)), config)
    assert torch.equal(mine(x), plain(x)) and torch.equal(theirs(x), plain(x))
    lora = theirs.base_model.model[0]
    A, B = lora.lora_A["default"].weight, lora.lora_B["default"].weight
    assert A.shape == mine.A.shape and B.shape == mine.B.shape
    with torch.no_grad():  # as if both had been trained to the same values
        mine.B.copy_(torch.randn(B.shape, generator=dice))
        A.copy_(mine.A)
        B.copy_(mine.B)
    torch.testing.assert_close(mine(x), theirs(x))
    # slips: r forgotten, the fraction turned round, no adapter
    for slip in (alpha, r / alpha, 0):
        if slip != mine.scale:
            right, mine.scale = mine.scale, slip
            assert not torch.allclose(mine(x), theirs(x), atol=1e-3)
            mine.scale = right
    print(
        f"{inputs} → {outputs}, rank {r}: {A.numel() + B.numel():,} trained", end=", "
    )
    print(f"{plain.weight.numel():,} in the matrix")
print()
config = AutoConfig.from_pretrained(
    bookkit.model("chat"), revision=bookkit.revision("chat")
)


def empty_model(config) -> nn.Module:
    """A model of this architecture without any weights."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def adapter_size(model: nn.Module, r: int, targets: tuple[str, ...]) -> int:
    """How many parameters LoRA adds to the linear layers with these names."""
    return sum(
        r * (layer.in_features + layer.out_features)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.endswith(targets)
    )


HABITS = {
    "query and value": ("q_proj", "v_proj"),
    "all linear layers": ("_proj",),
}
total = meter.parameters(empty_model(config))
print(f"{total:,} parameters in the model\n")
for habit, targets in HABITS.items():
    for r in (1, 8, 64):
        predicted = adapter_size(empty_model(config), r, targets)
        lora_config = LoraConfig(
            task_type="CAUSAL_LM",
            r=r,
            target_modules="all-linear" if targets == ("_proj",) else list(targets),
        )
        with torch.device("meta"):
            adapted = get_peft_model(empty_model(config), lora_config)
        counted, _ = adapted.get_nb_trainable_parameters()
        assert predicted == counted
        print(f"{habit:18} rank {r:2}: {counted:10,}  {counted / total:6.2%}")

# %% [markdown]
# Layer and counts agree. Rank 8 on all linear layers, which is what this chapter trains, is under two per cent of the model. But is the low rank enough? That depends on the change. The sweep below teaches the small network the turned digits once more, with frozen weights and adapters of five ranks; beside them stand the full fine-tuning, training of the last layer alone, and the older idea of *bottleneck adapters* [(Houlsby et al., 2019)](../book/references.md#houlsby2019): small extra layers, down to a few numbers and up again, that are put *behind* the frozen ones. Three seeds each.
#
# Look at two things: where the green dots reach full fine-tuning, and what the grey ones say about the digits that the network could read before.


# %%
class Bottleneck(nn.Module):
    """A frozen linear layer and, behind it, a detour through a few numbers."""

    def __init__(self, layer: nn.Linear, width: int):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.out_features, width)
        self.up = nn.Linear(width, layer.out_features)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x)
        return x + self.up(F.relu(self.down(x)))


def with_layers(net, make, places=(0, 2, 4)) -> nn.Sequential:
    """A copy of the net with the layers at `places` frozen and wrapped by `make`."""
    wrapped = copy.deepcopy(net).requires_grad_(False)
    for place in places:
        wrapped[place] = make(wrapped[place])
    return wrapped


WAYS = {
    "last layer": lambda net: with_layers(
        net, lambda last: last.requires_grad_(), (4,)
    )
}
for r in (1, 2, 4, 8, 16):
    WAYS[f"LoRA, rank {r}"] = lambda net, r=r: with_layers(
        net, lambda layer: LoRA(layer, r, 2 * r)
    )
for width in (2, 8):
    WAYS[f"bottleneck, {width}"] = lambda net, width=width: with_layers(
        net, lambda layer: Bottleneck(layer, width), (0, 2)
    )
swept, adapted_nets = {}, {}
for name, adapt in {**WAYS, "full": copy.deepcopy}.items():
    for seed, net in enumerate(nets):
        torch.manual_seed(seed)
        rate = 0.003 if name == "full" else 0.01
        done = fit(adapt(net), turned(upright), 200, rate, seed)
        size = sum(w.numel() for w in done.parameters() if w.requires_grad)
        found = reads(done, turned(upright_test)), reads(done, upright_test)
        swept.setdefault((name, size), []).append(found)
        adapted_nets[name, seed] = done
print(
    "                    trained   turned digits   upright digits (means of 3 seeds)"
)
for (name, size), found in swept.items():
    new, old = np.mean(found, axis=0)
    print(f"{name:18}{size:9,}{new:15.0%}{old:16.0%}")
fig, ax = plt.subplots(figsize=(7.2, 3.6))
for (name, size), found in swept.items():
    marker = "s" if "bottleneck" in name else "^" if name == "last layer" else "o"
    for new, old in found:
        ax.plot(size, 100 * old, marker, color=figures.GREY, markersize=4)
        ax.plot(size, 100 * new, marker, color=figures.GREEN, markersize=5)
    if "LoRA" in name:
        top = 100 * max(max(pair) for pair in found) + 2
        ax.text(size, top, name.split()[-1], ha="center", color=figures.GREEN)
note = "the new task: numbers are ranks,\nsquares bottlenecks, triangles\nthe last layer alone"
ax.text(5400, 70, note, color=figures.GREEN)
ax.text(560, 27, "the old task, adapter on", color=figures.GREY)
ax.text(26000, 104, "full", ha="center", color=figures.GREEN)
ax.set(xscale="log", ylim=(0, 110), xlabel="trained parameters")
ax.set_ylabel("digits read, per cent")
figures.show(
    fig,
    alt="Share of turned digits read against the number of trained parameters. LoRA "
    "climbs from about three quarters at rank 1 to nearly full fine-tuning's level; "
    "the bottlenecks and the last layer alone lie below it. On upright digits most "
    "adapted networks are worse the better they do on turned ones.",
)
rank = {
    # 586 is the sum of both sides of the three layers
    r: np.mean(swept[f"LoRA, rank {r}", 586 * r], axis=0)[0]
    for r in (1, 2, 4, 8)
}
assert rank[1] < rank[2] < rank[4] < rank[8]

# %% [markdown]
# Here the rank matters. Rank 1 is not enough, each doubling helps up to rank 8, and there the adapter is within reach of full fine-tuning with less than a fifth of the parameters. A quarter turn is a large change; the LoRA paper found small ranks sufficient for its language tasks [(Hu et al., 2022)](../book/references.md#hu2022), where the pretrained model may need no more than a nudge. With about equal numbers of parameters, LoRA does better here than the bottlenecks, and than training the last layer alone.
#
# The grey dots are a warning. It is often said that adapters do not forget, since the old weights are frozen. With the adapter on, all ranks but the first forget more here than full fine-tuning does (which got a smaller learning rate, so this is no fair race). What is true is something else: switch the adapter off and the old network is back, to the last bit. Section 8 does it.
#
# ## 4. Four bits
#
# LoRA makes the *trained* part small. What remains is the frozen model: in its usual 16 bits a weight, a large one fills several graphics cards before anything is trained. QLoRA's second idea is to store the frozen weights in about four bits [(Dettmers et al., 2023)](../book/references.md#dettmers2023). Four bits can name sixteen numbers. Which sixteen?
#
# Start with eight weights. *Absmax [quantisation](../book/glossary.md#quantisation)* divides them by the largest magnitude, multiplies by the largest integer that there is, and rounds; the factor that leads back is the *scale*. In eight bits, one of them for the sign, the largest integer is 127; in four it is 7. Look at what the last weight does to the others.
#
# The second cell takes one weight matrix of the chat model, the query matrix of a layer in the middle. Before anything is measured on it, a confession is due, and the cell makes it: look at how many *different* values there are among each 32 weights in a row.


# %% tags=["nbval-check-output"]
def absmax(weights: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers for the weights, and the scale that turns them back."""
    most = 2 ** (bits - 1) - 1
    scale = weights.abs().max() / most
    return (weights / scale).round().int(), scale


weights = torch.tensor([0.31, -0.12, 0.05, -0.44, 0.22, 0.08, -0.27, 0.50])
outlier = torch.cat([weights[:-1], torch.tensor([4.0])])
for name, values in {"eight weights": weights, "with an outlier": outlier}.items():
    print(f"{name:17}", *(f"{value:6.2f}" for value in values.tolist()))
    for bits in (8, 4):
        whole, scale = absmax(values, bits)
        back = whole * scale
        print(
            f"  int{bits}           ", *(f"{number:6}" for number in whole.tolist())
        )
        print("  turned back    ", *(f"{value:6.2f}" for value in back.tolist()))

# %%
real = model.model.layers[14].self_attn.q_proj.weight.detach().clone()
gauss = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
for name, matrix in {"the chat model's": real, "a Gaussian": gauss}.items():
    lines = matrix.reshape(-1, 32)
    different = torch.tensor([len(line.unique()) for line in lines])
    low, high = lines.amin(1, keepdim=True), lines.amax(1, keepdim=True)
    on_grid = low + ((lines - low) / (high - low) * 15).round() * (high - low) / 15
    off = (on_grid - lines).square().mean().sqrt() / lines.std()
    print(
        f"{name:17} at most {different.max()} different values in 32 weights;"
    )
    print(f"{'':17} sixteen even levels from least to most miss by {off:.4f} of the spread")
    if bookkit.mode() == "pocket" and matrix is real:
        assert different.max() <= 16 and off < 1e-5
part = (real / real.std()).flatten()
beyond = [(values.abs() > 3).float().mean().item() for values in (part, gauss)]
print(f"beyond three standard deviations: {beyond[0]:.2%} and {beyond[1]:.2%}")

# %% [markdown]
# In eight bits hardly anything is lost, with or without an outlier. In four, every weight but the largest comes back a little off; and with one large weight among them, most of the others come back as zero. Two repairs suggest themselves. Give every small *block* of weights its own scale, so that an outlier only spoils its neighbours. And put the sixteen numbers where the weights are. For the second repair one has to know where they are.
#
# The chat model of this book has been through four bits already. It reached us in a file format called Q4_1, which stores 32 weights as a least value and a step, from which sixteen even levels follow; the set-up wrote them out as ordinary floats again, and five lines of Python just found the grid. (Its [passport](../book/passports/chat.md) says so, too.) That has a consequence for all that follows: our "full precision" is not the model that was published, and if we squeeze it into another four-bit format, it is rounded for the second time. With `BOOK_MODELS=hub` you get weights that were never rounded so coarsely. One thing can be learned on the spot: on its own grid, a second rounding costs nothing at all. Whether four bits are costly depends on which sixteen numbers they name.
#
# The last line compares the weights with a Gaussian, the bell curve of the normal distribution: beyond three standard deviations lie more than four times as many of them. Otherwise they form a bell as well, as the next picture shows. So QLoRA's authors ask: which sixteen numbers would be best if the weights *were* Gaussian? Their answer uses [*quantiles*](../book/glossary.md#quantile), the values below which a given share of the bell curve lies: if each of the sixteen numbers is used equally often, none of the four bits is wasted. The result is called [NF4](../book/glossary.md#nf4), normal float with four bits.
#
# The recipe has two twists. Zero must be one of the numbers, since some things in a network, such as padding, are exactly zero; so there are eight steps up from zero and seven down. And the outermost number cannot lie at the end of the bell, which has none. It is the quantile of a share a little below one, `last` in the code: one less half a sixteenth and one less half a fifteenth, and the mean of the two. At the end all numbers are divided by the largest, so that they run from −1 to 1. The first cell builds the sixteen numbers so, and writes the whole method down: cut into blocks, scale, take the nearest number, and pack two four-bit indices into a byte; then back. The second asserts that the numbers are the ones that `bitsandbytes` has in a table, and that bytes, scales and restored weights equal the library's. The picture shows where the weights are and where the numbers of three codes: NF4, four-bit integers, and FP4, which is built like an ordinary floating-point number.


# %% bookkit={"twin_of": ["bnb", "get_4bit_type", "create_normal_map", "quantize_4bit", "dequantize_4bit"]} tags=["twin", "needed-by-exercises", "nbval-check-output"]
def normal_float() -> torch.Tensor:
    """The sixteen numbers of NF4, from -1 to 1."""
    last = ((1 - 1 / (2 * 16)) + (1 - 1 / (2 * 15))) / 2
    up = torch.special.ndtri(torch.linspace(0.5, last, 9, dtype=torch.float64))
    down = torch.special.ndtri(torch.linspace(0.5, last, 8, dtype=torch.float64))
    levels = torch.cat([-down[1:].flip(0), up])  # zero once
    return (levels / levels.max()).float()


NF4 = normal_float()
INT4 = torch.arange(-7, 8) / 7
# One bit for the sign, two for a power of two, one for the half between two powers
FP4 = torch.tensor([0, 1 / 16, 2, 3, 4, 6, 8, 12]) / 12
FP4 = torch.cat([-FP4[1:].flip(0), FP4])  # -0 and 0 are one number
BOOKS = {"NF4": NF4, "Int4": INT4, "FP4": FP4}
# The same, but for its smallest number: 1 in place of 1/16
E2M1 = torch.where(FP4.abs() == FP4[FP4 > 0].min(), FP4.sign() / 12, FP4)


def quantise(weights: torch.Tensor, levels: torch.Tensor, block: int = 64):
    """The index of the nearest level for each weight (blocks, block), and scales."""
    rows = weights.reshape(-1, block)
    scales = rows.abs().amax(dim=1)
    between = (levels[1:] + levels[:-1]) / 2
    return torch.bucketize(rows / scales[:, None], between), scales


def restore(indices, scales, levels, shape) -> torch.Tensor:
    """Weights of this shape from indices and scales."""
    return (levels[indices] * scales[:, None]).reshape(shape)


def pack(indices: torch.Tensor) -> torch.Tensor:
    """Two indices to a byte, the first in the upper half."""
    pairs = indices.reshape(-1, 2).to(torch.uint8)
    return (pairs[:, 0] << 4) | pairs[:, 1]


def unpack(packed: torch.Tensor, block: int = 64) -> torch.Tensor:
    """The indices (blocks, block) that were packed into bytes."""
    pairs = torch.stack([packed >> 4, packed & 15], dim=1)
    return pairs.reshape(-1, block).long()


for name, levels in BOOKS.items():
    print(f"{name:4}", *(f"{level:.2f}".replace("0.", ".") for level in levels.tolist()))

# %% tags=["twin-check"]
if HAS_BNB:
    for name, levels in (("nf4", NF4), ("fp4", FP4)):
        table = bnb.functional.get_4bit_type(name, device="cpu")
        torch.testing.assert_close(levels, table.unique(), atol=1e-6, rtol=0)
    assert not torch.allclose(INT4, NF4[1:], atol=0.05)  # the test can fail
for matrix in (real, gauss, gauss[:3, :64], gauss[:128, :7]):
    indices, scales = quantise(matrix, NF4)
    packed = pack(indices)
    assert torch.equal(unpack(packed), indices)
    mine = restore(indices, scales, NF4, matrix.shape)
    if HAS_BNB:
        theirs, state = bnb.functional.quantize_4bit(
            matrix, blocksize=64, quant_type="nf4"
        )
        assert torch.equal(packed, theirs.flatten())
        assert torch.equal(scales, state.absmax)
        restored = bnb.functional.dequantize_4bit(theirs, state)
        torch.testing.assert_close(mine, restored, rtol=1e-6, atol=1e-7)
        slip = restore(indices, scales.roll(1), NF4, matrix.shape)
        assert not torch.allclose(slip, restored, rtol=1e-3)
print(
    f"{real.numel():,} weights in {len(pack(quantise(real, NF4)[0])):,} bytes", end=""
)
print(f" and {len(quantise(real, NF4)[1]):,} scales")

blocks = gauss.reshape(-1, 64) / gauss.reshape(-1, 64).abs().amax(1, keepdim=True)
reals = real.reshape(-1, 64) / real.reshape(-1, 64).abs().amax(1, keepdim=True)
fig, ax = plt.subplots(figsize=(7.2, 3.8))
bins = np.linspace(-1, 1, 81)
heights, _ = np.histogram(reals.flatten(), bins, density=True)
ax.stairs(heights, bins, fill=True, color=figures.ORANGE, alpha=0.45)
heights, _ = np.histogram(blocks.flatten(), bins, density=True)
ax.stairs(heights, bins, color=figures.BLUE, linewidth=1.3)
for row, (name, levels) in enumerate(BOOKS.items()):
    ax.plot(
        levels, [-0.12 - 0.16 * row] * len(levels), "|", color=figures.GREEN, ms=10
    )
    ax.text(1.06, -0.12 - 0.16 * row, name, va="center", color=figures.GREEN)
ax.text(0.53, 0.75, "weights of the chat model", color=figures.ORANGE)
ax.text(0.53, 0.9, "a Gaussian", color=figures.BLUE)
ax.set(xlim=(-1.1, 1.2), ylim=(-0.55, None), yticks=[])
ax.set_xlabel("weight, divided by the largest magnitude among its 64")
figures.show(
    fig,
    alt="Histogram of weights divided by the largest magnitude of their block, a bell "
    "for the chat model and nearly the same bell for a Gaussian, with spikes at minus "
    "one and one. Below, the levels of NF4 lie densely in the middle, those of Int4 at "
    "equal distances, three of FP4's coincide at zero, beside gaps.",
)

# %% [markdown]
# Your sixteen numbers are the library's, and so is every byte. In the picture, NF4's marks crowd where the weights are; Int4's are spread evenly; three of FP4's nearly coincide at zero, with a gap on either side. Both have only fifteen: Int4 leaves one pattern of bits unused, FP4 has two for zero. Each block of 64 contains a weight that is exactly 1 or −1, its own largest: that is what comes of a scale that is taken from the data. (After that division the weights are no longer Gaussian, so NF4 does not use its numbers equally often either, and is not the best possible code [(Yoshida, 2023)](../book/references.md#yoshida2023). Exercise 3 lets you beat it.)
#
# The scales are not free. One 32-bit float for each 64 weights is half a bit a weight: four bits are really four and a half. [*Double quantisation*](../book/glossary.md#double-quantisation) treats the scales as weights and quantises them, too: their mean is taken off, and each is stored in eight bits, with one 32-bit scale for every 256 of them. The eight-bit numbers are, again, a table of `bitsandbytes`; its steps are fine near zero and coarse far out.
#
# The cell first predicts the bits, then counts the bytes that the library holds, and restores the weights by hand from *all* of its parts. Which of the codes is best? To the three the cell adds *E2M1*, an ordinary four-bit float; the library's FP4 differs from it in one number, the smallest above zero, which is sixteen times smaller. Then it measures the error on the Gaussian and on the real matrix, for three sizes of block, and beside it the *entropy* of the indices: how many of the four bits carry information. Before you look, rank the four for a block of 64.


# %% tags=["twin-check", "nbval-check-output"]
def bits_of_scales(block: int = 64, second: int | None = None) -> float:
    """Bits that the scales add to each weight, with or without double quantisation."""
    return 32 / block if second is None else 8 / block + 32 / (block * second)


print(f"scales in 32 bits:         {bits_of_scales():.3f} bits a weight")
print(f"with double quantisation:  {bits_of_scales(second=256):.3f}")
saved = bits_of_scales() - bits_of_scales(second=256)
print(
    f"saved: {saved:.3f}, which is {65e9 * saved / 8e9:.1f} GB for 65 billion weights"
)
if HAS_BNB:
    theirs, state = bnb.functional.quantize_4bit(
        real, blocksize=64, quant_type="nf4", compress_statistics=True
    )
    parts = (theirs, state.absmax, state.state2.absmax, state.offset)
    held = sum(part.numel() * part.element_size() for part in parts)
    print(f"held by bitsandbytes:      {8 * held / real.numel():.3f} bits a weight")
    table, coarse = state.state2.code, state.state2.absmax
    of_block = torch.arange(len(state.absmax)) // 256
    scales = table[state.absmax.long()] * coarse[of_block] + state.offset
    mine = restore(unpack(theirs.flatten()), scales, NF4, real.shape)
    restored = bnb.functional.dequantize_4bit(theirs, state)
    torch.testing.assert_close(mine, restored, rtol=1e-6, atol=1e-7)
    assert abs(8 * held / real.numel() - 4 - bits_of_scales(second=256)) < 0.001
    once = bnb.functional.quantize_4bit(real, blocksize=64, quant_type="nf4")
    before = (bnb.functional.dequantize_4bit(*once) - real).square().mean().sqrt()
    after = (restored - real).square().mean().sqrt()
    print(f"error of the weights:      {before / real.std():.4f}, then", end=" ")
    print(f"{after / real.std():.4f} of their spread")


def error(weights: torch.Tensor, levels: torch.Tensor, block: int = 64) -> float:
    """Root mean squared error after rounding, in units of the weights' spread."""
    back = restore(*quantise(weights, levels, block), levels, weights.shape)
    return ((back - weights).square().mean().sqrt() / weights.std()).item()


def entropy(indices: torch.Tensor) -> float:
    """Bits of information in an index."""
    shares = torch.bincount(indices.flatten()) / indices.numel()
    return -(shares * shares.clamp(min=1e-12).log2()).sum().item()


CODES = {**BOOKS, "E2M1": E2M1}
print("error               " + "".join(f"{code:>8}" for code in CODES), end="")
print("      bits used, block 64")
measured = {}
for name, matrix in {"Gaussian": gauss, "chat model": real}.items():
    for block in (32, 64, matrix.shape[1]):
        found = {code: error(matrix, levels, block) for code, levels in CODES.items()}
        measured[name, block] = found
        print(f"{name:11} block {block:3}", end="")
        print(*(f"{value:8.3f}" for value in found.values()), sep="", end="")
        if block == 64:
            used = [entropy(quantise(matrix, levels)[0]) for levels in CODES.values()]
            print("   ", *(f"{bits:.2f}" for bits in used), end="")
        print()
for found in measured.values():
    assert found["NF4"] < found["Int4"] < found["FP4"]
    assert found["NF4"] < found["E2M1"] < found["FP4"]

# %% [markdown]
# From 0.5 to 0.127 bits, as the paper says, and the error grows in the fourth decimal only. For 65 billion weights the saving is 3 GB, which can be the difference between fitting and not fitting.
#
# NF4 has the least error everywhere, by a clear margin, and uses most of its four bits. Smaller blocks help all of them and cost more scales; with one scale for a whole row of the matrix, all get visibly worse. (And at blocks of 32 none of them beats the rounding that the chat model came with: sixteen even levels from the least to the most of 32 weights missed the Gaussian by 0.0784. They pay for it with two numbers for each block in place of one.) The library's FP4 has the largest error in every line, and a single number is to blame, with its negative: E2M1, which differs from it in nothing else, is second on the chat model's weights at all three sizes. So a sentence such as "FP4 is worse than Int4" has no meaning before you say which FP4. And keep the ranking in mind: an error of weights is not what anybody wants to know, and the folklore check will ask the model itself.
#
# ## 5. Training
#
# Now the parts come together. The frozen model is stored in NF4 with double quantisation, and each of its matrices is turned back into floats for the moment in which it is used; the adapter is kept in a finer format and is all that learns. That is [*QLoRA*](../book/glossary.md#qlora).
#
# Four objects say so. `BitsAndBytesConfig` names the code, `LoraConfig` the adapter, `SFTConfig` the training, and `SFTTrainer` puts them together. Many tutorials pass arguments that no longer exist, such as `load_in_4bit` to the model or `max_seq_length` to the trainer; the ones below are current. A few lines after the trainer deserve a look. `trl` turns the adapter of a 4-bit model into bfloat16, following the QLoRA paper's own setting; a number of that kind has eight bits for its digits, in which small steps are rounded away, and we turn it back. The classic mistakes show what happens otherwise.
#
# The most important setting is `completion_only_loss`. An item is a conversation: system message, passages and question, reply. The model *reads* all of it, and is asked to *predict* the reply alone. Look at which tokens are learned, at the last of them, and at their share. The table below them is from the record: the marks of two adapters that were trained equally long, one with this setting, one with the loss on all tokens.


# %%
def conversation(item: dict) -> dict:
    """An item as trl takes it: the messages of the prompt, and the one of the reply."""
    reply = {"role": "assistant", "content": house.reply(item)}
    return {"prompt": house.prompt(item), "completion": [reply]}


def rounded(net, levels: torch.Tensor, block: int = 64):
    """A copy of a model with its linear layers, but for the last, rounded to a code."""
    net = copy.deepcopy(net)
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Linear) and name != "lm_head":
            indices, scales = quantise(layer.weight.data, levels, block)
            layer.weight.data = restore(indices, scales, levels, layer.weight.shape)
    return net


def four_bit_model():
    """The chat model in NF4; without bitsandbytes, rounded by our own code."""
    if not HAS_BNB:
        return rounded(model, NF4)
    return AutoModelForCausalLM.from_pretrained(
        bookkit.model("chat"),
        revision=bookkit.revision("chat"),
        dtype=torch.float32,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        ),
    )


STEPS, RANK = 8, 8
short_items = sorted(
    train_items, key=lambda item: tokens_of([*house.prompt(item)])
)[:96]  # the chapter cannot wait for longer ones
folder = tempfile.TemporaryDirectory()


def make_trainer(callbacks=()) -> SFTTrainer:
    """A trainer for a fresh adapter on the 4-bit model."""
    trainer = SFTTrainer(
        model=four_bit_model(),
        args=SFTConfig(
            output_dir=folder.name,
            per_device_train_batch_size=4,
            max_steps=STEPS,
            learning_rate=0.001,
            lr_scheduler_type="constant",
            max_length=512,
            completion_only_loss=True,
            gradient_checkpointing=False,
            bf16=False,  # on many processors bfloat16 is slower than float32
            use_cpu=not torch.cuda.is_available(),
            logging_steps=1,
            save_steps=STEPS // 2,
            seed=12,
            disable_tqdm=True,
            report_to="none",
        ),
        train_dataset=Dataset.from_list(list(map(conversation, short_items))),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            task_type="CAUSAL_LM",
            r=RANK,
            lora_alpha=2 * RANK,
            target_modules="all-linear",
        ),
        callbacks=list(callbacks),
    )
    for weights in trainer.model.parameters():
        if weights.requires_grad:
            weights.data = weights.data.float()
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


trainer = make_trainer()
trained = trainer.model.get_nb_trainable_parameters()[0]
assert trained == adapter_size(empty_model(config), RANK, ("_proj",))
example = trainer.train_dataset[1]
learned = [label for label in example["labels"] if label != -100]
print("read:    …", repr(tokenizer.decode(example["input_ids"])[-70:]))
print("learned:", repr(tokenizer.decode(learned)))
masks = [label != -100 for row in trainer.train_dataset for label in row["labels"]]
print(f"{trained:,} trained parameters")
print(f"{np.mean(masks):.1%} of all tokens are learned")
print(f"\nthe full run after {record['compared_after']} steps, its loss on …")
show_marks("per cent", ANSWERS, ["answer-only", "whole-prompt"])
found = score.compare(tables["whole-prompt"], tables["answer-only"])["exact_match"]
print(
    "exact, the answer alone against all tokens: {value:+.0%} "
    "({low:+.0%} to {high:+.0%})".format(**found)
)

# %% [markdown]
# A few tokens in a hundred are learned. At their end stands the mark that closes the reply, with the line break that the chat template puts behind it. If the mark were missing from the loss, nothing would teach the model to stop there. For data in pairs of prompt and completion the setting is `trl`'s default. Given plain texts, `trl` takes the mean over *all* tokens, and most of that loss is the effort to guess names and opening hours in leaflets: its curve says little about answering. The record shows what that costs. After the same 25 steps, 17 % of the replies are exactly right if the loss is on the answer alone, and 6 % if it is on everything, which is no more than before training; the difference is sure. *Contained* does not differ: neither run reads better yet.
#
# Now train, for as long as a chapter can wait: eight steps of four short items. A callback prints the loss of every step. It also keeps, at three moments, how much each token of the right reply to one test question surprises the model, and what it writes itself; you will see these under *Try it*. And half-way the plug is pulled: the run stops, its trainer is thrown away, and a new one goes on from the checkpoint on the disk. Look at whether the loss notices.

# %%
watched = next(
    item
    for item, seen in zip(test_items, seen_in_training)
    if not seen and item["answer"] is None
)
watched_ids = tokenizer.apply_chat_template(
    [*house.prompt(watched), conversation(watched)["completion"][0]],
    return_tensors="pt",
    return_dict=True,
)["input_ids"]
begin = len(
    tokenizer.apply_chat_template(
        house.prompt(watched), add_generation_prompt=True, return_dict=False
    )
)
stages, curve, clock = {}, {}, []


@torch.no_grad()
def look(net, training: bool = True) -> tuple[list[float], str]:
    """Surprise at each token from the reply on, and the reply that the model writes."""
    net.train(training)  # why not eval() in 4 bits: see the classic mistakes
    ids = watched_ids.to(net.device)
    logits = net(input_ids=ids).logits[0, begin - 1 : -1].float()  # each foretells the next
    nats = F.cross_entropy(logits.cpu(), watched_ids[0, begin:], reduction="none")
    (text,) = evaluate.write(net, tokenizer, [house.prompt(watched)], 20)
    return nats.tolist(), text


class Watch(transformers.TrainerCallback):
    """Prints the loss of every step, keeps stages, and pulls the plug if told to."""

    def __init__(self, stop_at: int = STEPS):
        self.stop_at = stop_at

    def on_train_begin(self, args, state, control, model=None, **others):
        if state.global_step == 0:
            stages["before"] = look(model)

    def on_step_begin(self, args, state, control, **others):
        clock.append(-time.perf_counter())

    def on_step_end(self, args, state, control, **others):
        clock[-1] += time.perf_counter()
        if state.global_step == self.stop_at:
            control.should_save = control.should_training_stop = True

    def on_log(self, args, state, control, logs=None, **others):
        if "loss" in logs:
            curve[state.global_step] = logs["loss"]
            print(f"step {state.global_step:2}: loss {logs['loss']:.2f}", flush=True)


trainer.add_callback(Watch(stop_at=STEPS // 2))
trainer.train()
stages[f"after {STEPS // 2} steps"] = look(trainer.model)
print("the plug is pulled; a new trainer reads the checkpoint")
trainer = make_trainer([Watch()])
trainer.train(resume_from_checkpoint=True)
stages[f"after {STEPS} steps"] = look(trainer.model)
print(f"{np.median(clock):.1f} seconds a step in NF4, computed in float32")
print("seconds for a step of the full run, eight items, recorded on a quiet machine:")
print(*(f"{kind} {seconds}" for kind, seconds in record["seconds_per_step"].items()), sep=", ")
first, last = list(curve.values())[:3], list(curve.values())[-3:]
assert set(curve) == set(range(1, STEPS + 1)) and np.mean(last) < np.mean(first) / 2
del trainer  # and the 4-bit model with it

# %% [markdown]
# DRAFT: the fall of the loss, whether the interruption can be seen in it, the seconds per step for float32, bf16 and NF4 (NF4 is expected to be the slowest on a processor: unpacking costs time, and saves none).
#
# A curve like this falls fast because the *form* of a reply is easy to learn; *Try it* shows what the model wrote on the way. Whether the answers are right, the curve does not say. That is why the evidence comes from the test set, and from a longer run. The full run takes 600 steps of eight items of all lengths, and its learning rate falls to zero; its adapter lies in this repository. Its frozen weights lay in NF4 as here, computed in bfloat16. (It also saves half the time of a step. On a graphics card `trl` computes the 49,152 scores of the output layer only where a token is learned; on a processor it does so at every token of the prompt, too, to throw them away. The recipe overrides that one method.) How it was made is in its [recipe](https://github.com/OWNER/generative-ai-cell-by-cell/tree/main/training/grounded_qa), and what it is worth in its [passport](../book/passports/grounded-qa.md).
#
# ## 6. What has to fit into memory
#
# Four things lie in memory while a model is trained: its parameters; a gradient for each one that is trained; what the optimiser remembers, which for Adam is two numbers for each of those; and the [*activations*](../book/glossary.md#activation), intermediate results of the way through the network that are needed on the way back, when the gradients are computed. For the first three there is a formula that needs no thought, only the numbers of frozen and of trained parameters and the bytes of each. The activations grow with the number of tokens in a batch.
#
# Test the formula where everything can be counted, on a small Llama with random weights that is trained for one step: fully, with our LoRA, and with our LoRA on 4-bit layers. The activations are counted by a hook that sees every tensor that PyTorch keeps for the way back, for two batches, so that the third can be predicted from them. Look for the column in which LoRA saves least.
#
# Below, the same formula is put to sizes at which nobody wants to find out by trying. The architectures are those of published models [(Touvron et al., 2023a)](../book/references.md#touvron2023llama), [(Touvron et al., 2023b)](../book/references.md#touvron2023llama2), again on the `meta` device. Activations are left out; weights and gradients have 16 bits, Adam's two numbers 32 bits each, and the adapters have rank 64 on all linear layers (rank 8 in the line of our chat model).


# %% tags=["nbval-check-output"]
def small_llama(way: str) -> LlamaForCausalLM:
    """A small Llama with random weights, ready for full, LoRA or QLoRA training."""
    torch.manual_seed(0)
    net = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=512,
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
        )
    )
    if way == "full":
        return net
    net.requires_grad_(False)
    for name, layer in list(net.named_modules()):
        if name.endswith("_proj"):
            parent, _, child = name.rpartition(".")
            if way == "QLoRA":
                frozen = bnb.nn.Linear4bit(
                    layer.in_features,
                    layer.out_features,
                    bias=False,
                    quant_type="nf4",
                )
                frozen.load_state_dict(layer.state_dict())
                layer = frozen.to("cpu")  # this is when it is quantised
            setattr(net.get_submodule(parent), child, LoRA(layer, 8, 16))
    return net


def held(net) -> int:
    """Bytes of all parameters, with the scales of 4-bit ones."""
    total = 0
    for weights in net.parameters():
        total += weights.numel() * weights.element_size()
        if state := getattr(weights, "quant_state", None):
            parts = [state.absmax]
            parts += [state.offset, state.state2.absmax] if state.nested else []
            total += sum(part.numel() * part.element_size() for part in parts)
    return total


def one_step(net, tokens: int) -> dict[str, int]:
    """Train one step on 2 × `tokens` random tokens; count the bytes of everything."""
    own = {weights.untyped_storage().data_ptr() for weights in net.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:  # parameters are counted elsewhere
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    free = [weights for weights in net.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(free)
    ids = torch.randint(512, (2, tokens), generator=torch.Generator().manual_seed(0))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = net(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    moments = [m for s in optimizer.state.values() for m in s.values() if m.ndim]
    return {
        "parameters": held(net),
        "gradients": sum(w.grad.numel() * w.grad.element_size() for w in free),
        "optimiser": sum(m.numel() * m.element_size() for m in moments),
        "activations": sum(kept.values()),
    }


print("kilobytes              parameters  gradients  optimiser  activations")
found = {}
for way in ("full", "LoRA", *(["QLoRA"] if HAS_BNB else [])):
    net = small_llama(way)
    # one net, three steps: what a step keeps depends on the number of tokens alone
    small, middle, large = (one_step(net, tokens) for tokens in (32, 64, 128))
    n = meter.parameters(small_llama("full"))
    free = sum(w.numel() for w in net.parameters() if w.requires_grad)
    frozen = 0 if way == "full" else 4 * n
    if way == "QLoRA":
        linear = sum(
            layer.layer.in_features * layer.layer.out_features
            for layer in net.modules()
            if isinstance(layer, LoRA)
        )
        frozen = 4 * (n - linear) + linear * (4 + bits_of_scales(second=256)) / 8
    predicted = {"parameters": frozen + 4 * free, "gradients": 4 * free}
    predicted["optimiser"] = 8 * free
    step = middle["activations"] - small["activations"]
    predicted["activations"] = middle["activations"] + 2 * step
    for kind, counts in (("predicted", predicted), ("measured", large)):
        print(
            f"{way:10}{kind:13}",
            *(f"{value / 1000:11,.0f}" for value in counts.values()),
        )
    for key, value in predicted.items():
        assert abs(value / large[key] - 1) < 0.02, (way, key)
    found[way] = large
assert found["LoRA"]["activations"] > 0.8 * found["full"]["activations"]
print()

SHAPES = {  # hidden size, layers, heads, key and value heads, inner size
    "7B": (4096, 32, 32, 32, 11008),
    "13B": (5120, 40, 40, 40, 13824),
    "65B": (8192, 80, 64, 64, 22016),
    "70B": (8192, 80, 64, 8, 28672),
}


def gigabytes(empty: nn.Module, r: int = 64) -> dict[str, float]:
    """Memory for training without activations: full, LoRA and QLoRA."""
    total = meter.parameters(empty)
    linear = sum(
        layer.weight.numel()
        for name, layer in empty.named_modules()
        if isinstance(layer, nn.Linear) and name != "lm_head"
    )
    free = adapter_size(empty, r, ("_proj",)) * (2 + 2 + 8)  # weight, gradient, Adam
    four = 4 + bits_of_scales(second=256)
    return {
        "full": total * (2 + 2 + 8) / 1e9,
        "LoRA": (2 * total + free) / 1e9,
        "QLoRA": (2 * (total - linear) + linear * four / 8 + free) / 1e9,
    }


configs = {"chat": config}
for name, (hidden, layers, heads, kv, inner) in SHAPES.items():
    configs[name] = LlamaConfig(
        vocab_size=32000,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        tie_word_embeddings=False,
    )
print("             parameters      full      LoRA     QLoRA   (GB)")
for name, shape in configs.items():
    empty = empty_model(shape)
    costs_of = gigabytes(empty, RANK if name == "chat" else 64)
    print(f"{name:8}{meter.parameters(empty):15,}", end="")
    print(*(f"{value:9.1f}" for value in costs_of.values()))


# %% [markdown]
# The predictions hold to the last kilobyte. LoRA leaves less than a tenth of the gradients and of the optimiser's numbers, QLoRA shrinks the parameters as well, and neither does much about the activations, since the way back has to pass through every layer whether it is trained or not. In this small model they are the largest part even so; in a large one they are, as soon as texts are long or batches large. What helps then is to compute them a second time in place of keeping them (`gradient_checkpointing`), or fewer items at a time.
#
# The authors of QLoRA name two figures for 65 billion parameters: more than 780 GB for ordinary fine-tuning in 16 bits, less than 48 GB with their method [(Dettmers et al., 2023)](../book/references.md#dettmers2023). The first is our formula; the second leaves, by our count, some room for activations on one large graphics card.
#
# ## 7. Before and after
#
# Now the adapter of the full run. It learned beside weights in NF4, so it belongs to those: the chat model goes through NF4 and back, into floats, which makes no difference to the result and is faster on a processor; then the adapter is put on with one call. (What happens on the unrounded model, the folklore check asks.) The test set tells what it is worth. As before, the replies to all three hundred questions were recorded by the recipe, and a few are written again here and compared. The gains are *paired*: both systems answer the same questions, so the interval is that of the difference, question by question.
#
# Read the lines marked *unseen* first: the families that training has never met decide. And look at *contained*, too, now that all replies are short: if only exact match rises, the model has learned to be brief and nothing else.

# %% tags=["opening-picture"]
shipped = bookkit.mode() == "pocket"  # else your own run's
adapter_folder = Path(
    bookkit.model("grounded-qa") if shipped else settings.work_folder() / base.SHIPPED
)
four_bits = copy.deepcopy(model)  # the model with what NF4 leaves of its weights
four_bits = base.through_nf4(four_bits) if HAS_BNB else rounded(four_bits, NF4)
adapted = PeftModel.from_pretrained(four_bits, adapter_folder).eval()
systems = ["zero-shot", "few-shot", "adapter"]
show_marks("per cent", ANSWERS, systems)
show_marks("abstention, per cent", ABSTENTIONS, systems)
for k in sample:
    prompt = [house.prompt(test_items[k])]
    (text,) = evaluate.write(adapted, tokenizer, prompt, record["new_tokens"])
    if bookkit.mode() == "pocket":
        assert text == replies["adapter"][k], "the record says something else"
CHIEF = {"exact_match": "exact", "contained": "contained"}
CHIEF |= {"abstention_f1": "abstention F1", "citation": "citation"}
print("gain of the adapter over" + "".join(f"{name:>17}" for name in CHIEF.values()))
gains = {}
for system in ("zero-shot", "few-shot"):
    for group, rows in GROUPS.items():
        found = score.compare(tables[system][rows], tables["adapter"][rows])
        gains[system, group] = found
        print(f"{system:18}{group:6}", end="")
        for mark in CHIEF:
            one = [found[mark][key] for key in ("value", "low", "high")]
            text = "–"
            if None not in one:
                text = "{:+.0f} ({:+.0f} to {:+.0f})".format(*(100 * v for v in one))
            print(f"{text:>17}", end="")
        print()
SHOWN = {"exact_match": "exact match", "contained": "right answer contained"}
SHOWN |= {"abstention_f1": "abstention, F1"}
COLOURS = {
    "zero-shot": figures.GREY,
    "few-shot": figures.BLUE,
    "adapter": figures.GREEN,
}
fig, axes = plt.subplots(1, 3, figsize=(8.4, 2.6), sharey=True)
for ax, (mark, title) in zip(axes, SHOWN.items()):
    for row, group in enumerate(("seen", "unseen")):
        for shift, (system, colour) in enumerate(COLOURS.items()):
            one = marks_of(system, group)[mark]
            if one["value"] is None:
                continue
            place = row + 0.22 * (shift - 1)
            ax.plot([one["low"], one["high"]], [place] * 2, color=colour, linewidth=2)
            ax.plot(one["value"], place, "o", color=colour, markersize=6)
            if mark == "exact_match" and row == 0:
                left = one["high"] < 0.65
                where = one["high"] + 0.04 if left else one["low"] - 0.04
                side = "left" if left else "right"
                ax.text(where, place, system, color=colour, va="center", ha=side)
    ax.set(xlim=(-0.03, 1.03), title=title, ylim=(1.5, -0.5))
axes[0].set_yticks([0, 1], ["families seen\nin training", "families never\nseen"])
figures.show(
    fig,
    alt="DRAFT: exact match, containment and abstention F1 of the chat model without "
    "and with examples and with the adapter, dots with intervals, for families of "
    "questions that training has seen and has not.",
)
assert gains["zero-shot", "unseen"]["exact_match"]["low"] > 0.1
assert gains["zero-shot", "unseen"]["abstention_f1"]["low"] > 0.1

# %% [markdown]
# DRAFT: exact match and abstention F1 before and after, with paired intervals, on unseen families; how much of it is form (the gain in *contained*); citation; the price in prompt tokens from section 1 against few-shot; which of the four unanswerable kinds is still missed.
#
# Nobody gets something for nothing, so look for what was lost. The next cell asks for two things that were not trained: how surprised the model is by running text, by the leaflets and by a novel, with the adapter off (*before*) and on (*after*); and whether it still answers plain questions. After that comes the failure gallery: the *first* wrong replies in the order of the test set, unselected.

# %%
novel = bookkit.read_text("corpora/pride_and_prejudice.txt")
passages = {
    "leaflets": [" ".join(item["passages"]) for item in test_items[:12]],
    "a novel": [novel[at : at + 400] for at in range(20_000, 80_000, 5_000)],
}


@torch.inference_mode()
def nats(net, text: str) -> float:
    """Mean surprise of a model at the tokens of a text."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    return F.cross_entropy(net(ids).logits[0, :-1].float(), ids[0, 1:]).item()


def interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The middle 95 per cent of the means of resamples."""
    rows = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    return tuple(np.percentile(values[rows].mean(axis=1), [2.5, 97.5]))


before = {}
for name, texts in passages.items():
    with adapted.disable_adapter():
        before[name] = np.array([nats(adapted, text) for text in texts])
    after = np.array([nats(adapted, text) for text in texts])
    low, high = interval(after - before[name])
    print(
        f"{name:10} perplexity {np.exp(before[name].mean()):6.2f} before,", end=" "
    )
    print(
        f"{np.exp(after.mean()):6.2f} after; {np.mean(after - before[name]):+.3f}",
        end="",
    )
    print(f" nats a token ({low:+.3f} to {high:+.3f})")
KNOWN = {
    "What is the capital of France?": "paris",
    "What is the capital of Japan?": "tokyo",
    "What is the capital of Italy?": "rome",
    "In which country are the pyramids of Giza?": "egypt",
    "Which language is spoken in Brazil?": "portuguese",
    "Who wrote Romeo and Juliet?": "shakespeare",
    "What is the largest planet of the solar system?": "jupiter",
    "Which planet do we live on?": "earth",
    "What is H2O called in everyday life?": "water",
    "Which gas do plants take from the air?": "carbon dioxide",
    "What do bees make?": "honey",
    "Which animal says meow?": "cat",
    "How many legs does a spider have?": "eight|8",
    "How many days are there in a week?": "seven|7",
    "How many minutes are there in an hour?": "sixty|60",
    "What is two plus two?": "four|4",
    "What is the opposite of hot?": "cold",
    "What is the first month of the year?": "january",
    "What colour is the sky on a clear day?": "blue",
    "What do you write with on a blackboard?": "chalk",
}
chats = [[{"role": "user", "content": question}] for question in KNOWN]
with adapted.disable_adapter():
    once = evaluate.write(adapted, tokenizer, chats, 20)
now = evaluate.write(adapted, tokenizer, chats, 20)
knows = [
    [
        any(word in text.lower() for word in wanted.split("|"))
        for text, wanted in zip(texts, KNOWN.values())
    ]
    for texts in (once, now)
]
low, high = interval(np.array(knows[1], float) - knows[0])
print(f"\nplain questions, {len(KNOWN)}: {sum(knows[0])} answered rightly before,", end="")
print(f" {sum(knows[1])} after ({low:+.0%} to {high:+.0%})")
print(f"the house format used: {sum(text.startswith('Answer:') for text in now)}", end="")
print(f"; abstained: {sum(house.ABSTENTION in text for text in now)}")
for question, old, new in list(zip(KNOWN, once, now))[::5]:
    print(f"\n{question}\n  before: {old.strip()!r}\n  after:  {new.strip()!r}")
exact = tables["adapter"][:, score.COLUMNS.index("exact")]
print("\nexactly right with the adapter, by kind")
for kind in kinds:
    rows = [k for k, item in enumerate(test_items) if item["kind"] == kind]
    print(f"{kind:18}{exact[rows].mean():4.0%} of {len(rows)}")
print("\nits first failures, in the order of the test set")
for k in np.flatnonzero(exact == 0)[:6]:
    item = test_items[k]
    print(f"\n{item['family']}, {item['kind']}: {item['question']}")
    print(f"  wanted: {house.reply(item)}\n  reply:  {replies['adapter'][k]}")

# %% [markdown]
# DRAFT: what was forgotten, with the interval; whether plain questions are still answered or are now met with "The context does not say."; what the failures have in common.
#
# If something was forgotten, remember section 3: the adapter can be switched off for everything but its task.
#
# ## 8. Merging, saving, switching
#
# An adapter is a small file beside a large one, and that has practical sides. You can keep many for one model and switch between them. You can *merge* one into the weights, $W + \frac{\alpha}{r}BA$, after which the model is as fast as it was and needs no library. The cell does all of it with `peft` on the digit readers of section 3: one adapter for turned digits, one for mirrored ones. Then it merges a change into a real weight matrix that is stored in four bits, which `peft` permits with a warning, and asks what arrives: how many weights move to another level, how much of the change is there afterwards, and how large the error is, in units of the change itself. An error of 1 × is as bad as not having merged at all.


# %% tags=["nbval-check-output"]
def mirrored(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (number, 64), each seen in a mirror."""
    return pictures.view(-1, 8, 8).flip(2).reshape(-1, 64)


tasks = {"upright": lambda pictures: pictures, "turned": turned, "mirrored": mirrored}
lora_config = LoraConfig(r=8, lora_alpha=16, target_modules=["0", "2", "4"])
for name in ("turned", "mirrored"):
    torch.manual_seed(0)
    student = get_peft_model(copy.deepcopy(nets[0]), lora_config)
    fit(student, tasks[name](upright), 200, 0.01, seed=0)
    student.save_pretrained(f"{folder.name}/{name}")
files = Path(folder.name, "turned").glob("*.safetensors")
print(
    f"an adapter takes {sum(file.stat().st_size for file in files):,} bytes", end="; "
)
print(f"the network {meter.parameter_bytes(nets[0]):,}")
reader = PeftModel.from_pretrained(
    copy.deepcopy(nets[0]), f"{folder.name}/turned", adapter_name="turned"
)
reader.load_adapter(f"{folder.name}/mirrored", adapter_name="mirrored")
print("digits read         " + "".join(f"{task:>10}" for task in tasks))
for name in ("turned", "mirrored"):
    reader.set_adapter(name)
    row = [reads(reader, make(upright_test)) for make in tasks.values()]
    print(f"adapter {name:12}" + "".join(f"{share:10.0%}" for share in row))
with reader.disable_adapter():
    row = [reads(reader, make(upright_test)) for make in tasks.values()]
    assert torch.equal(reader(upright_test), nets[0](upright_test))
print(f"{'no adapter':20}" + "".join(f"{share:10.0%}" for share in row))
reader.set_adapter("turned")
separate = reader(upright_test)
merged = reader.merge_and_unload()
torch.testing.assert_close(merged(upright_test), separate, rtol=1e-4, atol=1e-4)

print("\nsize of the change   weights that move   change that arrives   error")
frozen = restore(*quantise(real, NF4), NF4, real.shape)
dice = torch.Generator().manual_seed(0)
shapes = (len(real), 8), (8, real.shape[1])
B, A = (torch.randn(shape, generator=dice) for shape in shapes)
unit = B @ A / (B @ A).std() * real.std()
changes = {f"{size:.1%}": size * unit for size in (0.002, 0.01, 0.05, 0.2)}
layer = adapted.base_model.model.model.layers[14].self_attn.q_proj
own = layer.get_delta_weight("default").detach()
changes[f"{(own.std() / real.std()).item():.1%} (our adapter)"] = own
for size, change in changes.items():
    again = restore(*quantise(frozen + change, NF4), NF4, real.shape)
    arrived = again - frozen
    along = (arrived * change).sum() / change.square().sum()
    moved = quantise(frozen + change, NF4)[0] != quantise(frozen, NF4)[0]
    rest = (arrived - change).norm() / change.norm()
    print(f"{size:20}{moved.float().mean():18.1%}{along:20.0%}{rest:10.1f} ×")


# %% [markdown]
# Each adapter reads its own kind of digits, and with either of them on the upright ones suffer. Switched off, the adapter leaves the old network to the last bit, and merged it computes the same as unmerged, to the rounding of floats. In four bits it is another matter. The sizes are those of the change compared with the spread of the weights. The frozen weights lie *on* the sixteen levels of their blocks, and a small change carries none of them half-way to the next level, so all fall back: of a change of one per cent, nothing arrives but what the scales of the blocks take up. Of five per cent, about half does; only a change so large that half of the weights move gets through. DRAFT: our adapter's own size and what would arrive of it. So merge into the unrounded weights, and quantise the result if you must; or leave the adapter beside the model, where it was trained.
#
# ## 9. More than one machine
#
# With several processors, each one takes a share of the batch, computes the gradient of its share, and all take the mean of these gradients before the step. This is [*data parallelism*](../book/glossary.md#data-parallelism). It sounds too simple to go wrong. The cell does it by hand for a loss on answers only, with two "processes" that get half of the items each. The answers differ in length. Look at the two ways to take the mean.

# %% tags=["nbval-check-output"]
torch.manual_seed(0)
reader = nn.Sequential(nn.Embedding(50, 16), nn.Linear(16, 50))
ids = torch.randint(50, (8, 21))
goals = ids[:, 1:].clone()
for row, answer in enumerate((2, 3, 2, 4, 12, 9, 15, 20)):  # tokens of each answer
    goals[row, : 20 - answer] = -100  # tokens that are read and not learned


def gradient(rows: slice, divide_by: int | None = None) -> torch.Tensor:
    """The gradient of the summed loss on some items, divided by their answer tokens."""
    reader.zero_grad()
    logits = reader(ids[rows, :-1]).flatten(0, 1)
    loss = F.cross_entropy(logits, goals[rows].flatten(), reduction="sum")
    (loss / (divide_by or (goals[rows] != -100).sum())).backward()
    return torch.cat([weights.grad.flatten() for weights in reader.parameters()])


whole = gradient(slice(0, 8))
halves = [gradient(slice(0, 4)), gradient(slice(4, 8))]
everything = (goals != -100).sum().item()
shared = [gradient(part, everything) for part in (slice(0, 4), slice(4, 8))]
naive = ((halves[0] + halves[1]) / 2 - whole).norm() / whole.norm()
right = (shared[0] + shared[1] - whole).norm() / whole.norm()
print(f"mean of the two means:              off by {naive:.0%}")
print(f"sums, divided by all answer tokens: off by {right:.0%}")
assert right < 1e-6 < naive

# %% [markdown]
# The mean of means gives every *process* the same weight, so that a token counts more where the answers are short than where they are long; the batch of one machine gives every *token* the same weight. The same trap waits where a batch is worked off in several turns on one machine. The trainer of `transformers`, on which `trl` builds, therefore counts the tokens of all turns and processes first.
#
# Nothing of this has to be written by you. The training function of the recipe runs unchanged under `accelerate launch`, which starts the processes and tells each its share:
#
# ```console
# $ accelerate launch --config_file training/grounded_qa/configs/cpu_1.yaml -m training.grounded_qa train
# $ accelerate launch --config_file training/grounded_qa/configs/cpu_2.yaml -m training.grounded_qa train
# ```
#
# The first line starts one process; the second two, which talk through `gloo`, PyTorch's way to exchange tensors between processes without graphics cards. A test of the book runs both and asserts that two processes with half a batch each have the losses of one with the whole batch. Two more configurations are for graphics cards: `gpu_ddp.yaml` gives each card the whole model, and `gpu_fsdp.yaml` cuts the model into parts, so that each card holds only its share of weights, gradients and optimiser, and fetches the other weights when it needs them, an idea known as ZeRO [(Rajbhandari et al., 2020)](../book/references.md#rajbhandari2020). No test of this book has a graphics card, so these two are checked for their settings only.
#
# ## Try it
#
# The right reply to one question of a family that was not in training, before, during and after the eight steps of section 5: the darker a token, the more it surprised the model. Move the slider, and read below it what the model wrote itself at that moment. The last stage is the adapter of the full run.
#
# In a running notebook, the controls below let you make one weight of a block larger and watch what a code does to the others. On the page there is nothing to see of them; the histogram of section 4 shows where the codes have their numbers.

# %%
stages["the full run's adapter"] = look(adapted, training=False)
learning.viewer(
    [tokenizer.decode(token) for token in watched_ids[0, begin:]],
    [
        learning.Stage(label, surprise, text.strip() or "(nothing)")
        for label, (surprise, text) in stages.items()
    ],
    title="How surprised the model is by the right reply",
    alt="DRAFT: the right reply to a test question, shaded by how much each token "
    "surprised the model, before, during and after training.",
)

# %% tags=["remove-output"]
pick_code = widgets.Dropdown(options=list(BOOKS), description="code")
pick_largest = widgets.FloatSlider(
    0.5, min=0.5, max=8, step=0.5, description="outlier"
)
pick_block = widgets.Dropdown(options=[8, 16, 32, 64], value=64, description="block")
wall = widgets.HTML()


def draw_block(change=None) -> None:
    """Sixty-four weights, one of them enlarged, before and after rounding."""
    block = real.flatten()[:64] / real.std()
    block = torch.where(torch.arange(64) == 20, pick_largest.value, block)
    levels = BOOKS[pick_code.value]
    back = restore(*quantise(block, levels, pick_block.value), levels, (64,))
    fig, ax = plt.subplots(figsize=(7.2, 2.6))
    ax.vlines(range(64), block, back, color=figures.VERMILION, linewidth=1)
    ax.plot(block, "o", color=figures.GREY, markersize=4)
    ax.plot(back, "o", color=figures.GREEN, markersize=4)
    ax.set(xlabel="weight", ylabel="value, in standard deviations")
    wall.value = figures.svg(
        fig,
        alt="Grey dots are weights, green dots what is left of them after rounding.",
    )
    plt.close(fig)


for control in (pick_code, pick_largest, pick_block):
    control.observe(draw_block, "value")
draw_block()
widgets.VBox([pick_code, pick_largest, pick_block, wall])

# %% [markdown]
# ## Folklore check: four bits cost nothing
#
# So one reads: QLoRA's authors recover the marks of 16-bit fine-tuning with NF4 [(Dettmers et al., 2023)](../book/references.md#dettmers2023), and from this has become "4-bit costs nothing". They do *not* claim it of the rounding itself. In their own table of mean perplexities, the four-bit codes differ: 27.41 for NF4 with double quantisation, 31.07 for FP4 in the layout E2M1 and 34.34 for Int4 [(Dettmers et al., 2023)](../book/references.md#dettmers2023). That is also the order of their errors on our model's weights, in section 4; the library's own FP4 had the largest error of all.
#
# So there are three questions. What does rounding cost on plain text? Is the order of the codes that of their errors? And does anything of it arrive at the task? For the first two, every linear layer of the chat model but the last is rounded, and the versions read the passages of section 7; the differences are paired, with bootstrap intervals over passages. For the third, the record holds the replies of the adapter to the whole test set, on weights in NF4, beside which it was trained, and on the unrounded model.

# %%
del adapted, four_bits
unrounded = {
    kind: np.array([nats(model, text) for text in texts])
    for kind, texts in passages.items()
}
gaps = {}
print("nats a token more than unrounded, and perplexity")
for name, levels in CODES.items():
    version = rounded(model, levels)
    print(f"{name:6}", end="")
    for kind, texts in passages.items():
        found = np.array([nats(version, text) for text in texts])
        gaps[name, kind] = found - unrounded[kind]
        low, high = interval(gaps[name, kind])
        print(f"  {kind}: {gaps[name, kind].mean():+.3f}", end="")
        print(f" ({low:+.3f} to {high:+.3f}), {np.exp(found.mean()):.1f}", end="")
    print()
    del version
print("\nagainst Int4, nats a token")
for name in ("NF4", "E2M1", "FP4"):
    print(f"{name:6}", end="")
    for kind in passages:
        low, high = interval(gaps[name, kind] - gaps["Int4", kind])
        print(f"  {kind}: {low:+.3f} to {high:+.3f}", end="")
    print()
for kind in passages:
    assert interval(gaps["NF4", kind])[0] > 0
print()
systems = ["adapter", "adapter-unrounded"]
show_marks("per cent", ANSWERS, systems)
show_marks("abstention, per cent", ABSTENTIONS, systems, ["all"])

# %% [markdown]
# DRAFT verdict: on text it costs … nats a token, surely not nothing; the order of Int4 and FP4 is …; on the task the difference is … with an interval of …, so it is (not) seen with three hundred questions. Two limits belong to the verdict: this base had been rounded to four bits before it came to us, so its cost is that of a *second* rounding; and small models are said to suffer more than large ones, which one model cannot show.
#
# ## Classic mistakes
#
# **The default that is not NF4.** `load_in_4bit=True` alone gives FP4.
#
# **Both factors at zero.** $B$ starts at zero so that nothing changes at first; if $A$ does, too, nothing ever will, since each gets its gradient through the other.
#
# **An adapter in bfloat16.** A step that is small against the weight is rounded away, every time.
#
# **A look in between.** On processors with instructions for bfloat16, `bitsandbytes` 0.50.2 repacks the weights of a 4-bit layer the first time that it is used in `eval()` mode, and from then on no gradient passes through it, also after `train()`: whoever validates half-way goes on with a broken training, and sees one warning. Keep the model in training mode and the dropout at zero, or validate a copy. (The recipe of the full run, which validates half-way, switches the repacking off.) What the cell prints depends on your processor.
#
# **Broken input.** The recipe refuses each of these in one sentence: a line of the training data that lacks a field, an item longer than the context (whose answer the trainer would cut off without a word), an adapter for another base model, and a missing `bitsandbytes`.

# %%
from unittest import mock

print("default code:", BitsAndBytesConfig(load_in_4bit=True).bnb_4bit_quant_type)
assert BitsAndBytesConfig(load_in_4bit=True).bnb_4bit_quant_type == "fp4"

student = with_layers(nets[0], lambda layer: LoRA(layer, 8, 16))
for place in (0, 2, 4):
    nn.init.zeros_(student[place].A)
fit(student, turned(upright), 50, 0.01, seed=0)
print(
    f"both factors at zero: {reads(student, turned(upright_test)):.0%} after training"
)
assert all((student[place].B == 0).all() for place in (0, 2, 4))  # the test

for kind in (torch.float32, torch.bfloat16):
    weight = torch.tensor(0.02, dtype=kind)
    for _ in range(100):
        weight = weight + 0.00003
    print(
        f"0.02 plus a hundred times 0.00003 in {str(kind)[6:]}: {weight.item():.4f}"
    )
    assert (weight.item() > 0.022) == (kind == torch.float32)


if HAS_BNB:
    layer = bnb.nn.Linear4bit(64, 64, bias=False, compute_dtype=torch.float32)
    layer.load_state_dict(nn.Linear(64, 64, bias=False).state_dict())
    layer = layer.to("cpu")
    for moment in ("before", "after"):
        x = torch.ones(2, 64, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the only sign there is
            layer.train()(x).sum().backward()
        passes = "none" if x.grad is None else "as it should be"
        print(
            f"gradient through a 4-bit layer {moment} a look in eval mode: {passes}"
        )
        with torch.no_grad():
            layer.eval()(x.detach())


def told(action) -> None:
    """Do something that must fail, and print how that is told."""
    try:
        action()
    except BookError as error:
        text = str(error).replace(str(adapter_folder), "its folder")
        print("-", text.replace(folder.name, "…"))
    else:
        raise AssertionError("nothing was told")


broken = Path(folder.name, "train.jsonl")
lines = [json.dumps(item, ensure_ascii=False) for item in train_items[:3]]
broken.write_text("\n".join([*lines, lines[0].replace('"citation"', '"cited"')]))
told(lambda: data.rows(broken))
long = {**train_items[0], "passages": train_items[0]["passages"] * 4}
told(lambda: data.longest([long], tokenizer, 512, "train.jsonl"))
tiny = {"role": "chat", "tiny": {"hidden_size": 32, "intermediate_size": 64}}
tiny["tiny"] |= {"num_hidden_layers": 2, "num_attention_heads": 4}
stranger = base.load_model(tiny, "float32", seed=0)
told(lambda: base.load_adapter(stranger, adapter_folder, tiny))
with mock.patch("importlib.util.find_spec", return_value=None):
    told(lambda: base.load_model({"role": "chat", "tiny": None}, "nf4", seed=0))

# %% [markdown]
# None of the first four stops a training. With both factors at zero the network reads no more of the turned digits than before, and in bfloat16 a hundred small steps have moved the number nowhere. The last four are refused by the recipe, each in a sentence that says what to do.
#
# ## On the full-size model
#
# With `BOOK_MODELS=hub` the chat model is the instruction-tuned SmolLM2 with 1.7 billion parameters [(Ben Allal et al., 2025)](../book/references.md#allal2025), in weights that were never rounded to four bits. Sections 1 to 6 run as they are, the fifth best on a graphics card; the count of different values in section 4 then finds no grid. There is no shipped adapter for that size, so sections 7 and 8, *Try it*, the folklore check and the classic mistakes need one: `python -m training.grounded_qa all` trains and evaluates it. The adapter grows with the sum of the matrices' sides, not with their product, so its share of the model shrinks; predict it with `adapter_size` before you start.
#
# Does the rank have to grow with the model? The first paper found ranks as low as one or two sufficient for some tasks on a model with 175 billion parameters [(Hu et al., 2022)](../book/references.md#hu2022). And LoRA is not always as good as full fine-tuning: on programming and mathematics, at the usual low ranks, it was seen to learn less, and to forget less [(Biderman et al., 2024)](../book/references.md#biderman2024). Our small network, in section 3, mostly forgot more; learning rates and tasks matter here as much as the method.
#
# ## Exercises
#
# The first is a warm-up, the last is open. Write your answer in place of `raise NotImplementedError`, then run the check.

# %% [markdown] bookkit={"exercise": "ex12-1", "role": "task"}
# ### Exercise 1. As much rank as fits
#
# An adapter may take `limit` bytes on the disk. It adapts linear layers of the given shapes, each of its numbers takes `each` bytes, and all layers get the same rank. How large can the rank be? (If not even rank 1 fits, the answer is 0.)
#
# ```python
# def largest_rank(shapes: list[tuple[int, int]], limit: int, each: int = 2) -> int:
#     """Return the largest rank at which an adapter of these layers fits.
#
#     >>> largest_rank([(2, 2)], 40, each=1)
#     10
#     >>> largest_rank([(4, 6), (3, 7)], 160)
#     4
#     """
#     raise NotImplementedError
# ```


# %% cellView="form" jupyter={"source_hidden": true} nbgrader={"grade": false, "grade_id": "ex12-1-solution", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["hide-input", "exercise-solution"]
# @title Solution of exercise 1 {display-mode: "form"}
def largest_rank(shapes: list[tuple[int, int]], limit: int, each: int = 2) -> int:
    """Return the largest rank at which an adapter of these layers fits."""
    ### BEGIN SOLUTION
    # A layer of m by n gets r · m numbers in one factor and r · n in the other.
    return limit // (each * sum(m + n for m, n in shapes))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex12-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false} tags=["exercise-check"]
assert largest_rank([(2, 2)], 40, each=1) == 10, "one square layer, one byte a number"
assert largest_rank([(4, 6), (3, 7)], 160) == 4, "two layers, two bytes a number"
smol = [(576, 576), (192, 576), (192, 576), (576, 576)]  # query, key, value, output
smol = 30 * (smol + [(1536, 576), (1536, 576), (576, 1536)])
for limit in (8_000_000, 10_000_000, 100_000_000):
    found = largest_rank(smol, limit)
    size = sum(2 * found * (m + n) for m, n in smol)
    assert size <= limit, f"rank {found} takes {size:,} bytes; {limit:,} are allowed"
    more = sum(2 * (found + 1) * (m + n) for m, n in smol)
    assert more > limit, f"rank {found + 1} would fit into {limit:,} bytes, too"
assert largest_rank([(100, 100)], 300) == 0, "if rank 1 does not fit, the answer is 0"
print("Exercise 1: all checks passed.")

# %% [markdown] bookkit={"exercise": "ex12-2", "role": "task"}
# ### Exercise 2. From a full change to two thin matrices
#
# Somebody has fine-tuned all weights, and you know the change $\Delta W$. Make a LoRA of it: two thin matrices whose product is as close to $\Delta W$ as any product of rank $r$ can be, in the sum of squared differences. (Section 3 looked at a change through its parts of rank one; `torch.linalg.svd` gives them.)
#
# ```python
# def two_thin(change: torch.Tensor, r: int) -> tuple[torch.Tensor, torch.Tensor]:
#     """Return A (r, n) and B (m, r), so that B @ A is the best rank-r copy.
#
#     >>> A, B = two_thin(torch.diag(torch.tensor([1.0, 0.0, 0.0])), 1)
#     >>> (B @ A).round().abs().tolist()
#     [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
#     >>> A.shape, B.shape
#     (torch.Size([1, 3]), torch.Size([3, 1]))
#     """
#     raise NotImplementedError
# ```


# %% cellView="form" jupyter={"source_hidden": true} nbgrader={"grade": false, "grade_id": "ex12-2-solution", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["hide-input", "exercise-solution"]
# @title Solution of exercise 2 {display-mode: "form"}
def two_thin(change: torch.Tensor, r: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A (r, n) and B (m, r), so that B @ A is the best rank-r copy."""
    ### BEGIN SOLUTION
    columns, sizes, rows = torch.linalg.svd(change, full_matrices=False)
    # The parts come largest first; the sizes go into one of the two, once.
    return rows[:r], columns[:, :r] * sizes[:r]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex12-2-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false} tags=["exercise-check"]
A, B = two_thin(torch.diag(torch.tensor([1.0, 0.0, 0.0])), 1)
assert A.shape == (1, 3) and B.shape == (3, 1), "A is (r, n), B is (m, r)"
copied = (B @ A).round().abs()
assert copied[0, 0] == 1 and copied.sum() == 1, "the largest part must be kept"
dice = torch.Generator().manual_seed(0)
for m, n, r in [(6, 4, 2), (12, 30, 3), (40, 40, 8)]:
    change = torch.randn(m, n, generator=dice)
    A, B = two_thin(change, r)
    assert A.shape == (r, n) and B.shape == (m, r), f"{m} × {n}: A (r, n), B (m, r)"
    missed = (B @ A - change).square().sum()
    best = torch.linalg.svdvals(change)[r:].square().sum()
    assert torch.isclose(missed, best, rtol=1e-3), (
        f"{m} × {n}, rank {r}: misses {missed:.1f}; {best:.1f} is possible"
    )
thin = torch.randn(9, 2, generator=dice) @ torch.randn(2, 7, generator=dice)
A, B = two_thin(thin, 2)
assert torch.allclose(B @ A, thin, atol=1e-4), "a change of rank 2 needs no more"
print("Exercise 2: all checks passed.")

# %% [markdown] bookkit={"exercise": "ex12-3", "role": "task"}
# ### Exercise 3. Beat NF4 (open)
#
# NF4 is made for Gaussian weights. But what it rounds are weights that were divided by the largest magnitude of their block, and they are distributed otherwise. Find sixteen levels, none of them beyond −1 and 1, that have a smaller error on blocks of 64, given a sample of weights to learn from. The sample holds weights as they are, not yet divided. The check measures on fresh weights, Gaussian and heavier-tailed ones, with the code of section 4; less than 0.985 of NF4's error passes. A hint: divide as section 4 does, begin with the levels of NF4, let each weight choose its nearest, move each level to the mean of those that chose it, and repeat.
#
# ```python
# def better_code(weights: torch.Tensor) -> torch.Tensor:
#     """Return 16 ascending levels within -1 … 1, learned from weights (blocks, 64).
#
#     >>> levels = better_code(torch.randn(500, 64))
#     >>> levels.shape, bool((levels.diff() > 0).all())
#     (torch.Size([16]), True)
#     >>> bool(levels.abs().max() <= 1)
#     True
#     """
#     raise NotImplementedError
# ```


# %% cellView="form" jupyter={"source_hidden": true} nbgrader={"grade": false, "grade_id": "ex12-3-solution", "locked": false, "schema_version": 3, "solution": true, "task": false} tags=["hide-input", "exercise-solution"]
# @title Solution of exercise 3 {display-mode: "form"}
def better_code(weights: torch.Tensor) -> torch.Tensor:
    """Return 16 ascending levels within -1 … 1, learned from weights (blocks, 64)."""
    ### BEGIN SOLUTION
    scales = weights.abs().amax(dim=1, keepdim=True)
    values = (weights / scales).flatten()
    # A large block's errors are stretched by its scale, so they count more.
    worth = scales.square().expand_as(weights).flatten()
    levels = NF4.clone()
    for _ in range(60):
        chosen = torch.bucketize(values, (levels[1:] + levels[:-1]) / 2)
        total = torch.zeros(16).index_add(0, chosen, worth)
        mean = torch.zeros(16).index_add(0, chosen, worth * values) / total
        levels = torch.where(total > 0, mean, levels)
    return levels
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex12-3-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false} tags=["exercise-check"]
def heavy(number: int, seed: int) -> torch.Tensor:
    """Blocks of 64 weights, most from a narrow bell, some from a wide one."""
    dice = torch.Generator().manual_seed(seed)
    wide = 1 + 1.5 * (torch.rand(number, 64, generator=dice) < 0.1)
    return wide * torch.randn(number, 64, generator=dice)


def bell(number: int, seed: int) -> torch.Tensor:
    """Blocks of 64 Gaussian weights."""
    return torch.randn(number, 64, generator=torch.Generator().manual_seed(seed))


ratios = []
for make, passing in ((bell, 0.985), (heavy, 0.985)):
    levels = better_code(make(3000, seed=1)).float()
    name = make.__doc__.partition(",")[0].partition(".")[0].lower()
    assert levels.shape == (16,), f"16 levels are needed, not {tuple(levels.shape)}"
    assert (levels.diff() > 0).all(), "the levels must ascend"
    assert levels.abs().max() <= 1, "no level may lie outside of -1 … 1"
    for seed in (2, 3, 4):
        fresh = make(3000, seed)
        errors = [
            (restore(*quantise(fresh, code), code, fresh.shape) - fresh)
            .square()
            .mean()
            for code in (levels, NF4)
        ]
        ratios.append((errors[0] / errors[1]).sqrt().item())
        assert ratios[-1] < passing, (
            f"{name}: {ratios[-1]:.3f} of NF4's error; below {passing} passes"
        )
print(f"Exercise 3: all checks passed; {max(ratios):.3f} of NF4's error at worst.")

# %% [markdown]
# ## Summary
#
# Fine-tune for behaviour that is the same every time; leave facts to retrieval, and try prompting first. LoRA freezes the weights and learns a change of low rank beside them; you wrote it in a dozen lines, predicted its parameters, and saw that the rank matters where the change is large. NF4 stores a weight as one of sixteen numbers, placed where a bell curve has its quantiles, with a scale for each block and scales for the scales; every byte of yours was the library's. QLoRA is both together. It shrinks weights, gradients and optimiser, and leaves the activations as they are. A training curve shows that the form was learned; only unseen families with paired intervals show that the task was. And merged into four bits, part of the change gets lost.
#
# DRAFT: one sentence with the result of section 7, one with the verdict of the folklore check.
#
# ### Words to know
#
# [Fine-tuning](../book/glossary.md#fine-tuning), [transfer learning](../book/glossary.md#transfer-learning), [supervised fine-tuning](../book/glossary.md#supervised-fine-tuning), [abstention](../book/glossary.md#abstention), [adapter](../book/glossary.md#adapter), [LoRA](../book/glossary.md#lora), [QLoRA](../book/glossary.md#qlora), [quantisation](../book/glossary.md#quantisation), [quantile](../book/glossary.md#quantile), [NF4](../book/glossary.md#nf4), [double quantisation](../book/glossary.md#double-quantisation), [activation](../book/glossary.md#activation), [catastrophic forgetting](../book/glossary.md#catastrophic-forgetting), [data parallelism](../book/glossary.md#data-parallelism), [bootstrap interval](../book/glossary.md#bootstrap-interval), [perplexity](../book/glossary.md#perplexity).
#
# ### Where to read on
#
# [Hu et al. (2022)](../book/references.md#hu2022) is short and clear on why a low rank may do. [Dettmers et al. (2023)](../book/references.md#dettmers2023) holds everything that sections 4 to 6 rebuilt, and a frank discussion of how chat models should be compared. [Biderman et al. (2024)](../book/references.md#biderman2024) measure where LoRA falls short. [Yoshida (2023)](../book/references.md#yoshida2023) looks hard at NF4's claim to be optimal. How a large model of today is pretrained, fine-tuned and aligned from start to end is told in the report on [Llama 3 (2024)](../book/references.md#llama3).
