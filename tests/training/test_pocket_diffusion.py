"""The recipe of pocket-diffusion, at toy size and without network."""

import hashlib
import json
import random
import re
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from bookkit.errors import BookError
from training import recipe
from training.pocket_diffusion import __main__ as chain
from training.pocket_diffusion import (
    bank,
    captions,
    configuration,
    data,
    evaluate,
    export,
    finished,
    judges,
    layouts,
    loop,
    masks,
    publish,
    sheets,
    sources,
    text,
    train,
    vae,
)
from training.pocket_diffusion import words as captions_tokenizer
from training.pocket_diffusion.captions import BACKGROUNDS, Picture

CONFIGS = configuration.HERE / "configs"


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """The configuration of a finished smoke run."""
    work = tmp_path_factory.mktemp("smoke")
    chain.main(["--smoke", "--work", str(work)])
    return configuration.read(CONFIGS / "smoke.json", work)


def toy(work, smoke=None, fixed=False):
    """A configuration in a fresh folder, with pack, tokenizer, VAE and text encoder of a finished run, if any.

    It has the free layout of the smoke run, or the fixed one.
    """
    config = configuration.read(CONFIGS / "smoke.json", work)
    if fixed:
        del config.pictures["layout"]
    work.mkdir(parents=True, exist_ok=True)
    if smoke is None:
        data.synthetic_pack(config.pack, config.sprite_size)
    else:
        bank_file = next(smoke.work.glob("bank-*")).name
        for name in (config.pack.name, "tokenizer", "vae.safetensors", "text.safetensors", bank_file):
            (work / name).symlink_to(smoke.work / name)
    return config


# --- words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("red apple", "a red apple"), ("octopus", "an octopus"), ("grapes", "grapes"), ("cherries", "cherries"),
        ("glass of milk", "a glass of milk"), ("cooked rice", "cooked rice"), ("cactus", "a cactus"),
        ("unicorn", "a unicorn"), ("umbrella", "an umbrella"), ("eyes", "eyes"), ("one o'clock", "a one o'clock"),
        ("face with tears of joy", "a face with tears of joy"), ("ewe", "an ewe"),
    ],
)  # fmt: skip
def test_noun_phrases(name, phrase):
    assert captions.noun_phrase(name) == phrase.replace("an ewe", "a ewe")


def test_captions_say_what_the_picture_shows():
    picture = Picture("red apple", "3d", "orange", "small", "left")
    assert captions.canonical(picture) == "a small red apple on the left, 3d style, on an orange background"
    rng = random.Random(0)
    texts = [captions.varied(picture, ["fruit"], rng) for _ in range(300)]
    assert len(set(texts)) > 60
    assert all("apple" in text and "on the left" in text for text in texts)
    assert 0.9 < sum("orange" in text for text in texts) / 300 < 1
    assert 0.9 < sum("3d" in text for text in texts) / 300 < 1


# --- pictures ---------------------------------------------------------------------------------------------


def test_an_archive_with_a_wrong_hash_is_refused(tmp_path):
    source = sources.STYLES["flat"]
    (tmp_path / source.archive).write_bytes(b"not the package")
    with pytest.raises(BookError, match="sha256 .* delete it and fetch it again"):
        sources.fetch(source, tmp_path)


def test_a_truncated_archive_is_refused(tmp_path):
    path = tmp_path / "cut.tgz"
    path.write_bytes(bytes.fromhex("1f8b0800000000000003") + b"\x00" * 40)
    with pytest.raises(BookError, match="truncated or damaged"):
        sources.Archive(path).json("icons.json")


def test_a_truncated_pack_is_refused(tmp_path):
    config = toy(tmp_path)
    config.pack.write_bytes(config.pack.read_bytes()[:-200])
    with pytest.raises(BookError, match="truncated or damaged: delete it"):
        data.load(config)
    config.pack.unlink()
    with pytest.raises(BookError, match="run the step `data`"):
        data.load(config)


def test_a_sprite_fills_its_square_and_keeps_its_colours():
    picture = Image.new("RGBA", (100, 100))
    picture.paste((200, 10, 10, 255), (30, 40, 70, 60))
    small = sources.sprite(picture, 24)
    assert small.getchannel("A").getbbox() == (0, 6, 24, 18)
    assert small.getpixel((12, 12)) == (200, 10, 10, 255)
    with pytest.raises(BookError, match="empty"):
        sources.sprite(Image.new("RGBA", (8, 8)), 24)


def test_packs_are_reproducible(tmp_path):
    one, two = (data.synthetic_pack(tmp_path / name, 30).read_bytes() for name in ("a.zip", "b.zip"))
    assert one == two
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert json.loads(archive.read("index.json"))["styles"]["twemoji"]["licence"] == "CC-BY-4.0"


def test_backgrounds_sizes_and_places_of_the_fixed_layout(tmp_path):
    sprites = data.load(toy(tmp_path, fixed=True))
    subject = sprites.subjects[3]
    shown = [Picture(subject, "flat", name) for name in BACKGROUNDS]
    pictures = sprites.composite(shown, random.Random(0))
    assert pictures.shape == (12, 3, 32, 32) and pictures.abs().max() <= 1
    assert judges.nearest_background(masks.border(pictures)).tolist() == list(range(12))

    def drawn(size, place="centre"):
        difference = sprites.composite([Picture(subject, "flat", "white", size, place)])[0].amin(0) < 0.95
        rows, columns = difference.nonzero(as_tuple=True)
        return len(rows), columns.float().mean().item(), rows.float().mean().item()

    assert drawn("large")[0] > drawn("normal")[0] > drawn("small")[0] > 20
    assert drawn("small", "left")[1] < drawn("small")[1] - 4 < drawn("small", "right")[1] - 8
    assert drawn("small", "top")[2] < drawn("small")[2] - 4 < drawn("small", "bottom")[2] - 8


def test_backgrounds_are_far_apart():
    colours = masks.lab(torch.tensor(list(BACKGROUNDS.values())) / 255)
    distances = torch.cdist(colours, colours) + 1e3 * torch.eye(len(colours))
    assert distances.min() > 30


@pytest.mark.parametrize("fixed", [True, False])
def test_held_out_combinations_are_never_drawn(tmp_path, fixed):
    sprites = data.load(toy(tmp_path, fixed=fixed))
    drawn = sprites.draw(600, random.Random(1))
    assert {data.part(picture) for picture in drawn} == {sprites.part(picture) for picture in drawn} == {"train"}
    every = [p for name in ("train", "triple", "pair") for p in sprites.everything(name)]
    assert len(every) == len(set(every)) == 12 * 4 * 12
    names = [f"subject {number}" for number in range(2000)]
    assert 0.17 < sum(data.held_out_style(name) is not None for name in names) / 2000 < 0.23


def test_the_fixed_layout_still_is_that_of_the_shipped_model(tmp_path):
    """Words, places and held-out parts as the 64-pixel model was trained on them."""
    sprites = data.load(toy(tmp_path, fixed=True))
    rng = random.Random(0)
    pictures = sprites.draw(200, rng)
    told = [sprites.places(pictures, rng), [sprites.caption(picture, rng) for picture in pictures]]
    assert hashlib.sha256(repr(told).encode()).hexdigest()[:16] == "1a7a205ef9adfba9"


# --- the free layout --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def free(tmp_path_factory):
    """Sprites of plain shapes in the free layout at 128 pixels."""
    config = toy(tmp_path_factory.mktemp("free"))
    config.resolution = 128
    data.build(config)
    return data.load(config)


def test_free_drawings_fit_and_are_what_their_words_say(free):
    rng = random.Random(0)
    pictures = free.draw(400, rng)
    boxes = free.places(pictures, rng)
    for picture, some in zip(pictures, boxes, strict=True):
        for box in some:
            assert min(box.left, box.top) >= 3 and max(box.left + box.width, box.top + box.height) <= 125
        if picture.neighbour:
            one, other = some
            assert one.left + one.width + 3 <= other.left and {one.sprite // 4, other.sprite // 4} == {
                free.number[picture.subject], free.number[picture.neighbour]
            }  # fmt: skip
            continue
        (low, high), _ = layouts.FREE_SIZES[picture.size]
        assert low - 0.01 <= max(some[0].width, some[0].height) / 128 <= high + 0.01
    sizes, places = ({getattr(p, name) for p in pictures} for name in ("size", "place"))
    assert sizes == set(layouts.FREE_SIZES) and places == set(layouts.FREE_PLACES)
    assert 0.1 < sum(p.neighbour is not None for p in pictures) / 400 < 0.2
    mirrored = [box.mirrored for some in boxes for box in some]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_free_compositions_differ_but_follow_the_seed(free):
    asked = [Picture(free.subjects[3], "flat", "teal", "small", "left")] * 2
    one, other = free.composite(asked, random.Random(1))
    assert (one - other).abs().max() > 1
    assert torch.equal(free.composite(asked, random.Random(1)), torch.stack([one, other]))
    assert torch.equal(*free.composite(asked))


def test_free_captions_say_half_and_lie_never(free):
    rng = random.Random(0)
    small = Picture(free.subjects[0], "flat", "teal", "small", "left")
    pair = Picture(free.subjects[0], "flat", "teal", "any", "anywhere", free.subjects[7])
    texts = [free.caption(small, rng) for _ in range(600)]
    assert 0.42 < np.mean(["on the left" in text for text in texts]) < 0.58
    assert 0.42 < np.mean([any(word in text for word in captions.SIZES["small"]) for text in texts]) < 0.58
    texts = [free.caption(pair, rng) for _ in range(600)]
    assert 0.42 < np.mean([any(f" {word} " in text for word in captions.BESIDE) for text in texts]) < 0.58
    words = {word for table in (captions.SIZES, captions.PLACES) for some in table.values() for word in some if word}
    assert not any(word in text for word in words for text in texts)


def test_signs_and_letters_are_not_mirrored(free):
    entries = [{"group": 8, "name": "right arrow"}, {"group": 4, "name": "fox"}]
    settings = {"neighbours": 0.0, "said": {}}
    layout = layouts.Free(free.layout.sprites[:2], entries, 128, torch.device("cpu"), **settings)
    pictures = [Picture("x", "flat", "teal", "any", "anywhere")] * 50
    ways = {n: {box.mirrored for some in layout.places(pictures, [[n]] * 50, random.Random(0)) for box in some}
            for n in (0, 1)}  # fmt: skip
    assert ways == {0: {False}, 1: {False, True}}


def test_layouts_and_neighbours_are_held_out(free):
    rng = random.Random(0)
    for name in free.layout.groups:
        pictures = free.laid_out(name, 12, rng)
        assert {data.part(picture) for picture in pictures} == {"train"}
        held = {"layout": "layout", "neighbour": "neighbour"}.get(name, "train")
        assert {free.part(picture) for picture in pictures} == {held}
        if name in ("placed", "layout"):
            assert all("size" in layouts.says(picture) for picture in pictures)
            assert any("place" in layouts.says(picture) for picture in pictures)
        else:
            assert all(picture.neighbour for picture in pictures)


# --- judging by the pixels --------------------------------------------------------------------------------


def test_pixels_tell_size_place_and_number(free):
    pictures = [picture for name in free.layout.groups for picture in free.laid_out(name, 60, random.Random(name))]
    pictures = [picture for picture in pictures if picture.background not in ("black", "grey", "blue")
                and picture.style != "twemoji"]  # fmt: skip
    found = masks.find(free.composite(pictures, random.Random(0)))
    right = [masks.agrees(seen, picture) for seen, picture in zip(found, pictures, strict=True)]
    for key in ("size", "place", "two"):
        assert np.mean([score[key] for score in right if key in score]) > 0.98, key


def test_pixels_tell_what_is_wrong(free):
    subject, other = free.subjects[3], free.subjects[5]

    def shown(size, place, neighbour=None):
        picture = Picture(subject, "flat", "orange", size, place, neighbour)
        return masks.find(free.composite([picture] * 20, random.Random(0))), picture

    cases = [shown("small", place) for place in ("left", "right", "top", "bottom", "middle")]
    for found, truth in cases:
        for _, said in cases:
            fits = [masks.agrees(seen, said)["place"] for seen in found]
            if said is truth:
                assert all(fits)
            elif {said.place, truth.place} in ({"left", "right"}, {"top", "bottom"}) or "middle" in (
                said.place, truth.place
            ):  # fmt: skip
                assert not any(fits), (said.place, truth.place)
    for size in ("small", "large"):
        found, _ = shown(size, "anywhere")
        for said in ("small", "large"):
            asked = Picture(subject, "flat", "orange", said, "anywhere")
            assert {masks.agrees(seen, asked)["size"] for seen in found} == {size == said}
    pair = Picture(subject, "flat", "orange", "any", "anywhere", other)
    assert not any(masks.agrees(seen, pair)["two"] for seen in shown("large", "anywhere")[0])
    assert all(masks.agrees(seen, pair)["two"] for seen in shown("any", "anywhere", other)[0])
    empty = masks.find(torch.full((1, 3, 128, 128), 0.3))
    assert empty == [None] and masks.agrees(empty[0], pair) == {"two": False}


def test_specks_and_haze_are_no_drawing(free):
    asked = Picture(free.subjects[3], "flat", "orange", "small", "left")
    picture = free.composite([asked])
    noisy = (picture + 0.03 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    noisy[..., 20, 110] = noisy[..., 100:102, 100:102] = -1
    (clean,), (rough,) = masks.find(picture), masks.find(noisy)
    assert max(abs(a - b) for a, b in zip(clean.box, rough.box, strict=True)) <= 1


def test_pixels_tell_a_drawing_from_its_mirror_image(free):
    names = [name for name in free.subjects if "3 corners" in name or "5 corners" in name]
    pictures = [Picture(name, style, "teal", "any", "anywhere") for name in names for style in ("flat", "3d")] * 6
    places = free.places(pictures, random.Random(0))
    seen = masks.directions(free.paint(pictures, places), free.composite(pictures))
    told = [(way, boxes[0].mirrored) for way, boxes in zip(seen, places, strict=True) if way]
    assert len(told) > 10 and all((way == "mirrored") == mirrored for way, mirrored in told)
    straight = [Picture("shape with 4 corners", "flat", "teal", "any", "anywhere")] * 4
    assert masks.directions(free.composite(straight, random.Random(0)), free.composite(straight)) == [None] * 4


def test_two_things_are_parted_and_put_in_the_middle(free):
    pair = Picture("shape with 4 corners", "flat", "orange", "any", "anywhere", "shape with 16 corners")
    pictures = free.composite([pair], random.Random(0))
    halves = masks.halves(pictures, masks.find(pictures))
    assert halves.shape == (1, 2, 3, 128, 128)
    for half in halves[0]:
        (found,) = masks.find(half[None])
        assert found.gap is None and abs(found.x - 0.5) < 0.12 and 0.36 < found.share < 0.48


def test_seeds_that_differ_are_told_from_those_that_do_not():
    same = torch.zeros(1, 3, 3, 8, 8)
    other = same.clone()
    other[0, 1] = 1
    assert masks.spread(same).tolist() == [0] and np.allclose(masks.spread(other), 2 / 3)


def test_the_attribution_is_up_to_date():
    assert (configuration.HERE / "ATTRIBUTION.md").read_text(encoding="utf-8") == data.attribution()


# --- the chain --------------------------------------------------------------------------------------------


def test_the_smoke_run_writes_everything(smoke):
    results = json.loads((smoke.work / "evaluation/results.json").read_text())
    assert list(results["groups"]) == ["train", "triple", "pair", "placed", "layout", "beside", "neighbour"]
    assert {*results["groups"]["placed"]["layout"]["real"]} >= {"size"}
    assert set(results["seeds_differ"]) == {"named", "open"}
    assert {*results["groups"]["beside"]["layout"]["generated"]} == {"two", "both"}
    for name in ("named", "open"):
        assert (smoke.work / f"evaluation/grid-{name}.png").exists()
    assert results["judges"]["train"]["background"] == 1
    assert (smoke.work / "evaluation/samples-pair.png").exists()
    assert "| held-out style | nearest caption |" in (smoke.work / "evaluation/results.md").read_text()
    steps = [json.loads(line)["step"] for line in (smoke.work / "unet.jsonl").read_text().splitlines()]
    assert steps == [10, 20, 30]


def test_sheets_show_what_has_been_trained_so_far(smoke):
    told = []
    sheets.write(smoke, told.append)
    assert [line.split(":")[0] for line in told[:3]] == ["size as asked", "place as asked", "two as asked"]
    assert len((smoke.work / "sheets/forty.txt").read_text().splitlines()) == 40
    for name in ("forty", "grid-named", "grid-open"):
        with Image.open(smoke.work / f"sheets/{name}.png") as sheet:
            assert sheet.width > 60


def test_the_same_captions_give_the_same_tokenizer(smoke):
    sprites = data.load(smoke, torch.device("cpu"))
    learned = [captions_tokenizer.learn(sprites, **smoke.tokenizer) for _ in range(4)]
    texts = {tokenizer.backend_tokenizer.to_str() for tokenizer in learned}
    assert len(texts) == 1 and len(learned[0]) <= smoke.tokenizer["vocabulary"]


def test_the_pipeline_loads_without_custom_code(smoke):
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
    from transformers import AutoTokenizer, CLIPTextModel, CLIPTokenizer

    folder = smoke.work / "export/pipeline"
    pipe = StableDiffusionPipeline.from_pretrained(folder)
    assert pipe.safety_checker is None and isinstance(pipe.text_encoder, CLIPTextModel)
    for model in (pipe.unet, pipe.vae, pipe.text_encoder):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    stored = load_file(folder / "unet/diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    pipe.set_progress_bar_config(disable=True)
    prompt = "a shape with 3 corners, 3d style, on a teal background"
    for loader in (AutoTokenizer, CLIPTokenizer):
        tokenizer = loader.from_pretrained(folder / "tokenizer")
        words = tokenizer.decode(tokenizer(prompt.upper()).input_ids, skip_special_tokens=True)
        assert words.replace(" ", "") == prompt.replace(" ", "")
    pictures = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(0)
        pictures.append(pipe(prompt, num_inference_steps=3, generator=generator, output_type="pt").images)
    assert pictures[0].shape == (1, 3, 32, 32) and torch.equal(*pictures)
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    assert torch.isfinite(pipe(prompt, num_inference_steps=3, output_type="pt").images).all()


def test_the_judges_load_without_custom_code(smoke):
    from transformers import AutoModelForImageClassification, AutoProcessor, CLIPModel

    clip = CLIPModel.from_pretrained(smoke.work / "export/judge")
    processor = AutoProcessor.from_pretrained(smoke.work / "export/judge")
    sprites = data.load(smoke)
    picture = sprites.composite([sprites.layout.usual(sprites.subjects[0], "flat", "red")])
    inputs = processor(text=["a shape"], images=data.to_pil(picture), return_tensors="pt", padding="max_length")
    assert (inputs["pixel_values"] - picture).abs().max() < 0.01
    assert clip(**inputs).logits_per_image.shape == (1, 1)
    style = AutoModelForImageClassification.from_pretrained(smoke.work / "export/style-judge")
    assert list(style.config.id2label.values()) == list(data.STYLES)


def test_standardising_changes_no_picture(smoke):
    sprites = data.load(smoke)
    torch.manual_seed(0)
    model = vae.build(smoke).eval().requires_grad_(False)
    pictures = sprites.composite(sprites.draw(48, random.Random(0)))
    before = model.decode(model.encode(pictures).latent_dist.mode()).sample
    variance = model.encode(pictures).latent_dist.var / model.encode(pictures).latent_dist.mean.var(
        (0, 2, 3), keepdim=True
    )
    vae.standardise(model, pictures)
    posterior = model.encode(pictures).latent_dist
    assert torch.allclose(model.decode(posterior.mode()).sample, before, atol=1e-4)
    assert torch.allclose(posterior.mean.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(posterior.mean.std((0, 2, 3)), torch.ones(4), atol=1e-3)
    assert torch.allclose(posterior.var, variance, rtol=1e-2)


def test_the_last_step_is_pure_noise(smoke):
    scheduler = train.build_scheduler(smoke)
    assert scheduler.alphas_cumprod[-1] == 0
    scheduler.set_timesteps(40)
    assert scheduler.timesteps[0] == 999
    times = train.spread_times(50, 1000, "cpu")
    assert (times // 20).tolist() == list(range(50))


def test_a_code_is_a_straight_way_to_its_latent(smoke):
    torch.manual_seed(0)
    hidden = torch.randn(300, 20) @ torch.randn(20, 4 * 8 * 8)  # 20 things to know about each latent
    latents = hidden.view(300, 4, 8, 8)
    tokenizer = captions_tokenizer.load(smoke, data.load(smoke))
    module = text.PictureCode(text.build(smoke, tokenizer), latents)
    flat = latents.flatten(1)
    codes = (flat - module.mean) @ torch.linalg.pinv(module.basis).T
    assert torch.allclose(codes @ module.basis.T + module.mean, flat, atol=1e-2)
    assert torch.allclose(codes[:, :20].std(0), torch.ones(20), atol=0.01)
    # what the loss counts: the places from a caption's end on, and nothing before
    ids = captions_tokenizer.encode(tokenizer, ["a shape with 3 corners", "a shape"])
    end = (ids == tokenizer.eos_token_id).int().argmax(1)
    vectors = module.text_encoder(ids)[0]
    errors = ((vectors @ module.basis.T + module.mean - flat[:2, None]) ** 2).mean(2)
    kept = torch.cat([errors[i, place:] for i, place in enumerate(end.tolist())])
    assert torch.allclose(module(latents[:2], ids)["loss"], kept.mean(), rtol=1e-5)


def test_the_code_says_the_layout(smoke):
    torch.manual_seed(0)
    tokenizer = captions_tokenizer.load(smoke, data.load(smoke))
    layout = torch.rand(50, 4) * torch.tensor([1.0, 2.0, 3.0, 0.1])
    module = text.PictureCode(text.build(smoke, tokenizer), torch.randn(50, 4, 8, 8), layout, weight=0.5)
    assert module.basis.shape == (256, smoke.text_encoder["hidden_size"] - 4)
    ids = captions_tokenizer.encode(tokenizer, ["a shape"])
    scores = module(torch.randn(1, 4, 8, 8), ids, layout[:1])
    assert torch.allclose(scores["loss"], scores["picture"] + 0.5 * scores["layout"])
    done = ids[0] == tokenizer.eos_token_id
    told = (module.text_encoder(ids)[0][0, done, -4:] * module.spread + module.centre - layout[0]) / module.spread
    assert torch.allclose(scores["layout"], (told**2).mean(), rtol=1e-4)


def test_the_bank_knows_the_usual_picture_of_each(smoke):
    sprites = data.load(smoke)
    stored = bank.load(smoke, sprites, captions_tokenizer.load(smoke, sprites))
    count, usual = len(stored["latents"]), len(stored["usual"])
    assert stored["which"].shape == (count,) and set(stored["which"].tolist()) == set(range(usual)) and usual < count
    assert stored["layout"].shape == (count, smoke.pictures["captions"], 8)
    assert 0.02 < stored["layout"][..., -1].mean() < 0.15
    assert stored["tokens"].shape == (count, smoke.pictures["captions"], smoke.tokenizer["length"])


def test_latents_are_much_the_same_in_bfloat16(smoke):
    sprites = data.load(smoke)
    encoder, pictures = vae.trained(smoke, sprites), sprites.composite(sprites.draw(20, random.Random(0)))
    exact, short = bank.encoded(encoder, pictures), bank.encoded(encoder, pictures, short=True)
    assert short.dtype == exact.dtype == torch.float16 and 0 < (short - exact).float().std() < 0.03


def test_min_snr_weights(smoke):
    scheduler = train.build_scheduler(smoke)
    snr = scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod)
    weights = train.snr_weights(scheduler, 5.0)
    assert abs(weights.mean() - 1) < 1e-5 and weights[-1] == 0
    at = (snr - 5).abs().argmin()
    assert abs(weights.argmax() - at) <= 1
    assert torch.allclose(weights[600] / weights[at], snr[600] / (snr[600] + 1) / (5 / 6), rtol=0.02)
    assert train.snr_weights(scheduler, 5.0, 0.1)[-1] > 0.1
    noise = configuration.read(CONFIGS / "smoke.json", changes=["scheduler.prediction_type=epsilon"])
    with pytest.raises(BookError, match="Noise cannot be predicted where nothing but noise is left"):
        train.DiffusionLoss(torch.nn.Linear(1, 1), None, train.build_scheduler(noise))
    noise.scheduler["rescale_betas_zero_snr"] = False
    weights = train.snr_weights(train.build_scheduler(noise), 5.0)
    assert torch.allclose(weights[-300:], weights[-1], rtol=1e-3) and weights[0] < weights[-1] / 100


def test_the_noise_can_be_predicted_instead(smoke):
    """Both losses vanish for the model that knows the picture."""
    latents, noise = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
    times = torch.tensor([10, 700])
    words = torch.nn.Embedding(3, 4)
    for settings in ({}, {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}):
        scheduler = train.build_scheduler(configuration.read(CONFIGS / "smoke.json"))
        scheduler = type(scheduler).from_config(scheduler.config | settings)
        a, s = scheduler.alphas_cumprod[times].sqrt(), (1 - scheduler.alphas_cumprod[times]).sqrt()
        known = noise if settings else a.view(-1, 1, 1, 1) * noise - s.view(-1, 1, 1, 1) * latents

        class Known(torch.nn.Module):
            def forward(self, *args, answer=known, **kwargs):
                return (answer,)

        class Text(torch.nn.Module):
            def forward(self, tokens):
                return (words(tokens),)

        for weighting in ({}, {"min_snr": 5.0, "least_weight": 0.1}):
            loss = train.DiffusionLoss(Text(), Known(), scheduler, **weighting)
            assert loss(latents, torch.tensor([[0], [1]]), times, noise)["loss"] < 1e-10


def test_numbers_say_what_a_caption_says():
    fox = Picture("fox", "flat", "teal", "any", "anywhere")
    assert layouts.said([fox]).tolist() == [[0.0] * 8]
    told = [replace(fox, size=size, place=place, neighbour=other) for size in layouts.FREE_SIZES
            for place in layouts.FREE_PLACES for other in (None, "egg")]  # fmt: skip
    numbers = layouts.said(told)
    assert numbers.sum(1).tolist() == [len(layouts.says(p)) + (p.neighbour is not None) for p in told]
    assert len(numbers.unique(dim=0)) == 3 * 6 * 2


def test_windows_are_parts_of_their_pictures():
    pictures = torch.arange(2 * 3 * 16 * 16.0).view(2, 3, 16, 16)
    parts = vae.windows(pictures, 8, random.Random(0))
    for picture, part in zip(pictures, parts, strict=True):
        top, left = ((picture[0] == part[0, 0, 0]).nonzero()[0]).tolist()
        assert torch.equal(picture[:, top : top + 8, left : left + 8], part)


def test_a_drawing_can_count_more_than_its_ground():
    pictures = torch.zeros(1, 3, 8, 8)
    pictures[..., 2:4, 2:4] = 1
    error = torch.zeros_like(pictures)
    error[..., 2, 2] = 0.4
    assert torch.isclose(vae.drawn_error(error, pictures, torch.zeros(1, 3, 1, 1)), torch.tensor(0.1))
    assert vae.drawn_error(error, 0 * pictures, torch.zeros(1, 3, 1, 1)) == 0


def test_muon_trains_the_matrices_and_adamw_the_rest(smoke):
    tokenizer = captions_tokenizer.load(smoke, data.load(smoke))
    module = text.PictureCode(text.build(smoke, tokenizer), torch.randn(50, 4, 8, 8))
    adamw, muon = loop.optimizers(module, smoke.training["text"])
    assert isinstance(muon, torch.optim.Muon) and muon.param_groups[0]["peak"] == smoke.training["text"].muon
    trained = [{id(p) for group in optimizer.param_groups for p in group["params"]} for optimizer in (adamw, muon)]
    assert not trained[0] & trained[1] and trained[0] | trained[1] == {id(p) for p in module.parameters()}
    embeddings = module.text_encoder.get_input_embeddings().weight
    assert id(embeddings) in trained[0] and len(trained[1]) == 6 * smoke.text_encoder["num_hidden_layers"]


def test_the_text_encoder_stays_as_it_was_taught(smoke):
    taught = load_file(smoke.work / "text.safetensors")
    shipped = load_file(smoke.work / "unet.safetensors")
    assert all(torch.equal(shipped[name], weight) for name, weight in taught.items() if name in shipped)
    assert sum(name.startswith("text_encoder.") for name in shipped) == len(taught)


@pytest.mark.parametrize("name", ["text", *(pytest.param(name, marks=pytest.mark.slow) for name in ("vae", "unet"))])
def test_an_interrupted_run_ends_in_the_same_weights(tmp_path, smoke, name):
    run = {"vae": vae.run, "text": text.run, "unet": train.run}[name]
    weights, logs = [], []
    for stops in ([None], [7, 18, None]):
        config = toy(tmp_path / str(len(stops)), smoke)
        (config.work / f"{name}.safetensors").unlink(missing_ok=True)
        config.training[name].steps = 22
        for stop in stops:
            done = run(config, stop_at=stop)
        assert done
        weights.append(load_file(config.work / f"{name}.safetensors"))
        logs.append((config.work / f"{name}.jsonl").read_text().splitlines()[-1])
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert [json.loads(log)["step"] for log in logs] == [22, 22]


def test_a_warm_start_takes_the_unet_alone(tmp_path):
    old, new = (torch.nn.ModuleDict({"unet": torch.nn.Linear(2, 2), "text_encoder": torch.nn.Linear(2, 2)})
                for _ in range(2))  # fmt: skip
    save_file(old.state_dict(), tmp_path / "unet.safetensors")
    kept = new["text_encoder"].weight.clone()
    loop.load_weights(new, tmp_path / "unet.safetensors", "train", only="unet.")
    assert torch.equal(new["unet"].weight, old["unet"].weight) and torch.equal(new["text_encoder"].weight, kept)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    config = toy(tmp_path)
    config.training["vae"].steps = 2
    vae.run(config, stop_at=1)
    path = tmp_path / "vae-checkpoint/model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BookError, match="cannot be read .* delete it to begin again"):
        vae.run(config)


def test_steps_say_what_has_to_run_before_them(tmp_path, smoke):
    config = toy(tmp_path)
    with pytest.raises(BookError, match="run the step `vae` first"):
        text.run(config)
    shutil.copy(smoke.work / "vae.safetensors", config.work)
    with pytest.raises(BookError, match="run the step `text` first"):
        train.run(config)
    with pytest.raises(BookError, match="run the step `judges` first"):
        judges.trained(config, data.load(config))
    with pytest.raises(BookError, match="run the step `export` first"):
        evaluate.evaluate(config)


def test_parts_are_joined_and_checked(tmp_path, smoke):
    folder = smoke.work / "export"
    parts = export.split(folder, tmp_path / "parts", size=200_000)
    assert len(parts) > 3 and max(part.stat().st_size for part in parts) <= 200_000
    export.join(tmp_path / "parts", tmp_path / "back")
    name = "pipeline/unet/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "back" / name).read_bytes() == (folder / name).read_bytes()
    parts[1].write_bytes(b"")
    with pytest.raises(BookError, match="missing or damaged: copy it again"):
        export.join(tmp_path / "parts", tmp_path / "again")


def results(config) -> dict:
    return json.loads((config.work / "evaluation/results.json").read_text(encoding="utf-8"))


def words(page: str) -> str:
    """A passport without its drawing, which matplotlib's next release may make otherwise."""
    return re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_publishing_ships_what_was_measured(smoke, tmp_path):
    (tmp_path / "data").mkdir()
    before = (recipe.ROOT / "data/models.yml").read_text(encoding="utf-8")
    (tmp_path / "data/models.yml").write_text(before, encoding="utf-8")
    publish.publish(smoke, tmp_path)
    after = yaml.safe_load((tmp_path / "data/models.yml").read_text(encoding="utf-8"))["roles"]
    for role, name in (("text-to-image", "unet/diffusion_pytorch_model.safetensors"), ("judge", "style/config.json")):
        pocket = after[role]["pocket"]
        shipped = tmp_path / pocket["path"] / name
        assert pocket["files"][name] == {
            "bytes": shipped.stat().st_size, "sha256": hashlib.sha256(shipped.read_bytes()).hexdigest()
        }  # fmt: skip
        assert pocket["kind"] == "repository" and pocket["parameters"] > 1000
    for role, entry in yaml.safe_load(before)["roles"].items():
        assert after[role]["hub"] == entry["hub"]
        assert role in ("text-to-image", "judge") or after[role] == entry
    page = (tmp_path / publish.PAGE).read_text(encoding="utf-8")
    assert page.count("<figure>") == 3 * 2 + 1
    assert "$" not in words(page) and evaluate.table(results(smoke)).strip() in page
    publish.write(tmp_path)
    assert words(page) == words((tmp_path / publish.PAGE).read_text(encoding="utf-8"))


def test_publishing_needs_the_evaluation(tmp_path):
    with pytest.raises(BookError, match="results.json is missing: run the steps"):
        publish.publish(toy(tmp_path), tmp_path)
    assert not (tmp_path / "data").exists()


def test_shipped_models_are_evaluated_where_nothing_is_exported(tmp_path, monkeypatch):
    monkeypatch.setattr(finished, "SHIPPED", "smoke")
    monkeypatch.setattr(finished.bookkit, "model", lambda role: str(tmp_path / role))
    folders = finished.folders(toy(tmp_path))
    assert folders["pipeline"] == tmp_path / "text-to-image" and folders["style-judge"] == tmp_path / "judge/style"


# --- begun with finished models ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def warm(tmp_path_factory, smoke):
    """A trained configuration of twice the side that begins with the smoke run's models."""
    work = tmp_path_factory.mktemp("begun")
    (work / "smoke").symlink_to(smoke.work)
    config = configuration.read(CONFIGS / "smoke.json", work / "warm")
    config.start, config.resolution = "smoke", 64
    config.vae["block_out_channels"] = [32, 32, 32]
    config.training["vae"].lr, config.training["vae"].options["held_weight"] = 0.0002, 1.0
    data.build(config)
    assert vae.run(config) and text.run(config) and train.run(config)
    return config


def test_an_enlarged_autoencoder_has_the_latents_of_the_halved_picture(warm):
    torch.manual_seed(0)
    start, begun = finished.autoencoder(warm), vae.build(warm).requires_grad_(False)
    vae.enlarge(begun, start)
    sprites = data.load(warm)
    pictures = sprites.composite(sprites.draw(8, random.Random(0)), random.Random(0))
    latents = vae.halved(start, pictures)
    assert (begun.encode(pictures).latent_dist.mode() - latents).square().mean() < 0.01 * latents.var()
    doubled = start.decode(latents).sample.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert (begun.decode(latents).sample - doubled).square().mean() < 0.05 * doubled.var()
    learned = vae.trained(warm, sprites).encode(pictures).latent_dist.mode()
    assert 0 < (learned - latents).square().mean() < 0.1 * latents.var()


def test_training_goes_on_in_the_spaces_of_what_it_began_with(warm, smoke):
    sprites = data.load(warm)
    tokenizer = captions_tokenizer.load(warm, sprites)
    assert tokenizer.get_vocab() == captions_tokenizer.load(smoke, data.load(smoke)).get_vocab()
    assert not (warm.work / "tokenizer").exists()
    one, other = (sprites.layout.usual(subject, "flat", "teal") for subject in sprites.subjects[:2])
    codes = bank.codes(warm, tokenizer, [one, other, replace(one, neighbour=other.subject)])
    assert torch.allclose(codes[2], codes[:2].mean(0), atol=1e-5)
    stored = bank.load(warm, sprites, tokenizer)
    assert stored["usual"].shape[1:] == (warm.text_encoder["hidden_size"],)
    shipped = load_file(finished.start(warm)["pipeline"] / "unet/diffusion_pytorch_model.safetensors")
    now = load_file(warm.work / "unet.safetensors")
    changes = [(now[f"unet.{name}"] - weight.float()).norm() / (weight.float().norm() + 1) for name, weight in
               shipped.items()]  # fmt: skip
    assert 0 < max(changes) < 0.5


def test_finished_judges_see_drawings_in_the_middle(warm, free):
    shown = [Picture(free.subjects[3], "3d", ground, "small", "left") for ground in BACKGROUNDS]
    pictures = free.composite(shown, random.Random(0))
    found = masks.find(masks.centred(pictures, 0.8125))
    assert all(abs(seen.share - 0.8125) < 0.05 and abs(seen.x - 0.5) < 0.02 > abs(seen.y - 0.5) for seen in found)
    empty = torch.full((1, 3, 16, 16), 0.3)
    assert torch.equal(masks.centred(empty, 0.8), empty)
    judge = judges.trained(warm, data.load(warm))
    assert judge.centred == 0.8125 and judge.side == 32
    export.export(warm, warm.work / "export")
    assert evaluate.evaluate(warm, quick=True)["judges"]["train"]["background"] == 1


# --- scores -----------------------------------------------------------------------------------------------


def test_bootstrap_intervals():
    mean, low, high = evaluate.with_interval(np.array([1.0, 0.0] * 50))
    assert mean == 0.5 and 0.38 < low < 0.45 and 0.55 < high < 0.62


def test_colours_are_measured_as_the_standard_says():
    values = masks.lab(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    expected = torch.tensor([[100.0, 0, 0], [53.24, 80.09, 67.20], [0, 0, 0]])  # published values under D65
    assert torch.allclose(values, expected, atol=0.1)


def test_the_nearest_caption_never_has_all_three(tmp_path):
    sprites = data.load(toy(tmp_path))
    training = sprites.everything("train")
    for asked in sprites.everything("triple")[:5] + sprites.everything("pair")[:5]:
        near = evaluate.nearest_caption(asked, training)
        agree = [getattr(near, key) == getattr(asked, key) for key in ("subject", "style", "background")]
        assert sum(agree) == 2 and data.part(near) == "train"


# --- configurations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cpu", "gpu", "warm128", "gpu128"])
def test_the_shipped_configurations_fit_the_book(name):
    config = configuration.read(CONFIGS / f"{name}.json")

    class Words:
        model_max_length = config.tokenizer["length"]
        bos_token_id, eos_token_id, pad_token_id = 2998, 2999, 2999

        def __len__(self):
            return config.tokenizer["vocabulary"]

    with torch.device("meta"):
        modules = [
            vae.build(config), text.build(config, Words()), train.build_unet(config),
            judges.build_judge(config, Words()), judges.build_style_judge(config),
        ]  # fmt: skip
    parameters = [sum(p.numel() for p in module.parameters()) for module in modules]
    assert 2 * sum(parameters) < export.TOTAL_LIMIT - 600_000 and 2 * max(parameters) < export.FILE_LIMIT


def test_single_settings_are_changed_on_the_command_line():
    changes = ["training.unet.batch=64", "scheduler.prediction_type=epsilon"]
    config = configuration.read(CONFIGS / "warm128.json", changes=changes)
    assert config.training["unet"].batch == 64 and config.scheduler["prediction_type"] == "epsilon"
    with pytest.raises(BookError, match="changes no setting: .* a name from warm128.json"):
        configuration.read(CONFIGS / "warm128.json", changes=["training.unet.bach=64"])


def test_a_wrong_configuration_is_refused(tmp_path):
    with pytest.raises(BookError, match="is missing"):
        configuration.read(tmp_path / "no.json")
    (tmp_path / "odd.json").write_text('{"name": "odd"}')
    with pytest.raises(BookError, match="is not a configuration"):
        configuration.read(tmp_path / "odd.json")
