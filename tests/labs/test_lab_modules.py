"""The labs' modules in Node, held to what torch, diffusers and tokenizers compute in the same test."""

import base64

import numpy as np
import pytest
from in_node import ROOT, hold

PIPELINE = ROOT / "data" / "models" / "pocket-diffusion"
SEEDS = (0, 1, 2, 3, 42, 1234, 2**31, 2**32 - 1, 2**32 + 7, 12345678901234567890, 2**64 - 1)


def packed(values) -> str:
    return base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode()


def test_random_numbers_are_torchs(tmp_path):
    import torch

    def draw(count: int, seed: int) -> dict:
        values = torch.randn(count, generator=torch.Generator().manual_seed(seed))
        return {"count": count, "seed": str(seed), "values": packed(values)}

    draws = [draw(1024, seed) for seed in SEEDS]
    draws += [draw(count, count) for count in (16, 17, 31, 32, 33, 100, 4096, 50_000)]
    # Where torch has its vector code, nothing differs; elsewhere its logarithm and its sine end otherwise.
    exact = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    print(hold(tmp_path, "random", {"draws": draws, "exact": exact}))


CONFIGS = {
    "as shipped": {},
    "epsilon, leading, linear": {"prediction_type": "epsilon", "timestep_spacing": "leading", "beta_schedule": "linear",
                                 "rescale_betas_zero_snr": False, "set_alpha_to_one": False},
    "linspace": {"timestep_spacing": "linspace", "rescale_betas_zero_snr": False},
    "sample, clipped": {"prediction_type": "sample", "rescale_betas_zero_snr": False, "clip_sample": True},
}  # fmt: skip


def run(kind, name: str, config: dict, steps: int) -> dict:
    """A scheduler's way through random outputs of a network, one step after the other."""
    import torch

    scheduler = kind.from_config(config)
    scheduler.set_timesteps(steps)
    random = torch.Generator().manual_seed(steps)
    x = torch.randn(1, 4, 8, 8, generator=random) * scheduler.init_noise_sigma
    record = {"x": packed(x), "moves": []}
    for t in scheduler.timesteps:
        shown = scheduler.scale_model_input(x, t)
        output = torch.randn(x.shape, generator=random)
        step = scheduler.step(output, t, x)
        move = {"input": shown, "output": output, "expected": step.pred_original_sample, "next": step.prev_sample}
        record["moves"].append({key: packed(value) for key, value in move.items()})
        x = step.prev_sample
    shown = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    return record | {"name": name, "steps": steps, "config": config | shown, "scale": float(scheduler.init_noise_sigma),
                     "times": [float(t) for t in scheduler.timesteps]}  # fmt: skip


def test_samplers_are_diffusers(tmp_path):
    from diffusers import DDIMScheduler, EulerDiscreteScheduler

    shipped = dict(DDIMScheduler.from_pretrained(PIPELINE / "scheduler").config)
    shipped = {key: value for key, value in shipped.items() if not key.startswith("_")}
    golden = {"signals": [], "runs": []}
    for name, change in CONFIGS.items():
        config = shipped | change
        golden["signals"].append([name, config, packed(DDIMScheduler.from_config(config).alphas_cumprod)])
        for key, kind in {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler}.items():
            if key == "euler" and config["prediction_type"] == "sample":
                continue  # diffusers has not written it
            for steps in (1, 7, 16, 20, 50):
                if steps == 1 and config["timestep_spacing"] == "linspace":
                    continue  # its one time is 0, where there is nothing to do
                golden["runs"].append(run(kind, f"{key}, {name}, {steps} steps", config, steps) | {"sampler": key})
    print(hold(tmp_path, "schedulers", golden))


TEXTS = [
    "a mushroom, 3d style, on a teal background", "", " ", "A  Red\tAPPLE\n", "an unknownish wörd", "naïve café",
    "🍕🍄 👩‍🍳", "شجرة على خلفية زرقاء", "<b>bold</b> & <script>alert(1)</script>", "don't we'll I'm they'd", "x" * 300,
    "1234 3d 2½ ²", "a cat<|endoftext|> a dog", "İstanbul ΣΑΣ ὈΔΥΣΣΕΎΣ", "e\u0301 \u212b",
    "zero\u200bwidth\u00a0nbsp\u0085nel\ufefffeff", "...!?;:—–",
    "ｆｕｌｌ　ｗｉｄｔｈ", "한국어 日本語", "'s''t", "a\x00b\x1fc",
    "  leading, and trailing  ", "\n\n\t tabs\r\n", "👨‍👩‍👧‍👦🏳️‍🌈", "a\U0010ffffb", "<|endoftext|><|endoftext|>",
    "It's he'd'", "１２３ ½",
]  # fmt: skip


def test_tokens_are_the_librarys(tmp_path):
    """CLIP's tokenizer and GPT-2's; a token's bytes are those of its text."""
    from transformers import AutoTokenizer

    tokenizers = []
    for folder, bytes_ in ((PIPELINE / "tokenizer", False), (ROOT / "data" / "models" / "pocket-gpt2", True)):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        texts = [[text, tokenizer(text, add_special_tokens=False).input_ids] for text in TEXTS]
        tokenizers.append({"file": str(folder / "tokenizer.json"), "texts": texts, "bytes": bytes_})
    hold(tmp_path, "bpe", {"tokenizers": tokenizers})


def test_a_wrong_number_is_seen(tmp_path):
    """The harness itself: a draw of another seed must fail."""
    import torch

    values = torch.randn(64, generator=torch.Generator().manual_seed(1))
    golden = {"draws": [{"count": 64, "seed": "2", "values": packed(values)}], "exact": True}
    with pytest.raises(AssertionError):
        hold(tmp_path, "random", golden)


def test_words_and_settings(tmp_path):
    hold(tmp_path, "words", {})
