"""One configuration for every step and every machine: a JSON file, read into a small object.

The same fields serve two processor cores and a GPU; only their values differ.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bookkit.errors import BookError
from training import recipe

HERE = Path(__file__).resolve().parent


@dataclass
class Training:
    """How one model is trained.

    Attributes:
        steps: optimizer steps in all.
        batch: pictures in a step, over all processes.
        lr: peak learning rate; it rises linearly over `warmup` steps and falls along a cosine to `lr_end` · lr.
        ema: decay of the exponential moving average of the weights (0 for none).
        clip: the gradient's norm is clipped to this.
        weight_decay: AdamW's.
        muon: peak learning rate of Muon for the matrices that the model names (0: AdamW trains everything).
        save_every: steps between checkpoints.
        log_every: steps between lines in the log.
        compile: whether torch.compile fuses the model (minutes of compiling, then faster steps).
        options: what only one kind of model needs.
    """

    steps: int
    batch: int
    lr: float
    warmup: int = 100
    lr_end: float = 0.05
    ema: float = 0.999
    clip: float = 1.0
    weight_decay: float = 0.01
    muon: float = 0.0
    save_every: int = 500
    log_every: int = 50
    compile: bool = False
    options: dict = field(default_factory=dict)


@dataclass
class Config:
    """Everything about one pocket-diffusion; see ``configs/``.

    Attributes:
        resolution: side of the pictures, in pixels.
        precision: "no" (float32) or "bf16" (weights stay float32), as Accelerate names them.
        subjects: "groups" (emojibase's numbers, None for all) and "limit" (a number, or None).
        packs_all: whether the pack holds all subjects, or those of the groups alone.
        pictures: what is trained on: "variants" of each combination (in the fixed layout the first one in usual size
            and place), "captions" of each, whether to "wiggle" them by a few pixels (in the free layout: to compose
            them at random), and the settings of the free "layout", if it is that.
        vae, text_encoder, unet, scheduler, judge, style_judge: what the libraries' own classes take.
        training: for each model, how it is trained.
        synthetic: whether plain shapes stand in for the emoji sets (for smoke runs).
        start: the configuration whose finished models all training begins with, if any: its autoencoder has one level
            less, its pictures half the side, so that both share one space of latents.
        work: the folder for everything that is made.
    """

    name: str
    resolution: int
    seed: int
    precision: str
    subjects: dict
    pictures: dict
    tokenizer: dict
    vae: dict
    text_encoder: dict
    unet: dict
    scheduler: dict
    judge: dict
    style_judge: dict
    training: dict[str, Training]
    evaluation: dict
    synthetic: bool = False
    start: str | None = None
    packs_all: bool = True
    work: Path = Path()

    def __post_init__(self):
        self.training = {name: Training(**values) for name, values in self.training.items()}

    @property
    def sprite_size(self) -> int:
        """The longer side of a stored sprite, in pixels: that of the size "large"."""
        return self.resolution * 15 // 16

    @property
    def pack(self) -> Path:
        part = "" if self.packs_all else "-groups-" + "-".join(map(str, self.subjects["groups"]))
        return self.work / f"{'synthetic' if self.synthetic else 'emoji'}-{self.sprite_size}{part}.zip"


def work_folder(name: str) -> Path:
    """Where a configuration keeps its work."""
    return recipe.cache_folder("POCKET_DIFFUSION_WORK", "bookkit/training/pocket_diffusion") / name


def read(path: Path, work: Path | None = None, changes: Iterable[str] = ()) -> Config:
    """Read a configuration.

    Args:
        path: the JSON file.
        work: the folder for what is made, else :func:`work_folder`.
        changes: other values for single settings, such as "training.unet.batch=64".

    Raises:
        BookError: the file is missing or is not a configuration.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        config = Config(**recipe.changed(values, changes, Path(path).name))
    except FileNotFoundError:
        raise BookError(f"{path} is missing: name one of training/pocket_diffusion/configs/*.json.") from None
    except (ValueError, TypeError) as error:
        raise BookError(f"{path} is not a configuration of pocket-diffusion ({error}): compare it with "
                        "training/pocket_diffusion/configs/cpu.json.") from error  # fmt: skip
    config.work = Path(work) if work else work_folder(config.name)
    return config


def step_parser(description: str, minutes: bool = False, **options) -> argparse.ArgumentParser:
    """A parser of what all steps share; with `minutes`, of what those share that train."""
    parser = argparse.ArgumentParser(description=description, **options)
    parser.add_argument("--config", type=Path, default=HERE / "configs" / "cpu.json")
    parser.add_argument("--work", type=Path, help="folder for checkpoints and results (default: in the cache)")
    parser.add_argument("--smoke", action="store_true", help="the whole step at toy size, without network")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another value for a setting")
    if minutes:
        parser.add_argument("--minutes", type=float, help="stop training after so long; the same command goes on")
    return parser


def from_arguments(args: argparse.Namespace) -> Config:
    """The configuration that a command line names."""
    return read(HERE / "configs" / "smoke.json" if args.smoke else args.config, args.work, args.set)


def command(main) -> None:
    """Run a step's main function; a foreseeable failure ends in one sentence and exit code 1."""
    raise SystemExit(recipe.command("pocket-diffusion", main))
