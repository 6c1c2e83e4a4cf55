"""The recipe of pocket-gpt2: the story engine tells the truth, and training survives what goes wrong."""

import functools
import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import bookkit
from bookkit.errors import BookError
from training import recipe
from training.pocket_gpt2 import corpus, evaluate, people, settings, tokenizer
from training.pocket_gpt2.__main__ import main
from training.pocket_gpt2.ngram import KneserNey
from training.pocket_gpt2.story_engine import english, questions, scenes, stories, world
from training.pocket_gpt2.story_engine.dice import Dice

# --- the story engine ---------------------------------------------------------------------------------------

told = functools.cache(stories.document)  # two tests read the same hundreds


def things(where):
    kitchen, garden = world.Entity("k", "place", "kitchen"), world.Entity("g", "place", "garden")
    box = world.Entity("b", "spot", "box", place=kitchen)
    mia, tom = (world.Entity(name, "person", "child", name=name) for name in ("Mia", "Tom"))
    ball = world.Entity("t", "thing", "ball")
    state = world.World()
    state.go(mia, kitchen)
    state.go(tom, kitchen if where == "together" else garden)
    state.make(mia, ball)
    return state, mia, tom, ball, box, garden


def test_the_world_refuses_what_cannot_be():
    state, mia, tom, ball, box, garden = things("apart")
    with pytest.raises(world.Contradiction, match="not together"):
        state.give(mia, ball, tom)
    with pytest.raises(world.Contradiction, match="does not have"):
        state.put(tom, ball, box)
    with pytest.raises(world.Contradiction, match="in somebody's hands"):
        state.take(mia, ball)
    state.put(mia, ball, box)
    with pytest.raises(world.Contradiction, match="not where"):
        state.take(tom, ball)
    state.go(mia, garden)
    with pytest.raises(world.Contradiction, match="not where"):
        state.take(mia, ball)


def test_who_was_away_believes_what_was():
    state, mia, tom, ball, box, garden = things("together")
    state.put(mia, ball, box)
    state.go(tom, garden)
    state.take(mia, ball)
    assert state.where[ball] == ("with", mia)
    assert state.beliefs[tom][ball] == ("in", box) and state.beliefs[mia][ball] == ("with", mia)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_documents_never_contradict_themselves(split):
    """Every step was possible (the world raises otherwise), and the facts after every line are of one mind."""
    for document in (told(seed, split) for seed in range(400)):
        assert len(document.lines) == len(document.facts)
        for facts in document.facts:
            positions = [fact.thing for fact in facts if fact.believer is None]
            assert len(positions) == len(set(positions)), "one thing is at two places"
            for fact in facts:
                assert (fact.relation == "with") == fact.anchor.acts
        assert not re.search(r"[{}\[\]<>|$~]|//|  | [,.!?]|\bI (was|am) not be\b", document.text), document.text


def test_every_scene_type_can_be_told():
    for scene in scenes.all_scenes():
        world_name = "people" if scene.world == "any" else scene.world
        if scene.kind in ("scene", "dialogue"):
            for seed in range(6):
                builder = stories._Builder(f"{scene.name} {seed}", None, scenery=world_name)
                builder.play(scene)
                assert builder.told, scene.name


def test_the_same_seed_tells_the_same_story():
    first = [stories.document(seed).text for seed in range(30)]
    assert first == [stories.document(seed).text for seed in range(30)]
    assert len(set(first)) == 30


def test_choices_are_counted_in_bits():
    dice = Dice("bits")
    dice.pick(range(8))
    dice.chance(0.5)
    assert dice.bits == pytest.approx(4)
    assert 0.05 < stories.story(1).bits / len(stories.story(1).text) < 1


def test_splits_share_no_scene_type(monkeypatch):
    monkeypatch.setattr(corpus, "document", told)
    used = {split: set() for split in corpus.SPLITS}
    shared = {scene.name for scene in scenes.all_scenes() if scene.kind == "ending"}
    for split in corpus.SPLITS:
        for row in corpus.engine_rows(300, split):
            used[split] |= set(row["unit"].split()) - shared
    assert not used["train"] & used["test"] and not used["train"] & used["validation"]
    assert not used["validation"] & used["test"] and all(used.values())


def test_questions_have_one_right_answer_from_the_story():
    asked = questions.questions(150, "test")
    assert asked[:30] == questions.questions(30, "test")
    assert {question.kind for question in asked} == {"where", "who", "belief"}
    for question in asked:
        assert question.answer not in question.distractors and question.distractors
        assert question.answer.removeprefix(" the").strip() in question.prompt
        assert question.prompt.endswith((" the", " with"))


def test_the_facts_are_what_the_sentences_say():
    """Read the plainest sentences again: who was given a thing has it, and where it was put, there it is."""
    given = re.compile(r"(?:gave|handed|passed) the ([\w' -]+) to ([A-Z]\w+)\.$")
    put = re.compile(r"(?:put|laid|placed) the ([\w' -]+) (?:into|onto|in|on|under|behind) the ([\w' -]+)\.$")
    checked = {"given": 0, "put": 0}
    for seed in range(500):
        document = stories.story(seed, "train")
        for line, facts in zip(document.lines, document.facts, strict=True):
            for name, pattern in (("given", given), ("put", put)):
                match = pattern.search(line.strip())
                if not match or " always " in line or match[1] == "rest" or " and " in match[2]:
                    continue
                held = [fact for fact in facts if match[1].endswith(fact.thing.noun) and fact.believer is None]
                assert len(held) == 1, line
                anchor = held[0].anchor
                assert (anchor.name == match[2]) if name == "given" else anchor.noun in match[2], line
                checked[name] += 1
    assert min(checked.values()) > 50, checked


@pytest.mark.parametrize(
    "verb, past, present, ing",
    [
        ("go", "went", "goes", "going"),
        ("stop", "stopped", "stops", "stopping"),
        ("carry", "carried", "carries", "carrying"),
        ("lie", "lay", "lies", "lying"),
        ("can", "could", "can", None),
        ("be", "was", "is", "being"),
        ("play", "played", "plays", "playing"),
    ],
)
def test_verbs(verb, past, present, ing):
    assert (english.past(verb), english.present(verb)) == (past, present)
    assert ing is None or english.ing(verb) == ing


# --- the corpus ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(own_accelerator, tmp_path_factory):
    """The whole chain in small, once."""
    folder = tmp_path_factory.mktemp("pocket-gpt2")
    assert main(["all", "--smoke", "--work", str(folder)]) == 0
    assert main(["again", "--smoke", "--work", str(folder)]) == 0
    return folder / "smoke"


def test_smoke_makes_everything(work):
    report = json.loads((work / "results.json").read_text(encoding="utf-8"))
    held_out = {f"{split}/{source}" for split in ("validation", "test") for source in ("engine", "novels")}
    assert set(report["fit"]) == held_out | {"known/engine"}
    for figures in report["fit"].values():
        assert 0 < figures["five_gram_bits_per_byte"] < 8 and 0 < figures["bits_per_byte"] < 8
    assert report["consistency"]["questions"] == 16 and len(report["samples"]) == 2
    sweep = json.loads((work / "sweep.json").read_text(encoding="utf-8"))
    assert {run["size"] for run in sweep} == {"tiny", "flat"}
    assert sweep[0]["validation_loss"] < sweep[1]["validation_loss"], "the best comes first"
    log = recipe.read_lines(work / "run/log.jsonl")
    assert [entry["step"] for entry in log] == [4, 8, 12, 16, 20, 24] and log[-1]["loss"] < log[0]["loss"]


def test_the_yardstick_is_measured_as_the_model_is(work):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(work / "pocket-gpt2").eval()
    words = tokenizer.load(work / "pocket-gpt2")
    texts = [row["text"] for row in corpus.load(work / "corpus")["test"]][:6]
    baseline = KneserNey(np.load(work / "train.npy"), len(words))
    own = evaluate.fit(model, words, baseline, texts, 64)["bits_per_byte"]
    assert evaluate.yardstick(model, words, texts, 64) == pytest.approx(own, rel=0.01)


def test_the_share_of_names_named_again():
    assert people.named_again(["Mia saw Tom. Mia ran.", "Tom slept."]) == pytest.approx(1 / 4)
    assert people.named_again(["Nobody was there; Timbuktu was far."]) == 0, "a place is no first name"


@pytest.mark.parametrize("late", [0, 1], ids=["knows what comes", "is a token late"])
def test_keeping_people_straight_is_measured_at_their_names_and_pronouns(late):
    words = tokenizer.load(Path(bookkit.model("gpt2")))

    class Oracle:
        device = "cpu"

        def __call__(self, input_ids):
            scores = torch.nn.functional.one_hot(input_ids.roll(late - 1, dims=1), len(words)).float()
            return SimpleNamespace(logits=scores)

    story = "Once Mia met Tom. Mia said that she knew his name. When Mia left, Tom waved."
    found = people.people(Oracle(), words, [story], ["Mia and Mia"], 64)
    assert (found["again"], found["pronouns"]) == (3, 2)
    assert found["right_name"] == found["right_pronoun"] == 1 - late
    assert found["share_again"] == {"stories": 0.6, "written": 0.5}
    assert people.people(Oracle(), words, [story], [], 8)["again"] == 1, "no more than the context is read"


def test_every_parameter_has_one_optimizer():
    from training.pocket_gpt2.train import new_model, optimizers

    config = settings.settings()
    model = new_model(config["model"], config["tokenizer"]["entries"], 0, 0.0)
    taught = optimizers(model, config["training"])
    counted = [p for optimizer in taught.values() for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in counted} == {id(p) for p in model.parameters()}
    assert len(counted) == len(list(model.parameters()))
    matrices = taught["muon"].param_groups[0]["params"]
    assert len(matrices) == 4 * 4 and model.transformer.wte.weight.shape not in {p.shape for p in matrices}


def test_a_name_counts_as_often_as_its_weight_says():
    from training.pocket_gpt2.train import losses

    rows = torch.tensor([[0, 1, 2]])
    scores = torch.tensor([[[0.0, 3.0, 0.0], [0.0, 0.0, 1.0], [9.0, 9.0, 9.0]]])
    first, second = (-torch.log_softmax(scores[0, i], -1)[i + 1] for i in range(2))
    goal, plain = losses(scores, rows, torch.tensor([1.0, 1.0, 9.0]))
    assert goal.item() == pytest.approx((first + 9 * second).item() / 10)
    assert plain.item() == pytest.approx((first + second).item() / 2)


def test_texts_of_a_row_do_not_see_each_other():
    from training.pocket_gpt2.train import new_model, places

    config = settings.settings(smoke=True)
    model = new_model(config["model"], 32, 0, 0.0).eval()
    row = torch.tensor([[7, 8, 9, 0, 5, 6, 7, 0, 3, 4]])
    assert places(row, 0).tolist() == [[0, 1, 2, 0, 1, 2, 3, 0, 1, 2]]
    with torch.no_grad():
        together = model(input_ids=row, position_ids=places(row, 0), use_cache=False).logits
        alone = model(input_ids=row[:, 3:7]).logits
        mixed = model(input_ids=row).logits
    assert torch.allclose(together[:, 3:7], alone, atol=1e-5)
    assert not torch.allclose(mixed[:, 3:7], alone, atol=1e-3)


def test_new_stories_from_known_scene_types_follow_those_of_training():
    told = [row["text"] for row in corpus.engine_rows(8, "train")]
    assert [row["text"] for row in corpus.engine_rows(3, "train", first=5)] == told[5:]


def test_the_model_loads_as_gpt2(work):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (kind.from_pretrained(work / "pocket-gpt2") for kind in (AutoModelForCausalLM, AutoTokenizer))
    assert model.config.model_type == "gpt2" and str(model.dtype) == "torch.float32"
    trained = AutoModelForCausalLM.from_pretrained(work / "run/model")
    assert (
        2 * model.num_parameters()
        < (work / "pocket-gpt2/model.safetensors").stat().st_size
        < 3 * model.num_parameters()
    )
    for shipped, whole in zip(model.state_dict().values(), trained.state_dict().values(), strict=True):
        assert (shipped - whole).abs().max() <= 0.001 * whole.abs().max()
    text = 'Mia\'s café — naïve “quotes”, 12 € and 🙂\n\nTom said, "Yes."'
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert {path.name for path in (work / "pocket-gpt2").iterdir()} >= {"vocab.json", "merges.txt", "tokenizer.json"}


def test_another_seed_is_another_run_measured_alike(work):
    report = json.loads((work / "results.json").read_text(encoding="utf-8"))
    again = json.loads((work / "again.json").read_text(encoding="utf-8"))
    assert again["seed"] == settings.settings(smoke=True)["seed"] + 1
    assert set(again["fit"]) == set(report["fit"]) and set(again["people"]) == set(report["people"])
    for name, figures in again["fit"].items():
        assert figures["five_gram_bits_per_byte"] == report["fit"][name]["five_gram_bits_per_byte"]
        assert figures["bits_per_byte"] != report["fit"][name]["bits_per_byte"]


def test_an_exported_model_above_the_limit_is_refused(work, tmp_path, monkeypatch):
    from training.pocket_gpt2 import export

    monkeypatch.setattr(export, "LIMIT", 1000)
    with pytest.raises(BookError, match="the limit is 1,000"):
        export.export(work / "run/model", work / "tokenizer", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_passport_says_what_was_measured(work, tmp_path):
    from training.pocket_gpt2 import passport

    config = settings.settings(smoke=True)
    results = json.loads((work / "results.json").read_text(encoding="utf-8"))
    for kind in ("corpus", "greedy", "sampled"):  # the smoke run has no judge
        results["fluency"][kind] |= {"judge_passes": 0.5, "passes": 0.25}
    for figures in results["fit"].values():
        figures["judge_bits_per_byte"] = 1.234
    results["samples"][0]["text"] = "<script>alert(1)</script> said *Mia*"
    (work / "results.json").write_text(json.dumps(results))
    (tmp_path / "data").mkdir()
    shutil.copy(recipe.ROOT / "data/models.yml", tmp_path / "data")
    passport.publish(work, config, work / "pocket-gpt2", tmp_path)
    page = (tmp_path / passport.PAGE).read_text(encoding="utf-8")
    size = (tmp_path / passport.TARGET / "model.safetensors").stat().st_size
    assert f"{size:,} bytes" in page and "25.0 %" in page
    assert "1.234" in page and "| tiny: 2 layers of width 32 |" in page
    assert "<script>" not in page and "&lt;script&gt;" in page and "&#42;Mia&#42;" in page


def test_failures_are_quoted_from_the_samples():
    from training.pocket_gpt2 import passport

    results = recipe.measured(recipe.ROOT, {"report": passport.RESULTS})["report"]["results"]
    samples = {sample["seed"]: sample["text"] for sample in results["samples"]}
    failures = passport.TEMPLATE.read_text(encoding="utf-8").split("## Known failures")[1].split("##")[0]
    _, *told = re.split(r"[Ss]ample (\d+)", failures)
    quotes = [
        (int(seed), " ".join(q.split()))
        for seed, said in zip(told[::2], told[1::2], strict=True)
        for q in re.findall(r'"([^"]+)"', said)
    ]
    assert len(quotes) > 8
    assert not [(seed, quote) for seed, quote in quotes if quote not in samples[seed]]


def test_the_corpus_is_remade_exactly(work, tmp_path):
    numbers = corpus.build(tmp_path, settings.settings(smoke=True)["corpus"])
    assert {split: numbers[split]["sha256"] for split in corpus.SPLITS} == {
        split: values["sha256"] for split, values in json.loads((work / "corpus/statistics.json").read_text()).items()
    }


def test_corpus_loads_through_datasets(work):
    data = corpus.load(work / "corpus")
    assert set(data) == set(corpus.SPLITS) and data["train"].column_names == list(corpus.FIELDS)


@pytest.mark.parametrize(
    "line, problem",
    [
        (b'{"text": "a"', "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'["text"]', "not an object"),
        (b'{"text": "", "source": "engine", "kind": "story", "unit": "x", "id": "1"}', '"text" is empty'),
        (
            b'{"text": "a", "source": "web", "kind": "story", "unit": "x", "id": "1"}',
            'source "web" is unknown',
        ),
        (b'{"text": "a", "source": "engine", "kind": "story", "id": "1"}', '"unit" is missing'),
    ],
)
def test_a_broken_line_is_reported_by_number(work, tmp_path, line, problem):
    shutil.copytree(work / "corpus", tmp_path / "corpus")
    path = tmp_path / "corpus/train.jsonl"
    lines = path.read_bytes().splitlines()
    lines[6] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(BookError, match=f"train.jsonl, line 7: .*{re.escape(problem)}"):
        corpus.load(tmp_path / "corpus")


def test_near_duplicates_are_refused():
    unlike = corpus.Unlike(0.7, 48)
    text = " ".join(f"word{number}" for number in range(200))
    row = {"text": text, "source": "engine", "id": "1"}
    assert unlike(row) and not unlike(row | {"id": "2", "text": text + " and one more"})
    assert unlike(row | {"id": "3", "text": " ".join(reversed(text.split()))}) and unlike.refused == 1


# --- training -----------------------------------------------------------------------------------------------


@pytest.fixture
def run(work):
    """A function that trains on the smoke corpus in a folder of its own, on the CPU."""
    from training.pocket_gpt2.__main__ import _run

    def train(folder, **options):
        return _run(work, settings.settings(smoke=True), folder, device="cpu", **options)

    return train


def same(one, other) -> bool:
    return all((a == b).all() for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_resuming_gives_the_same_weights_and_curve(run, tmp_path):
    whole, log = run(tmp_path / "whole")
    run(tmp_path / "parts", stop_after=9)
    resumed, resumed_log = run(tmp_path / "parts")
    assert same(whole, resumed)
    curve = {entry["step"]: entry["loss"] for entry in log}
    assert {entry["step"]: entry["loss"] for entry in resumed_log if entry["step"] > 12}.items() <= curve.items()


def test_a_damaged_checkpoint_is_named_and_skipped(run, tmp_path, capsys):
    whole, _ = run(tmp_path / "whole")
    run(tmp_path / "hurt", stop_after=16)
    weights = tmp_path / "hurt/checkpoints/step-0000016/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100] + bytes(100))
    capsys.readouterr()
    resumed, _ = run(tmp_path / "hurt")
    assert "step-0000016 is damaged (model.safetensors does not have the recorded sha256)" in capsys.readouterr().out
    assert same(whole, resumed)


def test_too_little_disk_is_found_at_the_start(run, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(BookError, match="training needs .* MB in .* free"):
        run(tmp_path / "run")
    with pytest.raises(BookError, match="the corpus needs"):
        corpus.build(tmp_path / "corpus", settings.settings(smoke=True)["corpus"])


def test_missing_steps_are_one_sentence(tmp_path, capsys):
    for step in ("tokenizer", "train", "export", "evaluate", "publish"):
        assert main([step, "--smoke", "--work", str(tmp_path)]) == 1
        assert capsys.readouterr().err.startswith("pocket-gpt2: ")


def test_every_size_fits_the_limit():
    from training.pocket_gpt2.train import LIMIT, new_model

    config = settings.settings()
    for size in config["model"]["sizes"]:
        model = new_model(config["model"] | {"size": size}, config["tokenizer"]["entries"], 0, 0.0)
        assert 2 * model.num_parameters() <= LIMIT


# --- the baseline -------------------------------------------------------------------------------------------


def test_kneser_ney_sums_to_one_and_knows_what_it_saw():
    random = np.random.default_rng(0)
    train = np.minimum(random.geometric(0.2, 4000), 19)
    model = KneserNey(train, 20)
    for context in (train[10:14], [19, 19, 19, 18], [0, 0, 0, 0]):
        total = sum(model.probabilities(np.array([*context, word]))[-1] for word in range(20))
        assert total == pytest.approx(1)
    assert -np.log(model.probabilities(train)).mean() < math.log(20)


def test_a_vocabulary_too_large_for_64_bits_is_refused():
    with pytest.raises(BookError, match="7,131"):
        KneserNey(np.arange(10), 8192)
