"""The data set: sprites, named backgrounds and captions, composited on the fly.

    python -m training.pocket_diffusion.data --config training/pocket_diffusion/configs/cpu.json

Nothing but the sprites is stored. A picture is a sprite, or two, on a plain background, in a size and at a place that
:mod:`layouts` chooses; every choice is drawn from a generator that the caller seeds.

What is held out, from everything that is trained here (VAE, U-Net, judges), by a rule that depends on names
and not on order or number:

- *pairs*: every fifth subject, by hash, lacks one of its styles, chosen by hash. No training picture shows it.
- *triples*: of the other (subject, style, background) combinations, 8 % by hash. The sprite is trained on, but
  never on this background.
- *layouts*, in the free layout: of the combinations (subject, size, place), 8 % by hash.
- *neighbours*, in the free layout: of the pairs of subjects, 20 % by hash are never shown together.
"""

import hashlib
import io
import json
import random
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from bookkit.errors import BookError
from training.pocket_diffusion import layouts, sources
from training.pocket_diffusion.captions import BACKGROUNDS, Picture, plain, varied
from training.pocket_diffusion.configuration import command, from_arguments, step_parser

STYLES = tuple(sources.STYLES)
TRIPLES_HELD_OUT = 0.08
PAIRS_HELD_OUT = 0.2  # of subjects, one style each: 5 % of the pairs
LAYOUTS_HELD_OUT = 0.08
NEIGHBOURS_HELD_OUT = 0.2


# --- what is held out -------------------------------------------------------------------------------------


def fraction(*words: str) -> float:
    """A number in [0, 1) that depends only on the words (and looks uniform over them)."""
    return int.from_bytes(hashlib.sha256("|".join(words).encode()).digest()[:6]) / 2**48


def held_out_style(subject: str) -> str | None:
    """The style in which no training picture shows this subject, or None for four subjects of five."""
    if fraction("pair", subject) >= PAIRS_HELD_OUT:
        return None
    return STYLES[int(len(STYLES) * fraction("style", subject))]


def part(picture: Picture) -> str:
    """The part of the data that subject, style and background belong to: "train", "triple" or "pair" (held out)."""
    if held_out_style(picture.subject) == picture.style:
        return "pair"
    held = fraction("triple", picture.subject, picture.style, picture.background) < TRIPLES_HELD_OUT
    return "triple" if held else "train"


def unseen_layout(picture: Picture) -> bool:
    """Whether no training picture shows this subject in this size at this place (free layout)."""
    return fraction("layout", picture.subject, picture.size, picture.place) < LAYOUTS_HELD_OUT


def unseen_together(picture: Picture) -> bool:
    """Whether no training picture shows this subject beside this neighbour."""
    return fraction("neighbours", *sorted((picture.subject, picture.neighbour))) < NEIGHBOURS_HELD_OUT


# --- sprites ----------------------------------------------------------------------------------------------


class Sprites:
    """The sprites of a pack and their layout, on a device.

    Attributes:
        subjects: their names, in the pack's order.
        tags: {name: English tags}.
        layout: where drawings stand, and how large they are.
    """

    def __init__(self, pack: Path, resolution: int, groups=None, limit: int | None = None, layout=None, device="cpu"):
        """Read a pack.

        Args:
            pack: the zip archive that the step `data` wrote.
            resolution: side of the pictures, in pixels; the pack's sprites must be as large or larger than the
                largest size asks for.
            groups: emoji groups to keep (emojibase's numbers), or None for all.
            limit: at most so many subjects, evenly spread over the list.
            layout: see :func:`layouts.make`.
            device: where the sprites are kept and pictures composed.

        Raises:
            BookError: the pack is missing, truncated or too coarse.
        """
        try:
            with zipfile.ZipFile(pack) as archive:
                index = json.loads(archive.read("index.json"))
                kept = [entry for entry in index["subjects"] if groups is None or entry["group"] in groups]
                if limit and len(kept) > limit:
                    kept = [kept[i * len(kept) // limit] for i in range(limit)]
                files = [archive.read(f"sprites/{style}/{entry['code']}.webp") for entry in kept for style in STYLES]
        except FileNotFoundError:
            raise BookError(f"{pack} is missing: run the step `data` first.") from None
        except (zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
            raise BookError(f"{pack} is truncated or damaged: delete it and run the step `data` again.") from error
        self.resolution, self.device = resolution, torch.device(device)
        self.subjects = [entry["name"] for entry in kept]
        self.tags = {entry["name"]: entry["tags"] for entry in kept}
        self.number = {name: i for i, name in enumerate(self.subjects)}
        full = torch.stack([torch.frombuffer(bytearray(_premultiplied(file)), dtype=torch.uint8) for file in files])
        full = full.view(len(files), index["size"], index["size"], 4).permute(0, 3, 1, 2)
        entries = [entry for entry in kept for _ in STYLES]
        self.layout = layouts.make(layout, full, entries, resolution, self.device)
        if index["size"] < round(self.layout.largest * resolution):
            raise BookError(f"{pack} has sprites of {index['size']} px, too coarse for {resolution} px: "
                            "run the step `data` with this configuration.")  # fmt: skip

    def places(self, pictures: list[Picture], rng: random.Random | None = None) -> list:
        """Where the sprites of each picture go, as the layout has it; without `rng`, where they stand usually."""
        shown = [([p.subject, p.neighbour] if p.neighbour else [p.subject], STYLES.index(p.style)) for p in pictures]
        numbers = [[self.number[subject] * len(STYLES) + style for subject in subjects] for subjects, style in shown]
        return self.layout.places(pictures, numbers, rng)

    def paint(self, pictures: list[Picture], places: list) -> torch.Tensor:
        """The pictures with their sprites at these places, float32 (n, 3, resolution, resolution) in [-1, 1]."""
        colour = torch.tensor([BACKGROUNDS[p.background] for p in pictures], device=self.device)
        drawn = self.layout.paint(places)
        picture = drawn[:, :3] + (1 - drawn[:, 3:] / 255) * colour[:, :, None, None]
        return picture / 127.5 - 1

    def composite(self, pictures: list[Picture], rng: random.Random | None = None) -> torch.Tensor:
        """The pictures as float32 (n, 3, resolution, resolution) in [-1, 1].

        Args:
            pictures: what to show.
            rng: chooses what the words of a picture leave open (in the fixed layout: a few pixels).
        """
        return self.paint(pictures, self.places(pictures, rng))

    def chance(self, seed: str) -> random.Random | None:
        """What composes pictures that are judged or measured: chance in the free layout, their usual places else."""
        return random.Random(seed) if self.layout.groups else None

    def part(self, picture: Picture) -> str:
        """The part of the data that a picture belongs to: "train", or how it is held out.

        Beside those of :func:`part`: "layout", and "neighbour".
        """
        found = part(picture)
        if picture.neighbour and found == "train":
            found = part(replace(picture, subject=picture.neighbour))
            found = "neighbour" if found == "train" and unseen_together(picture) else found
        if found == "train" and "layout" in self.layout.groups and "place" in layouts.says(picture):
            found = "layout" if unseen_layout(picture) else found
        return found

    def everything(self, wanted: str) -> list[Picture]:
        """All (subject, style, background) of one part ("train", "triple", "pair"), in usual size and place."""
        every = (self.layout.usual(s, t, b) for s in self.subjects for t in STYLES for b in BACKGROUNDS)
        return [picture for picture in every if part(picture) == wanted]

    def pick(self, rng: random.Random) -> Picture:
        """Any subject, style and background, in its usual size and place."""
        return self.layout.usual(rng.choice(self.subjects), rng.choice(STYLES), rng.choice(list(BACKGROUNDS)))

    def vary(self, picture: Picture, rng: random.Random) -> Picture:
        """The same subject, style and background in another layout, perhaps beside another subject."""
        return self.layout.accompany(self.layout.vary(picture, rng), self.subjects, rng)

    def draw(self, count: int, rng: random.Random) -> list[Picture]:
        """Random training pictures: every choice independent, held-out combinations left out."""
        pictures = []
        while len(pictures) < count:
            picture = self.vary(self.pick(rng), rng)
            if self.part(picture) == "train":
                pictures.append(picture)
        return pictures

    def laid_out(self, wanted: str, count: int, rng: random.Random) -> list[Picture]:
        """Pictures of which all traits are named, their subject, style and background trained on (free layout).

        Args:
            wanted: "placed" for a trained combination of subject, size and place, "layout" for a held-out one;
                "beside" for two subjects that were shown together, "neighbour" for two that were not.
            count: how many.
            rng: chooses them.
        """
        pictures = []
        while len(pictures) < count:
            picture = self.pick(rng)
            if wanted in ("placed", "layout"):
                picture = self.layout.vary(picture, rng)
                named = layouts.says(picture)
                fits = "size" in named and ("place" in named or picture.size not in layouts.MOVABLE)
            else:
                other = rng.choice([subject for subject in self.subjects if subject != picture.subject])
                picture, fits = replace(picture, neighbour=other), True
            seen = {"placed": "train", "beside": "train"}.get(wanted, wanted)
            if fits and self.part(picture) == seen:
                pictures.append(picture)
        return pictures

    def caption(self, picture: Picture, rng: random.Random) -> str:
        """A random caption; what it leaves out of the layout is left open."""
        return varied(self.layout.told(picture, rng), self.tags[picture.subject], rng)


def _premultiplied(file: bytes) -> bytes:
    return Image.open(io.BytesIO(file)).convert("RGBA").convert("RGBa").tobytes()


# --- pictures to look at ----------------------------------------------------------------------------------


def to_pil(pictures: torch.Tensor) -> list[Image.Image]:
    """Float (n, 3, h, w) in [-1, 1] as PIL pictures."""
    array = ((pictures.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(picture) for picture in array]


def contact_sheet(
    pictures: list[Image.Image], columns: int, labels: list[str] | None = None, whole: bool = False
) -> Image.Image:
    """Pictures of one size in rows, each with an optional label below it, cut to the picture's width unless `whole`."""
    side, gap, text = pictures[0].width, 4, 14 if labels else 0
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, rows * (side + gap + text) + gap), "#fbf8f1")
    draw = ImageDraw.Draw(sheet)
    for i, picture in enumerate(pictures):
        x, y = gap + i % columns * (side + gap), gap + i // columns * (side + gap + text)
        sheet.paste(picture, (x, y))
        if labels:
            draw.text((x, y + side + 1), labels[i] if whole else labels[i][: side // 6], fill="#23211d")
    return sheet


# --- a data set without network, for smoke runs -----------------------------------------------------------


def synthetic_pack(target: Path, size: int, subjects: int = 12) -> Path:
    """A pack of plain shapes in the same format: four "styles" that a glance tells apart."""
    shapes = [(sides, turn) for turn in (0, 30) for sides in (3, 4, 5, 6, 8, 16)][:subjects]
    chosen, drawn = [], {}
    for number, (sides, turn) in enumerate(shapes):
        name = f"{'tilted ' if turn else ''}shape with {sides} corners"
        chosen.append(
            {"code": f"{number:04x}", "name": name, "tags": ["shape"], "group": 3 + number % 2, "subgroup": 0}
        )
        for style in STYLES:
            picture = Image.new("RGBA", (4 * size, 4 * size))
            draw = ImageDraw.Draw(picture)
            fill = {"noto": "#e0b020", "flat": "#3070d0", "3d": "#c03060", "twemoji": None}[style]
            draw.regular_polygon((2 * size, 2 * size, 1.9 * size), sides, turn, fill, "#202020", size // 4)
            drawn[style, chosen[-1]["code"]] = sources.sprite(picture, size)
    sources.write_pack(target, chosen, drawn, size)
    return target


# --- the step ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    subjects: int
    sprites: int
    train: int
    triple: int
    pair: int


def counts(sprites: Sprites) -> Counts:
    """How many subjects, sprites and combinations of each part there are."""
    parts = [len(sprites.everything(name)) for name in ("train", "triple", "pair")]
    return Counts(len(sprites.subjects), len(sprites.subjects) * len(STYLES), *parts)


def attribution() -> str:
    """The credit that the licences ask for, as Markdown."""
    lines = ["# Where the training pictures come from", "",
             "pocket-diffusion is trained on these, and on nothing else. Names and tags: "
             f"[{sources.NAMES.title}]({sources.NAMES.url}), {sources.NAMES.licence}, {sources.NAMES.credit}, "
             f"npm package `{sources.NAMES.spec}`, sha256 `{sources.NAMES.sha256}`.", "",
             "| style | pictures | licence | credit | npm package |", "|---|---|---|---|---|"]  # fmt: skip
    for style, source in sources.STYLES.items():
        lines.append(f"| {style} | [{source.title}]({source.url}) | {source.licence} | {source.credit} | "
                     f"`{source.spec}`, sha256 `{source.sha256}` |")  # fmt: skip
    lines += ["", "The pictures were changed: rasterized, cut to their bounding boxes, scaled, and set on plain "
              "backgrounds. Twemoji's graphics are licensed under "
              "[CC-BY 4.0](https://creativecommons.org/licenses/by/4.0/); the npm package around them is MIT. "
              "Noto Emoji is licensed under the [Apache License "
              "2.0](https://www.apache.org/licenses/LICENSE-2.0)."]  # fmt: skip
    return "\n".join(lines) + "\n"


def load(config, device="cpu") -> Sprites:
    """The sprites that a configuration asks for, from its work folder."""
    layout = config.pictures.get("layout")
    return Sprites(config.pack, config.resolution, layout=layout, device=device, **config.subjects)


def build(config, downloads: Path | None = None) -> None:
    """Make the pack of a configuration; the emoji sets are fetched where `downloads` lacks them."""
    config.work.mkdir(parents=True, exist_ok=True)
    if config.synthetic:
        synthetic_pack(config.pack, config.sprite_size)
    else:
        groups = None if config.packs_all else config.subjects["groups"]
        sources.build_pack(config.pack, downloads or config.work / "downloads", config.sprite_size, groups)


def main(argv=None) -> None:
    parser = step_parser("Fetch, rasterize and pack the emoji sets.")
    parser.add_argument("--downloads", type=Path, help="folder for the npm tarballs (default: in the work folder)")
    config = from_arguments(args := parser.parse_args(argv))
    build(config, args.downloads)
    sprites = load(config)
    rng = random.Random(0)
    pictures = sprites.draw(72, rng)
    labels = [plain(picture.subject) for picture in pictures]
    contact_sheet(to_pil(sprites.composite(pictures, rng)), 12, labels).save(config.work / "data.png")
    captions = [f"{sprites.caption(picture, rng)}\n" for picture in pictures]
    (config.work / "captions.txt").write_text("".join(captions), encoding="utf-8")
    (config.work / "ATTRIBUTION.md").write_text(attribution(), encoding="utf-8")
    numbers = json.dumps(vars(counts(sprites)))
    (config.work / "counts.json").write_text(numbers + "\n", encoding="utf-8")
    print(numbers)


if __name__ == "__main__":
    command(main)
