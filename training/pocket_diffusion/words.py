"""The tokenizer: CLIP's byte-level BPE with a small vocabulary of its own, learned on the captions.

A genuine ``CLIPTokenizer`` (lower-cased, words end in ``</w>``), so that ``StableDiffusionPipeline`` and
``AutoTokenizer`` load it like any other.
"""

import json
import random
from pathlib import Path

from training.pocket_diffusion import finished
from training.pocket_diffusion.captions import ALIASES, BACKGROUNDS, plain
from training.pocket_diffusion.data import STYLES, Sprites

BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def learn(sprites: Sprites, vocabulary: int, length: int, seed: int = 0):
    """A CLIPTokenizer with a vocabulary learned on captions of every subject.

    Args:
        sprites: whose subjects, tags and captions to learn from.
        vocabulary: the number of tokens, the 512 byte tokens and the two special ones included.
        length: the number of tokens that captions are padded or cut to.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    rng = random.Random(seed)
    texts = []
    for subject in sprites.subjects:
        for style in STYLES:
            picture = sprites.layout.usual(subject, style, rng.choice(list(BACKGROUNDS)))
            texts.append(sprites.caption(sprites.vary(picture, rng), rng))
        texts += [plain(tag) for tag in sprites.tags[subject]] + list(ALIASES.get(subject, ()))
    bpe = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                           normalizers.Lowercase()])  # fmt: skip
    split = Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(split, "removed", invert=True),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False)])  # fmt: skip
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # All 512 byte tokens are named beforehand: the trainer would number those with the suffix as it meets them, in an
    # order that differs from run to run, and settles ties between merges by these numbers.
    letters = alphabet + [letter + "</w>" for letter in alphabet]
    trainer = trainers.BpeTrainer(vocab_size=vocabulary - 2, special_tokens=letters, show_progress=False,
                                  end_of_word_suffix="</w>")  # fmt: skip
    bpe.train_from_iterator(texts, trainer)
    model = json.loads(bpe.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get) + [BEGIN, END]
    merges = [tuple(merge) for merge in model["merges"]]
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=merges,
                         model_max_length=length, bos_token=BEGIN, eos_token=END, unk_token=END,
                         pad_token=END)  # fmt: skip


def load(config, sprites: Sprites):
    """The tokenizer of a work folder, learned if it is not there yet, or the one that training begins with."""
    from transformers import CLIPTokenizer

    folder: Path = config.work / "tokenizer"
    if config.start:
        folder = finished.start(config)["pipeline"] / "tokenizer"
    elif not (folder / "tokenizer_config.json").exists():
        learn(sprites, seed=config.seed, **config.tokenizer).save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def encode(tokenizer, texts: list[str]):
    """Token ids, int64 (n, length), begun, ended and padded."""
    return tokenizer(texts, padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                     return_tensors="pt").input_ids  # fmt: skip
