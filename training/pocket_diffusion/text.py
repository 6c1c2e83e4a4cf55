"""The text encoder, taught by pictures before there is a U-Net.

    python -m training.pocket_diffusion.text --config training/pocket_diffusion/configs/cpu.json --minutes 90

Stable Diffusion's text encoder comes from CLIP: it was trained on pictures and captions before the U-Net, and is
frozen while the U-Net learns (Rombach et al., 2022; Radford et al., 2021). This step stands in for CLIP: at every
place from a caption's end on, the encoder's vector is to be the *code* of the picture that the caption describes.

The code of a picture is made of the first principal components of its latent, each standardised, as many as the
encoder is wide; the loss is the error of the latent that the code stands for. So the words' vectors hold, linearly,
what is to be drawn, and the U-Net need not learn from noisy pictures which word means which drawing. Trained from
nothing together with the U-Net, the encoder had not told the styles of a subject apart after 16,500 steps.

In the free layout the drawing may stand anywhere, and the mean of all places is a blur. There the code is that of the
latent in usual size and place, and a few more components repeat what the caption says of the layout: "in the middle"
and no word are different things, though the mean place is the same.

Where training begins with a finished text encoder (`start` in the configuration), its vectors for a caption without any
layout are themselves the code: a U-Net that reads them goes on reading what it knows.

The matrices are trained by Muon (Jordan et al., 2024): a table of a thousand drawings is learned in far fewer steps
than by AdamW, which trains the rest.
"""

from pathlib import Path

import torch

from training.pocket_diffusion import bank, data, finished, loop, words
from training.pocket_diffusion.configuration import Config, command, from_arguments, step_parser

STUDIED = 4096  # latents from which the principal components are computed


def build(config: Config, tokenizer):
    """A new CLIPTextModel over the tokenizer's vocabulary."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, hidden_act="gelu", **config.text_encoder,
    ))  # fmt: skip


class PictureCode(torch.nn.Module):
    """The error of the latents that a text encoder's vectors stand for, or of the vectors themselves.

    Attributes:
        basis: (latent, width), the standardised code's way back to a flat latent, or the identity.
        mean: (latent,).
        centre, spread: (k,), mean and standard deviation of the numbers of a layout.
    """

    def __init__(self, text_encoder, latents: torch.Tensor, layout: torch.Tensor | None = None, weight: float = 0.0):
        """Find the code of some latents.

        Args:
            text_encoder: a CLIPTextModel.
            latents: (n, 4, r, r), what the code is to describe; or (n, hidden size), the codes themselves.
            layout: (n, k), the numbers of layouts that the last k components are to say, if there are any.
            weight: of their error.
        """
        super().__init__()
        self.text_encoder, self.weight = text_encoder, weight
        centre = torch.zeros(0) if layout is None else layout.mean(dim=0)
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("spread", centre if layout is None else layout.std(0).clamp(min=1e-3), persistent=False)
        if latents.ndim == 2:
            width = latents.shape[1] - len(centre)
            self.register_buffer("basis", torch.eye(width), persistent=False)
            self.register_buffer("mean", torch.zeros(width), persistent=False)
            return
        flat = latents[:: max(1, len(latents) // STUDIED)].float().flatten(1)
        mean = flat.mean(dim=0)
        width = min(text_encoder.config.hidden_size - len(centre), *flat.shape)
        with torch.random.fork_rng():
            torch.manual_seed(0)  # the components are found by a randomised method
            _, _, components = torch.pca_lowrank(flat - mean, width, center=False, niter=4)
        deviation = ((flat - mean) @ components).std(dim=0)
        self.register_buffer("basis", components * deviation, persistent=False)
        self.register_buffer("mean", mean, persistent=False)

    def matrices(self):
        """The parameters that Muon is to train."""
        return [p for name, p in self.text_encoder.named_parameters() if p.ndim == 2 and "embedding" not in name]

    def forward(self, latents, tokens, layout=None) -> dict[str, torch.Tensor]:
        """Scalars for one batch.

        Args:
            latents: (n, 4, r, r), standardised, or (n, hidden size).
            tokens: int64 (n, length), begun, ended and padded by the token that ends them.
            layout: (n, k), if the code says the layout.
        """
        output = self.text_encoder(tokens)[0]
        vectors = output[..., : self.basis.shape[1]]
        expected = vectors @ self.basis.T.to(vectors) + self.mean
        error = ((expected.float() - latents.flatten(1)[:, None, : len(self.mean)]) ** 2).mean(dim=2)
        done = (tokens == self.text_encoder.config.eos_token_id).float()
        loss = (error * done).sum() / done.sum()
        if layout is None:
            return {"loss": loss}
        told = output[..., -len(self.centre) :].float() * self.spread + self.centre
        missed = (((told - layout[:, None]) / self.spread) ** 2).mean(dim=2)
        missed = (missed * done).sum() / done.sum()
        return {"loss": loss + self.weight * missed, "picture": loss, "layout": missed}


def run(config: Config, minutes: float | None = None, stop_at: int | None = None, warm: Path | None = None) -> bool:
    """Train, or go on training; say whether it is done."""
    sprites = data.load(config, loop.device())
    tokenizer = words.load(config, sprites)
    stored = bank.load(config, sprites, tokenizer)
    latents, tokens, layout = stored.get("usual", stored["latents"]), stored["tokens"], stored.get("layout")
    del sprites
    torch.manual_seed(config.seed)
    weight = config.training["text"].options.get("layout_weight", 0.0)
    encoder = build(config, tokenizer)
    if config.start:
        encoder.load_state_dict(finished.text_encoder(config).state_dict())
        if layout is not None:  # its last components say next to nothing and are scaled down: they are free
            torch.nn.init.ones_(encoder.final_layer_norm.weight.data[-layout.shape[-1] :])
    if warm is not None:
        loop.load_weights(torch.nn.ModuleDict({"text_encoder": encoder}), warm, "text")
    said = None if layout is None else layout.flatten(0, 1)
    module = PictureCode(encoder, latents, said, weight)

    def batch(count, rng):
        which = torch.randint(len(tokens), (count,), device=latents.device)
        caption = torch.randint(tokens.shape[1], (count,), device=latents.device)
        if layout is None:
            return latents[which].float(), tokens[which, caption].long()
        return latents[stored["which"][which].long()].float(), tokens[which, caption].long(), layout[which, caption]

    return loop.train("text", config, module.to(latents.device), batch, minutes, stop_at)


def trained(config: Config, tokenizer):
    """The trained CLIPTextModel, averaged weights, in evaluation mode."""
    module = torch.nn.ModuleDict({"text_encoder": build(config, tokenizer)})
    return loop.load_weights(module, config.work / "text.safetensors", "text")["text_encoder"].eval()


def main(argv=None) -> None:
    parser = step_parser("Train the text encoder to tell what a caption's picture looks like.", minutes=True)
    parser.add_argument("--warm-start", type=Path, help="begin from the weights of an earlier run (text.safetensors)")
    config = from_arguments(args := parser.parse_args(argv))
    run(config, args.minutes, warm=args.warm_start)


if __name__ == "__main__":
    command(main)
