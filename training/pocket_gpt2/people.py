"""The people of the stories: their first names, and whether a model keeps them straight."""

import re
from functools import cache

import torch

from training.pocket_gpt2.story_engine.templates import lexicon
from training.pocket_gpt2.tokenizer import END

PRONOUNS = {"he": "she", "his": "her", "He": "She", "His": "Her"}


@cache
def first_names() -> list[str]:
    """Every first name that the stories give to children and to animals that talk."""
    return sorted({name for kind in ("girl", "boy", "creaturename") for name in lexicon()[kind]["words"]})


def _named(text: str) -> list[re.Match]:
    return list(re.finditer(rf"\b(?:{'|'.join(first_names())})\b", text))


def named_again(texts: list[str]) -> float:
    """The share of all first names in the texts that name somebody whom the same text has named before."""
    found = [[match[0] for match in _named(text)] for text in texts]
    return sum(len(names) - len(set(names)) for names in found) / max(1, sum(map(len, found)))


def beginnings(tokenizer) -> dict[str, set[int]]:
    """The tokens with which first names begin, after a blank and without one; of a name in several tokens the first."""
    return {blank: {tokenizer(blank + name)["input_ids"][0] for name in first_names()} for blank in ("", " ")}


@torch.no_grad()
def people(model, tokenizer, stories: list[str], written: list[str], context: int) -> dict:
    """Whether the model keeps people straight, reading stories of the engine and in what it wrote itself.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        stories: which the engine told; as much of each is read as fits into the context.
        written: by the model, from nothing.
        context: of the model.

    Returns:
        How often the stories name somebody "again", and how often no other first name is likelier there
        ("right_name"); how many "pronouns" tell she from he, and how often the right one is likelier
        ("right_pronoun"); the share of names that were named before ("share_again"), in stories and in the writing.
    """
    end = tokenizer.convert_tokens_to_ids(END)
    opposite = {}
    for he, she in PRONOUNS.items():
        pair = [tokenizer(f" {word}")["input_ids"] for word in (he, she)]
        if all(len(ids) == 1 for ids in pair):  # a small vocabulary may have no token for a word
            opposite |= {pair[0][0]: pair[1][0], pair[1][0]: pair[0][0]}
    begins = beginnings(tokenizer)
    right, choices, read = [], [], []
    for story in stories:
        tokens = tokenizer(story, verbose=False)
        ids = tokens["input_ids"][: context - 1]
        read.append(tokenizer.decode(ids))
        scores = model(input_ids=torch.tensor([[end, *ids]], device=model.device)).logits[0]
        named = set()
        for match in _named(story):
            place = tokens.char_to_token(match.start())
            if match[0] in named and place < len(ids):
                others = begins[" " if story[: match.start()].endswith(" ") else ""] - {ids[place]}
                right.append(bool(scores[place, ids[place]] > scores[place, list(others)].max()))
            named.add(match[0])
        choices += [bool(scores[i, t] > scores[i, opposite[t]]) for i, t in enumerate(ids) if t in opposite]
    return {
        "stories": len(stories),
        "again": len(right),
        "right_name": round(sum(right) / max(1, len(right)), 4),
        "pronouns": len(choices),
        "right_pronoun": round(sum(choices) / max(1, len(choices)), 4),
        "written": len(written),
        "share_again": {"stories": round(named_again(read), 4), "written": round(named_again(written), 4)},
    }
