"""Differentiable augmentation (DiffAugment, Zhao et al. 2020, arXiv 2006.10738), and flips.

Functions of images and of U(0, 1) numbers from outside. Leading axes, of stacked trials too, are
one long batch to them: each image has its own numbers.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SHIFT = 1 / 8
CUT = 1 / 2


def _color(x: Tensor, u: Tensor) -> Tensor:
    """Brightness +-0.5, then saturation 0 to 2, then contrast 0.5 to 1.5."""
    brightness, saturation, contrast = (u[:, i].view(-1, 1, 1, 1) for i in range(3))
    x = x + (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * saturation) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (contrast + 0.5) + mean


def _translation(x: Tensor, u: Tensor) -> Tensor:
    """Moves by up to an eighth of the size, zeros (grey) coming in."""
    size = x.shape[-1]
    reach = int(size * SHIFT + 0.5)
    shift = (u[:, :2] * (2 * reach + 1)).long().clamp(max=2 * reach) - reach
    places = torch.arange(size, device=x.device)
    rows, columns = places + shift[:, :1], places + shift[:, 1:]
    inside = _within(rows, size).unsqueeze(2) & _within(columns, size).unsqueeze(1)
    each = torch.arange(len(x), device=x.device).view(-1, 1, 1)
    moved = x.permute(0, 2, 3, 1)[
        each, rows.clamp(0, size - 1).unsqueeze(2), columns.clamp(0, size - 1).unsqueeze(1)
    ]
    return moved.permute(0, 3, 1, 2) * inside.unsqueeze(1)


def _within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)


def _cutout(x: Tensor, u: Tensor) -> Tensor:
    """Blanks a square of half the size, its centre anywhere."""
    size = x.shape[-1]
    side = int(size * CUT + 0.5)
    first = (u[:, :2] * (size + 1 - side % 2)).long() - side // 2
    places = torch.arange(size, device=x.device)
    rows, columns = (
        (places >= first[:, i : i + 1]) & (places < first[:, i : i + 1] + side) for i in range(2)
    )
    return x * ~(rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)


AUGMENTATIONS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int]] = {
    "color": (_color, 3),
    "translation": (_translation, 2),
    "cutout": (_cutout, 2),
}
"""By name: (images, (n, k) numbers) -> images, and k; applied in this order."""


def numbers_needed(policy: tuple[str, ...]) -> int:
    """How many U(0, 1) numbers an image needs."""
    return sum(AUGMENTATIONS[name][1] for name in policy)


def augment(images: Tensor, numbers: Tensor, policy: tuple[str, ...]) -> Tensor:
    """Augments images.

    Args:
        images: (..., C, H, W) in [-1, 1].
        numbers: (..., k) from U(0, 1), k as :func:`numbers_needed` says.
        policy: Names of augmentations.
    """
    x, u = images.reshape(-1, *images.shape[-3:]), numbers.reshape(-1, numbers.shape[-1])
    used = 0
    for name in policy:
        function, count = AUGMENTATIONS[name]
        x = function(x, u[:, used : used + count])
        used += count
    return x.view(images.shape)


def flip(images: Tensor, numbers: Tensor) -> Tensor:
    """Mirrors the (..., C, H, W) images whose (...,) numbers are below one half."""
    return torch.where(numbers[..., None, None, None] < 0.5, images.flip(-1), images)
