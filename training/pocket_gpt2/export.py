"""Write the trained model as the book ships it: float16 weights below a limit, a configuration that says float32."""

import shutil
from pathlib import Path

import torch

from bookkit.errors import BookError

LIMIT = 20_000_000  # bytes of the weights as float16


def export(trained: Path, words: Path, target: Path) -> int:
    """Write model and tokenizer to `target`, which is replaced.

    Args:
        trained: folder of the trained model.
        words: folder of its tokenizer, in GPT-2's format.
        target: folder that takes both.

    Returns:
        Bytes of the weight file.

    Raises:
        BookError: there is no trained model, or the weight file is larger than LIMIT.
    """
    from transformers import AutoModelForCausalLM

    if not (trained / "config.json").exists():
        raise BookError(f"There is no trained model in {trained}: run `python -m training.pocket_gpt2 train`.")
    staging = target.with_name(target.name + ".new")
    shutil.rmtree(staging, ignore_errors=True)
    model = AutoModelForCausalLM.from_pretrained(trained, dtype=torch.float32).half()
    # save_pretrained writes the weights' own type into the configuration, so the configuration comes last
    model.save_pretrained(staging)
    model.config.dtype = torch.float32
    model.config.save_pretrained(staging)
    for file in words.iterdir():
        shutil.copy2(file, staging)
    size = (staging / "model.safetensors").stat().st_size
    if size > LIMIT:
        raise BookError(f"The weights take {size:,} bytes: the limit is {LIMIT:,}; choose a smaller size.")
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
    return size
