"""The MLP GAN training loop of the PyTorch-GAN and torchbearer tutorials, timed on the CPU."""

import math
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


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


class TutorialImages(Dataset[tuple[torch.Tensor]]):
    """Images as the tutorials load them: torchvision's MNIST with Resize, ToTensor, Normalize."""

    def __init__(self, images: torch.Tensor) -> None:
        """Takes (n, 1, H, W) images in [-1, 1] and keeps them as torchvision does, in bytes."""
        self.images = ((images[:, 0] + 1) * 127.5).round().to(torch.uint8)
        size = images.shape[-1]
        self.transform = transforms.Compose(
            [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor]:
        """One image, through PIL and the transforms."""
        return (self.transform(Image.fromarray(self.images[index].numpy(), mode="L")),)


def train_tutorial(
    dataset: Dataset[Any],
    image_shape: torch.Size,
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
    """
    torch.manual_seed(seed)
    generator = Generator(latent_dim, g_hidden, image_shape, batch_norm)
    discriminator = Discriminator(d_hidden, image_shape)
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True)

    started = time.perf_counter()
    batches = islice(_batches(loader), steps)
    _train(generator, discriminator, batches, latent_dim, lr, betas)
    return steps * batch_size / (time.perf_counter() - started)
