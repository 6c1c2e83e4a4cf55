"""Weights as four bits leave them: what an adapter needs that was trained beside a 4-bit model."""

import importlib.util
from typing import TYPE_CHECKING

from bookkit.errors import BookError

if TYPE_CHECKING:
    from torch import nn


def need_bitsandbytes(otherwise: str = "") -> None:
    """Refuse to go on without bitsandbytes.

    Args:
        otherwise: what one can do besides installing it.

    Raises:
        BookError: bitsandbytes is missing.
    """
    if not importlib.util.find_spec("bitsandbytes"):
        raise BookError(f"bitsandbytes is not installed: run `pip install bitsandbytes`{otherwise}.")


def through_nf4(model: "nn.Module") -> "nn.Module":
    """Replace the weights of all linear layers but the last by what NF4 with double quantisation leaves of them.

    The layers stay as they are otherwise, so that they are as fast as before, on any processor. The method is that of
    Dettmers et al., QLoRA (2023), section 3.

    Args:
        model: a language model with float weights; it is changed in place.

    Returns:
        The model.

    Raises:
        BookError: bitsandbytes is missing.
    """
    need_bitsandbytes()
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit
    from torch import nn

    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear) and not name.endswith("lm_head"):
            packed = quantize_4bit(layer.weight.data, quant_type="nf4", compress_statistics=True)
            layer.weight.data = dequantize_4bit(*packed).to(layer.weight.dtype)
    return model
