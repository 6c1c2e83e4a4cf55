"""The text lab's modules in Node, held to what transformers computes in the same test."""

import base64
import json
import re

import numpy as np
import pytest
from in_node import ROOT, hold

MODEL = ROOT / "data" / "models" / "pocket-gpt2"
LAB = ROOT / "book" / "_static" / "lab" / "text"
PAGE = (ROOT / "book" / "lab" / "text.md").read_text(encoding="utf-8")
TOLERANCE = 1e-4
"""Of a logit; the page says so. Measured: 2e-5."""

TEXTS = [
    "Once upon a time there was a little",
    'The raven said: "Where is my ring?" Nobody answered, and the snow fell on.',
    "🦊 déjà vu\n\n  <b>x</b> فاكس 狐",
    "",
]


def packed(values) -> str:
    return base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode()


@pytest.fixture(scope="module")
def library():
    """The model and its tokenizer, as a notebook loads them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(MODEL, attn_implementation="eager").eval()
    return model, AutoTokenizer.from_pretrained(MODEL)


def computed(model, ids: list[int], attention: bool) -> dict:
    import torch

    with torch.no_grad():
        out = model(torch.tensor([ids]), output_attentions=True)
    looks = {"attention": packed(torch.cat(out.attentions).numpy())} if attention else {}
    return {"ids": ids, "logits": packed(out.logits[0].numpy())} | looks


def golden_models(library, folder) -> dict:
    """The shipped model, and two of other shapes with random weights, in both of the precisions that are read."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    model, tokenizer = library
    texts = [[tokenizer.bos_token_id, *tokenizer(text).input_ids] for text in TEXTS]
    texts.append((tokenizer("The old king walked home with his dog. " * 40).input_ids)[:256])
    models = [{"name": "pocket-gpt2", "file": str(MODEL / "model.safetensors"), "heads": model.config.n_head,
               "texts": [computed(model, ids, len(ids) < 40) for ids in texts]}]  # fmt: skip
    random = torch.Generator().manual_seed(0)
    for layers, heads, width, kind in ((1, 1, 8, torch.float32), (3, 4, 48, torch.float16)):
        torch.manual_seed(layers)
        config = GPT2Config(n_layer=layers, n_head=heads, n_embd=width, vocab_size=64, n_positions=32,
                            bos_token_id=0, eos_token_id=0, initializer_range=0.4,
                            attn_implementation="eager")  # fmt: skip
        GPT2LMHeadModel(config).to(kind).save_pretrained(folder / str(width))
        other = GPT2LMHeadModel.from_pretrained(folder / str(width), dtype=torch.float32).eval()
        other.config._attn_implementation = "eager"
        ids = [torch.randint(0, 64, (size,), generator=random).tolist() for size in (1, 2, 32)]
        models.append({"name": f"{layers} layers of width {width}", "heads": heads,
                       "file": str(folder / str(width) / "model.safetensors"),
                       "texts": [computed(other, one, True) for one in ids]})  # fmt: skip
    return {"models": models, "tolerance": TOLERANCE}


def test_logits_and_attention_are_the_librarys(library, tmp_path):
    print(hold(tmp_path, "gpt2", golden_models(library, tmp_path)))


def test_a_wrong_logit_is_seen(library, tmp_path):
    golden = golden_models(library, tmp_path)
    logits = np.frombuffer(base64.b64decode(golden["models"][0]["texts"][0]["logits"]), np.float32).copy()
    logits[-1] += 10 * TOLERANCE
    golden["models"][0]["texts"][0]["logits"] = packed(logits)
    with pytest.raises(AssertionError):
        hold(tmp_path, "gpt2", golden)


RULES = {
    "temperature": ("TemperatureLogitsWarper", (0.1, 0.7, 1.5, 2.0)),
    "topK": ("TopKLogitsWarper", (1, 5, 100, 6144, 7000)),
    "topP": ("TopPLogitsWarper", (0.0, 0.05, 0.5, 0.9, 0.99)),
    "minP": ("MinPLogitsWarper", (0.01, 0.05, 0.5, 1.0)),
    "penalty": ("RepetitionPenaltyLogitsProcessor", (1.05, 1.3, 2.0)),
}
SETTINGS = [
    {}, {"temperature": 0.6}, {"topK": 40}, {"topP": 0.9}, {"minP": 0.1}, {"penalty": 1.4},
    {"temperature": 1.7, "topK": 50, "topP": 0.8, "minP": 0.02, "penalty": 1.2},
    {"temperature": 0.3, "topP": 0.95, "penalty": 1.1}, {"topK": 3, "topP": 0.5}, {"topK": 1},
]  # fmt: skip
NAMES = {"temperature": "temperature", "topK": "top_k", "topP": "top_p", "minP": "min_p",
         "penalty": "repetition_penalty"}  # fmt: skip


def test_the_rules_are_those_of_transformers(library, tmp_path):
    """Each by itself, and all together in the order of `generate`, whose own scores are the golden ones."""
    import torch
    from transformers.generation import logits_process

    model, tokenizer = library
    golden = {"rules": [], "chains": []}
    for text in TEXTS:
        ids = [tokenizer.bos_token_id, *tokenizer(text).input_ids]
        inputs = torch.tensor([ids])
        with torch.no_grad():
            logits = model(inputs).logits[:, -1]
        for rule, (name, values) in RULES.items():
            for value in values:
                scores = getattr(logits_process, name)(value)(inputs, logits.clone())
                golden["rules"].append({"rule": rule, "value": value, "ids": ids, "logits": packed(logits[0]),
                                        "scores": packed(scores[0])})  # fmt: skip
        for setting in SETTINGS:
            own = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
            own |= {NAMES[key]: value for key, value in setting.items()}
            out = model.generate(inputs, attention_mask=torch.ones_like(inputs), do_sample=True, max_new_tokens=1,
                                 output_scores=True, output_logits=True, return_dict_in_generate=True,
                                 **own)  # fmt: skip
            golden["chains"].append({"setting": setting, "ids": ids, "logits": packed(out.logits[0][0]),
                                     "shares": packed(out.scores[0][0].softmax(-1))})  # fmt: skip
    hold(tmp_path, "sampling", golden)


def test_the_engine_goes_on_as_generate_does(library, tmp_path):
    import torch

    model, tokenizer = library
    greedy = []
    for text in TEXTS[:2] + ["", "The frog asked the hare"]:
        ids = [tokenizer.bos_token_id, *tokenizer(text).input_ids]
        inputs = torch.tensor([ids])
        out = model.generate(inputs, attention_mask=torch.ones_like(inputs), do_sample=False, max_new_tokens=24)
        greedy.append({"typed": text, "ids": ids, "written": out[0, len(ids) :].tolist()})
    hold(tmp_path, "textengine", {"model": str(MODEL), "greedy": greedy})


# --- the page ---------------------------------------------------------------------------------------------


def test_the_page_shows_the_whole_model_once():
    """The pieces that the page shows are the file, from its first function to its end, in its order."""
    source = (LAB / "gpt2.js").read_text(encoding="utf-8")
    shown = ""
    for options in re.findall(r"```\{literalinclude\} \.\./_static/lab/text/gpt2\.js\n(.*?)```", PAGE, re.DOTALL):
        begin = re.search(r':start-at: "(.*)"', options)[1]
        end = re.search(r':end-before: "(.*)"', options)
        lines = source.splitlines(keepends=True)
        first = next(i for i, line in enumerate(lines) if begin in line)
        last = next(i for i, line in enumerate(lines) if i > first and end[1] in line) if end else len(lines)
        shown += "".join(lines[first:last])
    assert source.endswith(shown) and source[: -len(shown)].strip().startswith("//") and shown
    assert source[: -len(shown)].count("\n") <= 2
    code = [line for line in source.splitlines() if line.strip() and not re.match(r"\s*(//|/\*\*)", line)]
    assert len(code) <= 70 and "seventy lines" in PAGE, len(code)
    assert max(map(len, source.splitlines())) <= 92
    assert "import" not in source


def test_what_the_page_says_of_the_model_is_so():
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    assert f"in each of the {config['n_layer']} layers and {config['n_head']} heads" in PAGE
    assert f"at most {config['n_positions']} tokens" in PAGE
    assert f"differ by less than {TOLERANCE:.4f}" in PAGE


def test_what_was_made_beforehand_is_of_this_model():
    from training.browser import text_example

    record, made = json.loads((LAB / "example.json").read_text(encoding="utf-8")), text_example.record(MODEL)
    assert record["weights"] == made["weights"], "the model has changed: python -m training.browser text"
    assert {key: record[key] for key in ("typed", "ids", "end", "most")} == {
        key: made[key] for key in ("typed", "ids", "end", "most")
    }
    one, other = (np.frombuffer(base64.b64decode(each["logits"]), np.float32) for each in (record, made))
    assert np.abs(one - other).max() < TOLERANCE
    assert (LAB / "example.json").stat().st_size < 50_000
    shares = np.exp(one - one.max()) / np.exp(one - one.max()).sum()
    (figure,) = re.findall(r"<svg role=\"img\".*?</svg>", PAGE)
    words = re.findall(r'text-anchor="end">·(\w+)</text><rect [^>]*></rect><text [^>]*>([\d.]+) %', figure)
    best = np.argsort(-shares)[: len(words)]
    assert len(words) == 8 and [(record["pieces"][str(i)].strip(), f"{100 * shares[i]:.1f}") for i in best] == words
    (alt,) = re.findall(r'aria-label="(Behind .*?)"', figure)
    assert all(f"{word} ({share} %)" in alt for word, share in words[:4]) and record["typed"] in alt
