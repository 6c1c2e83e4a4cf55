"""Every decoding strategy of chapter 07 on the same prompts, judged by another model.

    python training/sweeps/decoding.py

The prompts are beginnings of test texts, half of them stories and half of them passages of a novel. Each
strategy continues each prompt by the same number of tokens. SmolLM2 reads every continuation and says how much
it was surprised; pocket-gpt2's own entropy along each continuation is kept too. What counts tokens alone
(repetition, distinct n-grams) the chapter computes itself from the continuations.
"""

from pathlib import Path

import torch
from datasets import load_dataset
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

import bookkit
from bookkit import results

NAME = "decoding"
CORPUS = "corpora/pocket_stories/sample.jsonl.xz"
KINDS = ("story", "novel")
PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 32, 24, 48
SEED = 0
CONTRASTIVE = {"k": 4, "alpha": 0.6}
STRATEGIES = {
    "greedy": {"do_sample": False},
    "beam 4": {"do_sample": False, "num_beams": 4},
    "beam 4, no 3-gram twice": {"do_sample": False, "num_beams": 4, "no_repeat_ngram_size": 3},
    "greedy, penalty 1.2": {"do_sample": False, "repetition_penalty": 1.2},
    "contrastive": CONTRASTIVE,
    "temperature 0.7": {"do_sample": True, "temperature": 0.7, "top_k": 0},
    "temperature 1": {"do_sample": True, "top_k": 0},
    "temperature 1.5": {"do_sample": True, "temperature": 1.5, "top_k": 0},
    "top-k 40": {"do_sample": True, "top_k": 40},
    "top-p 0.9": {"do_sample": True, "top_k": 0, "top_p": 0.9},
    "min-p 0.1": {"do_sample": True, "top_k": 0, "min_p": 0.1},
}


@torch.inference_mode()
def contrastive(model, ids: torch.Tensor, new: int, k: int, alpha: float) -> torch.Tensor:
    """Contrastive search on a batch of prompts of equal length (batch, time)."""
    batch = torch.arange(len(ids))
    out = model(ids, output_hidden_states=True, use_cache=True)
    context, cache, logits = out.hidden_states[-1], out.past_key_values, out.logits[:, -1]
    for _ in range(new):
        logits[:, model.config.eos_token_id] = -torch.inf
        share, candidates = logits.softmax(-1).topk(k)
        cache.batch_repeat_interleave(k)
        out = model(candidates.reshape(-1, 1), past_key_values=cache, output_hidden_states=True, use_cache=True)
        states = out.hidden_states[-1][:, -1].unflatten(0, (-1, k))  # (batch, k, width)
        likeness = F.normalize(states, dim=-1) @ F.normalize(context, dim=-1).transpose(1, 2)
        best = ((1 - alpha) * share - alpha * likeness.amax(-1)).argmax(-1)
        cache.batch_select_indices(batch * k + best)
        ids = torch.cat([ids, candidates[batch, best, None]], 1)
        context = torch.cat([context, states[batch, best, None]], 1)
        logits = out.logits[:, -1].unflatten(0, (-1, k))[batch, best]
    return ids


@torch.inference_mode()
def entropies(model, ids: torch.Tensor) -> list[float]:
    """Mean entropy in bits of the model's predictions over the new tokens of each row."""
    logp = model(ids).logits[:, PROMPT_TOKENS:-1].log_softmax(-1)  # row 0 predicts the first new token
    return (-(logp.exp() * logp).sum(-1).mean(-1) / torch.log(torch.tensor(2.0))).tolist()


@torch.inference_mode()
def judge_texts(judge, tokenizer, prompts: list[str], texts: list[str]) -> list[tuple[float, int]]:
    """What the judge's loss adds up to over each continuation (nats), and over how many tokens."""
    start = torch.tensor([tokenizer.convert_tokens_to_ids("<|endoftext|>")])
    found = []
    for prompt, text in zip(prompts, texts, strict=True):
        read = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        ids = torch.cat([start, torch.tensor(read["input_ids"])])
        logp = judge(ids[None, :-1]).logits[0].float().log_softmax(-1)
        nats = -logp[torch.arange(len(ids) - 1), ids[1:]]
        new = torch.tensor([first >= len(prompt) for first, _ in read["offset_mapping"]])
        found.append((nats[new].sum().item(), int(new.sum())))
    return found


def main() -> None:
    tokenizer = AutoTokenizer.from_pretrained(bookkit.model("gpt2"), revision=bookkit.revision("gpt2"))
    model = AutoModelForCausalLM.from_pretrained(bookkit.model("gpt2"), dtype=torch.float32).eval()
    judge_tokenizer = AutoTokenizer.from_pretrained(bookkit.model("chat"))
    judge = AutoModelForCausalLM.from_pretrained(bookkit.model("chat"), dtype=torch.float32).eval()
    rows = load_dataset("json", data_files=str(bookkit.data(CORPUS)), split="train")
    rows = [row for row in rows if row["split"] == "test" and row["kind"] in KINDS]
    figures = {"prompt_tokens": PROMPT_TOKENS, "new_tokens": NEW_TOKENS, "kinds": {}}
    for kind in KINDS:
        chosen, length = {}, PROMPT_TOKENS + NEW_TOKENS
        for row in rows:
            ids = tokenizer(row["text"], verbose=False)["input_ids"]
            if row["kind"] == kind and len(ids) >= length and len(chosen) < PROMPTS:
                chosen[row["id"]] = [tokenizer.eos_token_id, *ids[:length]]
        originals = torch.tensor(list(chosen.values()))
        prompts = originals[:, : PROMPT_TOKENS + 1]
        openings = tokenizer.batch_decode(prompts, skip_special_tokens=True)
        found = {}
        for name, settings in {"the text itself": None, **STRATEGIES}.items():
            torch.manual_seed(SEED)
            if settings is None:
                ids = originals
            elif settings is CONTRASTIVE:
                ids = contrastive(model, prompts, NEW_TOKENS, **CONTRASTIVE)
            else:
                ids = model.generate(
                    prompts,
                    attention_mask=torch.ones_like(prompts),
                    min_new_tokens=NEW_TOKENS,
                    max_new_tokens=NEW_TOKENS,
                    **settings,
                )
            texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
            judged = judge_texts(judge, judge_tokenizer, openings, texts)
            found[name] = {
                "ids": [" ".join(map(str, row[PROMPT_TOKENS + 1 :].tolist())) for row in ids],
                "judge_nats": [round(nats, 3) for nats, _ in judged],
                "judge_tokens": [count for _, count in judged],
                "entropy_bits": [round(bits, 4) for bits in entropies(model, ids)],
            }
            mean = sum(found[name]["judge_nats"]) / sum(found[name]["judge_tokens"])
            print(kind, name, f"{mean:.3f} nats a token", repr(texts[0][-150:]), flush=True)
        figures["kinds"][kind] = {"texts": list(chosen), "strategies": found}
    path = results.write(
        NAME,
        figures,
        command=f"python training/sweeps/{NAME}.py",
        seeds=[SEED],
        inputs=[
            Path(__file__).resolve().relative_to(bookkit.paths.root()).as_posix(),
            f"data/{CORPUS}",
            "data/models/pocket-gpt2/model.safetensors",
            "data/models/pocket-gpt2/tokenizer.json",
        ],
    )
    print(f"written: {path}")


if __name__ == "__main__":
    main()
