"""A byte-level BPE trained on the corpus, saved as GPT-2's tokenizer is, and the corpus as token ids."""

from pathlib import Path

import numpy as np

from bookkit.errors import BookError

END = "<|endoftext|>"


def train(texts: list[str], entries: int, folder: Path, context: int):
    """Train a tokenizer and save it.

    Args:
        texts: the training texts.
        entries: size of the vocabulary, the 256 bytes and the end-of-text token included.
        folder: where vocab.json, merges.txt, tokenizer.json and tokenizer_config.json go.
        context: the most tokens that the model takes.

    Returns:
        The tokenizer, as transformers loads it.
    """
    from tokenizers import ByteLevelBPETokenizer
    from transformers import AutoTokenizer, GPT2TokenizerFast

    learner = ByteLevelBPETokenizer()
    learner.train_from_iterator(texts, vocab_size=entries, min_frequency=2, special_tokens=[END], show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    learner.save_model(str(folder))
    tokenizer = GPT2TokenizerFast(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        unk_token=END,
        bos_token=END,
        eos_token=END,
        model_max_length=context,
    )
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def load(folder: Path):
    """The tokenizer of the recipe.

    Raises:
        BookError: it has not been trained yet.
    """
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").exists():
        raise BookError(f"There is no tokenizer in {folder}: run `python -m training.pocket_gpt2 tokenizer`.")
    return AutoTokenizer.from_pretrained(folder)


def encode(tokenizer, texts: list[str]) -> np.ndarray:
    """All texts in one array of ids, each after an end-of-text token."""
    end = tokenizer.convert_tokens_to_ids(END)
    ids: list[int] = []
    for start in range(0, len(texts), 1000):
        for text in tokenizer(texts[start : start + 1000], verbose=False)["input_ids"]:
            ids.append(end)
            ids += text
    return np.array([*ids, end], dtype=np.uint16)
