"""The model that is adapted, and adapters: loading them, and telling whether they belong together."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    LlamaConfig,
    LlamaForCausalLM,
    set_seed,
)

import bookkit
from bookkit.errors import BookError
from bookkit.four_bits import need_bitsandbytes, through_nf4
from training import recipe

BASE = "base.json"  # beside an adapter: the model that it was trained on, and the precision of its frozen weights
SHIPPED = "grounded-qa"  # in the folder of a run: the adapter as the book ships it
LIMIT = 8_000_000  # bytes of an adapter in the repository


def load_tokenizer(options: dict):
    """The tokenizer of the role, real also where the model is tiny."""
    return AutoTokenizer.from_pretrained(bookkit.model(options["role"]), revision=bookkit.revision(options["role"]))


def load_model(options: dict, precision: str, seed: int):
    """The model without an adapter.

    Args:
        options: the settings under `model`.
        precision: "float32", "bf16" or "nf4" (needs bitsandbytes).
        seed: of the tiny model's weights.

    Raises:
        BookError: bitsandbytes is missing, or it cannot be used together with the tiny model.
    """
    if options["tiny"]:
        if precision == "nf4":
            raise BookError("The tiny model cannot be loaded in 4 bits: set the precision to float32 or bf16.")
        set_seed(seed)
        ends = load_tokenizer(options)
        config = LlamaConfig(
            vocab_size=len(ends),
            bos_token_id=ends.bos_token_id,
            eos_token_id=ends.eos_token_id,
            pad_token_id=ends.pad_token_id,
            tie_word_embeddings=True,
            **options["tiny"],
        )
        return LlamaForCausalLM(config).to(torch.bfloat16 if precision == "bf16" else torch.float32)
    extra = {}
    if precision == "nf4":
        need_bitsandbytes(otherwise=", or set the precision to bf16")
        sharded = os.environ.get("ACCELERATE_USE_FSDP") == "true"
        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            # FSDP cuts tensors of one floating type only
            bnb_4bit_quant_storage=torch.bfloat16 if sharded else torch.uint8,
        )
        if torch.cuda.is_available() and not sharded:
            extra["device_map"] = {"": int(os.environ.get("LOCAL_RANK", 0))}
    model = AutoModelForCausalLM.from_pretrained(
        bookkit.model(options["role"]),
        revision=bookkit.revision(options["role"]),
        dtype=torch.float32 if precision == "float32" else torch.bfloat16,
        **extra,
    )
    return keep_trainable(model)


def keep_trainable(model):
    """Keep bitsandbytes from packing 4-bit layers anew for inference on a CPU.

    On processors with AVX512-BF16 its version 0.50.2 does so when a layer is first called in evaluation mode; from then
    on no gradient passes the layer, in training mode neither. A run that validates on the way would learn nothing more.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def identity(model, options: dict) -> dict:
    """What tells a base model from another: its sizes and a hash of its normalisation weights.

    Those weights are the same, once rounded to bfloat16, whether the model was loaded in float32, bf16 or NF4.
    """
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if "norm" in name and "lora" not in name:
            digest.update(parameter.detach().to("cpu", torch.bfloat16).view(torch.int16).numpy().tobytes())
    config = model.config
    return {
        "role": "tiny" if options["tiny"] else options["role"],
        "hidden_size": config.hidden_size,
        "layers": config.num_hidden_layers,
        "vocabulary": config.vocab_size,
        "norms_sha256": digest.hexdigest(),
    }


def sign(folder: Path, origin: dict, precision: str) -> None:
    """Write beside an adapter which model it was trained on, and the precision of the frozen weights."""
    recipe.write_json(folder / BASE, origin | {"precision": precision})


def load_adapter(model, folder: Path, options: dict):
    """Put an adapter on the model that it was trained on, with weights like those that it was trained beside.

    An adapter that was trained beside 4-bit weights does something else on others, so the model's are rounded first.

    Raises:
        BookError: there is no whole adapter in the folder, it was trained on another model, or bitsandbytes is
            missing and needed.
    """
    try:
        recorded = json.loads((folder / BASE).read_text(encoding="utf-8"))
        with safe_open(folder / "adapter_model.safetensors", "pt") as weights:
            assert weights.keys()
        json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError, AssertionError) as error:
        raise BookError(
            f"There is no whole adapter in {folder} ({_reason(error)}): run the steps train and export of "
            "`python -m training.grounded_qa`."
        ) from None
    here, precision = identity(model, options), recorded.pop("precision", None)
    if recorded != here:
        different = [
            f"{name} {recorded.get(name)} instead of {here[name]}" for name in here if recorded.get(name) != here[name]
        ]
        raise BookError(
            f"The adapter in {folder} was trained on another base model ({different[0]}): "
            f'load the one of its {BASE}, or train the adapter anew on "{here["role"]}".'
        )
    if precision == "nf4" and not getattr(model, "is_loaded_in_4bit", False):
        model = through_nf4(model)
    return PeftModel.from_pretrained(model, folder)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "a file cannot be read"


def export(adapter: Path, target: Path, title: str) -> int:
    """Write an adapter as the book ships it: float16, without the paths of the machine that trained it.

    Args:
        adapter: as training left it.
        target: the folder to be written.
        title: the base model's public name, for adapter_config.json.

    Returns:
        The bytes of its weights.

    Raises:
        BookError: they are more than LIMIT.
    """
    weights = {
        name: tensor.to(torch.float16).contiguous()
        for name, tensor in load_file(adapter / "adapter_model.safetensors").items()
    }
    size = sum(tensor.numel() * 2 for tensor in weights.values())
    if size > LIMIT:
        raise BookError(f"The adapter takes {size:,} bytes as float16, and the limit is {LIMIT:,}: lower lora.r.")
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": title, "inference_mode": True}
    target.mkdir(parents=True, exist_ok=True)
    (target / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shutil.copyfile(adapter / BASE, target / BASE)
    save_file(weights, target / "adapter_model.safetensors", {"format": "pt"})
    return size
