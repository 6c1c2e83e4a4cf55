"""The sweep of chapter 14 in small: cuts, ranks, records of every part, and going on after an interruption."""

import json

import numpy as np
import pytest
import torch

from bookkit.errors import BookError
from training.grounded_qa import base, house
from training.sweeps import answer_labels, rag


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return rag.Bench(smoke=True, kept=tmp_path_factory.mktemp("rag"))


def test_windows_overlap():
    assert rag.windows(list("abcdefg"), 3, 1) == ["a b c", "c d e", "e f g"]
    assert rag.windows(list("ab"), 3, 1) == ["a b"] and rag.windows(list("abcd"), 2, 0) == ["a b", "c d"]


def test_fusion_adds_reciprocal_ranks():
    assert np.allclose(rag.fused(np.array([3.0, 1, 2]), np.array([0.1, 0.3, 0.2])), [1 / 61 + 1 / 63] * 2 + [2 / 62])


def test_a_section_has_the_place_of_its_best_piece():
    order = rag.order_of_sections(np.array([0.1, 0.9, 0.5, 0.2]), np.array([0, 0, 2, 2]), 3)
    assert order.tolist() == [0, 2, 1]


def test_places_are_ranks_in_the_order_of_the_gold_passages(bench):
    question = next(q for q in bench.answerable if len(q["gold"]) > 1)
    wanted = [bench.numbers[gold["document"], gold["anchor"]] for gold in question["gold"]]
    order = np.array([n for n in range(len(bench.sections)) if n not in wanted])
    order = np.insert(order, 3, wanted)
    assert bench.places(question, order) == list(range(4, 4 + len(wanted)))


def test_gold_pieces_hold_the_quote(bench):
    for question in bench.answerable:
        text = " ".join(bench.texts[bench.gold_pieces(question)[0]].split())
        quotes = [" ".join(gold["quote"].split()) for gold in question["gold"] if gold["part"] == 1]
        assert any(quote in text for quote in quotes), question["id"]


def test_no_two_pieces_of_a_section_are_shown(bench):
    shown = bench.distinct(range(len(bench.pieces)), 5)
    assert len({bench.owners[n] for n in shown}) == len(shown) == 5


def test_the_right_passage_leads_and_the_others_do_not_hold_the_answer(bench):
    for question in bench.answerable:
        scores = bench.scores(bench.pieces, [question])["both, fused"][0]
        row = rag._led_by_gold(bench, question, np.argsort(-scores, kind="stable"))
        gold = bench.gold_pieces(question)
        right = {bench.numbers[one["document"], one["anchor"]] for one in question["gold"]}
        assert row[: len(gold)] == gold and len(row) == 3
        assert not {bench.owners[n] for n in row[len(gold) :]} & right


def test_a_passage_that_is_read_once_gives_the_same_log_probabilities(bench):
    tokenizer, model = bench.chat("float32")
    text, questions = bench.texts[0], ["What is a token?", "Why?", "How many words does the longest section have?"]
    messages = [{"role": "user", "content": f"{text}\n\nWrite a question that this passage answers."}]
    before = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    found = rag.question_log_probs(tokenizer, model, text, questions)
    for question, value in zip(questions, found, strict=True):
        target = tokenizer(question, add_special_tokens=False).input_ids
        with torch.inference_mode():
            logits = model(torch.tensor([before + target])).logits[0].log_softmax(-1)
        places = torch.arange(len(before) - 1, len(before) + len(target) - 1)
        assert value == pytest.approx(logits[places, target].mean().item(), abs=1e-4)


def test_what_was_written_is_not_written_again(bench):
    def never():
        raise AssertionError("was asked")

    prompts = {f"k{n}": house.prompt({"passages": ["A cat."] * n, "question": "Who?"}) for n in range(1, 7)}
    first = bench.replies("once", ("plain", bench.chat), prompts)
    assert first["replies"].keys() == prompts.keys() and first["tokens"] > 10
    assert bench.replies("once", ("plain", never), prompts) == first
    (path,) = bench.kept.glob("plain-once-*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]) + lines[5][:9])  # killed while it wrote
    again = bench.replies("once", ("plain", bench.chat), prompts)
    assert again["replies"] == first["replies"]


def test_batches_hold_prompts_of_similar_length():
    prompts = {f"k{n}": [{"role": "user", "content": "x" * length}] for n, length in enumerate((5, 1, 9, 3, 3))}
    assert rag.batches(prompts, size=2) == [["k1", "k3"], ["k4", "k0"], ["k2"]]


@pytest.mark.slow
def test_every_part_answers_for_every_question(bench):
    found = {part: json.loads(json.dumps(getattr(rag, part)(bench))) for part in rag.PARTS}
    everything, answerable = {q["id"] for q in bench.questions}, {q["id"] for q in bench.answerable}
    for run in found["cuts"]["runs"]:
        assert all(len(run[method]) == len(bench.tuning) for method in ("keywords", "embeddings", "both, fused"))
    assert found["rerank"]["log_probs"].keys() == everything
    assert all(len(row.split()) == rag.CANDIDATES for row in found["rerank"]["candidates"].values())
    systems = found["answers"]["systems"]
    assert len(systems) == 7
    for name in ("the right passage", "the right passage first"):
        assert systems[name]["replies"].keys() == answerable
    assert systems["closed book"]["replies"].keys() == everything
    assert all(len(row.split()) == 3 for row in systems["3 passages, reranked"]["shown"].values())
    assert set(found["middle"]["speakers"]["plain"]) == {str(place) for place in rag.PLACES}
    assert found["pages"]["speakers"]["plain"]["replies"].keys() == found["pages"]["pages"].keys() <= answerable
    poison = found["poison"]
    assert all(poison["caught"].values()) and set(poison["ranks"]) == {
        "as it is",
        "below the heading",
        "with the question",
    }
    for page in ("clean", *rag.WORDINGS):
        assert set(poison["speakers"]["plain"][page]) == set(rag.DEFENCES)
    assert [run["effort"] for run in found["scale"]["HNSW"]] == list(rag.EFFORTS)


def test_a_defence_changes_only_what_it_says():
    none, marks = (rag.defended(["One.", "Two."], "Which?", defence) for defence in rag.DEFENCES)
    assert none == house.prompt({"passages": ["One.", "Two."], "question": "Which?"})
    assert marks[0]["content"] == none[0]["content"] + rag.WARNING
    assert "<passage>" not in none[1]["content"] and "[2] <passage>\nTwo.\n</passage>" in marks[1]["content"]


def test_the_adapter_speaks_once_it_is_shipped(bench, monkeypatch):
    assert [name for name, _ in bench.speakers()] == ["plain"]
    monkeypatch.setattr(bench, "adapter", lambda: base.Path("nowhere"))
    assert [name for name, _ in bench.speakers()] == ["plain", "adapter"]


def test_beside_the_adapter_the_plain_model_answers_only_what_is_compared(bench, monkeypatch):
    monkeypatch.setattr(bench, "speakers", lambda: [("plain", bench.chat), ("adapter", bench.chat)])
    monkeypatch.setattr(bench, "replies", lambda name, speaker, prompts, size=4: {"replies": dict.fromkeys(prompts)})
    names = [name for name in rag.answers(bench)["systems"] if not name.endswith(", adapter")]
    assert names == ["closed book", *rag.COMPARED]
    assert list(rag.middle(bench)["speakers"]) == ["adapter"]
    assert list(rag.poison(bench)["speakers"]) == ["plain", "adapter"]


# --- the sheet to be labelled -------------------------------------------------------------------------------


def test_the_sheet_takes_turns_and_leaves_out_what_claims_nothing():
    replies = {f"q{n}": "Answer: two [1]" if n % 2 else house.ABSTENTION for n in range(8)}
    shown = dict.fromkeys(replies, "1 0")
    systems = {
        "closed book": {"replies": replies, "shown": {}},
        "one": {"replies": replies, "shown": shown},
        "two": {"replies": replies, "shown": dict(list(shown.items())[:4])},
    }
    lines = answer_labels.sheet(systems, dict.fromkeys(replies, "How many?"), ["zero", "first"], count=5)
    assert [line["system"] for line in lines] == ["one", "two", "one", "two", "one"]
    assert all(int(line["id"][1:]) % 2 and line["passages"] == ["first", "zero"] for line in lines)
    assert all(line["label"] is None for line in lines)
    assert len(answer_labels.sheet(systems, dict.fromkeys(replies, "How many?"), ["zero", "first"])) == 6


def test_labels_are_kept_and_missing_ones_are_told(tmp_path, monkeypatch):
    path = tmp_path / "data" / answer_labels.PATH
    path.parent.mkdir(parents=True)
    (tmp_path / "data" / "models.yml").write_text("roles: {}")
    monkeypatch.setenv("BOOK_ROOT", str(tmp_path))
    with pytest.raises(BookError, match="is missing"):
        answer_labels.read()
    answer_labels.write(path, [{"label": True}, {"label": None}])
    with pytest.raises(BookError, match="Line 2 .* has no label"):
        answer_labels.read()
    with pytest.raises(BookError, match="there already"):
        answer_labels.write(path, [])
    path.write_text('{"label": true}\n')
    assert answer_labels.read() == [{"label": True}]
    path.write_text("{")
    with pytest.raises(BookError, match="is damaged"):
        answer_labels.read()
