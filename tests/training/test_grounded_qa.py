"""The recipe of grounded-qa: the data is what it says, the scorer can be failed, training survives what goes wrong."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bookkit import four_bits
from bookkit.errors import BookError
from training import recipe
from training.grounded_qa import build, data, house, score, settings, world
from training.grounded_qa.__main__ import main

# --- the data ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def items():
    return {split: data.rows(settings.DATA / f"{split}.jsonl") for split in data.SPLITS}


@pytest.fixture(scope="module")
def everything(items):
    return [item for split in data.SPLITS for item in items[split]]


def test_the_data_set_is_remade_byte_for_byte(tmp_path):
    config = settings.settings()
    data.make(config["data"], config["seed"], tmp_path)
    for name in (*(f"{split}.jsonl" for split in data.SPLITS), "statistics.json"):
        assert (tmp_path / name).read_bytes() == (settings.DATA / name).read_bytes(), name


def test_another_seed_makes_other_items(items):
    other = build.split_items("test", [(build.TEST_ONLY, 10)], 0.2, 99)
    assert not {item["question"] for item in other} & {item["question"] for item in items["test"]}


def test_size_and_share_of_unanswerable_items(items):
    assert len(items["train"]) >= 1500 and len(items["validation"]) >= 200 and len(items["test"]) >= 300
    for split, members in items.items():
        kinds = [item["kind"] for item in members]
        assert kinds.count("answerable") == 0.8 * len(members), split
        for kind in build.UNANSWERABLE:
            assert 0.04 <= kinds.count(kind) / len(members) <= 0.06, (split, kind)
        assert len({item["id"] for item in members}) == len(members)


def test_whole_families_are_kept_for_the_test(items):
    used = {split: {item["family"] for item in members} for split, members in items.items()}
    assert used["test"] - used["train"] - used["validation"] == set(build.TEST_ONLY) and len(build.TEST_ONLY) >= 5
    assert used["validation"] - used["train"] == set(build.VALIDATION_ONLY)
    texts = "\n".join(passage for item in items["train"] for passage in item["passages"])
    for key, family in build.TEST_ONLY.items():  # nor do they stand by in a passage of training
        pieces = [piece for intro in family["intro"] for piece in intro.split("{e}") if len(piece) > 8]
        assert len(pieces) >= 3 and not [piece for piece in pieces if piece in texts], key


def words(text):
    return " " + " ".join(re.findall(r"[^\W_]+", text.lower())) + " "


def test_no_name_is_met_in_two_splits(items):
    names = {split: {name for item in members for name in item["entities"]} for split, members in items.items()}
    texts = {
        split: words(" . ".join(text for item in members for text in (*item["passages"], item["question"])))
        for split, members in items.items()
    }
    for one, other in (("test", "train"), ("validation", "train"), ("test", "validation")):
        assert not names[one] & names[other]
        assert not [name for name in names[one] if words(name) in texts[other]], (one, other)


def test_every_word_of_a_name_belongs_to_one_split():
    dealt = {split: {str(word) for pool in world.POOLS.values() for word in pool[split]} for split in data.SPLITS}
    assert not dealt["train"] & dealt["test"] and not dealt["train"] & dealt["validation"]
    assert not dealt["validation"] & dealt["test"] and all(len(found) > 100 for found in dealt.values())


def test_no_text_is_met_twice(everything):
    asked = [(item["question"], *item["passages"]) for item in everything]
    assert len(set(asked)) == len(asked)
    passages = [passage for item in everything for passage in item["passages"]]
    assert len(set(passages)) == len(passages)


def test_an_answer_stands_in_the_cited_passage_and_nowhere_else(everything):
    for item in everything:
        if item["kind"] == "answerable":
            places = [n for n, passage in enumerate(item["passages"], 1) if score.holds(passage, item["answer"])]
            assert places == [item["citation"]] and item["withheld"] is None, item["id"]
            assert item["answer"].lower() in item["passages"][item["citation"] - 1].lower(), item["id"]
            assert len(item["answer"].split()) <= 8
        else:
            assert item["answer"] is None and item["citation"] is None and item["aliases"] == []
            assert not any(score.holds(passage, item["withheld"]) for passage in item["passages"]), item["id"]


def test_kinds_of_unanswerable_items_are_what_they_say(items):
    known = build.SHARED | build.VALIDATION_ONLY | build.TEST_ONLY
    for item in (item for members in items.values() for item in members):
        text = " ".join(item["passages"]).lower()
        asked = [n for n in item["entities"] if n.lower() in item["question"].lower()]
        if item["kind"] == "other_entity":
            assert not any(name.lower() in text for name in asked), item["id"]
        elif item["kind"] == "neighbour" and asked:
            assert any(name.lower() in text for name in asked), item["id"]
        assert item["family"] in known


def test_questions_kept_for_the_test_are_not_in_training(items):
    kept = [family["attributes"][a]["ask"][-1] for family in build.SHARED.values() for a in family["attributes"]]
    patterns = [re.compile(re.sub(r"\\\{e\\\}", ".+", re.escape(q)), re.IGNORECASE) for q in kept]
    assert not [i["id"] for i in items["train"] if any(p.search(i["question"]) for p in patterns)]
    seen = [i for i in items["test"] if i["family"] in build.SHARED and i["form"] == "lookup"]
    assert 0.3 < np.mean([any(p.search(i["question"]) for p in patterns) for i in seen]) < 0.8


def test_the_english_is_clean(everything):
    for item in everything:
        for text in (*item["passages"], item["question"]):
            assert not re.search(
                r"[{}|<>]|  |\.\.|,,| [.,?!]|\bNone\b|\ba [aeio]\w|\ban [bcdfgjklmnpqrstvwyz]", text
            ), (item["id"], text)
        for passage in item["passages"]:
            starts = re.split(r"(?<!\b[ap]\.m)(?<!\bDr)\. ", passage)
            assert all(not part[0].islower() for part in starts), (item["id"], passage)
            assert 1 < len(passage.split()) < 110


@pytest.mark.parametrize("name", ["shared", "validation", "test"])
def test_families_are_written_out(name):
    for key, family in build.families(name).items():
        assert len(family["attributes"]) >= 6 and len(family["intro"]) >= 3, key
        for attribute, told in family["attributes"].items():
            assert len(told["say"]) >= 3 and len(told["ask"]) >= 3, (key, attribute)
            assert all("{v}" in wording for wording in told["say"]) and all("{e}" in q for q in told["ask"])
            assert "{v}" in told.get("which", "{v}") and all(
                x in told.get("choice", "{e}{a}{b}") for x in ("{e}", "{a}", "{b}")
            )


def test_shortcuts_fail():
    figures = json.loads((settings.DATA / "statistics.json").read_text(encoding="utf-8"))
    shortcuts, overlap = figures["shortcuts"], figures["overlap"]
    assert shortcuts["first_number_is_the_answer"] < 0.3 and shortcuts["first_passage_is_the_right_one"] < 0.5
    assert abs(shortcuts["area_under_roc_answerable_from_question"] - 0.5) < 0.12
    assert abs(shortcuts["area_under_roc_answerable_from_length"] - 0.5) < 0.12
    assert set(overlap["names_shared"].values()) == {0}
    assert overlap["context_8_words"]["families_unseen"] < 0.05 < overlap["context_8_words"]["families_seen"]


def test_overlap_counts_shared_runs_of_words():
    assert data.ngrams("The Cat sat, the cat sat.", 2) == {("the", "cat"), ("cat", "sat"), ("sat", "the")}
    assert data.ngrams("one two", 3) == set()


def test_the_datasheet_carries_the_measured_figures():
    figures = json.loads((settings.DATA / "statistics.json").read_text(encoding="utf-8"))
    page = (settings.DATA / "DATASHEET.md").read_text(encoding="utf-8")
    assert data.tables(figures) in page, "run python -m training.grounded_qa data"


def test_the_data_set_loads_with_datasets(tmp_path, items):
    from datasets import load_dataset

    files = {split: str(settings.DATA / f"{split}.jsonl") for split in data.SPLITS}
    plain = load_dataset("json", data_files=files, cache_dir=str(tmp_path))
    checked = data.load(settings.DATA)
    assert set(plain) == set(checked) == set(data.SPLITS)
    for split in data.SPLITS:
        assert plain[split].to_list() == checked[split].to_list() == items[split]


GOOD = {
    "id": "x", "family": "cafe", "kind": "answerable", "form": "lookup", "passages": ["It opens at 9 am."],
    "question": "When?", "answer": "9 am", "aliases": [], "citation": 1, "withheld": None, "entities": [],
}  # fmt: skip


@pytest.mark.parametrize(
    "line, problem",
    [
        (b'{"id": "x"', "it is not JSON"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"", "it is not JSON"),
        (b'["x"]', "it is not an object"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "question"}).encode(), '"question" is missing'),
        (json.dumps(GOOD | {"question": " "}).encode(), '"question" is not a text'),
        (json.dumps(GOOD | {"passages": []}).encode(), '"passages" is not a list of texts'),
        (json.dumps(GOOD | {"citation": 2}).encode(), "the citation 2 is no passage of the 1"),
        (json.dumps(GOOD | {"citation": None}).encode(), "answer and citation do not go together"),
        (json.dumps(GOOD | {"answer": "10 am"}).encode(), 'the answer "10 am" does not stand in passage 1'),
    ],
)
def test_a_malformed_line_is_named_by_its_number(tmp_path, line, problem):
    good = json.dumps(GOOD).encode()
    (tmp_path / "train.jsonl").write_bytes(b"\n".join([good, good, line, good]) + b"\n")
    with pytest.raises(BookError, match=f"^train.jsonl, line 3: {re.escape(problem)}"):
        data.rows(tmp_path / "train.jsonl")


def test_a_file_that_is_missing_or_empty_is_told(tmp_path):
    with pytest.raises(BookError, match="is missing: run"):
        data.rows(tmp_path / "train.jsonl")
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(BookError, match="holds no items"):
        data.rows(tmp_path / "train.jsonl")


# --- the house format and the scorer ----------------------------------------------------------------------

ITEM = GOOD | {
    "passages": ["Closed at 6 pm.", "The Copper Kettle opens at 9.30 am."],
    "answer": "9.30 am",
    "citation": 2,
}
NOTHING = GOOD | {
    "passages": ["Closed at 6 pm.", "Dogs are welcome."],
    "answer": None,
    "citation": None,
    "kind": "near_miss",
}


def test_the_right_reply_is_in_the_house_format(everything):
    for item in everything:
        said = house.read(house.reply(item))
        assert said == house.Reply(item["answer"], item["citation"], True), item["id"]
        marks = score.judge(item, house.reply(item))
        assert marks["exact"] == marks["f1"] == marks["contained"] == 1


def test_the_prompt_numbers_the_passages():
    system, user = house.prompt(ITEM)
    assert system["content"] == house.SYSTEM and house.ABSTENTION in house.SYSTEM
    assert user["content"] == "[1] Closed at 6 pm.\n[2] The Copper Kettle opens at 9.30 am.\n\nQuestion: When?"


@pytest.mark.parametrize(
    "text, answer, citation, in_format",
    [
        ("Answer: 9.30 am [2]", "9.30 am", 2, True),
        (" Answer: 9.30 am [2]\n", "9.30 am", 2, True),
        ("The context does not say.", None, None, True),
        ("answer: 9.30 am [2]", "9.30 am", 2, False),
        ("Answer: 9.30 am", "9.30 am", None, False),
        ("Answer: 9.30 am [2].", "9.30 am .", 2, False),
        ("Answer: 9.30 am [1][2]", "9.30 am", None, False),
        ("Answer: 9.30 am [2]\nAnswer: 10 am [1]", "9.30 am", 2, False),
        ("It opens at 9.30 am.", "It opens at 9.30 am.", None, False),
        ("The passage doesn't mention the opening time.", None, None, False),
        ("The opening time is not specified in the text.", None, None, False),
        ("I don't know.", None, None, False),
        ("Answer: The context does not say. [1]", None, None, False),
        ("", "", None, False),
    ],
)
def test_replies_are_read_kindly_but_the_format_is_strict(text, answer, citation, in_format):
    said = house.read(text)
    assert said.in_format == in_format and said.citation == citation
    assert (said.answer is None) == (answer is None)
    if answer is not None:
        assert score.tokens(said.answer) == score.tokens(answer)


@pytest.mark.parametrize(
    "given, right",
    [
        ("9:30 a.m.", "9.30 am"),
        ("The Copper Kettle", "the Copper Kettle"),
        ("two weeks", "2 weeks"),
        ("£1,040", "£1040"),
        ("Ekstrom", "Ekström"),
        ("whale skeleton.", "a whale skeleton"),
        ("9.30  AM", "9.30 am"),
    ],
)
def test_spellings_that_are_the_same(given, right):
    assert score.exact(given, [right]) and score.f1(given, [right]) == 1


@pytest.mark.parametrize(
    "given, right",
    [
        ("£450", "£4.50"),
        ("9.30 pm", "9.30 am"),
        ("$4.50", "£4.50"),
        ("12 weeks", "2 weeks"),
        ("14 March", "15 March"),
        ("9.30 am or 10 am", "9.30 am"),
        ("the café opens at 9.30 am", "9.30 am"),
        ("Copper", "the Copper Kettle"),
        ("", "9.30 am"),
        ("a", "a an the 5"),
    ],
)
def test_answers_that_must_fail(given, right):
    assert not score.exact(given, [right]) and score.f1(given, [right]) < 1


def test_containment_is_by_whole_tokens():
    assert score.holds("It opens at 9:30 a.m. today", "9.30 am") and not score.holds("19.30 am", "9.30 am")
    assert not score.holds("room 14", "room 1") and not score.holds("12 days", "2 days")


def test_f1_by_hand():
    assert score.f1("opens at 9.30 am", ["9.30 am"]) == pytest.approx(2 * 2 / (4 + 2))
    assert score.f1("room 7", ["7", "room 8"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "item, text, expected",
    [
        (ITEM, "Answer: 9.30 am [2]", {"exact": 1, "cited": 1, "in_format": 1, "abstained": 0}),
        (ITEM, "Answer: 9.30 am [1]", {"exact": 1, "cited": 0, "in_format": 1}),
        (ITEM, "Answer: 9.30 am", {"exact": 1, "cited": 0, "in_format": 0}),
        (ITEM, "Answer: 6 pm [2]", {"exact": 0, "cited": 1, "f1": 0}),
        (ITEM, "It opens at 9.30 am, as passage [2] says.", {"exact": 0, "contained": 1, "cited": 1, "in_format": 0}),
        (ITEM, "The context does not say.", {"exact": 0, "f1": 0, "contained": 0, "abstained": 1, "cited": 0}),
        (NOTHING, "The context does not say.", {"exact": 1, "f1": 1, "abstained": 1, "in_format": 1}),
        (NOTHING, "It is not mentioned.", {"exact": 1, "abstained": 1, "in_format": 0}),
        (NOTHING, "Answer: 6 pm [1]", {"exact": 0, "f1": 0, "contained": 0, "abstained": 0, "cited": 0}),
        (NOTHING, "", {"exact": 0, "abstained": 0}),
    ],
)
def test_marks_of_a_reply(item, text, expected):
    marks = score.judge(item, text)
    assert {name: marks[name] for name in expected} == expected


def test_abstention_precision_and_recall_by_hand():
    # 3 answerable, 2 not; abstains on one of each: precision 1/2, recall 1/2
    replies = ["Answer: 9.30 am [2]", "Answer: 6 pm [1]", house.ABSTENTION, house.ABSTENTION, "Answer: 6 pm [1]"]
    figures = score.report(score.table([ITEM] * 3 + [NOTHING] * 2, replies))
    value = {name: figure["value"] for name, figure in figures.items()}
    assert value["abstention_precision"] == value["abstention_recall"] == value["abstention_f1"] == 0.5
    assert value["exact_match"] == 0.4 and value["exact_match_answerable"] == value["citation"] == round(1 / 3, 4)
    assert all(f["low"] <= f["value"] <= f["high"] for f in figures.values())


def test_a_system_that_always_abstains_is_seen_through():
    figures = score.report(score.table([ITEM] * 8 + [NOTHING] * 2, [house.ABSTENTION] * 10))
    assert figures["exact_match"]["value"] == figures["abstention_precision"]["value"] == 0.2
    assert figures["abstention_recall"]["value"] == 1 and figures["exact_match_answerable"]["value"] == 0


def test_precision_without_abstentions_is_undefined_not_zero():
    figures = score.report(score.table([ITEM, NOTHING], ["Answer: 9.30 am [2]"] * 2))
    assert figures["abstention_precision"] == {"value": None, "low": None, "high": None}
    assert figures["abstention_recall"]["value"] == 0


def test_paired_intervals():
    asked = [ITEM] * 40
    right, wrong = "Answer: 9.30 am [2]", "Answer: 6 pm [1]"
    before, after = score.table(asked, [wrong] * 30 + [right] * 10), score.table(asked, [wrong] * 10 + [right] * 30)
    gain = score.compare(before, after)["exact_match"]
    assert gain["value"] == 0.5 and 0.3 < gain["low"] < 0.5 < gain["high"] < 0.7
    same = score.compare(before, before)["exact_match"]
    assert same == {"value": 0, "low": 0, "high": 0}
    with pytest.raises(ValueError, match="same items"):
        score.compare(before, score.table([NOTHING] * 40, [wrong] * 40))
    with pytest.raises(ValueError, match="same items"):
        score.compare(before, after[:39])


# --- settings ---------------------------------------------------------------------------------------------


def test_an_unknown_precision_is_refused():
    with pytest.raises(BookError, match="model.precision is int3: set it to float32, bf16, nf4"):
        settings.settings(changes=("model.precision=int3",))


@pytest.mark.parametrize(
    "batch, micro, processes, expected", [(16, 8, 1, (8, 2)), (16, 8, 2, (8, 1)), (4, 4, 2, (2, 1)), (64, 8, 4, (8, 2))]
)
def test_every_number_of_processes_shares_the_same_batch(batch, micro, processes, expected):
    from training.grounded_qa.train import shares

    assert shares(batch, micro, processes) == expected and expected[0] * expected[1] * processes == batch


def test_a_batch_that_cannot_be_shared_is_refused():
    from training.grounded_qa.train import shares

    for batch, processes in ((16, 3), (2, 4)):
        with pytest.raises(BookError, match="cannot be shared by"):
            shares(batch, 8, processes)


@pytest.mark.parametrize("name", ["cpu_1", "cpu_2", "gpu_ddp", "gpu_fsdp"])
def test_accelerate_reads_the_shipped_configurations(name):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(settings.HERE / "configs" / f"{name}.yaml"))
    kind = str(getattr(config.distributed_type, "value", config.distributed_type))
    assert kind == {"cpu_1": "NO", "cpu_2": "MULTI_GPU", "gpu_ddp": "MULTI_GPU", "gpu_fsdp": "FSDP"}[name]
    if kind == "FSDP":
        from accelerate.utils import FullyShardedDataParallelPlugin

        known = {f"fsdp_{field}" for field in FullyShardedDataParallelPlugin.__dataclass_fields__}
        renamed = {"fsdp_version", "fsdp_transformer_layer_cls_to_wrap", "fsdp_offload_params"}
        assert set(config.fsdp_config) <= known | renamed


# --- training and evaluation ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(own_accelerator, tmp_path_factory):
    """The whole chain in small, once."""
    folder = tmp_path_factory.mktemp("grounded-qa")
    assert main(["all", "--smoke", "--work", str(folder)]) == 0
    return folder / "smoke"


@pytest.fixture
def smoke():
    return settings.settings(smoke=True)


@pytest.fixture
def small(work):
    return {split: data.rows(work / "data" / f"{split}.jsonl") for split in data.SPLITS}


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def test_smoke_makes_everything(work):
    log = recipe.read_lines(work / "run/log.jsonl")
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert len(losses) == 3 and losses[-1] < losses[0] and [e["step"] for e in log if "validation_loss" in e] == [6]
    report = json.loads((work / "results.json").read_text(encoding="utf-8"))
    assert set(report["systems"]) == {"zero_shot", "few_shot", "adapter"}
    assert set(report["gains"]) == {"adapter_over_zero_shot", "adapter_over_few_shot"}
    assert set(report["gains"]["adapter_over_few_shot"]["all"]) == set(score.METRICS)
    assert report["items"]["all"] == 8


def test_publish_writes_adapter_registry_and_passport(work, smoke, tmp_path):
    import yaml

    from training.grounded_qa import publish

    root = tmp_path / "repository"
    (root / "data").mkdir(parents=True)
    shutil.copy(recipe.ROOT / "data/models.yml", root / "data/models.yml")
    items = {split: data.rows(work / f"data/{split}.jsonl") for split in ("train", "test")}
    publish.publish(work, smoke, items, "tiny", root)

    entry = yaml.safe_load((root / "data/models.yml").read_text())["roles"]["grounded-qa"]["pocket"]
    folder = root / entry["path"]
    assert {path.name for path in folder.iterdir()} == set(entry["files"])
    assert entry["parameters"] * 2 <= entry["bytes"] < entry["parameters"] * 2 + 20_000
    text = (root / publish.PAGE).read_text()
    report = json.loads((root / publish.RESULTS).read_text())
    value = report["results"]["systems"]["adapter"]["all"]["f1"]["value"]
    assert f"| adapter | all | {publish.figure(report['results']['systems']['adapter']['all']['exact_match'])}" in text
    assert f"{value:.2f} (" in text and not re.search(r"\$[a-z{]", text)
    assert text.count("Reply:") == len(report["samples"]) == 8

    (work / "results.json").rename(tmp_path / "results.json")
    try:
        with pytest.raises(BookError, match="results.json is missing: run the steps of the recipe"):
            publish.publish(work, smoke, items, "tiny", root)
    finally:
        (tmp_path / "results.json").rename(work / "results.json")


def test_a_smoke_run_is_not_published(tmp_path, capsys):
    assert main(["publish", "--smoke", "--work", str(tmp_path)]) == 1
    assert "is not for the book: publish without --smoke" in capsys.readouterr().err


def _trainer(kind: type, items: list[dict], config: dict, folder: Path):
    from training.grounded_qa import base, train

    return kind(
        model=base.load_model(config["model"], "float32", 0),
        args=train.arguments(config, folder, 1),
        train_dataset=train.conversations(items),
        eval_dataset=train.conversations(items[:2]),
        processing_class=base.load_tokenizer(config["model"]),
    )


def _prepared(items: list[dict], config: dict, folder: Path):
    """The items as the trainer hands them to the model."""
    from trl import SFTTrainer

    return _trainer(SFTTrainer, items, config, folder).train_dataset


@pytest.mark.parametrize("answer_only", [True, False])
def test_the_loss_is_that_of_trl(small, smoke, tmp_path, answer_only):
    from trl import SFTTrainer

    from training.grounded_qa.train import AnswerTrainer

    smoke["training"]["answer_only"] = answer_only
    shortest = sorted(small["train"], key=lambda item: len(" ".join(item["passages"])))[:2]
    found = {}
    for kind in (SFTTrainer, AnswerTrainer):
        trainer = _trainer(kind, shortest, smoke, tmp_path)
        batch = next(iter(trainer.get_train_dataloader()))
        weight = trainer.model.model.layers[0].mlp.down_proj.weight
        for counted in (None, 40):
            weight.grad = None
            loss = trainer.compute_loss(trainer.model, dict(batch), False, counted)
            loss.backward()
            found[kind, counted] = loss.detach(), weight.grad
    for counted in (None, 40):
        torch.testing.assert_close(found[AnswerTrainer, counted], found[SFTTrainer, counted], rtol=1e-4, atol=1e-7)


def test_only_the_answer_is_learned(small, smoke, tmp_path):
    from training.grounded_qa import base

    tokenizer = base.load_tokenizer(smoke["model"])
    for item, row in zip(small["train"], _prepared(small["train"][:8], smoke, tmp_path), strict=False):
        learned = [label for label in row["labels"] if label != -100]
        assert tokenizer.decode(learned) == f"{house.reply(item)}<|im_end|>\n"
        read = [i for i, label in zip(row["input_ids"], row["labels"], strict=True) if label == -100]
        asked = tokenizer.apply_chat_template(house.prompt(item), add_generation_prompt=True, return_dict=False)
        assert read == asked  # what the model sees in training is what it will see when it is asked


def test_the_prompt_is_learned_too_if_the_settings_say_so(small, smoke, tmp_path):
    smoke["training"]["answer_only"] = False
    assert all(row["labels"] == row["input_ids"] for row in _prepared(small["train"][:2], smoke, tmp_path))


def test_the_real_items_fit_into_the_context(items):
    from training.grounded_qa import base

    config = settings.settings()["model"]
    tokenizer = base.load_tokenizer(config)
    longest = max(items["train"] + items["test"], key=lambda i: len(house.user(i["passages"], i["question"])))
    assert data.longest([longest], tokenizer, config["context"], "train.jsonl") <= config["context"]


def test_an_item_longer_than_the_context_is_named(small, smoke, tmp_path):
    from training.grounded_qa.train import train

    item = small["train"][3]
    hurt = item | {"passages": [" ".join(item["passages"]) + " It is far." * 400]}
    changed = [*small["train"][:3], hurt]
    with pytest.raises(BookError, match=rf"The item {item['id']} of train.jsonl has \d+ tokens .* holds 512: shorten"):
        train({"train": changed, "validation": small["validation"]}, tmp_path, smoke)
    assert not (tmp_path / "run.json").exists()


def test_an_interrupted_run_goes_on_to_the_same_weights(work, small, smoke, tmp_path, monkeypatch, capsys):
    from training.grounded_qa import train

    def interrupt(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train.Stop, "on_step_end", interrupt)
        with pytest.raises(BookError, match="^Interrupted at step 3: the same command goes on from step 2, the newest"):
            train.train(small, tmp_path, smoke, stop_after=3)
    train.train(small, tmp_path, smoke, stop_after=4)
    state = tmp_path / "checkpoints/checkpoint-4/optimizer.pt"
    state.write_bytes(state.read_bytes()[:-50])  # as if the machine had failed while it was written
    capsys.readouterr()
    log = train.train(small, tmp_path, smoke)
    said = capsys.readouterr().out
    assert "checkpoint-4 is damaged (optimizer.pt has " in said and "step 2 of 6" in said
    whole, resumed = weights(work / "run/adapter"), weights(tmp_path / "adapter")
    assert whole.keys() == resumed.keys() and all((whole[name] == resumed[name]).all() for name in whole)
    first = recipe.read_lines(work / "run/log.jsonl")
    assert [e["loss"] for e in log if "loss" in e] == [e["loss"] for e in first if "loss" in e]


def test_a_folder_of_another_run_is_refused(work, small, smoke):
    from training.grounded_qa.train import train

    smoke["training"]["learning_rate"] = 0.5
    with pytest.raises(BookError, match=r"other settings \(training.learning_rate: 0.01 there, 0.5 now\)"):
        train(small, work / "run", smoke)
    smoke["training"]["learning_rate"] = 0.01
    with pytest.raises(BookError, match=r"other settings \(data.items_sha256"):
        train({"train": small["train"][:-1], "validation": small["validation"]}, work / "run", smoke)


def test_an_adapter_for_another_base_model_is_refused(work, smoke, tmp_path):
    from training.grounded_qa import base

    wider = smoke["model"] | {"tiny": smoke["model"]["tiny"] | {"hidden_size": 64}}
    model = base.load_model(wider, "float32", 12)
    with pytest.raises(BookError, match=r"another base model \(hidden_size 32 instead of 64\): load"):
        base.load_adapter(model, work / "run/adapter", wider)
    model = base.load_model(smoke["model"], "float32", 12)
    model.model.norm.weight.data.mul_(1.5)  # the same sizes, other weights
    with pytest.raises(BookError, match="another base model \\(norms_sha256"):
        base.load_adapter(model, work / "run/adapter", smoke["model"])
    shutil.copytree(work / "run/adapter", tmp_path / "adapter")
    hurt = tmp_path / "adapter/adapter_model.safetensors"
    hurt.write_bytes(hurt.read_bytes()[:20])
    with pytest.raises(BookError, match="There is no whole adapter in .*: run"):
        base.load_adapter(model, tmp_path / "adapter", smoke["model"])


def test_a_base_model_is_known_again_in_bfloat16(smoke):
    from training.grounded_qa import base

    assert base.identity(base.load_model(smoke["model"], "float32", 12), smoke["model"]) == base.identity(
        base.load_model(smoke["model"], "bf16", 12), smoke["model"]
    )


def test_missing_bitsandbytes_is_told(monkeypatch):
    from training.grounded_qa import base

    monkeypatch.setattr(four_bits.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BookError, match="^bitsandbytes is not installed: run .* or set the precision to bf16"):
        base.load_model(settings.settings()["model"], "nf4", 0)
    with pytest.raises(BookError, match="^bitsandbytes is not installed"):
        four_bits.through_nf4(None)


def test_an_adapter_gets_weights_like_those_that_it_was_trained_beside(work, smoke, tmp_path):
    from training.grounded_qa import base

    def frozen(folder: Path):
        model = base.load_adapter(base.load_model(smoke["model"], "float32", 12), folder, smoke["model"])
        return model.base_model.model.model.layers[0].self_attn.q_proj.base_layer.weight

    shipped = work / base.SHIPPED
    assert json.loads((shipped / base.BASE).read_text())["precision"] == "float32"
    shutil.copytree(shipped, tmp_path / "rounded")
    origin = json.loads((shipped / base.BASE).read_text())
    origin.pop("precision")
    base.sign(tmp_path / "rounded", origin, "nf4")
    plain, rounded = frozen(shipped), frozen(tmp_path / "rounded")
    assert len(plain.flatten()[:64].unique()) > 16 >= len(rounded.flatten()[:64].unique())
    assert (plain - rounded).abs().max() < plain.abs().max() / 4


def test_the_shipped_adapter_is_small_and_names_no_folder(work, smoke, tmp_path, monkeypatch):
    from training.grounded_qa import base

    shipped = work / "grounded-qa"
    text = (shipped / "adapter_config.json").read_text(encoding="utf-8")
    assert (
        json.loads(text)["base_model_name_or_path"] == "tiny" and "/" not in json.loads(text)["base_model_name_or_path"]
    )
    model = base.load_adapter(base.load_model(smoke["model"], "float32", 12), shipped, smoke["model"])
    trained, loaded = weights(work / "run/adapter"), model.state_dict()
    for name, tensor in trained.items():
        inside = loaded[name.replace(".weight", ".default.weight")]
        assert (inside - tensor).abs().max() <= 0.001 * tensor.abs().max() + 1e-7
    monkeypatch.setattr(base, "LIMIT", 100)
    with pytest.raises(BookError, match="and the limit is 100: lower lora.r"):
        base.export(work / "run/adapter", tmp_path / "x", "tiny")
    assert not (tmp_path / "x").exists()


def test_an_interrupted_evaluation_goes_on(work, small, smoke, tmp_path, monkeypatch):
    from training.grounded_qa import base, evaluate

    shutil.copytree(work / base.SHIPPED, tmp_path / base.SHIPPED)
    shutil.copytree(work / "replies", tmp_path / "replies")
    asked = []
    real = evaluate.write
    monkeypatch.setattr(
        evaluate, "write", lambda m, t, prompts, n: (asked.append(len(prompts)), real(m, t, prompts, n))[1]
    )
    first = json.loads((work / "results.json").read_text(encoding="utf-8"))
    assert evaluate.evaluate(small, tmp_path, smoke) == first and not asked
    path = tmp_path / "replies/adapter-test.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:9])  # one batch of four, and a line that was cut off
    assert evaluate.evaluate(small, tmp_path, smoke) == first and asked == [4]
    smoke["evaluation"]["new_tokens"] = 3
    with pytest.raises(BookError, match=r"replies of another evaluation \(new_tokens differ\)"):
        evaluate.evaluate(small, tmp_path, smoke)


@pytest.mark.slow
def test_the_sweep_keeps_the_replies_of_every_system(work, small, smoke, tmp_path):
    from training.grounded_qa import base
    from training.sweeps import grounded_qa as sweep

    for name in ("run", base.SHIPPED, "replies"):
        shutil.copytree(work / name, tmp_path / name)
    found = sweep.measure(tmp_path, smoke, work / "data", precisions=("float32", "bf16"))
    asked = {item["id"] for item in small["test"][: smoke["evaluation"]["items"]]}
    assert set(found["replies"]) == {
        "zero_shot",
        "few_shot",
        "adapter",
        "adapter_unrounded",
        "answer_only",
        "whole_prompt",
    }
    assert all(set(texts) == asked for texts in found["replies"].values())
    assert set(found["seconds_per_step"]) == {"float32", "bf16"} and min(found["seconds_per_step"].values()) > 0
    assert found["new_tokens"] == smoke["evaluation"]["new_tokens"]
    kinds = [weights(tmp_path / name / base.SHIPPED) for name in (".", "answer_only", "whole_prompt")]
    assert all(kinds[0][name].equal(tensor) for name, tensor in kinds[1].items())  # as many steps, the same loss
    assert any((kinds[1][name] != tensor).any() for name, tensor in kinds[2].items())
    with pytest.raises(BookError, match="There is no adapter in .*: run `make grounded-qa` first"):
        sweep.measure(tmp_path / "empty", smoke, work / "data")


def test_rounding_to_nf4_leaves_the_last_layer_alone(smoke):
    from training.grounded_qa import base

    model = base.load_model(smoke["model"], "float32", 12)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    after = base.through_nf4(model).state_dict()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == {name for name in before if "_proj" in name}
    one = after[sorted(changed)[0]].flatten()[:64]
    assert len(one.unique()) <= 16  # a block knows sixteen values


def test_worked_examples_come_from_training(items):
    from training.grounded_qa import evaluate

    shots = evaluate.examples(items["train"], 4, 12)
    assert shots == evaluate.examples(items["train"], 4, 12)
    assert [shot["answer"] is None for shot in shots] == [False, False, True, False]
    assert len({shot["family"] for shot in shots}) == 4 and all(shot in items["train"] for shot in shots)
    turns = evaluate.messages(items["test"][0], shots)
    assert [turn["role"] for turn in turns] == ["system", *["user", "assistant"] * 4, "user"]


def test_a_reply_is_held_against_the_best_token_of_every_place(items, smoke):
    from training.grounded_qa import base, evaluate

    class Echo:
        """Likes best, by 1, what follows in the text; at its last place another token, by `tie`."""

        device, tie = "cpu", 0.0

        def __call__(self, input_ids):
            logits = torch.nn.functional.one_hot(input_ids.roll(-1, dims=1), 60_000).float()
            logits[0, -2, 0] = 1 + self.tie
            return SimpleNamespace(logits=logits)

    tokenizer, prompt = base.load_tokenizer(smoke["model"]), house.prompt(items["test"][0])
    model = Echo()
    assert evaluate.short_of_best(model, tokenizer, prompt, "Answer: two weeks [1]") == 0
    model.tie = 0.25
    assert evaluate.short_of_best(model, tokenizer, prompt, "Answer: two weeks [1]") == 0.25


def test_the_command_tells_failures_in_one_sentence(tmp_path, capsys):
    assert main(["evaluate", "--smoke", "--work", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("grounded-qa: ") and said.count("\n") == 1 and "Traceback" not in said


@pytest.mark.slow
def test_two_processes_learn_what_one_does_with_the_doubled_batch(work, tmp_path):
    """The losses of three steps, each after the update of the one before, under accelerate launch with gloo."""
    changes = {
        "lora.dropout": 0.0,
        "training.max_steps": 3,
        "training.warmup": 0,
        "training.log_every": 1,
        "training.validate_every": None,
    }
    losses = {}
    for name in ("cpu_1", "cpu_2"):
        folder = tmp_path / name
        shutil.copytree(work / "data", folder / "smoke/data")
        command = [
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            "--config_file",
            str(settings.HERE / f"configs/{name}.yaml"),
        ]
        command += ["--main_process_port", "0"] if name == "cpu_2" else []
        command += ["-m", "training.grounded_qa", "train", "--smoke", "--work", str(folder)]
        command += [part for key, value in changes.items() for part in ("--set", f"{key}={json.dumps(value)}")]
        done = subprocess.run(command, cwd=recipe.ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        losses[name] = [entry["loss"] for entry in recipe.read_lines(folder / "smoke/run/log.jsonl")]
    one, two = np.array(losses["cpu_1"]), np.array(losses["cpu_2"])
    assert len(one) == len(two) == 3 and abs(one - two).max() < 1e-4
    assert abs(np.diff(one)).min() > 1e-3  # the weights did move between the steps
    first, second = (weights(tmp_path / name / "smoke/run/adapter") for name in ("cpu_1", "cpu_2"))
    assert max((first[name] - second[name]).abs().max() for name in first) < 1e-3


def test_a_model_in_four_bits_learns_on_after_a_validation():
    torch = pytest.importorskip("torch")
    bnb = pytest.importorskip("bitsandbytes")
    from training.grounded_qa.base import keep_trainable

    torch.manual_seed(0)
    below, above = torch.nn.Linear(64, 64), bnb.nn.Linear4bit(64, 64, quant_type="nf4", compute_dtype=torch.bfloat16)
    above = above.requires_grad_(False).to("cpu")  # which is when its weights become four bits
    model = keep_trainable(torch.nn.Sequential(below, above))

    def gradient() -> torch.Tensor:
        below.weight.grad = None
        model.train()(torch.ones(4, 64)).square().sum().backward()
        return below.weight.grad.clone()

    before = gradient()
    with torch.no_grad():
        model.eval()(torch.ones(4, 64))
    assert before.abs().sum() > 0
    assert torch.allclose(gradient(), before)


def test_the_kept_replies_earn_the_marks_that_are_told(items):
    from bookkit import results
    from training.grounded_qa import publish

    report = recipe.measured(recipe.ROOT, {"report": publish.RESULTS})["report"]
    for system, groups in report["results"]["systems"].items():
        texts = results.read("grounded_qa")["replies"][system]
        marks = score.table(items["test"], [texts[item["id"]] for item in items["test"]])
        exact = marks[:, score.COLUMNS.index("exact")]
        assert round(exact.mean(), 4) == groups["all"]["exact_match"]["value"]
