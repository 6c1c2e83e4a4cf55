"""Four generators of handwritten digits at the same budget, and what a diffusion model is asked for (chapter 09).

    python training/sweeps/four_generators.py

An autoregressive network, a VAE, a GAN and a diffusion model, three seeds each, trained for as many steps as about
the same time on one core allows (`STEPS`; `--costs` measures the cost of a step of each, in turns), on 1,200 of
scikit-learn's 8 × 8 digits. The diffusion model is trained on each of its three targets, on the picture with the
weight that v gives to each noise level, and once for four times the steps. The learning rates served best in short
trials with another seed. A U-Net of convolutions is trained on two of the targets; it makes the chapter's film.
Last, small GANs and diffusion models of eight clusters on a ring, with the GANs' momentum at two values.
Interrupt whenever you like: finished runs are kept below _build/sweeps/ and not repeated.
"""

import argparse
import base64
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC
from torch import nn
from torch.nn import functional as F

from bookkit import results

NAME = "four_generators"
SEEDS = (0, 1, 2)
STEPS = {"autoregressive": 1900, "VAE": 2500, "GAN": 2000, "diffusion": 2800}
RATE = {"autoregressive": 0.005, "VAE": 0.004, "GAN": 0.002, "diffusion": 0.008}
BATCH = {"autoregressive": 64, "VAE": 128, "GAN": 64, "diffusion": 128}
TARGETS = ("v", "noise", "picture", "picture, weighted as v")
LONG = 4  # times the steps of the one long run
EARLY = 20  # the loss of this step is recorded, for the chapter to compute again
T, NEIGHBOURS = 200, 5
CALLS = (5, 10, 20, 50, 200)
UNET_STEPS, UNET_RATE, UNET_BATCH = 2000, 0.003, 64
FILM, FRAMES = (3, 8, 5, 2, 6), 20  # the digits of the film, and its steps
MOMENTA = (0.5, 0.9)  # of the GANs on the ring

# The digits and the five measures ---------------------------------------------------------------------

digits = load_digits()
train_levels, test_levels, train_labels, test_labels = train_test_split(
    digits.data, digits.target, test_size=597, random_state=0, stratify=digits.target
)
real, held_out = (torch.tensor(levels / 8 - 1).float() for levels in (train_levels, test_levels))
labels, asked = torch.tensor(train_labels), torch.tensor(test_labels)
judge = SVC(C=10).fit(real, train_labels)
radius = torch.cdist(held_out, held_out).kthvalue(NEIGHBOURS + 1, dim=1).values
usual = torch.cdist(held_out, real).amin(dim=1).mean()


def spread(pictures: torch.Tensor) -> float:
    """Mean distance between two pictures that were asked to be the same digit."""
    return float(np.mean([F.pdist(pictures[asked == digit]).mean() for digit in range(10)]))


def measure(made: torch.Tensor) -> dict[str, float]:
    """The five measures of (597, 64) pictures made for the labels `asked`."""
    made = made.clamp(-1, 1)
    inside = torch.cdist(held_out, made) <= radius[:, None]
    found = {
        "as asked": (judge.predict(made) == test_labels).mean(),
        "spread": spread(made) / spread(held_out),
        "precision": inside.any(dim=0).float().mean(),
        "coverage": inside.any(dim=1).float().mean(),
        "novelty": torch.cdist(made, real).amin(dim=1).mean() / usual,
    }
    return {name: round(float(value), 4) for name, value in found.items()}


# The generators ---------------------------------------------------------------------------------------


betas = torch.linspace(0.0005, 0.1, T)  # DDPM's line of 1,000 steps in 200: five times as steep
alpha_bar = torch.cumprod(1 - betas, dim=0)  # the share of the variance that is the picture's


def one_hot(digit: torch.Tensor) -> torch.Tensor:
    return F.one_hot(digit, 10).float()


def time_embedding(t: torch.Tensor) -> torch.Tensor:
    """32 numbers for each time: sines and cosines of 16 frequencies."""
    angles = t[:, None] / T * torch.logspace(0, 3, 16)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def mlp(*sizes: int, activation=nn.SiLU) -> nn.Sequential:
    """Linear layers of these sizes with `activation` between them."""
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


class Diffusion(nn.Module):
    """Guesses, from a noisy picture, its time and its digit, what `target` says."""

    momentum, clip = (0.9, 0.99), True

    def __init__(self, target: str = "v", width: int = 256):
        super().__init__()
        self.target = target
        self.net = mlp(64 + 32 + 10, width, width, width, 64)

    def parts(self) -> list[nn.Module]:
        return [self]

    def forward(self, x, t, digit):
        return self.net(torch.cat([x, time_embedding(t), one_hot(digit)], dim=1))

    def loss(self, x0, digit, part):
        t = torch.randint(T, (len(x0),))
        a = alpha_bar[t][:, None]
        noise = torch.randn_like(x0)
        x = a.sqrt() * x0 + (1 - a).sqrt() * noise
        v = a.sqrt() * noise - (1 - a).sqrt() * x0
        error = (self(x, t, digit) - {"v": v, "noise": noise}.get(self.target, x0)) ** 2
        if self.target == "picture, weighted as v":
            error = error / (1 - a)  # the error of v that an error of the picture makes, squared
        return error.mean()

    def guess(self, x, t: int, digit):
        """The picture behind the noise, as far as the network can tell."""
        answer, a = self(x, torch.full((len(x),), t), digit), alpha_bar[t]
        if self.target == "noise":
            answer = (x - (1 - a).sqrt() * answer) / a.sqrt()
        elif self.target == "v":
            answer = a.sqrt() * x - (1 - a).sqrt() * answer
        return answer.clamp(-1, 1) if self.clip else answer

    @torch.no_grad()
    def sample(self, digit, rng, calls: int = T, eta: float = 1.0, visit=lambda *_: None):
        x = torch.randn(len(digit), 64, generator=rng)
        times = [T * k // calls - 1 for k in range(calls, 0, -1)] + [-1]
        for t, then in zip(times, times[1:], strict=False):
            a, b = alpha_bar[t], alpha_bar[then] if then >= 0 else torch.tensor(1.0)
            x0 = self.guess(x, t, digit)
            visit(t, x, x0)
            noise = (x - a.sqrt() * x0) / (1 - a).sqrt()
            sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)).sqrt()
            x = b.sqrt() * x0 + (1 - b - sigma**2).clamp(min=0).sqrt() * noise
            if eta and then >= 0:
                x += sigma * torch.randn(x.shape, generator=rng)
        return x


class Block(nn.Module):
    """Two convolutions, told the time and the digit between them, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, inputs), nn.GroupNorm(8, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.condition = nn.Linear(64, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, condition):
        hidden = self.conv1(F.silu(self.norm1(x)))
        hidden = hidden + self.condition(condition)[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(hidden)))


class UNet(Diffusion):
    """The same task with convolutions: down to 2 × 2 pixels, up again, and across."""

    def __init__(self, target: str = "v", c: int = 16):
        nn.Module.__init__(self)
        self.target = target
        self.condition = nn.Sequential(nn.Linear(32 + 10, 64), nn.SiLU())
        self.first = nn.Conv2d(1, c, 3, padding=1)
        self.down1, self.down2 = Block(c, c), Block(c, 2 * c)
        self.middle = Block(2 * c, 2 * c)
        self.up2, self.up1 = Block(4 * c, c), Block(2 * c, c)
        self.last = nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, x, t, digit):
        condition = self.condition(torch.cat([time_embedding(t), one_hot(digit)], dim=1))
        fine = self.down1(self.first(x.view(-1, 1, 8, 8)), condition)
        coarse = self.down2(F.avg_pool2d(fine, 2), condition)
        hidden = self.middle(F.avg_pool2d(coarse, 2), condition)
        hidden = torch.cat([F.interpolate(hidden, scale_factor=2), coarse], dim=1)
        hidden = self.up2(hidden, condition)
        hidden = torch.cat([F.interpolate(hidden, scale_factor=2), fine], dim=1)
        return self.last(F.silu(self.up1(hidden, condition))).flatten(1)


class Masked(nn.Linear):
    """A linear layer in which each output sees only the inputs that it may see."""

    def __init__(self, inputs: int, outputs: int, may_see: torch.Tensor):
        super().__init__(inputs, outputs)
        self.register_buffer("may_see", may_see.float())

    def forward(self, x):
        return F.linear(x, self.weight * self.may_see, self.bias)


class Autoregressive(nn.Module):
    """For every pixel, logits of its 17 grey levels, given the pixels before it."""

    momentum = (0.9, 0.99)

    def __init__(self, width: int = 256):
        super().__init__()
        pixel, unit = torch.arange(64), torch.arange(width) % 63
        answer = pixel.repeat_interleave(17)
        self.first = Masked(64, width, unit[:, None] >= pixel)
        self.second = Masked(width, width, unit[:, None] >= unit)
        self.last = Masked(width, 64 * 17, answer[:, None] > unit)
        self.of_digit = nn.ModuleList(nn.Linear(10, n) for n in (width, width, 64 * 17))

    def parts(self) -> list[nn.Module]:
        return [self]

    def forward(self, x, digit):
        a, b, c = (layer(one_hot(digit)) for layer in self.of_digit)
        hidden = F.silu(self.second(F.silu(self.first(x) + a)) + b)
        return (self.last(hidden) + c).view(-1, 64, 17)

    def loss(self, x, digit, part):
        levels = (8 * x + 8).round().long()
        return F.cross_entropy(self(x, digit).flatten(0, 1), levels.flatten())

    @torch.no_grad()
    def sample(self, digit, rng):
        x = torch.zeros(len(digit), 64)
        for pixel in range(64):
            probabilities = self(x, digit)[:, pixel].softmax(dim=-1)
            x[:, pixel] = torch.multinomial(probabilities, 1, generator=rng)[:, 0] / 8 - 1
        return x


class VAE(nn.Module):
    """An encoder from pictures to clouds of codes, a decoder from codes to pictures."""

    momentum = (0.9, 0.99)

    def __init__(self, code: int = 16, sigma: float = 0.25, width: int = 256):
        super().__init__()
        self.code, self.sigma = code, sigma
        self.encoder = mlp(64 + 10, width, width, 2 * code)
        self.decoder = mlp(code + 10, width, width, 64)

    def parts(self) -> list[nn.Module]:
        return [self]

    def loss(self, x, digit, part):
        which = one_hot(digit)
        mean, log_var = self.encoder(torch.cat([x, which], dim=1)).chunk(2, dim=1)
        code = mean + (log_var / 2).exp() * torch.randn_like(mean)
        restored = self.decoder(torch.cat([code, which], dim=1))
        error = ((restored - x) ** 2).sum(dim=1) / (2 * self.sigma**2)
        kl = (mean**2 + log_var.exp() - log_var - 1).sum(dim=1) / 2
        return (error + kl).mean()

    @torch.no_grad()
    def sample(self, digit, rng):
        code = torch.randn(len(digit), self.code, generator=rng)
        return self.decoder(torch.cat([code, one_hot(digit)], dim=1))


class GAN(nn.Module):
    """A generator of pictures, and a discriminator that tries to tell them from real ones."""

    momentum = (0.5, 0.99)

    def __init__(self, code: int = 32, width: int = 256):
        super().__init__()
        self.code = code
        self.generator = mlp(code + 10, width, width, 64)
        self.discriminator = mlp(64 + 10, width, width, 1, activation=lambda: nn.LeakyReLU(0.2))

    def parts(self) -> list[nn.Module]:
        return [self.discriminator, self.generator]

    def make(self, digit, rng=None):
        code = torch.randn(len(digit), self.code, generator=rng)
        return self.generator(torch.cat([code, one_hot(digit)], dim=1)).tanh()

    def loss(self, x, digit, part):
        which, fake = one_hot(digit), self.make(digit)
        if part == 1:  # the generator wants its work taken for real
            return F.softplus(-self.discriminator(torch.cat([fake, which], dim=1))).mean()
        trusted = self.discriminator(torch.cat([x, which], dim=1))
        doubted = self.discriminator(torch.cat([fake.detach(), which], dim=1))
        return F.softplus(-trusted).mean() + F.softplus(doubted).mean()

    @torch.no_grad()
    def sample(self, digit, rng):
        return self.make(digit, rng)


CLASSES = {"autoregressive": Autoregressive, "VAE": VAE, "GAN": GAN, "diffusion": Diffusion}


class PointGAN(nn.Module):
    """A generator and a discriminator of points (batch, 2)."""

    def __init__(self, momentum: float):
        super().__init__()
        self.momentum = (momentum, 0.99)
        self.generator = mlp(8, 128, 128, 2)
        self.discriminator = mlp(2, 128, 128, 1, activation=lambda: nn.LeakyReLU(0.2))

    def parts(self) -> list[nn.Module]:
        return [self.discriminator, self.generator]

    def loss(self, x, part):
        fake = self.generator(torch.randn(len(x), 8))
        if part == 1:
            return F.softplus(-self.discriminator(fake)).mean()
        doubted = F.softplus(self.discriminator(fake.detach())).mean()
        return F.softplus(-self.discriminator(x)).mean() + doubted

    @torch.no_grad()
    def sample(self, rng):
        return self.generator(torch.randn(500, 8, generator=rng))


class PointDiffusion(nn.Module):
    """v of noisy points (batch, 2)."""

    momentum = (0.9, 0.99)

    def __init__(self, width: int = 128):
        super().__init__()
        self.net = mlp(3, width, width, width, 2)

    def parts(self) -> list[nn.Module]:
        return [self]

    def forward(self, x, t):
        return self.net(torch.cat([x, t[:, None] / T], dim=1))

    def loss(self, x0, part):
        t, noise = torch.randint(T, (len(x0),)), torch.randn_like(x0)
        a = alpha_bar[t][:, None]
        v = a.sqrt() * noise - (1 - a).sqrt() * x0
        return F.mse_loss(self(a.sqrt() * x0 + (1 - a).sqrt() * noise, t), v)

    @torch.no_grad()
    def sample(self, rng):
        x = torch.randn(500, 2, generator=rng)
        times = [T * k // 50 - 1 for k in range(50, 0, -1)] + [-1]
        for t, then in zip(times, times[1:], strict=False):
            a, b = alpha_bar[t], alpha_bar[then] if then >= 0 else torch.tensor(1.0)
            answer = self(x, torch.full((len(x),), t))
            x0, noise = a.sqrt() * x - (1 - a).sqrt() * answer, (1 - a).sqrt() * x + a.sqrt() * answer
            x = b.sqrt() * x0 + (1 - b).sqrt() * noise
        return x


angle = torch.arange(8) * math.pi / 4
centres = 1.4 * torch.stack([angle.cos(), angle.sin()], dim=1)
ring = centres[torch.arange(800) % 8] + 0.06 * torch.randn(800, 2, generator=torch.Generator().manual_seed(0))


def clusters(made: torch.Tensor) -> int:
    """How many of the eight clusters get at least two per cent of the points."""
    far, which = torch.cdist(made, centres).min(dim=1)
    return int(((which[far < 0.3].bincount(minlength=8) / len(made)) > 0.02).sum())


def fit(make, data, steps: int, rate: float, batch: int, seed: int, watch=lambda step, losses, net: None) -> nn.Module:
    """Train what `make` makes; every part has an optimizer of its own, and they take turns."""
    torch.manual_seed(seed)
    net = make()
    optimizers = [torch.optim.AdamW(part.parameters(), lr=rate, betas=net.momentum, fused=True) for part in net.parts()]
    for step in range(steps):
        rows = torch.randint(len(data[0]), (batch,))
        losses = []
        for part, optimizer in enumerate(optimizers):
            optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            loss = net.loss(*(values[rows] for values in data), part)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        watch(step + 1, losses, net)
    return net


def costs(rounds: int = 9, steps: int = 40) -> dict[str, float]:
    """CPU milliseconds of a training step of each generator: medians over rounds, which take turns."""
    found = {name: [] for name in CLASSES}
    for seed in range(rounds):
        for name, make in CLASSES.items():
            started = time.process_time()
            fit(make, (real, labels), steps, 0.001, BATCH[name], seed)
            found[name].append((time.process_time() - started) / steps * 1000)
    return {name: round(float(np.median(taken[1:])), 2) for name, taken in found.items()}  # the first warms up


def packed(pictures: torch.Tensor) -> str:
    """Pictures as base64 of a byte a pixel, -1 as 0 and 1 as 255."""
    levels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return base64.b64encode(levels.numpy().tobytes()).decode()


@torch.no_grad()
def loss_on_held_out(net: Diffusion) -> float:
    """Mean squared error of the noise on held-out digits, at twenty times, with the same noise for every network."""
    rng, losses = torch.Generator().manual_seed(0), []
    for t in range(9, T, 10):
        a, noise = alpha_bar[t], torch.randn(held_out.shape, generator=rng)
        x = a.sqrt() * held_out + (1 - a).sqrt() * noise
        answer = net(x, torch.full((len(x),), t), asked)
        if net.target == "v":
            answer = (1 - a).sqrt() * x + a.sqrt() * answer
        losses.append(F.mse_loss(answer, noise).item())
    return round(float(np.mean(losses)), 5)


def film(net: Diffusion, eta: float) -> dict[str, str]:
    """What the sampler holds and what the network expects, for the digits of `FILM`: (steps + 1, digits, 64)."""
    held, expected = [], []

    def keep(t, x, x0):
        held.append(x)
        expected.append(x0)

    end = net.sample(torch.tensor(FILM), torch.Generator().manual_seed(2), FRAMES, eta, keep)
    return {"held": packed(torch.stack([*held, end])), "expected": packed(torch.stack([*expected, end]))}


def one_run(name: str, seed: int, target: str | None = None, times: int = 1) -> dict:
    """Train one generator and measure what it makes."""
    make = CLASSES.get(name, UNet)
    steps, rate, batch = UNET_STEPS, UNET_RATE, UNET_BATCH
    if name in CLASSES:
        steps, rate, batch = STEPS[name] * times, RATE[name], BATCH[name]
    early = []

    def watch(step, losses, net):
        if step == EARLY:
            early.extend(losses)

    started = time.process_time()
    net = fit((lambda: make(target)) if target else make, (real, labels), steps, rate, batch, seed, watch)
    seconds = time.process_time() - started
    found = {"name": name, "seed": seed, "target": target, "times": times, "seconds": round(seconds, 1)}
    found["parameters"] = sum(weights.numel() for weights in net.parameters())
    found["early"] = [round(value, 5) for value in early]
    found["measures"] = measure(net.sample(asked, torch.Generator().manual_seed(seed)))
    found["drawn"] = packed(net.sample(torch.arange(10), torch.Generator().manual_seed(seed)))
    if target in ("v", "noise") and times == 1:
        found["held out"] = loss_on_held_out(net)
        found["calls"] = {}
        for clip in (True, False):
            net.clip = clip
            for eta in (0.0, 1.0) if name in CLASSES else (0.0,):
                for calls in CALLS if name in CLASSES else (10, 50):
                    made = net.sample(asked, torch.Generator().manual_seed(seed), calls, eta)
                    key = f"eta {eta:.0f}, {calls} calls" + ("" if clip else ", not clipped")
                    found["calls"][key] = measure(made)
        few = net.sample(torch.arange(10), torch.Generator().manual_seed(seed), 10, 0.0)
        found["drawn in 10 calls, not clipped"] = packed(few)
        net.clip = True
    if name == "U-Net" and seed == 0:
        found["film"] = {sampler: film(net, eta) for sampler, eta in (("DDPM", 1.0), ("DDIM", 0.0))}
    return found


def one_ring(momentum: float | None, seed: int) -> dict:
    """Train a GAN with this momentum, or a diffusion model where it is None, on the ring."""
    early, found = [], []

    def watch(step, losses, net):
        if step == EARLY:
            early.extend(losses)
        if step % 100 == 0:
            found.append(clusters(net.sample(torch.Generator().manual_seed(1))))

    make = PointDiffusion if momentum is None else lambda: PointGAN(momentum)
    net = fit(make, (ring,), 1000, 0.003 if momentum is None else 0.01, 128, seed, watch)
    points = net.sample(torch.Generator().manual_seed(1))[:125]
    return {
        "momentum": momentum,
        "seed": seed,
        "early": [round(value, 5) for value in early],
        "clusters": found,
        "points": [[round(value, 2) for value in point] for point in points.tolist()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--costs", action="store_true", help="only measure what a step costs")
    if parser.parse_args().costs:
        print(costs())
        return
    runs = [(name, None, 1) for name in CLASSES if name != "diffusion"]
    runs += [("diffusion", target, 1) for target in TARGETS] + [("diffusion", "v", LONG)]
    runs += [("U-Net", "noise", 1), ("U-Net", "v", 1)]
    tasks = {
        f"{name}-{target}-{times}-{seed}": (one_run, (name, seed, target, times))
        for name, target, times in runs
        for seed in SEEDS
    }
    tasks |= {
        f"ring-{momentum}-{seed}": (one_ring, (momentum, seed)) for momentum in (*MOMENTA, None) for seed in SEEDS
    }
    kept = Path(__file__).resolve().parents[2] / "_build" / "sweeps" / NAME
    kept.mkdir(parents=True, exist_ok=True)
    found = {}
    for key, (compute, arguments) in tasks.items():
        path = kept / f"{key}.json"
        if not path.exists():
            path.write_text(json.dumps(compute(*arguments)))
        found[key] = json.loads(path.read_text())
        print(json.dumps(found[key])[:400], flush=True)
    settings = {"steps": STEPS | {"U-Net": UNET_STEPS}, "rate": RATE | {"U-Net": UNET_RATE}}
    settings |= {"batch": BATCH | {"U-Net": UNET_BATCH}, "early": EARLY, "long": LONG, "film": FILM}
    rings = [run for key, run in found.items() if key.startswith("ring")]
    runs = [run for key, run in found.items() if not key.startswith("ring")]
    results.write(
        NAME,
        {**settings, "runs": runs, "rings": rings},
        command="python training/sweeps/four_generators.py",
        seeds=SEEDS,
        inputs=["training/sweeps/four_generators.py"],
    )


if __name__ == "__main__":
    main()
