"""The training loop of PyTorch's DCGAN example (and tutorial) at 32x32, timed on the CPU."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

LATENT, LR, BETAS = 100, 2e-4, (0.5, 0.999)


def _weights_init(module: nn.Module) -> None:
    name = type(module).__name__
    if "Conv" in name:
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif "BatchNorm" in name:
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def generator(features: int, channels: int = 1) -> nn.Module:
    """The example's generator, for 32x32."""
    return nn.Sequential(
        nn.ConvTranspose2d(LATENT, features * 4, 4, 1, 0, bias=False),
        nn.BatchNorm2d(features * 4),
        nn.ReLU(True),
        nn.ConvTranspose2d(features * 4, features * 2, 4, 2, 1, bias=False),
        nn.BatchNorm2d(features * 2),
        nn.ReLU(True),
        nn.ConvTranspose2d(features * 2, features, 4, 2, 1, bias=False),
        nn.BatchNorm2d(features),
        nn.ReLU(True),
        nn.ConvTranspose2d(features, channels, 4, 2, 1, bias=False),
        nn.Tanh(),
    )


def discriminator(features: int, channels: int = 1) -> nn.Module:
    """The example's discriminator, for 32x32."""
    return nn.Sequential(
        nn.Conv2d(channels, features, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(features, features * 2, 4, 2, 1, bias=False),
        nn.BatchNorm2d(features * 2),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(features * 2, features * 4, 4, 2, 1, bias=False),
        nn.BatchNorm2d(features * 4),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(features * 4, 1, 4, 1, 0, bias=False),
        nn.Sigmoid(),
    )


def _batches(loader: DataLoader[Any]) -> Iterator[torch.Tensor]:
    while True:
        for (images,) in loader:
            yield images


def train_dcgan(
    dataset: Dataset[Any], features: int, steps: int, batch_size: int, seed: int = 0
) -> float:
    """Trains the example's GAN and returns its speed in real images per second."""
    torch.manual_seed(seed)
    net_g, net_d = generator(features), discriminator(features)
    net_g.apply(_weights_init)
    net_d.apply(_weights_init)
    criterion = nn.BCELoss()
    optimizer_g = torch.optim.Adam(net_g.parameters(), lr=LR, betas=BETAS)
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=LR, betas=BETAS)
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True)

    started = time.perf_counter()
    for real in islice(_batches(loader), steps):
        net_d.zero_grad()
        label = torch.full((batch_size,), 1.0)
        output = net_d(real).view(-1)
        error_real = criterion(output, label)
        error_real.backward()
        d_x = output.mean().item()
        fake = net_g(torch.randn(batch_size, LATENT, 1, 1))
        label.fill_(0.0)
        output = net_d(fake.detach()).view(-1)
        error_fake = criterion(output, label)
        error_fake.backward()
        d_g_z1 = output.mean().item()
        optimizer_d.step()
        net_g.zero_grad()
        label.fill_(1.0)
        output = net_d(fake).view(-1)
        error_g = criterion(output, label)
        error_g.backward()
        d_g_z2 = output.mean().item()
        optimizer_g.step()
        _ = (error_real + error_fake).item(), error_g.item(), d_x, d_g_z1, d_g_z2
    return steps * batch_size / (time.perf_counter() - started)
