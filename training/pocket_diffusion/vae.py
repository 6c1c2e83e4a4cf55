"""The AutoencoderKL: pictures to latents of 4 channels and back.

    python -m training.pocket_diffusion.vae --config training/pocket_diffusion/configs/cpu.json

Loss: L1, plus L1 of the differences between neighbouring pixels at three scales (edges are what an eye sees in
flat graphics, and no perceptual network has to be downloaded), plus a very small Kullback-Leibler term
(Rombach et al., 2022, section 3.1 and appendix G, without their discriminator). Where most of a picture is plain, its
drawing can be made to count more (`drawing_weight`), and most steps can see windows of pictures (`crops`), as Stable
Diffusion's autoencoder was trained on smaller pictures than it is used for. The judges' features would be a perceptual
network at hand, but a judge that has taught the model is none.

An autoencoder can begin with a finished one of half the side (`start` in the configuration) and keep its space of
latents: of flat graphics the latent of the small picture nearly determines the large one, and a text encoder and a
U-Net that know the space can go on from what they know. It has one level more, the outermost, and begins as the other
one between a halving and a doubling of pictures (:func:`enlarge`); `held_weight` holds its latents to those that the
other one has of the picture averaged down, while its decoder learns to draw the edges in twice as many pixels.
"""

import random
from pathlib import Path

import torch
import torch.nn.functional as F

from training.pocket_diffusion import data, finished, loop
from training.pocket_diffusion.configuration import Config, command, from_arguments, step_parser


def build(config: Config):
    """A new AutoencoderKL as the configuration describes it."""
    from diffusers import AutoencoderKL

    levels = len(config.vae["block_out_channels"])
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=config.resolution, scaling_factor=1.0,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        **config.vae,
    )  # fmt: skip


def latent_side(config: Config) -> int:
    """Side of the latents: the picture's side halved at every level but the first."""
    return config.resolution // 2 ** (len(config.vae["block_out_channels"]) - 1)


def edges(picture: torch.Tensor, target: torch.Tensor, scales: int = 3) -> torch.Tensor:
    """Mean absolute error of the differences between neighbours, over halved scales.

    Args:
        picture, target: (n, 3, h, w).

    Returns:
        A scalar.
    """
    error, total = picture - target, 0.0
    for _ in range(scales):
        total = total + error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        error = F.avg_pool2d(error, 2)
    return total / scales


def windows(pictures: torch.Tensor, side: int, rng: random.Random) -> torch.Tensor:
    """A random square window of each picture, (n, 3, side, side): a step on halved sides costs a quarter."""
    room = pictures.shape[-1] - side
    corners = [(rng.randint(0, room), rng.randint(0, room)) for _ in pictures]
    return torch.stack([picture[:, top : top + side, left : left + side]
                        for picture, (top, left) in zip(pictures, corners, strict=True)])  # fmt: skip


def drawn_error(error: torch.Tensor, pictures: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """Mean absolute error (n, 3, h, w) over what differs in the pictures from their grounds (n, 3, 1, 1), a scalar."""
    drawn = ((pictures - ground).abs().amax(1, keepdim=True) > 1 / 16).float()
    return (error.abs() * drawn).sum() / (3 * drawn.sum()).clamp(min=1)


@torch.no_grad()
def enlarge(vae, start) -> None:
    """Give an AutoencoderKL the weights of a finished one of half the side, and its outermost level such weights that
    it begins as the other one between a halving and a doubling of pictures.

    The outermost level's residual blocks begin by adding nothing. The encoder's first two convolutions together do,
    but for one row and one column of six, what the other's first does to the means of 2 × 2 pixels; the decoder's last
    upsampling begins by repeating each pixel.

    Args:
        vae: of (w, w, …) channels, w at least 27; changed in place.
        start: of (w, …) channels, one level less.
    """
    weights = start.state_dict()
    first, bias, inner = weights.pop("encoder.conv_in.weight"), weights.pop("encoder.conv_in.bias"), {}
    for name in [name for name in weights if name.startswith("encoder.down_blocks")]:
        encoder, blocks, level, rest = name.split(".", 3)
        inner[f"{encoder}.{blocks}.{int(level) + 1}.{rest}"] = weights.pop(name)
    vae.load_state_dict(weights | inner, strict=False)
    outermost = (*vae.encoder.down_blocks[0].resnets, *vae.decoder.up_blocks[-1].resnets)
    for block in outermost:
        torch.nn.init.zeros_(block.conv2.weight)
        torch.nn.init.zeros_(block.conv2.bias)
    doubling = vae.decoder.up_blocks[-2].upsamplers[0].conv
    torch.nn.init.dirac_(doubling.weight)
    torch.nn.init.zeros_(doubling.bias)

    look, halving = vae.encoder.conv_in, vae.encoder.down_blocks[0].downsamplers[0].conv
    torch.nn.init.zeros_(look.weight)
    torch.nn.init.zeros_(look.bias)
    torch.nn.init.zeros_(halving.weight)
    halving.bias.copy_(bias)
    # In either direction a pixel of the halved picture has the neighbours −1, 0, 1: the pixels (−2, −1), (0, 1), (2, 3)
    # of the whole one. Pixel s + t is what the first convolution sees at −1 ≤ s ≤ 1 from where the second looks at
    # 0 ≤ t ≤ 2; the pixel −2, out of sight, counts as another −1.
    shares = torch.zeros(3, 3, 3)  # (s, t, neighbour)
    for s, t in ((s, t) for s in range(3) for t in range(3)):
        pixel = s - 1 + t
        ways = 3 - abs(pixel - 1)
        shares[s, t, (pixel + 2) // 2] = (2 if pixel == -1 else 1) / 2 / ways
    for row, column in ((row, column) for row in range(3) for column in range(3)):
        for colour in range(3):
            channel = 9 * colour + 3 * row + column
            look.weight[channel, colour, row, column] = 1
            halving.weight[:, channel] = shares[row] @ first[:, colour] @ shares[column].T


class VaeLoss(torch.nn.Module):
    """Reconstruction and Kullback-Leibler loss of an AutoencoderKL, and how far its latents are from given ones."""

    def __init__(self, vae, edge_weight: float = 1.0, kl_weight: float = 1e-5, drawing_weight: float = 0.0,
                 held_weight: float = 0.0):  # fmt: skip
        super().__init__()
        self.vae, self.edge_weight, self.kl_weight = vae, edge_weight, kl_weight
        self.drawing_weight, self.held_weight = drawing_weight, held_weight

    def heavy(self):
        """The parts that torch.compile is to fuse."""
        return self.vae.encoder, self.vae.decoder

    def forward(self, pictures, noise, ground, held=None) -> dict[str, torch.Tensor]:
        """Scalars for one batch.

        Args:
            pictures: (n, 3, R, R) in [-1, 1].
            noise: (n, 4, r, r), standard normal.
            ground: (n, 3, 1, 1), the colours of their grounds.
            held: (n, 4, r, r), what the latents' means are held to, if they are.
        """
        posterior = self.vae.encode(pictures).latent_dist
        latents = posterior.mean + posterior.std * noise
        output = self.vae.decode(latents).sample.float()
        error = output - pictures
        kl = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        l1, edge = error.abs().mean(), edges(output, pictures)
        drawing = self.drawing_weight * drawn_error(error, pictures, ground) if self.drawing_weight else 0.0
        scores = {"loss": l1 + drawing + self.edge_weight * edge + self.kl_weight * kl, "l1": l1, "edges": edge,
                  "mse": (error**2).mean(), "kl": kl}  # fmt: skip
        if held is not None:
            scores["held"] = ((posterior.mean.float() - held) ** 2).mean()
            scores["loss"] = scores["loss"] + self.held_weight * scores["held"]
        return scores


@torch.no_grad()
def standardise(vae, pictures: torch.Tensor, batch: int = 64) -> None:
    """Rescale the latents to mean 0 and standard deviation 1 in every channel, without changing any picture.

    With latents z of channel means m and deviations s, the encoder's last 1×1 convolution is made to give
    (z - m) / s and the decoder's first to take it back. Then ``scaling_factor`` is 1 and all channels carry
    noise alike, which one common factor (Rombach et al., 2022, appendix G) achieves only on average.

    Args:
        vae: an AutoencoderKL with quant_conv and post_quant_conv; changed in place.
        pictures: (n, 3, R, R), on the vae's device, to measure the latents on.
    """
    means = torch.cat([vae.encode(chunk).latent_dist.mode() for chunk in pictures.split(batch)])
    m, s = means.mean((0, 2, 3)), means.std((0, 2, 3))
    channels = len(m)
    first, last = vae.quant_conv, vae.post_quant_conv
    first.weight[:channels] /= s[:, None, None, None]
    first.bias[:channels] = (first.bias[:channels] - m) / s
    first.bias[channels:] -= 2 * s.log()
    last.bias += last.weight[:, :, 0, 0] @ m
    last.weight *= s[None, :, None, None]


def trained(config: Config, sprites: data.Sprites):
    """The trained AutoencoderKL in evaluation mode on the sprites' device, its latents standardised (as they
    are from the start, if it began with another)."""
    module = loop.load_weights(VaeLoss(build(config)), config.work / "vae.safetensors", "vae")
    vae = module.vae.eval().requires_grad_(False).to(sprites.device)
    if config.start:
        return vae
    rng = random.Random("standardise")
    pictures = sprites.draw(config.training["vae"].options["measured_on"], rng)
    standardise(vae, sprites.composite(pictures, rng), batch=min(64, 2**18 // config.resolution**2))
    return vae


def main(argv=None) -> None:
    parser = step_parser("Train the AutoencoderKL.", minutes=True)
    parser.add_argument("--fit", type=float, help="choose the number of steps so that they take so many minutes")
    parser.add_argument("--warm-start", type=Path, help="begin from the weights of an earlier run (vae.safetensors)")
    config = from_arguments(args := parser.parse_args(argv))
    run(config, args.minutes, warm=args.warm_start, fit=args.fit)


def run(
    config: Config,
    minutes: float | None = None,
    stop_at: int | None = None,
    warm: Path | None = None,
    fit: float | None = None,
) -> bool:
    """Train, or go on training; say whether it is done."""
    sprites = data.load(config, loop.device())
    torch.manual_seed(config.seed)
    options = config.training["vae"].options
    module = VaeLoss(build(config), **{name: value for name, value in options.items() if name.endswith("_weight")})
    small = finished.autoencoder(config).to(sprites.device) if config.start else None
    if small is not None:
        enlarge(module.vae, small)
    if warm is not None:
        loop.load_weights(module, warm, "vae")
    factor, crops = config.resolution // latent_side(config), options.get("crops")

    def batch(count, rng):
        pictures = sprites.composite(sprites.draw(count, rng), rng)
        ground = pictures[..., :1, :1]
        if crops and rng.random() < crops["share"]:
            pictures = windows(pictures, crops["side"], rng)
        side = pictures.shape[-1] // factor
        noise = torch.randn(count, 4, side, side, device=pictures.device)
        return pictures, noise, ground, None if small is None else halved(small, pictures)

    done = loop.train("vae", config, module, batch, minutes, stop_at, fit)
    show(config, sprites)
    return done


@torch.no_grad()
def halved(start, pictures: torch.Tensor) -> torch.Tensor:
    """The latents (n, 4, r, r) that `start` has of pictures (n, 3, R, R) averaged down to half their side."""
    return start.encode(F.avg_pool2d(pictures, 2)).latent_dist.mode()


@torch.no_grad()
def show(config: Config, sprites: data.Sprites) -> None:
    """Write ``vae.png``: held-out pictures above their reconstructions."""
    vae = loop.load_weights(VaeLoss(build(config)), config.work / "vae.safetensors", "vae").vae.to(sprites.device)
    rng = random.Random(1)
    pictures = sprites.everything("pair") or sprites.everything("triple")
    pictures = [sprites.vary(picture, rng) for picture in rng.sample(pictures, min(12, len(pictures)))]
    real = sprites.composite(pictures, rng)
    again = vae.decode(vae.encode(real).latent_dist.mode()).sample
    data.contact_sheet(data.to_pil(torch.cat([real, again])), len(real)).save(config.work / "vae.png")


if __name__ == "__main__":
    command(main)
