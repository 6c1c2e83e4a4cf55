"""The U-Net, trained on the latents of the AutoencoderKL and the vectors of the text encoder, which is frozen.

    python -m training.pocket_diffusion.train --config training/pocket_diffusion/configs/cpu.json --minutes 90

Decisions, and where they come from:

- v-prediction (Salimans and Ho, 2022, section 4 and appendix D) with a schedule whose last step is pure noise
  and trailing time steps (Lin et al., 2024, "Common diffusion noise schedules and sample steps are flawed"). A
  plain background is the mean of a picture, and a schedule that stops short of pure noise leaks that mean in
  training but not in sampling: the flaw would hit exactly what the prompts ask for. Predicting noise is
  undefined at the last step, predicting v is not.
- Every time step weighs the same in v, unless the configuration asks for min-SNR weights (Hang et al., 2023): `min_snr`
  is their γ. These would be zero at the last step, whose signal-to-noise ratio is zero, and nothing would learn the
  first step of sampling; `least_weight` is a floor under them. Noise can be predicted instead of v, with a schedule
  that stops short of pure noise.
- Time steps are spread over the batch (one from each of n equal parts), which lowers the variance of the loss.
- One caption in ten is empty, for classifier-free guidance (Ho and Salimans, 2022).
- The text encoder stays as the step `text` left it, as in Stable Diffusion (Rombach et al., 2022).
- Where autoencoder and text encoder keep the spaces of finished ones (`start` in the configuration), the U-Net begins
  with the finished weights: it knows what to draw and has to learn where, and how large.
"""

from pathlib import Path

import torch

from bookkit.errors import BookError
from training.pocket_diffusion import bank, data, finished, loop, text, vae, words
from training.pocket_diffusion.configuration import Config, command, from_arguments, step_parser


def build_unet(config: Config):
    """A new UNet2DConditionModel for the configuration's latents and text width."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(sample_size=vae.latent_side(config), in_channels=4, out_channels=4,
                                cross_attention_dim=config.text_encoder["hidden_size"], **config.unet)  # fmt: skip


def build_scheduler(config: Config):
    """The DDIM scheduler whose noise schedule training and sampling share."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(**config.scheduler)


class DiffusionLoss(torch.nn.Module):
    """The loss of a U-Net that reads the vectors of a frozen text encoder and predicts v, or the noise."""

    def __init__(self, text_encoder, unet, scheduler, min_snr: float | None = None, least_weight: float = 0.0):
        super().__init__()
        self.predicts = scheduler.config.prediction_type
        if self.predicts == "epsilon" and scheduler.alphas_cumprod[-1] < 1e-6:
            raise BookError("Noise cannot be predicted where nothing but noise is left: set "
                            "scheduler.rescale_betas_zero_snr to false, or predict v.")  # fmt: skip
        weights = None if min_snr is None else snr_weights(scheduler, min_snr, least_weight)
        self.register_buffer("weights", weights, persistent=False)
        self.text_encoder, self.unet = text_encoder.requires_grad_(False), unet
        self.register_buffer("signal", scheduler.alphas_cumprod.sqrt(), persistent=False)
        self.register_buffer("noise", (1 - scheduler.alphas_cumprod).sqrt(), persistent=False)

    def heavy(self):
        """The parts that torch.compile is to fuse."""
        return (self.unet,)

    def forward(self, latents, tokens, times, noise) -> dict[str, torch.Tensor]:
        """Scalars for one batch.

        Args:
            latents: (n, 4, r, r), standardised.
            tokens: int64 (n, length).
            times: int64 (n,), steps of the schedule.
            noise: (n, 4, r, r), standard normal.
        """
        a, s = self.signal[times][:, None, None, None], self.noise[times][:, None, None, None]
        vectors = self.text_encoder(tokens)[0]
        output = self.unet(a * latents + s * noise, times, vectors, return_dict=False)[0].float()
        target = noise if self.predicts == "epsilon" else a * noise - s * latents  # v: Salimans and Ho, 2022, app. D
        error = (output - target) ** 2
        if self.weights is None:
            return {"loss": error.mean()}
        return {"loss": (self.weights[times] * error.mean((1, 2, 3))).mean(), "unweighted": error.mean()}


def snr_weights(scheduler, gamma: float, least: float = 0.0) -> torch.Tensor:
    """Min-SNR weights of the time steps (Hang et al., 2023, section 3.4) with a floor, their mean made 1; (steps,).

    min(SNR, γ) weighs the error of x₀; that of v is (SNR + 1) times as large, that of the noise SNR times.
    """
    snr = scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod).clamp(min=1e-12)
    scale = snr.clamp(min=1e-12) if scheduler.config.prediction_type == "epsilon" else snr + 1
    weights = (snr.clamp(max=gamma) / scale).clamp(min=least)
    return weights / weights.mean()


def spread_times(count: int, steps: int, device) -> torch.Tensor:
    """`count` random time steps, one from each of `count` equal parts of the schedule, int64 (count,)."""
    places = (torch.arange(count, device=device) + torch.rand(count, device=device)) / count
    return (places * steps).long().clamp(max=steps - 1)


# --- the step ---------------------------------------------------------------------------------------------


def run(
    config: Config,
    minutes: float | None = None,
    stop_at: int | None = None,
    warm: Path | None = None,
    fit: float | None = None,
) -> bool:
    """Train, or go on training; say whether it is done."""
    sprites = data.load(config, loop.device())
    tokenizer = words.load(config, sprites)
    stored = bank.load(config, sprites, tokenizer)
    del sprites
    torch.manual_seed(config.seed)
    scheduler = build_scheduler(config)
    options = config.training["unet"].options
    weighting = {name: options[name] for name in ("min_snr", "least_weight") if name in options}
    module = DiffusionLoss(text.trained(config, tokenizer), build_unet(config), scheduler, **weighting)
    if config.start:
        module.unet.load_state_dict(finished.unet(config).state_dict())
    if warm is not None:
        loop.load_weights(module, warm, "train", only="unet.")
    empty = words.encode(tokenizer, [""])[0]
    dropout = options["caption_dropout"]
    latents, tokens = stored["latents"], stored["tokens"]
    empty = empty.to(latents.device)

    def batch(count, rng):
        where = latents.device
        which = torch.randint(len(latents), (count,), device=where)
        caption = torch.randint(tokens.shape[1], (count,), device=where)
        dropped = torch.rand(count, 1, device=where) < dropout
        chosen = torch.where(dropped, empty, tokens[which, caption].long())
        clean = latents[which].float()
        times = spread_times(count, scheduler.config.num_train_timesteps, where)
        return clean, chosen, times, torch.randn_like(clean)

    return loop.train("unet", config, module, batch, minutes, stop_at, fit)


def trained(config: Config, tokenizer):
    """The trained (text encoder, U-Net), averaged weights, in evaluation mode."""
    module = DiffusionLoss(text.build(config, tokenizer), build_unet(config), build_scheduler(config))
    loop.load_weights(module, config.work / "unet.safetensors", "train")
    return module.text_encoder.eval(), module.unet.eval()


def main(argv=None) -> None:
    parser = step_parser("Train the U-Net.", minutes=True)
    parser.add_argument("--fit", type=float, help="choose the number of steps so that they take so many minutes")
    parser.add_argument("--warm-start", type=Path, help="begin from the U-Net of an earlier run (unet.safetensors)")
    config = from_arguments(args := parser.parse_args(argv))
    run(config, args.minutes, warm=args.warm_start, fit=args.fit)


if __name__ == "__main__":
    command(main)
