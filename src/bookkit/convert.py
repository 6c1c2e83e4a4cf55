"""A GGUF file becomes an ordinary folder of safetensors, config and tokenizer: once, into the cache.

Loading a GGUF takes 15 to 20 seconds each time, because its weights have to be unpacked and its tokenizer
rebuilt; the folder written here loads in about one.
"""

import contextlib
import io
from pathlib import Path

from bookkit.errors import BookError


def gguf_to_safetensors(source: Path, target: Path, dtype: str = "float32") -> None:
    """Convert a GGUF language model to the folder that ``from_pretrained`` takes.

    The quantized weights are unpacked exactly, as float32, and the configuration says float32, so that
    ``dtype="auto"`` cannot change a figure. The same file and the same library versions give the same bytes.

    Args:
        source: the ``.gguf`` file.
        target: the folder to write; it must not exist yet.
        dtype: what the weights are rounded to: "float32" rounds nothing, "bfloat16" takes half the room.

    Raises:
        BookError: a needed package is missing, or the file cannot be read as a GGUF model.
        OSError: the folder cannot be written.
    """
    try:
        import gguf
        import torch
        import transformers
    except ImportError as error:
        raise BookError(
            f"Converting {source.name} needs the package {error.name}: run `pip install {error.name}`."
        ) from error

    options = {"dtype": getattr(torch, dtype)}
    if hasattr(transformers, "GgufConfig"):  # newer versions would otherwise keep the weights packed
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    try:
        header = gguf.GGUFReader(source)
        with contextlib.redirect_stderr(io.StringIO()):  # progress bars
            model = transformers.AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, **options)
            tokenizer = transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    except (ValueError, KeyError, RuntimeError, OSError) as error:
        raise BookError(f"{source.name} cannot be read as a GGUF model: {error}.") from error

    _restore_pretokenizer(tokenizer, header)
    tokenizer.model_max_length = model.config.max_position_embeddings
    with contextlib.redirect_stderr(io.StringIO()):
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)


def _restore_pretokenizer(tokenizer, header) -> None:
    """Cut every digit off first, as SmolLM's own tokenizer does.

    A GGUF file only names its pre-tokenizer (``smollm``), and transformers rebuilds GPT-2's for every name:
    "x  7" would then have one token too many.
    """
    from tokenizers import pre_tokenizers

    field = header.fields.get("tokenizer.ggml.pre")
    if field is not None and field.contents() == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
