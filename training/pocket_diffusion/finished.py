"""Where finished models lie: those of a configuration, those that the book ships, and those that a training begins
with."""

from pathlib import Path

import bookkit
from bookkit.errors import BookError
from training.pocket_diffusion.configuration import HERE, Config, read

SHIPPED = "cpu"  # the configuration whose models the book ships


def folders(config: Config, models: Path | None = None) -> dict[str, Path]:
    """Where the pipeline, the judge and the style judge lie.

    Args:
        config: whose export is meant, if there is one; else it is the book's own models.
        models: an export in another folder.

    Raises:
        BookError: there is no export, and the book ships no models of this configuration.
    """
    if models or (config.work / "export").exists() or config.name != SHIPPED:
        models = models or config.work / "export"
        if not (models / "style-judge" / "config.json").exists():
            raise BookError(f"There are no models in {models}: run the step `export` first.")
        return {name: models / name for name in ("pipeline", "judge", "style-judge")}
    judge = Path(bookkit.model("judge"))
    return {"pipeline": Path(bookkit.model("text-to-image")), "judge": judge, "style-judge": judge / "style"}


def start(config: Config) -> dict[str, Path]:
    """Where the models lie that a training begins with: those of the configuration that `config.start` names."""
    return folders(read(HERE / "configs" / f"{config.start}.json", config.work.parent / config.start))


def autoencoder(config: Config):
    """The AutoencoderKL that a training begins with, in evaluation mode."""
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(start(config)["pipeline"] / "vae").eval().requires_grad_(False)


def text_encoder(config: Config):
    """The CLIPTextModel that a training begins with, in evaluation mode."""
    from transformers import CLIPTextModel

    return CLIPTextModel.from_pretrained(start(config)["pipeline"] / "text_encoder").eval()


def unet(config: Config):
    """The UNet2DConditionModel that a training begins with."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_pretrained(start(config)["pipeline"] / "unet")
