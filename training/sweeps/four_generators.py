"""Four generators of handwritten digits at the same budget (chapter 09).

    python training/sweeps/four_generators.py

An autoregressive network, a VAE, a GAN and a diffusion model, three seeds each, trained for as many steps as about
the same time on one core allows (`STEPS`; `--costs` measures the cost of a step of each, in turns), on 1,200 of
scikit-learn's 8 × 8 digits. The diffusion model is trained on each of its three targets, and once for four times the
steps. The learning rates served best in short trials with another seed.
Interrupt whenever you like: finished runs are kept below _build/sweeps/ and not repeated.
"""

import argparse
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
TARGETS = ("v", "noise", "picture")
LONG = 4  # times the steps of the one long run
EARLY = 20  # the loss of this step is recorded, for the chapter to compute again
T, NEIGHBOURS = 200, 5
CALLS = (5, 10, 20, 50, 200)

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


def alpha_bars(steps: int) -> torch.Tensor:
    """The share of the picture's variance that is left after steps 1, 2, …: the cosine schedule."""
    turn = (torch.arange(steps + 1, dtype=torch.float64) / steps + 0.008) / 1.008 * math.pi / 2
    kept = turn.cos() ** 2
    return torch.cumprod(1 - (1 - kept[1:] / kept[:-1]).clamp(max=0.999), dim=0).float()


alpha_bar = alpha_bars(T)


def one_hot(digit: torch.Tensor) -> torch.Tensor:
    return F.one_hot(digit, 10).float()


def mlp(*sizes: int, bend=nn.SiLU) -> nn.Sequential:
    """Linear layers of these sizes with `bend` between them."""
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), bend()]
    return nn.Sequential(*layers[:-1])


class Diffusion(nn.Module):
    """Guesses, from a noisy picture, its time and its digit, what `target` says."""

    momentum = (0.9, 0.99)

    def __init__(self, target: str = "v", width: int = 256):
        super().__init__()
        self.target = target
        self.net = mlp(64 + 32 + 10, width, width, width, 64)
        self.register_buffer("pitches", torch.logspace(0, 3, 16))

    def parts(self) -> list[nn.Module]:
        return [self]

    def forward(self, x, t, digit):
        clock = t[:, None] / T * self.pitches
        return self.net(torch.cat([x, clock.sin(), clock.cos(), one_hot(digit)], dim=1))

    def loss(self, x0, digit, part):
        t = torch.randint(T, (len(x0),))
        a = alpha_bar[t][:, None]
        noise = torch.randn_like(x0)
        x = a.sqrt() * x0 + (1 - a).sqrt() * noise
        v = a.sqrt() * noise - (1 - a).sqrt() * x0
        return F.mse_loss(self(x, t, digit), {"v": v, "noise": noise, "picture": x0}[self.target])

    def guess(self, x, t: int, digit):
        """The picture behind the noise, as far as the network can tell."""
        answer, a = self(x, torch.full((len(x),), t), digit), alpha_bar[t]
        if self.target == "noise":
            answer = (x - (1 - a).sqrt() * answer) / a.sqrt()
        elif self.target == "v":
            answer = a.sqrt() * x - (1 - a).sqrt() * answer
        return answer.clamp(-1, 1)

    @torch.no_grad()
    def sample(self, digit, dice, calls: int = T, eta: float = 1.0):
        x = torch.randn(len(digit), 64, generator=dice)
        times = [T * k // calls - 1 for k in range(calls, 0, -1)] + [-1]
        for t, then in zip(times, times[1:], strict=False):
            a, b = alpha_bar[t], alpha_bar[then] if then >= 0 else torch.tensor(1.0)
            x0 = self.guess(x, t, digit)
            noise = (x - a.sqrt() * x0) / (1 - a).sqrt()
            sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)).sqrt()
            x = b.sqrt() * x0 + (1 - b - sigma**2).clamp(min=0).sqrt() * noise
            if eta and then >= 0:
                x += sigma * torch.randn(x.shape, generator=dice)
        return x


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
    def sample(self, digit, dice):
        x = torch.zeros(len(digit), 64)
        for pixel in range(64):
            shares = self(x, digit)[:, pixel].softmax(dim=-1)
            x[:, pixel] = torch.multinomial(shares, 1, generator=dice)[:, 0] / 8 - 1
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
        back = self.decoder(torch.cat([code, which], dim=1))
        error = ((back - x) ** 2).sum(dim=1) / (2 * self.sigma**2)
        toll = (mean**2 + log_var.exp() - log_var - 1).sum(dim=1) / 2
        return (error + toll).mean()

    @torch.no_grad()
    def sample(self, digit, dice):
        code = torch.randn(len(digit), self.code, generator=dice)
        return self.decoder(torch.cat([code, one_hot(digit)], dim=1))


class GAN(nn.Module):
    """A forger of pictures, and an expert who tries to tell them from real ones."""

    momentum = (0.5, 0.99)

    def __init__(self, code: int = 32, width: int = 256):
        super().__init__()
        self.code = code
        self.forger = mlp(code + 10, width, width, 64)
        self.expert = mlp(64 + 10, width, width, 1, bend=lambda: nn.LeakyReLU(0.2))

    def parts(self) -> list[nn.Module]:
        return [self.expert, self.forger]

    def forge(self, digit, dice=None):
        code = torch.randn(len(digit), self.code, generator=dice)
        return self.forger(torch.cat([code, one_hot(digit)], dim=1)).tanh()

    def loss(self, x, digit, part):
        which, fake = one_hot(digit), self.forge(digit)
        if part == 1:  # the forger wants its work taken for real
            return F.softplus(-self.expert(torch.cat([fake, which], dim=1))).mean()
        trusted = self.expert(torch.cat([x, which], dim=1))
        doubted = self.expert(torch.cat([fake.detach(), which], dim=1))
        return F.softplus(-trusted).mean() + F.softplus(doubted).mean()

    @torch.no_grad()
    def sample(self, digit, dice):
        return self.forge(digit, dice)


CLASSES = {"autoregressive": Autoregressive, "VAE": VAE, "GAN": GAN, "diffusion": Diffusion}


def fit(make, steps: int, rate: float, batch: int, seed: int, watch=lambda step, losses: None) -> nn.Module:
    """Train what `make` makes; every part has an optimizer of its own, and they take turns."""
    torch.manual_seed(seed)
    net, dice = make(), np.random.default_rng(seed)
    optimizers = [torch.optim.AdamW(part.parameters(), lr=rate, betas=net.momentum, fused=True) for part in net.parts()]
    for step in range(steps):
        rows = torch.from_numpy(dice.integers(0, len(real), batch))
        losses = []
        for part, optimizer in enumerate(optimizers):
            optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            loss = net.loss(real[rows], labels[rows], part)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        watch(step + 1, losses)
    return net


def costs(rounds: int = 9, steps: int = 40) -> dict[str, float]:
    """CPU milliseconds of a training step of each generator: medians over rounds, which take turns."""
    found = {name: [] for name in CLASSES}
    for seed in range(rounds):
        for name, make in CLASSES.items():
            started = time.process_time()
            fit(make, steps, 0.001, BATCH[name], seed)
            found[name].append((time.process_time() - started) / steps * 1000)
    return {name: round(float(np.median(taken[1:])), 2) for name, taken in found.items()}  # the first warms up


def one_run(name: str, seed: int, target: str | None = None, times: int = 1) -> dict:
    """Train one generator and measure what it makes."""
    make = CLASSES[name] if target is None else lambda: Diffusion(target)
    early = []
    started = time.process_time()
    net = fit(
        make,
        STEPS[name] * times,
        RATE[name],
        BATCH[name],
        seed,
        watch=lambda step, losses: early.append(losses) if step == EARLY else None,
    )
    seconds = time.process_time() - started
    found = {"name": name, "seed": seed, "target": target, "times": times, "seconds": round(seconds, 1)}
    found["parameters"] = sum(weights.numel() for weights in net.parameters())
    found["early"] = [round(value, 5) for value in early[0]]
    found["measures"] = measure(net.sample(asked, torch.Generator().manual_seed(seed)))
    if target == "v" and times == 1:
        found["calls"] = {
            f"eta {eta:.0f}, {calls} calls": measure(net.sample(asked, torch.Generator().manual_seed(seed), calls, eta))
            for eta in (0.0, 1.0)
            for calls in CALLS
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--costs", action="store_true", help="only measure what a step costs")
    if parser.parse_args().costs:
        print(costs())
        return
    runs = [(name, None, 1) for name in CLASSES if name != "diffusion"]
    runs += [("diffusion", target, 1) for target in TARGETS] + [("diffusion", "v", LONG)]
    kept = Path(__file__).resolve().parents[2] / "_build" / "sweeps" / NAME
    kept.mkdir(parents=True, exist_ok=True)
    found = []
    for name, target, times in runs:
        for seed in SEEDS:
            path = kept / f"{name}-{target}-{times}-{seed}.json"
            if not path.exists():
                path.write_text(json.dumps(one_run(name, seed, target, times)))
            found.append(json.loads(path.read_text()))
            print(json.dumps(found[-1]), flush=True)
    settings = {"steps": STEPS, "rate": RATE, "batch": BATCH, "early": EARLY, "long": LONG}
    results.write(
        NAME,
        {**settings, "runs": found},
        command="python training/sweeps/four_generators.py",
        seeds=SEEDS,
        inputs=["training/sweeps/four_generators.py"],
    )


if __name__ == "__main__":
    main()
