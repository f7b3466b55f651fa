"""The tutorials' published networks and update rules, written out from their code with torch.nn.

Kept apart from gantune's engine: nothing here imports it. Dropout takes its masks from outside, so
that both sides drop the same.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

Masks = Callable[[str, tuple[int, ...]], Tensor]
CLIP = torch.tensor(0.01).item()
"""The tutorials' 0.01 as float32 has it: the engine's hyperparameters are that precise."""


class Dropout2d(nn.Module):
    """nn.Dropout2d with masks from outside."""

    def __init__(self, name: str, rate: float, masks: Masks) -> None:
        super().__init__()
        self.name, self.rate, self.masks = name, rate, masks

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        u = self.masks(self.name, (x.shape[0], x.shape[1], 1, 1))
        return x * (u >= self.rate) / (1 - self.rate)


class View(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], *self.shape)


def pytorch_gan_generator(latent: int, shape: tuple[int, int, int]) -> nn.Module:
    """PyTorch-GAN gan.py: blocks of linear, BatchNorm1d(width, 0.8), LeakyReLU."""

    def block(inputs: int, outputs: int, normalize: bool = True) -> list[nn.Module]:
        layers: list[nn.Module] = [nn.Linear(inputs, outputs)]
        if normalize:
            layers.append(nn.BatchNorm1d(outputs, 0.8))
        return [*layers, nn.LeakyReLU(0.2)]

    pixels = shape[0] * shape[1] * shape[2]
    return nn.Sequential(
        *block(latent, 128, normalize=False),
        *block(128, 256),
        *block(256, 512),
        *block(512, 1024),
        nn.Linear(1024, pixels),
        nn.Tanh(),
        View(*shape),
    )


def pytorch_gan_discriminator(shape: tuple[int, int, int]) -> nn.Module:
    """Without its last Sigmoid: the losses here take logits."""
    pixels = shape[0] * shape[1] * shape[2]
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(pixels, 512),
        nn.LeakyReLU(0.2),
        nn.Linear(512, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 1),
        nn.Flatten(0),
    )


def pytorch_gan_dcgan(masks: Masks) -> tuple[nn.Module, nn.Module]:
    """PyTorch-GAN dcgan.py at 32x32, one channel."""
    generator = nn.Sequential(
        nn.Linear(100, 128 * 8 * 8),
        View(128, 8, 8),
        nn.BatchNorm2d(128),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(128, 128, 3, stride=1, padding=1),
        nn.BatchNorm2d(128, 0.8),
        nn.LeakyReLU(0.2),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(128, 64, 3, stride=1, padding=1),
        nn.BatchNorm2d(64, 0.8),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 1, 3, stride=1, padding=1),
        nn.Tanh(),
    )

    def block(index: int, inputs: int, outputs: int) -> list[nn.Module]:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, 3, 2, 1),
            nn.LeakyReLU(0.2),
            Dropout2d(f"d.{index}.dropout", 0.25, masks),
        ]
        return layers + ([nn.BatchNorm2d(outputs, 0.8)] if index else [])

    discriminator = nn.Sequential(
        *block(0, 1, 16),
        *block(1, 16, 32),
        *block(2, 32, 64),
        *block(3, 64, 128),
        nn.Flatten(),
        nn.Linear(128 * 2 * 2, 1),
        nn.Flatten(0),
    )
    return generator, discriminator


def fastai_basic(size: int) -> tuple[nn.Module, nn.Module]:
    """fastai v2 basic_generator and basic_critic, 64 features, one extra layer, one channel.

    ConvLayer is convolution (without bias), batch norm, activation.
    """

    def up(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> list[nn.Module]:
        conv = nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]

    features, current = 32, 4
    while current < size:
        current, features = current * 2, features * 2
    layers: list[nn.Module] = [View(100, 1, 1), *up(100, features, 4, 1, 0)]
    current = 4
    while current < size // 2:
        layers += up(features, features // 2, 4, 2, 1)
        features, current = features // 2, current * 2
    layers += up(features, features, 3, 1, 1)
    layers += [nn.ConvTranspose2d(features, 1, 4, 2, 1, bias=False), nn.Tanh()]
    generator = nn.Sequential(*layers)

    def down(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]

    critic: list[nn.Module] = [nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.2), *down(64, 64, 3, 1)]
    current, features = size // 2, 64
    while current > 4:
        critic += down(features, features * 2, 4, 2)
        features, current = features * 2, current // 2
    critic += [nn.Conv2d(features, 1, 4, bias=False), nn.Flatten(0)]
    return generator, nn.Sequential(*critic)


class SelfAttention(nn.Module):
    """fastai's, with spectral norm on all three paths."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(()))
        for name, width in (("query", channels // 8), ("key", channels // 8), ("value", channels)):
            setattr(self, name, spectral_norm(nn.Conv2d(channels, width, 1, bias=False)))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (path(x).flatten(2) for path in (self.query, self.key, self.value))
        beta = F.softmax(torch.bmm(query.transpose(1, 2), key), dim=1)
        return (self.gamma * torch.bmm(value, beta) + x.flatten(2)).view_as(x)


class DenseBlock(nn.Module):
    """fastai's res_block(dense=True): its output is concatenated in front of its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(width, width, 3, 1, 1))
        self.second = spectral_norm(nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.second(F.leaky_relu(self.first(x), 0.2)), 0.2)
        return torch.cat([hidden, x], 1)


def fastai_gan_critic(features: int, size: int, masks: Masks) -> nn.Module:
    """fastai's gan_critic, as deep as makes one logit of an image of 4 times a power of two."""
    layers: list[nn.Module] = [
        spectral_norm(nn.Conv2d(1, features, 4, 2, 1)),
        nn.LeakyReLU(0.2),
        Dropout2d("d.0.dropout", 0.15 / 2, masks),
        DenseBlock(features),
    ]
    features, size = features * 2, size // 2
    index = 1
    while size > 4:
        layers += [
            Dropout2d(f"d.{index}.dropout", 0.15, masks),
            spectral_norm(nn.Conv2d(features, features * 2, 4, 2, 1)),
            nn.LeakyReLU(0.2),
        ]
        features, size = features * 2, size // 2
        if index == 1:
            layers.append(SelfAttention(features))
        index += 1
    layers += [spectral_norm(nn.Conv2d(features, 1, 4, bias=False)), nn.Flatten(0)]
    return nn.Sequential(*layers)


class Rounds:
    """The networks, their optimizers and the random inputs, and what each update showed."""

    def __init__(
        self,
        g: nn.Module,
        d: nn.Module,
        g_optimizer: torch.optim.Optimizer,
        d_optimizer: torch.optim.Optimizer,
        reals: Iterator[Tensor],
        latents: Iterator[Tensor],
    ) -> None:
        self.g, self.d, self.g_optimizer, self.d_optimizer = g, d, g_optimizer, d_optimizer
        self.reals, self.latents = reals, latents
        self.g_losses: list[float] = []
        self.d_losses: list[float] = []

    def g_step(self, loss: Tensor) -> None:
        self.g_optimizer.zero_grad()
        loss.backward()
        self.g_optimizer.step()
        self.g_losses.append(loss.item())

    def d_step(self, loss: Tensor) -> None:
        self.d_optimizer.zero_grad()
        loss.backward()
        self.d_optimizer.step()
        self.d_losses.append(loss.item())


def bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def pytorch_gan_rule(rounds: Rounds) -> None:
    """gan.py and dcgan.py: the generator first, the discriminator on the same fakes, detached."""
    real, fake = next(rounds.reals), rounds.g(next(rounds.latents))
    rounds.g_step(bce(rounds.d(fake), 1.0))
    loss = (bce(rounds.d(real), 1.0) + bce(rounds.d(fake.detach()), 0.0)) / 2
    rounds.d_step(loss)


def pytorch_wgan_rule(rounds: Rounds) -> None:
    """wgan.py: five critic steps, each clipped; the generator on the last latents again."""
    for _ in range(5):
        real, z = next(rounds.reals), next(rounds.latents)
        fake = rounds.g(z).detach()
        rounds.d_step(-rounds.d(real).mean() + rounds.d(fake).mean())
        for parameter in rounds.d.parameters():
            parameter.data.clamp_(-CLIP, CLIP)
    rounds.g_step(-rounds.d(rounds.g(z)).mean())


def fastai_wgan_rule(rounds: Rounds) -> None:
    """FixedGANSwitcher(5, 1): the critic minimises real - fake, G the mean of fake_pred.

    Weights are clipped at the beginning of every batch.
    """

    def clip() -> None:
        for parameter in rounds.d.parameters():
            parameter.data.clamp_(-CLIP, CLIP)

    for _ in range(5):
        clip()
        real_pred = rounds.d(next(rounds.reals))
        with torch.no_grad():
            fake = rounds.g(next(rounds.latents))
        rounds.d_step(real_pred.mean() - rounds.d(fake).mean())
    clip()
    rounds.g_step(rounds.d(rounds.g(next(rounds.latents))).mean())


class FastaiAdaptiveRule:
    """AdaptiveGANSwitcher(critic_thresh=0.65): one player per batch, the critic first."""

    def __init__(self) -> None:
        self.gen_mode = False

    def __call__(self, rounds: Rounds) -> None:
        real, z = next(rounds.reals), next(rounds.latents)
        if self.gen_mode:
            rounds.g_step(bce(rounds.d(rounds.g(z)), 1.0))
            self.gen_mode = False
            return
        real_pred = rounds.d(real)
        with torch.no_grad():
            fake = rounds.g(z)
        rounds.d_step((bce(real_pred, 1.0) + bce(rounds.d(fake), 0.0)) / 2)
        self.gen_mode = rounds.d_losses[-1] < 0.65


def university_rule(rounds: Rounds) -> None:
    """One joint batch with labels, then the generator on fresh noise; fakes detached."""
    real, fake = next(rounds.reals), rounds.g(next(rounds.latents)).detach()
    logits = rounds.d(torch.cat([real, fake]))
    labels = torch.cat([torch.ones(len(real)), torch.zeros(len(fake))])
    rounds.d_step(F.binary_cross_entropy_with_logits(logits, labels))
    rounds.g_step(bce(rounds.d(rounds.g(next(rounds.latents))), 1.0))


def jinglescode_rule(rounds: Rounds) -> None:
    """The discriminator on fakes and reals, then the generator on fresh noise."""
    real, fake = next(rounds.reals), rounds.g(next(rounds.latents))
    loss_fake, loss_real = bce(rounds.d(fake.detach()), 0.0), bce(rounds.d(real), 1.0)
    rounds.d_step((loss_fake + loss_real) / 2)
    rounds.g_step(bce(rounds.d(rounds.g(next(rounds.latents))), 1.0))


def university_nets() -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(
        nn.Linear(100, 300), nn.LeakyReLU(0.2), nn.Linear(300, 784), nn.Sigmoid()
    )
    discriminator = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 300),
        nn.LeakyReLU(0.2),
        nn.Linear(300, 100),
        nn.LeakyReLU(0.2),
        nn.Linear(100, 1),
        nn.Flatten(0),
    )
    return generator, discriminator


def jinglescode_nets() -> tuple[nn.Module, nn.Module]:
    widths = [64, 128, 256, 512, 1024]
    layers: list[nn.Module] = []
    for i in range(4):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.BatchNorm1d(widths[i + 1]), nn.ReLU()]
    generator = nn.Sequential(*layers, nn.Linear(1024, 784), nn.Sigmoid())
    discriminator = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.LeakyReLU(0.2),
        nn.Linear(512, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 128),
        nn.LeakyReLU(0.2),
        nn.Linear(128, 1),
        nn.Flatten(0),
    )
    return generator, discriminator


Rule = Callable[[Rounds], Any]
