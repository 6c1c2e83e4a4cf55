"""The judges: a small CLIP and a style classifier, trained on real pictures only.

    python -m training.pocket_diffusion.judges --config training/pocket_diffusion/configs/cpu.json

They are ordinary ``CLIPModel`` and ``ResNetForImageClassification`` models. The CLIP is the book's CLIP score; it
answers "which subject?" by retrieval among all names. The colour of the background needs no model: it is measured.

In the free layout, finished judges of the fixed layout can serve (`start` in the configuration): they are shown each
drawing cut out and set in the middle in their usual size.

No judge has seen a generated picture. What it is measured on is held out as in :mod:`data`: the CLIP on *pairs*
(sprites that it was never shown) and on *triples*; the style classifier on every tenth subject, which is left out
of its training altogether.
"""

import json
import random
from pathlib import Path

import torch
import torch.nn.functional as F

from training import recipe
from training.pocket_diffusion import data, finished, layouts, loop, masks, words
from training.pocket_diffusion.captions import BACKGROUNDS, canonical, noun_phrase, plain
from training.pocket_diffusion.configuration import Config, command, from_arguments, step_parser

MEAN = STD = (0.5, 0.5, 0.5)  # pictures in [-1, 1]


# --- the models -------------------------------------------------------------------------------------------


def build_judge(config: Config, tokenizer):
    """A new, small CLIPModel."""
    from transformers import CLIPConfig, CLIPModel

    shape = config.judge
    return CLIPModel(CLIPConfig(
        projection_dim=shape["projection_dim"],
        vision_config={"image_size": shape["resolution"], "projection_dim": shape["projection_dim"], **shape["vision"]},
        text_config={"vocab_size": len(tokenizer), "max_position_embeddings": tokenizer.model_max_length,
                     "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
                     "pad_token_id": tokenizer.pad_token_id, "projection_dim": shape["projection_dim"],
                     **shape["text"]},
    ))  # fmt: skip


def build_style_judge(config: Config):
    """A new, small ResNet over the four styles."""
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(ResNetConfig(
        id2label=dict(enumerate(data.STYLES)), label2id={style: i for i, style in enumerate(data.STYLES)},
        **config.style_judge,
    ))  # fmt: skip


def resized(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """Pictures (n, 3, h, w) at the judges' side, averaged and not sampled."""
    if pictures.shape[-1] == side:
        return pictures
    return F.interpolate(pictures, (side, side), mode="bicubic", antialias=True)


def roughened(pictures: torch.Tensor) -> torch.Tensor:
    """Real pictures with random noise and, half of them, blur: judges must not turn on a pixel's value.

    Args:
        pictures: (n, 3, h, w) in [-1, 1].
    """
    count = len(pictures)
    soft = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    blend = torch.rand(count, 1, 1, 1, device=pictures.device).sub(0.5).clamp(min=0) * 2
    strength = 0.08 * torch.rand(count, 1, 1, 1, device=pictures.device)
    return pictures.lerp(soft, blend) + strength * torch.randn_like(pictures)


class JudgeLoss(torch.nn.Module):
    """The contrastive loss (Radford et al., 2021, section 2.3), twice: over captions and over names.

    A batch holds few subjects, each in several styles and on several backgrounds, so that the captions of one
    subject are each other's hard negatives; the second term asks for the subject alone.
    """

    def __init__(self, clip):
        super().__init__()
        self.clip = clip

    def heavy(self):
        """The parts that torch.compile is to fuse: none, for batches differ in size."""
        return ()

    def forward(self, pictures, captions, names, subject) -> dict[str, torch.Tensor]:
        """Scalars for one batch.

        Args:
            pictures: (n, 3, r, r) in [-1, 1].
            captions: int64 (n, length), one for each picture.
            names: int64 (m, length), one for each subject of the batch.
            subject: int64 (n,), which of the m a picture shows.
        """
        image = features(self.clip.get_image_features(pixel_values=pictures))
        text = features(self.clip.get_text_features(input_ids=torch.cat([captions, names])))
        scale = self.clip.logit_scale.exp().clamp(max=100)
        by_caption, by_name = (scale * image @ text.T).split([len(captions), len(names)], dim=1)
        target = torch.arange(len(image), device=image.device)
        caption_loss = (F.cross_entropy(by_caption, target) + F.cross_entropy(by_caption.T, target)) / 2
        name_loss = F.cross_entropy(by_name, subject)
        return {"loss": caption_loss + name_loss, "captions": caption_loss, "names": name_loss,
                "top1": (by_name.argmax(1) == subject).float().mean()}  # fmt: skip


def features(output) -> torch.Tensor:
    """Unit vectors from what ``get_*_features`` returns (a tensor, or since transformers 5 an output object)."""
    tensor = output if isinstance(output, torch.Tensor) else output.pooler_output
    return F.normalize(tensor.float(), dim=-1)


class StyleLoss(torch.nn.Module):
    """Cross-entropy over the styles."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier

    def heavy(self):
        """The parts that torch.compile is to fuse: none, for batches differ in size."""
        return ()

    def forward(self, pictures, style) -> dict[str, torch.Tensor]:
        """Scalars for pictures (n, 3, r, r) and styles, int64 (n,)."""
        logits = self.classifier(pixel_values=pictures).logits.float()
        return {"loss": F.cross_entropy(logits, style), "top1": (logits.argmax(1) == style).float().mean()}


# --- training ---------------------------------------------------------------------------------------------


def style_held_out(subject: str) -> bool:
    """Whether the style classifier never sees this subject: one in ten, by hash."""
    return data.fraction("style judge", subject) < 0.1


def run(config: Config, which: str, minutes: float | None = None) -> bool:
    """Train one judge ("judge" or "style_judge"), or go on training it; say whether it is done."""
    sprites = data.load(config, loop.device())
    tokenizer = words.load(config, sprites)
    torch.manual_seed(config.seed)
    side = config.judge["resolution"]

    def pictures_of(shown, rng):
        return roughened(resized(sprites.composite(shown, rng), side))

    def judge_batch(count, rng):
        each = config.training["judge"].options["pictures_per_subject"]
        subjects = rng.sample(sprites.subjects, min(len(sprites.subjects), count // each))
        pool = (sprites.layout.usual(s, rng.choice(data.STYLES), rng.choice(list(BACKGROUNDS)))
                for s in subjects for _ in range(each))  # fmt: skip
        shown = [sprites.layout.vary(picture, rng) for picture in pool]
        shown = [picture for picture in shown if sprites.part(picture) == "train"]
        captions = words.encode(tokenizer, [sprites.caption(picture, rng) for picture in shown])
        names = words.encode(tokenizer, [noun_phrase(plain(subject)) for subject in subjects])
        numbers = torch.tensor([subjects.index(picture.subject) for picture in shown])
        where = sprites.device
        return pictures_of(shown, rng), captions.to(where), names.to(where), numbers.to(where)

    def style_batch(count, rng):
        shown = [picture for picture in sprites.draw(count, rng) if not style_held_out(picture.subject)]
        style = torch.tensor([data.STYLES.index(picture.style) for picture in shown], device=sprites.device)
        return pictures_of(shown, rng), style

    if which == "judge":
        return loop.train(which, config, JudgeLoss(build_judge(config, tokenizer)), judge_batch, minutes)
    return loop.train(which, config, StyleLoss(build_style_judge(config)), style_batch, minutes)


# --- judging ----------------------------------------------------------------------------------------------


class Judges:
    """All judges together, over a list of subjects.

    Attributes:
        names: unit vectors of all subjects' names, (subjects, d).
        centred: the share of the frame in which drawings are set before they are judged; None: they stay as they are.
    """

    def __init__(self, clip, style, tokenizer, subjects: list[str], side: int, device="cpu", centred=None):
        self.clip, self.style = clip.eval().to(device), style.eval().to(device)
        self.tokenizer, self.subjects, self.side, self.device = tokenizer, subjects, side, torch.device(device)
        self.centred = centred
        self.names = self.text([noun_phrase(plain(subject)) for subject in subjects])

    @torch.no_grad()
    def text(self, texts: list[str]) -> torch.Tensor:
        """Unit vectors of texts, (n, d)."""
        ids = words.encode(self.tokenizer, texts).to(self.device)
        return torch.cat([features(self.clip.get_text_features(input_ids=chunk)) for chunk in ids.split(256)])

    @torch.no_grad()
    def __call__(self, pictures: torch.Tensor, asked: list[data.Picture]) -> list[dict]:
        """Score pictures (n, 3, R, R) in [-1, 1] against what was asked for.

        Returns:
            For each picture: "subject_top1", "subject_top5", "style", "background" (1 or 0), "all" (style,
            background and the subject among the first five), "all_strict" (subject first), and "clip", the
            cosine between picture and canonical caption.
        """
        wanted = self.text([canonical(picture) for picture in asked])
        colours = list(BACKGROUNDS)
        scores = []
        for start in range(0, len(asked), 128):
            shown = pictures[start : start + 128].to(self.device)
            small = resized(masks.centred(shown, self.centred) if self.centred else shown, self.side)
            vectors = features(self.clip.get_image_features(pixel_values=small))
            ranked = (vectors @ self.names.T).topk(min(5, len(self.subjects))).indices.tolist()
            styles = self.style(pixel_values=small).logits.argmax(1).tolist()
            grounds = nearest_background(masks.border(shown)).tolist()
            cosine = (vectors * wanted[start : start + 128]).sum(1).tolist()
            for i, picture in enumerate(asked[start : start + 128]):
                best = [self.subjects[number] for number in ranked[i]]
                score = {
                    "subject_top1": best[0] == picture.subject,
                    "subject_top5": picture.subject in best,
                    "style": data.STYLES[styles[i]] == picture.style,
                    "background": colours[grounds[i]] == picture.background,
                }
                score["all"] = score["subject_top5"] and score["style"] and score["background"]
                score["all_strict"] = score["all"] and score["subject_top1"]
                scores.append({key: int(value) for key, value in score.items()} | {"clip": cosine[i]})
        return scores


def nearest_background(colours: torch.Tensor) -> torch.Tensor:
    """The nearest named background in CIELAB, int64 (n,), for colours (n, 3) in [-1, 1]."""
    named = masks.lab(torch.tensor(list(BACKGROUNDS.values()), device=colours.device) / 255)
    return torch.cdist(masks.lab((colours.float().clamp(-1, 1) + 1) / 2), named).argmin(1)


def load(config: Config, folder: dict[str, Path], sprites: data.Sprites) -> Judges:
    """The judges from where :func:`finished.folders` says."""
    from transformers import CLIPModel, CLIPTokenizer, ResNetForImageClassification

    clip = CLIPModel.from_pretrained(folder["judge"])
    style = ResNetForImageClassification.from_pretrained(folder["style-judge"])
    tokenizer = CLIPTokenizer.from_pretrained(folder["judge"])
    centred = layouts.FIXED_SIZES["normal"][0] if config.start else None
    side = clip.config.vision_config.image_size
    return Judges(clip, style, tokenizer, sprites.subjects, side, sprites.device, centred)


def trained(config: Config, sprites: data.Sprites) -> Judges:
    """The judges of a work folder, or those that training begins with."""
    if config.start:
        return load(config, finished.start(config), sprites)
    tokenizer = words.load(config, sprites)
    clip = loop.load_weights(JudgeLoss(build_judge(config, tokenizer)), config.work / "judge.safetensors", "judges")
    style = StyleLoss(build_style_judge(config))
    style = loop.load_weights(style, config.work / "style_judge.safetensors", "judges")
    return Judges(clip.clip, style.classifier, tokenizer, sprites.subjects, config.judge["resolution"], sprites.device)


def accuracy(judges: Judges, sprites: data.Sprites, limit: int = 1500) -> dict[str, dict]:
    """The judges' scores on real pictures: seen, held-out triples, held-out pairs, and unseen subjects' styles."""
    groups = {name: sprites.everything(name) for name in ("train", "triple", "pair")}
    groups["unseen_style"] = [p for p in groups["train"] if style_held_out(p.subject)]
    result = {}
    for name, pictures in groups.items():
        pictures = random.Random(name).sample(pictures, min(limit, len(pictures)))
        rng = sprites.chance(name)
        scores = [
            score
            for start in range(0, len(pictures), 128)
            for score in judges(sprites.composite(pictures[start : start + 128], rng), pictures[start : start + 128])
        ]
        result[name] = {"pictures": len(scores)} | {
            key: round(sum(score[key] for score in scores) / len(scores), 4) for key in (scores[0] if scores else ())
        }
    return result


def main(argv=None) -> None:
    parser = step_parser("Train the judges on real pictures.", minutes=True)
    config = from_arguments(args := parser.parse_args(argv))
    done = bool(config.start) or (run(config, "style_judge", args.minutes) and run(config, "judge", args.minutes))
    if done:
        sprites = data.load(config, loop.device())
        result = accuracy(trained(config, sprites), sprites)
        recipe.write_json(config.work / "judges.json", result)
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    command(main)
