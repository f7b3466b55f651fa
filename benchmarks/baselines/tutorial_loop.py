"""The MLP GAN training loop of the PyTorch-GAN and torchbearer tutorials, timed on the CPU."""

import math
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Generator(nn.Module):
    """The tutorial's generator: batch norm in every hidden block but the first."""

    def __init__(
        self, latent_dim: int, hidden: list[int], image_shape: torch.Size, batch_norm: bool
    ) -> None:
        """Builds the layers."""
        super().__init__()
        self.image_shape = image_shape
        layers: list[nn.Module] = []
        width = latent_dim
        for index, size in enumerate(hidden):
            layers.append(nn.Linear(width, size))
            if batch_norm and index > 0:
                layers.append(nn.BatchNorm1d(size, eps=0.8))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            width = size
        layers += [nn.Linear(width, math.prod(image_shape)), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Returns the images of the latent vectors."""
        return self.model(z).view(z.size(0), *self.image_shape)


class Discriminator(nn.Module):
    """The tutorial's discriminator, which outputs probabilities."""

    def __init__(self, hidden: list[int], image_shape: torch.Size) -> None:
        """Builds the layers."""
        super().__init__()
        layers: list[nn.Module] = []
        width = math.prod(image_shape)
        for size in hidden:
            layers += [nn.Linear(width, size), nn.LeakyReLU(0.2, inplace=True)]
            width = size
        layers += [nn.Linear(width, 1), nn.Sigmoid()]
        self.model = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the probability that each image is real."""
        return self.model(images.view(images.size(0), -1))


def _batches(loader: DataLoader[Any]) -> Iterator[torch.Tensor]:
    """Yields the loader's images for ever, reshuffled on every pass."""
    while True:
        for (images,) in loader:
            yield images


def _train(
    generator: Generator,
    discriminator: Discriminator,
    batches: Iterator[torch.Tensor],
    latent_dim: int,
    lr: float,
    betas: tuple[float, float],
) -> list[tuple[float, float]]:
    """Trains on every batch and returns the losses, discriminator first."""
    criterion = nn.BCELoss()
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=lr, betas=betas)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=lr, betas=betas)
    history = []
    for real_imgs in batches:
        valid = torch.ones(real_imgs.size(0), 1)
        fake = torch.zeros(real_imgs.size(0), 1)

        optimizer_g.zero_grad()
        z = torch.randn(real_imgs.size(0), latent_dim)
        gen_imgs = generator(z)
        g_loss = criterion(discriminator(gen_imgs), valid)
        g_loss.backward()
        optimizer_g.step()

        optimizer_d.zero_grad()
        real_loss = criterion(discriminator(real_imgs), valid)
        fake_loss = criterion(discriminator(gen_imgs.detach()), fake)
        d_loss = (real_loss + fake_loss) / 2
        d_loss.backward()
        optimizer_d.step()

        history.append((d_loss.item(), g_loss.item()))
    return history


def train_tutorial(
    images: torch.Tensor,
    steps: int,
    batch_size: int,
    latent_dim: int,
    g_hidden: list[int],
    d_hidden: list[int],
    lr: float = 2e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    batch_norm: bool = True,
    seed: int = 0,
) -> float:
    """Trains the tutorial's GAN and returns its speed in real images per second.

    Building the networks and the loader is not timed. Nothing is warmed up: call this once with a
    few steps before a measurement. Seeds PyTorch's global generator, as the tutorials do.

    Raises:
        ValueError: If there are fewer images than one batch.
    """
    if len(images) < batch_size:
        raise ValueError(f"{len(images)} images do not fill a batch of {batch_size}")
    torch.manual_seed(seed)
    generator = Generator(latent_dim, g_hidden, images.shape[1:], batch_norm)
    discriminator = Discriminator(d_hidden, images.shape[1:])
    loader = DataLoader(TensorDataset(images), batch_size, shuffle=True, drop_last=True)

    started = time.perf_counter()
    batches = islice(_batches(loader), steps)
    _train(generator, discriminator, batches, latent_dim, lr, betas)
    return steps * batch_size / (time.perf_counter() - started)


def main() -> None:
    """Prints the images per second of the tutorial's networks on random images."""
    images = torch.rand(10_000, 1, 28, 28) * 2 - 1
    for steps in (5, 150):  # The first run warms up.
        speed = train_tutorial(images, steps, 64, 100, [128, 256, 512, 1024], [512, 256])
    print(f"{speed:.0f} images/s ({torch.get_num_threads()} threads, batch 64)")


if __name__ == "__main__":
    main()
