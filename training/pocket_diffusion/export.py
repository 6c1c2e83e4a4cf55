"""Write what was trained as models that diffusers and transformers load without custom code.

    python -m training.pocket_diffusion.export --config training/pocket_diffusion/configs/cpu.json
    python -m training.pocket_diffusion.export … --split parts/      # and cut it into parts for transport
    python -m training.pocket_diffusion.export --join parts/ --to FOLDER

``export/pipeline`` is a StableDiffusionPipeline, ``export/judge`` a CLIPModel with its processor,
``export/style-judge`` a ResNetForImageClassification with its image processor. Weights are stored as float16;
the configurations say float32, so that every reader computes in float32 whatever the library's default.
"""

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import torch

from bookkit.errors import BookError
from training import recipe
from training.pocket_diffusion import data, judges, loop, train, vae, words
from training.pocket_diffusion.captions import BACKGROUNDS, STYLE_PHRASES, noun_phrase, plain
from training.pocket_diffusion.configuration import Config, command, from_arguments, step_parser

TOTAL_LIMIT, FILE_LIMIT = 65_000_000, 45_000_000
PART = 15 * 2**20


def pipeline(config: Config, sprites: data.Sprites):
    """The StableDiffusionPipeline of a work folder, float32, on the sprites' device."""
    from diffusers import StableDiffusionPipeline

    tokenizer = words.load(config, sprites)
    text_encoder, unet = train.trained(config, tokenizer)
    return StableDiffusionPipeline(
        vae=vae.trained(config, sprites), text_encoder=text_encoder, tokenizer=tokenizer, unet=unet,
        scheduler=train.build_scheduler(config), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    ).to(sprites.device)  # fmt: skip


def export(config: Config, target: Path) -> dict:
    """Write the models below `target`, which is replaced.

    Returns:
        {part: {"parameters": …, "bytes": …}}, and the total under "all".

    Raises:
        BookError: the files are larger than the book allows.
    """
    sprites = data.load(config, loop.device())
    shutil.rmtree(target, ignore_errors=True)
    pipe = pipeline(config, sprites)
    modules = {"vae": pipe.vae, "text_encoder": pipe.text_encoder, "unet": pipe.unet}
    scorer = judges.trained(config, sprites)
    modules |= {"judge": scorer.clip, "style-judge": scorer.style}
    sizes = {name: {"parameters": sum(p.numel() for p in module.parameters())} for name, module in modules.items()}
    for module in modules.values():
        module.half()
    pipe.save_pretrained(target / "pipeline")
    scorer.clip.save_pretrained(target / "judge")
    scorer.style.save_pretrained(target / "style-judge")
    _write_processors(target, scorer)
    _write_vocabulary(target / "judge" / "vocabulary.json", sprites)
    for name in ("pipeline/text_encoder", "judge", "style-judge"):  # diffusers reads float32 without being told
        _say_float32(target / name / "config.json")
    (target / "pipeline" / "ATTRIBUTION.md").write_text(data.attribution(), encoding="utf-8")
    for name in modules:
        folder = target / name if name.endswith("judge") else target / "pipeline" / name
        sizes[name]["bytes"] = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    files = [file for file in target.rglob("*") if file.is_file()]
    for file in files:
        file.chmod(0o644)
    sizes["all"] = {
        "parameters": sum(entry["parameters"] for entry in sizes.values()),
        "bytes": sum(file.stat().st_size for file in files),
    }
    largest = max(files, key=lambda file: file.stat().st_size)
    if sizes["all"]["bytes"] > TOTAL_LIMIT or largest.stat().st_size > FILE_LIMIT:
        raise BookError(f"The models take {sizes['all']['bytes'] / 1e6:.1f} MB, {largest.name} "
                        f"{largest.stat().st_size / 1e6:.1f}: make the configuration smaller.")  # fmt: skip
    recipe.write_json(target / "sizes.json", sizes)
    return sizes


def load(config: Config, folder: dict[str, Path], sprites: data.Sprites):
    """(StableDiffusionPipeline, Judges) from where :func:`finished.folders` says, float32, on the sprites' device."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(folder["pipeline"]).to(sprites.device)
    return pipe, judges.load(config, folder, sprites)


def _write_processors(target: Path, scorer: judges.Judges) -> None:
    from transformers import CLIPImageProcessor, CLIPProcessor

    side = {"height": scorer.side, "width": scorer.side}
    images = CLIPImageProcessor(size=side, crop_size=side, do_center_crop=False, resample=3,
                                image_mean=judges.MEAN, image_std=judges.STD)  # fmt: skip
    CLIPProcessor(images, scorer.tokenizer).save_pretrained(target / "judge")
    images.save_pretrained(target / "style-judge")


def _write_vocabulary(path: Path, sprites: data.Sprites) -> None:
    """What can be asked of the models: subjects as they stand in captions, styles, backgrounds with their colours."""
    words = {"subjects": [noun_phrase(plain(subject)) for subject in sprites.subjects],
             "styles": {style: phrases[0] for style, phrases in STYLE_PHRASES.items()},
             "backgrounds": BACKGROUNDS}  # fmt: skip
    path.write_text(json.dumps(words, ensure_ascii=False) + "\n", encoding="utf-8")


def _say_float32(path: Path) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    for part in (config, config.get("text_config"), config.get("vision_config")):
        if isinstance(part, dict):
            part.pop("torch_dtype", None)
            part["dtype"] = "float32"
    config.pop("_name_or_path", None)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


# --- transport --------------------------------------------------------------------------------------------


def split(folder: Path, target: Path, size: int = PART) -> list[Path]:
    """A folder as a tar archive in parts of at most `size` bytes, with a list of their hashes.

    For machines from which only small files come back. Returns the parts and ``parts.json``.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    whole = target / "whole.tar"
    with tarfile.open(whole, "w") as archive:
        archive.add(folder, ".")
    parts, records = [], []
    with whole.open("rb") as file:
        while piece := file.read(size):
            parts.append(target / f"part-{len(parts):02d}.bin")
            parts[-1].write_bytes(piece)
            records.append({"name": parts[-1].name, "sha256": hashlib.sha256(piece).hexdigest()})
    whole.unlink()
    recipe.write_json(target / "parts.json", records)
    return [*parts, target / "parts.json"]


def join(parts: Path, target: Path) -> None:
    """Put the parts that :func:`split` wrote together again, each checked.

    Raises:
        BookError: a part is missing or damaged.
    """
    import io

    whole = io.BytesIO()
    for record in json.loads((parts / "parts.json").read_text(encoding="utf-8")):
        path = parts / record["name"]
        piece = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(piece).hexdigest() != record["sha256"]:
            raise BookError(f"{path} is missing or damaged: copy it again.")
        whole.write(piece)
    whole.seek(0)
    with tarfile.open(fileobj=whole) as archive:
        archive.extractall(target, filter="data")


def main(argv=None) -> None:
    parser = step_parser("Export the trained models.")
    parser.add_argument("--split", type=Path, help="also write the export in parts of at most 15 MiB here")
    parser.add_argument("--join", type=Path, help="put parts together instead of exporting")
    parser.add_argument("--to", type=Path, help="where to write (default: export/ in the work folder)")
    config = from_arguments(args := parser.parse_args(argv))
    target = args.to or config.work / "export"
    if args.join:
        join(args.join, target)
        return
    with torch.no_grad():
        sizes = export(config, target)
    for name, entry in sizes.items():
        print(f"{name:12} {entry['parameters'] / 1e6:6.2f} M parameters {entry['bytes'] / 1e6:6.1f} MB")
    if args.split:
        print(*split(target, args.split), sep="\n")


if __name__ == "__main__":
    command(main)
